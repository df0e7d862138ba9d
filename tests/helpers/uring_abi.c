/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A program written for the proposed io_uring IPC channels, with raw system calls: it checks what
 * they promise, on rings of every kind.
 *
 *     uring_abi [run]    with run: also that what ipcbox run cannot answer is refused
 *
 * Prints what failed; exit status 0 when everything is as promised.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "uring_user_addr.h"

#define NO_MMAP            (1u << 14)
#define REGISTERED_FD_ONLY (1u << 15)
#define NO_SQARRAY         (1u << 16)
#define SRC_REGISTERED     1u
#define LINK               "anon_inode:[io_uring_ipc]"

/* An int argument in a register whose upper half, which the kernel ignores, holds anything. */
#define INT(v) (0xdeadbeef00000000 | (uint32_t)(v))

enum { CLONE_BUFFERS = 30, RESIZE_RINGS = 33, REGISTER_QUERY = 35 };
enum { CREATE = 38, ATTACH, DETACH, DESTROY, IPC_SEND = 65, IPC_RECV };
enum { BROADCAST = 1, MULTICAST = 2, PRIVATE = 4 };
enum { TO_SEND = 1, TO_RECV = 2, BOTH = 3 };

struct create {
    uint32_t flags, entries, max_msg, mode;
    uint64_t key;
    uint32_t id, reserved[3];
};

struct attach {
    uint32_t channel, flags;
    uint64_t key;
    int32_t fd;
    uint32_t sub;
    uint64_t offset;
    uint32_t size, reserved[3];
};

_Static_assert(sizeof(struct create) == 40, "as proposed");
_Static_assert(sizeof(struct attach) == 48, "as proposed");

static const char *kind = "";
static int failures, checks;
static char *bad; /* an address that is not there */

static void expect(int line, const char *what, long got, long want)
{
    checks++;
    if (got == want)
        return;
    failures++;
    printf("%sline %d: %s: %ld, not %ld\n", kind, line, what, got, want);
}

#define EXPECT(call, want) expect(__LINE__, #call, (long)(call), (long)(want))

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* ---- a ring by hand ---- */

struct ring {
    int fd;
    struct io_uring_params p;
    unsigned char *map, *sqes;
    size_t map_size, sqes_size;
    uint32_t tail, submitted;
    int permuted; /* the array names the SQEs in another order */
};

static uint32_t *word(const struct ring *r, uint32_t offset)
{
    return (uint32_t *)(void *)(r->map + offset);
}

static int ring_setup(struct ring *r, uint32_t entries, uint32_t flags)
{
    memset(r, 0, sizeof(*r));
    r->p.flags = flags;
    if (flags & NO_MMAP) {
        r->map_size = 64 * 1024;
        r->sqes_size = 64 * 1024;
        r->map = mmap(NULL, r->map_size, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        r->sqes = mmap(NULL, r->sqes_size, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        URING_USER_ADDR(r->p.cq_off) = (uint64_t)(uintptr_t)r->map;
        URING_USER_ADDR(r->p.sq_off) = (uint64_t)(uintptr_t)r->sqes;
    }
    r->fd = (int)syscall(SYS_io_uring_setup, INT(entries), &r->p);
    if (r->fd < 0)
        return -errno;
    if (flags & NO_MMAP)
        return 0;
    r->map_size = r->p.cq_off.cqes +
                  r->p.cq_entries * (sizeof(struct io_uring_cqe) << !!(flags & IORING_SETUP_CQE32));
    if (!(flags & NO_SQARRAY) && r->map_size < r->p.sq_off.array + r->p.sq_entries * 4)
        r->map_size = r->p.sq_off.array + r->p.sq_entries * 4;
    r->sqes_size = r->p.sq_entries *
                   (sizeof(struct io_uring_sqe) << !!(flags & IORING_SETUP_SQE128));
    r->map = mmap(NULL, r->map_size, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, IORING_OFF_SQ_RING);
    r->sqes = mmap(NULL, r->sqes_size, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, IORING_OFF_SQES);
    if (r->map == MAP_FAILED || r->sqes == MAP_FAILED)
        die("mmap of a ring");
    return 0;
}

static void ring_new(struct ring *r, uint32_t flags)
{
    int e = ring_setup(r, 16, flags);

    if (e < 0) {
        errno = -e;
        die("io_uring_setup");
    }
}

static void ring_done(struct ring *r)
{
    munmap(r->map, r->map_size);
    munmap(r->sqes, r->sqes_size);
    close(r->fd);
}

/* The next SQE, zeroed. */
static struct io_uring_sqe *next(struct ring *r)
{
    uint32_t mask = r->p.sq_entries - 1, at = r->tail & mask;
    uint32_t index = r->permuted ? (mask - at) : at;
    size_t size = sizeof(struct io_uring_sqe) << !!(r->p.flags & IORING_SETUP_SQE128);
    struct io_uring_sqe *sqe = (void *)(r->sqes + index * size);

    if (!(r->p.flags & NO_SQARRAY))
        *word(r, r->p.sq_off.array + at * 4) = index;
    r->tail++;
    memset(sqe, 0, size);
    sqe->user_data = r->tail;
    return sqe;
}

static long submit(struct ring *r, uint32_t wait)
{
    uint32_t n = r->tail - r->submitted;
    long res;

    __atomic_store_n(word(r, r->p.sq_off.tail), r->tail, __ATOMIC_RELEASE);
    if (r->p.flags & IORING_SETUP_SQPOLL)
        EXPECT(*word(r, r->p.sq_off.flags) & IORING_SQ_NEED_WAKEUP, IORING_SQ_NEED_WAKEUP);
    res = syscall(SYS_io_uring_enter, INT(r->fd), INT(n), INT(wait),
                  (wait ? IORING_ENTER_GETEVENTS : 0) |
                      (r->p.flags & IORING_SETUP_SQPOLL ? IORING_ENTER_SQ_WAKEUP : 0),
                  NULL, 0);
    if (res > 0)
        r->submitted += (uint32_t)res;
    return res < 0 ? -errno : res;
}

/* Takes the next completion. Return: its result; -9999 when there is none. */
static long reap(struct ring *r, uint64_t *user_data)
{
    uint32_t head = *word(r, r->p.cq_off.head);
    uint32_t mask = *word(r, r->p.cq_off.ring_mask);
    struct io_uring_cqe *cqe;
    long res;

    if (head == __atomic_load_n(word(r, r->p.cq_off.tail), __ATOMIC_ACQUIRE))
        return -9999;
    cqe = (void *)(r->map + r->p.cq_off.cqes +
                   (size_t)(head & mask) * (sizeof(*cqe) << !!(r->p.flags & IORING_SETUP_CQE32)));
    res = cqe->res;
    if (user_data)
        *user_data = cqe->user_data;
    __atomic_store_n(word(r, r->p.cq_off.head), head + 1, __ATOMIC_RELEASE);
    return res;
}

/* Whether completions are there when a call returns that did not wait. */
static int at_once(const struct ring *r)
{
    return !(r->p.flags & IORING_SETUP_DEFER_TASKRUN);
}

static long run_one(struct ring *r)
{
    long res = submit(r, at_once(r) ? 0 : 1);

    return res == 1 ? reap(r, NULL) : res - 100000;
}

static struct io_uring_sqe *prep(struct ring *r, int op, uint32_t id, const void *buf, uint32_t len)
{
    struct io_uring_sqe *sqe = next(r);

    sqe->opcode = (uint8_t)op;
    sqe->fd = (int)id;
    sqe->addr = (uint64_t)(uintptr_t)buf;
    sqe->len = len;
    return sqe;
}

static long send_to(struct ring *r, uint32_t id, const void *buf, uint32_t len, uint32_t target)
{
    struct io_uring_sqe *sqe = prep(r, IPC_SEND, id, buf, len);

    sqe->file_index = target;
    return run_one(r);
}

static long ipc_send(struct ring *r, uint32_t id, const char *text)
{
    return send_to(r, id, text, (uint32_t)strlen(text), 0);
}

static long ipc_recv(struct ring *r, uint32_t id, char *buf, uint32_t cap)
{
    memset(buf, 0, cap);
    prep(r, IPC_RECV, id, buf, cap);
    return run_one(r);
}

/* Whether what comes next is @text. */
static long gets_text(struct ring *r, uint32_t id, const char *text)
{
    char buf[128];
    long n = ipc_recv(r, id, buf, sizeof(buf));

    if (n < 0)
        return n;
    return n == (long)strlen(text) && !memcmp(buf, text, (size_t)n) ? 1 : 0;
}

static long reg(const struct ring *r, unsigned int op, void *arg, unsigned int n)
{
    long res = syscall(SYS_io_uring_register, INT(r->fd), INT(op), arg, INT(n));

    return res < 0 ? -errno : res;
}

static long create(const struct ring *r, uint32_t flags, uint32_t entries, uint32_t max_msg,
                   uint32_t mode, uint64_t key)
{
    struct create c = {flags, entries, max_msg, mode, key, 0, {0}};
    long res = reg(r, CREATE, &c, 1);

    return res < 0 ? res : (long)c.id;
}

static long attach(const struct ring *r, uint32_t channel, uint64_t key, uint32_t flags,
                   struct attach *out)
{
    struct attach a = {.channel = channel, .key = key, .flags = flags, .fd = -1};
    long res = reg(r, ATTACH, &a, 1);

    if (out)
        *out = a;
    else if (res == 0)
        close(a.fd);
    return res < 0 ? res : (long)a.sub;
}

static uint32_t made(long id)
{
    EXPECT(id > 0, 1);
    return (uint32_t)id;
}

/* ---- registering ---- */

static void test_create(void)
{
    struct create c = {.entries = 4, .max_msg = 64};
    struct ring r, other;
    uint64_t key = 0x1234567800000000 + (uint64_t)getpid();
    uint32_t id, second;

    ring_new(&r, 0);
    ring_new(&other, 0);
    EXPECT(create(&r, BROADCAST | MULTICAST, 4, 64, 0600, 0), -EINVAL);
    EXPECT(create(&r, 8, 4, 64, 0600, 0), -EINVAL);
    EXPECT(create(&r, 0, 0, 64, 0600, 0), -EINVAL);
    EXPECT(create(&r, 0, 3, 64, 0600, 0), -EINVAL);
    EXPECT(create(&r, 0, 65536, 64, 0600, 0), -EINVAL);
    EXPECT(create(&r, 0, 4, 0, 0600, 0), -EINVAL);
    EXPECT(create(&r, 0, 4, (1 << 20) + 1, 0600, 0), -EINVAL);
    EXPECT(create(&r, 0, 2048, 1 << 20, 0600, 0), -EINVAL); /* INT_MAX + 1 */
    EXPECT(create(&r, 0, 32768, 65535, 0600, 0), -EINVAL);  /* with the descriptors */
    EXPECT(create(&r, 0, 32768, 65503, 0600, 0) > 0, 1);
    EXPECT(create(&r, 0, 1024, 1 << 20, 0600, 0) > 0, 1);
    EXPECT(create(&r, PRIVATE, 32768, 1, 07777, 0) > 0, 1);
    c.reserved[1] = 1;
    EXPECT(reg(&r, CREATE, &c, 1), -EINVAL);
    c.reserved[1] = 0;
    EXPECT(reg(&r, CREATE, &c, 0), -EINVAL);
    EXPECT(reg(&r, CREATE, &c, 2), -EINVAL);
    EXPECT(reg(&r, CREATE, NULL, 1), -EINVAL);
    EXPECT(reg(&r, CREATE, bad, 1), -EFAULT);
    EXPECT(syscall(SYS_io_uring_register, -1, CREATE, &c, 1) < 0 ? -errno : 0, -EBADF);
    EXPECT(syscall(SYS_io_uring_register, 0, CREATE, &c, 1) < 0 ? -errno : 0, -EOPNOTSUPP);

    id = made(create(&r, 0, 4, 64, 0600, key));
    second = made(create(&r, 0, 8, 64, 0600, key));
    EXPECT(id != second, 1);
    EXPECT(reg(&r, DESTROY, &c, id), -EINVAL);
    EXPECT(reg(&r, DESTROY, NULL, second), 0);
    EXPECT(reg(&r, DESTROY, NULL, second), -ENOENT);
    EXPECT(attach(&other, second, 0, BOTH, NULL), -ENOENT);
    EXPECT(attach(&other, 0, key, BOTH, NULL) > 0, 1);
    ring_done(&r);
    EXPECT(attach(&other, 0, key, BOTH, NULL), -ENOENT);
    EXPECT(attach(&other, id, 0, BOTH, NULL), -ENOENT);
    ring_done(&other);
}

static void test_attach(void)
{
    uint64_t key = 0x7654321000000000 + (uint64_t)getpid();
    struct attach a;
    struct ring r, other;
    uint32_t id, sub, last;

    ring_new(&r, 0);
    ring_new(&other, 0);
    id = made(create(&r, 0, 4, 64, 0600, key));
    EXPECT(attach(&r, id, 0, 0, NULL), -EINVAL);
    EXPECT(attach(&r, id, 0, 4, NULL), -EINVAL);
    EXPECT(reg(&r, ATTACH, NULL, 1), -EINVAL);
    EXPECT(reg(&r, ATTACH, bad, 1), -EFAULT);
    EXPECT(reg(&r, ATTACH, &a, 0), -EINVAL);
    EXPECT(attach(&r, 0x7fffffff, 0, BOTH, NULL), -ENOENT);
    EXPECT(attach(&r, 0, 0, BOTH, NULL), -ENOENT);
    EXPECT(attach(&r, id, key + 1, BOTH, NULL), -ENOENT); /* the key counts */
    sub = made(attach(&r, 0x7fffffff, key, BOTH, &a));
    EXPECT(a.offset, 0);
    EXPECT(fcntl(a.fd, F_GETFD), FD_CLOEXEC);
    EXPECT(a.size >= 4096 + 4 * 64, 1);
    last = made(attach(&other, id, 0, TO_SEND, NULL));
    EXPECT(last > sub, 1);
    EXPECT(reg(&r, DETACH, NULL, last), -ENOENT);
    EXPECT(reg(&r, DETACH, &a, sub), -EINVAL);
    EXPECT(reg(&r, DETACH, NULL, sub), 0);
    EXPECT(reg(&r, DETACH, NULL, sub), -ENOENT);
    EXPECT(ipc_send(&r, sub, "x"), -ENOENT);
    close(a.fd);
    ring_done(&r);
    EXPECT(ipc_send(&other, last, "goes on"), 7); /* who was attached goes on */
    ring_done(&other);
}

/* What user 65534 of group @gid gets of a channel of ours with @mode. */
static int as_other(gid_t gid, uint32_t id, uint32_t flags)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        struct ring r;
        long res;

        if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
            setresuid(65534, 65534, 65534) < 0)
            _exit(200);
        ring_new(&r, 0);
        res = attach(&r, id, 0, flags, NULL);
        if (res > 0 && flags == TO_SEND)
            res = ipc_send(&r, id, "x") == 1 ? 1 : 2; /* also by the channel's id */
        _exit(res > 0 ? (int)res == 2 ? 201 : 0 : (int)-res);
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -status;
}

static void test_permission(void)
{
    struct ring r;
    uint32_t id;

    ring_new(&r, 0);
    id = made(create(&r, 0, 4, 64, 0, 0));
    EXPECT(attach(&r, id, 0, TO_SEND, NULL), -EACCES); /* not even for root */
    EXPECT(ipc_send(&r, id, "x"), -EACCES);
    id = made(create(&r, 0, 4, 64, 0400, 0));
    EXPECT(attach(&r, id, 0, BOTH, NULL), -EACCES);
    EXPECT(attach(&r, id, 0, TO_RECV, NULL) > 0, 1);
    id = made(create(&r, 0, 4, 64, 0066, 0));
    EXPECT(attach(&r, id, 0, TO_RECV, NULL), -EACCES); /* the owner's class counts alone */
    if (geteuid() == 0) {
        id = made(create(&r, 0, 4, 64, 0642, 0));
        EXPECT(as_other(65534, id, TO_RECV), EACCES);
        EXPECT(as_other(65534, id, TO_SEND), 0);
        EXPECT(as_other(getegid(), id, TO_RECV), 0);
        EXPECT(as_other(getegid(), id, TO_SEND), EACCES);
        EXPECT(as_other(65534, id, BOTH), EACCES);
    }
    ring_done(&r);
}

static void test_probe(void)
{
    const size_t size = sizeof(struct io_uring_probe) + 256 * sizeof(struct io_uring_probe_op);
    struct io_uring_probe *p = calloc(1, size);
    struct ring r;
    int ring_fd = 0;
    struct io_uring_rsrc_update up = {.offset = -1U};

    ring_new(&r, 0);
    if (!p)
        die("calloc");
    EXPECT(reg(&r, IORING_REGISTER_PROBE, p, 256), 0);
    EXPECT(p->last_op >= IPC_RECV, 1);
    EXPECT(p->ops_len > IPC_RECV, 1);
    EXPECT(p->ops[IPC_SEND].op, IPC_SEND);
    EXPECT(p->ops[IPC_SEND].flags, IO_URING_OP_SUPPORTED);
    EXPECT(p->ops[IPC_RECV].flags, IO_URING_OP_SUPPORTED);
    EXPECT(p->ops[IORING_OP_NOP].flags, IO_URING_OP_SUPPORTED);
    EXPECT(reg(&r, IORING_REGISTER_PROBE, p, 256), -EINVAL); /* not zeroed */
    memset(p, 0, size);
    EXPECT(reg(&r, IORING_REGISTER_PROBE, p, 2), 0);
    EXPECT(p->ops_len, 2);
    EXPECT(p->ops[2].op, 0);
    EXPECT(reg(&r, IORING_REGISTER_PROBE, p, 257), -EINVAL);
    EXPECT(reg(&r, IORING_REGISTER_PROBE, bad, 1), -EFAULT);
    up.data = (uint64_t)(unsigned int)(ring_fd = r.fd);
    EXPECT(reg(&r, IORING_REGISTER_RING_FDS, &up, 1) <= 1, 1);
    ring_done(&r);
    free(p);
}

/* ---- the mapping ---- */

static uint32_t at32(const unsigned char *map, size_t offset)
{
    uint32_t v;

    memcpy(&v, map + offset, 4);
    return v;
}

static void test_mapping(void)
{
    const size_t data = 4096;
    char path[64], link[64];
    struct pollfd p = {.events = POLLIN};
    unsigned char *map;
    struct attach a, b;
    struct stat st;
    struct ring r;
    uint64_t u64;
    uint32_t id;
    void *m;

    ring_new(&r, 0);
    id = made(create(&r, 0, 8, 100, 0600, 0));
    made(attach(&r, id, 0, BOTH, &a));
    made(attach(&r, id, 0, TO_RECV, &b));
    EXPECT(a.size, data + 8 * 100);
    EXPECT(a.fd != b.fd, 1);
    EXPECT(syscall(SYS_kcmp, getpid(), getpid(), 0, a.fd, b.fd), 0); /* one file */
    map = mmap(NULL, a.size, PROT_READ, MAP_SHARED, a.fd, 0);
    EXPECT(map != MAP_FAILED, 1);
    EXPECT(at32(map, 128), 7);
    EXPECT(at32(map, 132), 8);
    EXPECT(at32(map, 136), 100);
    EXPECT(at32(map, 4), 0);
    for (uint64_t i = 0; i < 3; i++) {
        struct io_uring_sqe *sqe = prep(&r, IPC_SEND, a.sub, "hello", (uint32_t)i + 2);

        sqe->user_data = 0xabcdef0000000000 + i;
        EXPECT(run_one(&r), i + 2);
    }
    EXPECT(at32(map, 0), 0);
    EXPECT(at32(map, 4), 3);
    EXPECT(at32(map, 64), 0);
    for (uint32_t i = 0; i < 3; i++) {
        const unsigned char *d = map + 192 + i * 32;

        memcpy(&u64, d, 8);
        EXPECT(u64, i * 100);
        EXPECT(at32(d, 8), i + 2);
        EXPECT(at32(d, 12), i + 2); /* the first msg_id is 2 */
        memcpy(&u64, d + 16, 8);
        EXPECT(u64 - i, 0xabcdef0000000000);
        EXPECT(at32(d, 24), i + 1);
        EXPECT(memcmp(map + data + i * 100, "hello", i + 2), 0);
    }
    EXPECT(gets_text(&r, b.sub, "he"), 1);
    EXPECT(at32(map, 64), 1);
    EXPECT(mprotect(map, a.size, PROT_READ | PROT_WRITE) < 0 ? errno : 0, EACCES);

    m = mmap(NULL, a.size, PROT_READ | PROT_WRITE, MAP_SHARED, a.fd, 0);
    EXPECT(m == MAP_FAILED ? errno : 0, EACCES);
    m = mmap(NULL, a.size, PROT_READ | PROT_WRITE, MAP_PRIVATE, a.fd, 0);
    EXPECT(m == MAP_FAILED ? errno : 0, EACCES);
    m = mmap(NULL, a.size, PROT_READ | PROT_EXEC, MAP_SHARED, a.fd, 0);
    EXPECT(m == MAP_FAILED ? errno : 0, EPERM);
    m = mmap(NULL, 8192 + 1, PROT_READ, MAP_SHARED, a.fd, 0);
    EXPECT(m == MAP_FAILED ? errno : 0, EINVAL);
    m = mmap(NULL, 4096, PROT_READ, MAP_SHARED, a.fd, 4096);
    EXPECT(m == MAP_FAILED ? errno : 0, EINVAL);
    m = mmap(NULL, 4096, PROT_READ, MAP_SHARED, dup(b.fd), 4096);
    EXPECT(m == MAP_FAILED ? errno : 0, EINVAL);
    m = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE, a.fd, 0);
    EXPECT(m != MAP_FAILED && at32(m, 4) == 3, 1);
    EXPECT(write(a.fd, "x", 1) < 0, 1);
    EXPECT(ftruncate(a.fd, 0) < 0, 1);
    EXPECT(fstat(a.fd, &st), 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", a.fd);
    EXPECT(readlink(path, link, sizeof(link)), strlen(LINK));
    EXPECT(memcmp(link, LINK, strlen(LINK)), 0);
    snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), b.fd);
    EXPECT(readlink(path, link, 5), 5);
    EXPECT(memcmp(link, LINK, 5), 0);
    p.fd = a.fd;
    EXPECT(poll(&p, 1, 0), 1);
    ring_done(&r);
    EXPECT(at32(map, 4), 3); /* what was mapped stays */
}

/* ---- delivery ---- */

static void test_unicast(struct ring *r)
{
    char buf[64];
    uint32_t id = made(create(r, 0, 4, 16, 0600, 0)), tx, rx, late;

    for (int i = 0; i < 4; i++)
        EXPECT(ipc_send(r, id, "by id"), 5);
    EXPECT(ipc_send(r, id, "full"), -ENOBUFS);
    rx = made(attach(r, id, 0, TO_RECV, NULL));
    tx = made(attach(r, id, 0, TO_SEND, NULL));
    EXPECT(ipc_recv(r, id, buf, 16), -ENOENT); /* a channel's id is no subscription */
    EXPECT(ipc_send(r, rx, "x"), -EACCES);
    EXPECT(ipc_recv(r, tx, buf, 16), -EACCES);
    EXPECT(send_to(r, 0x7ffffff0, bad, 1000, 7), -ENOENT);
    EXPECT(send_to(r, rx, bad, 1000, 7), -EACCES);
    EXPECT(send_to(r, tx, bad, 17, 7), -EMSGSIZE);
    EXPECT(send_to(r, tx, bad, 16, 7), -ENOBUFS);
    for (int i = 0; i < 4; i++)
        EXPECT(gets_text(r, rx, "by id"), 1);
    EXPECT(ipc_recv(r, rx, buf, 16), -EAGAIN);
    EXPECT(send_to(r, tx, NULL, 0, 0), 0); /* a length of 0 is valid */
    EXPECT(ipc_recv(r, rx, buf, 16), 0);
    EXPECT(send_to(r, tx, "sixteen bytes ..", 16, 0), 16);
    EXPECT(ipc_recv(r, rx, buf, 7), 7); /* cut */
    EXPECT(memcmp(buf, "sixteen", 7), 0);
    EXPECT(ipc_recv(r, rx, buf, 16), -EAGAIN); /* and the rest is lost */
    EXPECT(send_to(r, tx, bad, 1, 0), -EFAULT);
    EXPECT(ipc_recv(r, rx, buf, 16), 0); /* of which an empty message came */
    EXPECT(ipc_send(r, tx, "kept"), 4);
    prep(r, IPC_RECV, rx, bad, 16);
    EXPECT(run_one(r), -EFAULT);
    EXPECT(gets_text(r, rx, "kept"), 1);
    late = made(attach(r, id, 0, TO_RECV, NULL)); /* has a head of its own */
    EXPECT(gets_text(r, late, ""), 1);
    EXPECT(gets_text(r, late, "sixteen bytes .."), 1);
    EXPECT(reg(r, DESTROY, NULL, id), 0);
    EXPECT(ipc_send(r, id, "x"), -ENOENT);
    EXPECT(ipc_send(r, tx, "attached"), 8); /* who is attached goes on */
    EXPECT(gets_text(r, rx, "attached"), 1);
    for (uint32_t s = 0; s < 3; s++)
        EXPECT(reg(r, DETACH, NULL, s == 0 ? rx : s == 1 ? tx : late), 0);
}

static void test_broadcast(struct ring *r)
{
    char buf[64], text[8];
    uint32_t id = made(create(r, BROADCAST, 4, 16, 0600, 0)), a, b, tx;

    tx = made(attach(r, id, 0, TO_SEND, NULL));
    for (int i = 0; i < 11; i++) { /* without receivers the old are overwritten */
        snprintf(text, sizeof(text), "m%d", i);
        EXPECT(ipc_send(r, tx, text), strlen(text));
    }
    a = made(attach(r, id, 0, BOTH, NULL));
    EXPECT(gets_text(r, a, "m7"), 1); /* what is still there */
    for (int i = 8; i < 11; i++) {
        snprintf(text, sizeof(text), "m%d", i);
        EXPECT(gets_text(r, a, text), 1);
    }
    EXPECT(ipc_recv(r, a, buf, 16), -EAGAIN);
    b = made(attach(r, id, 0, TO_RECV, NULL));
    for (int i = 0; i < 4; i++)
        EXPECT(ipc_recv(r, b, buf, 16) > 0, 1);
    EXPECT(ipc_send(r, a, "all"), 3);
    EXPECT(gets_text(r, a, "all"), 1); /* also who sent it */
    EXPECT(gets_text(r, b, "all"), 1);
    for (int i = 0; i < 4; i++) {
        EXPECT(ipc_send(r, tx, "one"), 3);
        EXPECT(gets_text(r, a, "one"), 1);
    }
    EXPECT(ipc_send(r, tx, "two"), -ENOBUFS); /* b has not read */
    EXPECT(gets_text(r, b, "one"), 1);
    EXPECT(ipc_send(r, tx, "two"), 3);
    EXPECT(ipc_send(r, tx, "three"), -ENOBUFS);
    EXPECT(reg(r, DETACH, NULL, b), 0);
    EXPECT(ipc_send(r, tx, "three"), 5);
    EXPECT(gets_text(r, a, "two"), 1);
    EXPECT(gets_text(r, a, "three"), 1);

    b = made(attach(r, id, 0, TO_RECV, NULL));
    while (ipc_recv(r, b, buf, 16) >= 0)
        ;
    EXPECT(send_to(r, tx, "to b", 4, b), 4);
    EXPECT(send_to(r, tx, "x", 1, tx), -ENOENT); /* no receiver */
    EXPECT(send_to(r, tx, "x", 1, 0x7ffffff0), -ENOENT);
    EXPECT(ipc_send(r, tx, "last"), 4);
    EXPECT(gets_text(r, b, "to b"), 1);
    EXPECT(gets_text(r, b, "last"), 1);
    EXPECT(gets_text(r, a, "last"), 1);
    EXPECT(reg(r, DETACH, NULL, a) | reg(r, DETACH, NULL, b) | reg(r, DETACH, NULL, tx), 0);
    EXPECT(reg(r, DESTROY, NULL, id), 0);
}

static void test_multicast(struct ring *r)
{
    char buf[64];
    uint32_t id = made(create(r, MULTICAST, 4, 16, 0600, 0)), a, b;

    for (int i = 0; i < 4; i++)
        EXPECT(ipc_send(r, id, "m"), 1);
    EXPECT(ipc_send(r, id, "m"), -ENOBUFS);
    a = made(attach(r, id, 0, TO_RECV, NULL));
    b = made(attach(r, id, 0, TO_RECV, NULL));
    EXPECT(gets_text(r, a, "m"), 1);
    EXPECT(gets_text(r, b, "m"), 1);
    EXPECT(gets_text(r, b, "m"), 1);
    EXPECT(gets_text(r, a, "m"), 1);
    EXPECT(ipc_recv(r, a, buf, 16), -EAGAIN);
    EXPECT(ipc_recv(r, b, buf, 16), -EAGAIN);
    EXPECT(send_to(r, id, "b's", 3, b), 3);
    EXPECT(ipc_recv(r, a, buf, 16), -EAGAIN);
    EXPECT(gets_text(r, b, "b's"), 1);
    EXPECT(reg(r, DETACH, NULL, a) | reg(r, DETACH, NULL, b), 0);
    EXPECT(reg(r, DESTROY, NULL, id), 0);
}

/* ---- submissions ---- */

static void test_refused(struct ring *r)
{
    uint32_t id = made(create(r, 0, 4, 16, 0600, 0)), rx = made(attach(r, id, 0, TO_RECV, NULL));
    char buf[16];

    for (int i = 0; i < 10; i++) {
        struct io_uring_sqe *sqe = prep(r, i % 2 ? IPC_RECV : IPC_SEND, i % 2 ? rx : id, buf, 1);

        if (i / 2 == 0)
            sqe->ioprio = 1;
        else if (i / 2 == 1)
            sqe->rw_flags = 1;
        else if (i / 2 == 2)
            sqe->buf_index = 1;
        else if (i / 2 == 3)
            sqe->personality = 1;
        else
            sqe->flags = IOSQE_BUFFER_SELECT;
        EXPECT(run_one(r), i / 2 == 4 ? -EOPNOTSUPP : -EINVAL);
    }
    prep(r, IPC_SEND, id, "a", 1)->off = 12345; /* ignored, as is this: */
    EXPECT(run_one(r), 1);
    prep(r, IPC_SEND, id, "b", 1)->flags = IOSQE_FIXED_FILE;
    EXPECT(run_one(r), 1);
    EXPECT(gets_text(r, rx, "a"), 1);
    EXPECT(gets_text(r, rx, "b"), 1);
    EXPECT(gets_text(r, rx, ""), -EAGAIN);
    EXPECT(reg(r, DETACH, NULL, rx) | reg(r, DESTROY, NULL, id), 0);
}

static void wait_cqes(struct ring *r, uint32_t n)
{
    EXPECT(submit(r, n) >= 0, 1);
}

static void test_batches(struct ring *r)
{
    uint32_t id = made(create(r, 0, 16, 16, 0600, 0)), rx = made(attach(r, id, 0, TO_RECV, NULL));
    char in[8][4] = {{0}}, out[8][4];
    uint64_t ud;

    for (uint64_t i = 0; i < 8; i++) {
        snprintf(out[i], 4, "b%u", (unsigned int)i);
        prep(r, IPC_SEND, id, out[i], 2)->user_data = i;
    }
    EXPECT(submit(r, at_once(r) ? 0 : 8), 8);
    for (uint64_t i = 0; i < 8; i++) {
        EXPECT(reap(r, &ud), 2);
        EXPECT(ud, i); /* in order */
    }
    for (uint64_t i = 0; i < 8; i++) {
        struct io_uring_sqe *sqe = prep(r, IPC_RECV, rx, in[i], 2);

        sqe->user_data = i;
        sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
    }
    prep(r, IPC_RECV, rx, in[0], 2)->user_data = 8;
    EXPECT(submit(r, at_once(r) ? 0 : 1), 9);
    EXPECT(reap(r, &ud), -EAGAIN);
    EXPECT(ud, 8);
    EXPECT(reap(r, NULL), -9999);
    for (int i = 0; i < 8; i++)
        EXPECT(memcmp(in[i], out[i], 2), 0);
    /* More than fit into the ring of SQEs, asynchronously. */
    for (int round = 0; round < 5; round++) {
        for (uint64_t i = 0; i < 8; i++)
            prep(r, i % 2 ? IPC_RECV : IPC_SEND, i % 2 ? rx : id, out[i], 2)->flags = IOSQE_ASYNC;
        wait_cqes(r, 8);
        for (int i = 0; i < 8; i++)
            EXPECT(reap(r, NULL), 2);
    }
    EXPECT(gets_text(r, rx, ""), -EAGAIN);
    EXPECT(reg(r, DETACH, NULL, rx) | reg(r, DESTROY, NULL, id), 0);
}

/* SQEs that are submitted again as they are, and such as are changed in part. */
static void test_again(struct ring *r)
{
    uint32_t id = made(create(r, 0, 64, 16, 0600, 0)), rx = made(attach(r, id, 0, TO_RECV, NULL));
    uint32_t mask = r->p.sq_entries - 1;

    while (r->tail & mask) { /* begin at index 0 */
        next(r);
        EXPECT(run_one(r), 0);
    }
    for (uint32_t i = 0; i <= mask; i++)
        prep(r, IPC_SEND, id, "again", 5)->user_data = i;
    wait_cqes(r, mask + 1);
    for (uint32_t i = 0; i <= mask; i++)
        EXPECT(reap(r, NULL), 5);
    r->tail += mask + 1; /* all the same once more */
    wait_cqes(r, mask + 1);
    for (uint32_t i = 0; i <= mask; i++)
        EXPECT(reap(r, NULL), 5);
    for (uint32_t i = 0; i < 2 * (mask + 1); i++)
        EXPECT(gets_text(r, rx, "again"), 1);
    EXPECT(reg(r, DETACH, NULL, rx) | reg(r, DESTROY, NULL, id), 0);
}

/* The SQE that next() would give, as it is left from last time. */
static struct io_uring_sqe *next_as_left(struct ring *r)
{
    struct io_uring_sqe copy, *sqe;
    uint32_t mask = r->p.sq_entries - 1, at = r->tail & mask;
    uint32_t index = r->permuted ? (mask - at) : at;

    sqe = (void *)(r->sqes + ((size_t)index << (6 + !!(r->p.flags & IORING_SETUP_SQE128))));
    copy = *sqe;
    next(r);
    *sqe = copy;
    return sqe;
}

/* Programs that set some fields of an SQE only, and rely on what the others were. */
static void test_partial(struct ring *r)
{
    uint32_t id = made(create(r, 0, 64, 16, 0600, 0)), rx = made(attach(r, id, 0, TO_RECV, NULL));
    uint32_t n = r->p.sq_entries;
    struct io_uring_sqe *sqe;
    char text[8], buf[16];
    int ends[2];

    if (pipe(ends) < 0)
        die("pipe");
    for (uint32_t i = 0; i < n; i++)
        EXPECT(ipc_send(r, id, "part"), 4);
    for (uint32_t i = 0; i < n; i++) {
        next_as_left(r)->len = 1 + i % 4;
        EXPECT(run_one(r), 1 + i % 4);
    }
    for (uint32_t i = 0; i < n; i++)
        EXPECT(gets_text(r, rx, "part"), 1);
    for (uint32_t i = 0; i < n; i++) {
        sqe = next_as_left(r); /* of a RECV */
        sqe->addr = (uint64_t)(uintptr_t)text;
        EXPECT(run_one(r), 1 + i % 4);
        EXPECT(memcmp(text, "part", 1 + i % 4), 0);
    }
    for (uint32_t i = 0; i < n; i++) {
        sqe = next_as_left(r);
        sqe->opcode = IORING_OP_WRITE;
        sqe->fd = ends[1];
        sqe->addr = (uint64_t)(uintptr_t) "w";
        sqe->len = 1;
        sqe->off = 0;
        sqe->user_data = i;
        EXPECT(submit(r, 1), 1);
        EXPECT(reap(r, NULL), 1);
    }
    EXPECT(read(ends[0], buf, sizeof(buf)), n < 16 ? n : 16);
    close(ends[0]);
    close(ends[1]);
    EXPECT(reg(r, DETACH, NULL, rx) | reg(r, DESTROY, NULL, id), 0);
}

/* ---- chains ---- */

static void test_links(struct ring *r)
{
    uint32_t id = made(create(r, 0, 8, 16, 0600, 0)), rx = made(attach(r, id, 0, TO_RECV, NULL));
    char buf[32] = "";
    int ends[2];

    if (pipe(ends) < 0)
        die("pipe");
    /* A failed operation takes what is linked to it with it. */
    prep(r, IPC_SEND, id, buf, 17)->flags = IOSQE_IO_LINK;
    prep(r, IPC_SEND, id, "x", 1)->flags = IOSQE_IO_LINK;
    prep(r, IPC_SEND, id, "y", 1);
    prep(r, IPC_SEND, id, "z", 1);
    wait_cqes(r, 4);
    long seen[4] = {0};
    for (int i = 0; i < 4; i++) {
        long res = reap(r, NULL);

        seen[res == -EMSGSIZE ? 0 : res == -ECANCELED ? 1 : res == 1 ? 2 : 3]++;
    }
    EXPECT(seen[0], 1);
    EXPECT(seen[1], 2);
    EXPECT(seen[2], 1);
    EXPECT(gets_text(r, rx, "z"), 1);
    EXPECT(gets_text(r, rx, ""), -EAGAIN);
    /* But not what is linked hard. */
    prep(r, IPC_RECV, rx, buf, 16)->flags = IOSQE_IO_HARDLINK;
    prep(r, IPC_SEND, id, "hard", 4);
    wait_cqes(r, 2);
    EXPECT(reap(r, NULL), -EAGAIN);
    EXPECT(reap(r, NULL), 4);
    /* Received, then written: what was just received. */
    memset(buf, 0, sizeof(buf));
    prep(r, IPC_RECV, rx, buf, 16)->flags = IOSQE_IO_LINK;
    prep(r, IORING_OP_WRITE, (uint32_t)ends[1], buf, 4);
    wait_cqes(r, 2);
    EXPECT(reap(r, NULL), 4);
    EXPECT(reap(r, NULL), 4);
    memset(buf, 0, sizeof(buf));
    EXPECT(read(ends[0], buf, 16), 4);
    EXPECT(strcmp(buf, "hard"), 0);
    /* One that is refused takes the whole chain with it. */
    prep(r, IPC_SEND, id, "no", 2)->flags = IOSQE_IO_LINK;
    prep(r, IPC_SEND, id, "no", 2)->ioprio = 1;
    wait_cqes(r, 2);
    EXPECT(reap(r, NULL) + reap(r, NULL), -ECANCELED - EINVAL);
    EXPECT(gets_text(r, rx, ""), -EAGAIN);
    close(ends[0]);
    close(ends[1]);
    EXPECT(reg(r, DETACH, NULL, rx) | reg(r, DESTROY, NULL, id), 0);
}

/* Waits for what is sent when its turn comes: a completion of it does not wait for that. */
static long gets_soon(struct ring *r, uint32_t id, const char *text)
{
    long res = -EAGAIN;

    for (int i = 0; i < 2000 && res == -EAGAIN; i++) {
        res = gets_text(r, id, text);
        if (res == -EAGAIN)
            usleep(1000);
    }
    return res;
}

/* Operations that follow others: what they send is what is there when their turn comes. */
static void test_later(struct ring *r)
{
    uint32_t id = made(create(r, 0, 8, 16, 0600, 0)), rx = made(attach(r, id, 0, TO_RECV, NULL));
    char buf[32] = "stale", in[32];
    uint64_t ud;
    int ends[2];

    if (pipe(ends) < 0)
        die("pipe");
    /* Read, then sent. */
    prep(r, IORING_OP_READ, (uint32_t)ends[0], buf, 5)->flags = IOSQE_IO_LINK;
    prep(r, IPC_SEND, id, buf, 5)->user_data = 77;
    EXPECT(submit(r, 0), 2);
    EXPECT(gets_text(r, rx, "stale"), -EAGAIN);
    EXPECT(write(ends[1], "fresh", 5), 5);
    wait_cqes(r, 2);
    EXPECT(reap(r, NULL), 5);
    EXPECT(reap(r, &ud), 5);
    EXPECT(ud, 77);
    EXPECT(gets_soon(r, rx, "fresh"), 1);
    /* Several, in their order, among others. */
    for (int i = 0; i < 3; i++) {
        prep(r, IORING_OP_READ, (uint32_t)ends[0], buf + i, 1)->flags = IOSQE_IO_LINK;
        prep(r, IPC_SEND, id, buf + i, 1)->flags = IOSQE_IO_LINK;
        prep(r, IPC_SEND, id, buf + i, 1);
    }
    EXPECT(submit(r, 0), 9);
    for (int i = 0; i < 3; i++) {
        EXPECT(write(ends[1], &"abc"[i], 1), 1);
        wait_cqes(r, 3);
        EXPECT(reap(r, NULL) + reap(r, NULL) + reap(r, NULL), 3);
    }
    for (int i = 0; i < 6; i++) {
        char want[2] = {"abc"[i / 2], 0};

        EXPECT(gets_soon(r, rx, want), 1);
    }
    /* Not done when what it follows fails. */
    prep(r, IORING_OP_READ, (uint32_t)-1, buf, 1)->flags = IOSQE_IO_LINK;
    prep(r, IPC_SEND, id, buf, 1);
    wait_cqes(r, 2);
    EXPECT(reap(r, NULL) + reap(r, NULL), -EBADF - ECANCELED);
    usleep(20000);
    EXPECT(gets_text(r, rx, ""), -EAGAIN);
    /* What is wrong with it is still found, in its turn. */
    prep(r, IORING_OP_NOP, 0, NULL, 0)->flags = IOSQE_IO_LINK;
    prep(r, IPC_SEND, id, buf, 17)->flags = IOSQE_IO_LINK;
    prep(r, IPC_SEND, id, buf, 1);
    wait_cqes(r, 3);
    EXPECT(reap(r, NULL) + reap(r, NULL) + reap(r, NULL), -EMSGSIZE - ECANCELED);
    /* Received after it was written elsewhere. */
    EXPECT(ipc_send(r, id, "one"), 3);
    EXPECT(ipc_send(r, id, "two"), 3);
    memset(in, 0, sizeof(in));
    prep(r, IORING_OP_WRITE, (uint32_t)ends[1], "w", 1)->flags = IOSQE_IO_LINK;
    prep(r, IPC_RECV, rx, in, 16)->flags = IOSQE_IO_LINK;
    prep(r, IPC_RECV, rx, in + 16, 2);
    wait_cqes(r, 3);
    EXPECT(reap(r, NULL), 1);
    EXPECT(reap(r, NULL), 3);
    EXPECT(reap(r, NULL), 2);
    EXPECT(memcmp(in, "one", 4) | memcmp(in + 16, "tw", 3), 0);
    prep(r, IORING_OP_NOP, 0, NULL, 0)->flags = IOSQE_IO_LINK;
    prep(r, IPC_RECV, rx, in, 16);
    wait_cqes(r, 2);
    EXPECT(reap(r, NULL), 0);
    EXPECT(reap(r, NULL), -EAGAIN);
    /* Cancelled: what it would have received comes next. */
    EXPECT(ipc_send(r, id, "kept"), 4);
    prep(r, IORING_OP_READ, (uint32_t)-1, buf, 1)->flags = IOSQE_IO_LINK;
    prep(r, IPC_RECV, rx, in, 16);
    wait_cqes(r, 2);
    EXPECT(reap(r, NULL) + reap(r, NULL), -EBADF - ECANCELED);
    EXPECT(gets_text(r, rx, "kept"), 1);
    close(ends[0]);
    close(ends[1]);
    EXPECT(reg(r, DETACH, NULL, rx) | reg(r, DESTROY, NULL, id), 0);
}

/* After all that was submitted before: a ring that drained once completes nothing at once. */
static void test_drain(void)
{
    uint32_t id, rx;
    char buf[8] = "stale";
    struct ring r;
    int ends[2];

    if (pipe(ends) < 0)
        die("pipe");
    ring_new(&r, 0);
    id = made(create(&r, 0, 8, 16, 0600, 0));
    rx = made(attach(&r, id, 0, TO_RECV, NULL));
    prep(&r, IORING_OP_READ, (uint32_t)ends[0], buf, 5);
    prep(&r, IPC_SEND, id, buf, 5)->flags = IOSQE_IO_DRAIN;
    EXPECT(submit(&r, 0), 2);
    EXPECT(write(ends[1], "fresh", 5), 5);
    wait_cqes(&r, 2);
    EXPECT(reap(&r, NULL) + reap(&r, NULL), 10);
    for (long res = -EAGAIN; res == -EAGAIN;) {
        prep(&r, IPC_RECV, rx, buf, 8);
        wait_cqes(&r, 1);
        res = reap(&r, NULL);
        EXPECT(res == 5 || res == -EAGAIN, 1);
    }
    EXPECT(memcmp(buf, "fresh", 5), 0);
    close(ends[0]);
    close(ends[1]);
    ring_done(&r);
}

/* ---- all kinds of rings ---- */

static void test_ring(const char *name, uint32_t flags, int permuted)
{
    static char prefix[64];
    struct ring r;
    int e = ring_setup(&r, 16, flags);

    snprintf(prefix, sizeof(prefix), "%s: ", name);
    kind = prefix;
    if (e < 0) {
        EXPECT(e, 0);
        return;
    }
    r.permuted = permuted;
    if (flags & IORING_SETUP_SQPOLL) /* done without: a library sees it here */
        r.p.flags |= IORING_SETUP_SQPOLL;
    test_unicast(&r);
    test_broadcast(&r);
    test_multicast(&r);
    test_refused(&r);
    test_batches(&r);
    test_again(&r);
    test_partial(&r);
    test_links(&r);
    test_later(&r);
    ring_done(&r);
    kind = "";
}

static void test_iopoll(void)
{
    struct ring r;
    uint32_t id;

    ring_new(&r, IORING_SETUP_IOPOLL);
    id = made(create(&r, 0, 4, 16, 0600, 0));
    prep(&r, IPC_SEND, id, "x", 1);
    EXPECT(submit(&r, 0) <= 1, 1);
    EXPECT(reap(&r, NULL), -EINVAL);
    ring_done(&r);
}

/* ---- processes ---- */

static void test_fork(void)
{
    struct ring r;
    uint32_t id, rx;
    pid_t pid;
    int status = -1;

    ring_new(&r, 0);
    id = made(create(&r, 0, 8, 16, 0600, 0));
    rx = made(attach(&r, id, 0, TO_RECV, NULL));
    pid = fork();
    if (pid == 0) {
        failures = 0;
        EXPECT(ipc_send(&r, id, "child"), 5); /* on the parent's ring */
        EXPECT(gets_text(&r, rx, "child"), 1);
        EXPECT(ipc_send(&r, id, "for you"), 7);
        fflush(stdout);
        _exit(failures != 0);
    }
    waitpid(pid, &status, 0);
    EXPECT(status, 0);
    r.tail = *word(&r, r.p.sq_off.tail);
    r.submitted = r.tail;
    EXPECT(gets_text(&r, rx, "for you"), 1);
    ring_done(&r);
}

/* A ring that a child keeps: its channels stay until that ends too. */
static void test_lifetime(void)
{
    struct ring r, other;
    uint32_t id;
    int go[2];
    pid_t pid;
    char c;

    ring_new(&r, 0);
    ring_new(&other, 0);
    id = made(create(&r, 0, 8, 16, 0600, 0));
    if (pipe(go) < 0)
        die("pipe");
    pid = fork();
    if (pid == 0) {
        close(go[1]);
        ring_done(&other);
        _exit(read(go[0], &c, 1) != 0);
    }
    close(go[0]);
    ring_done(&r);
    EXPECT(attach(&other, id, 0, BOTH, NULL) > 0, 1);
    close(go[1]);
    waitpid(pid, NULL, 0);
    EXPECT(attach(&other, id, 0, BOTH, NULL), -ENOENT);
    /* A receiver that is killed holds back nobody. */
    id = made(create(&other, BROADCAST, 4, 16, 0600, 0));
    pid = fork();
    if (pid == 0) {
        struct ring mine;

        ring_new(&mine, 0);
        _exit(attach(&mine, id, 0, TO_RECV, NULL) < 0);
    }
    waitpid(pid, NULL, 0);
    for (int i = 0; i < 20; i++)
        EXPECT(ipc_send(&other, id, "on"), 2);
    ring_done(&other);
}

/* Two processes, a thousand messages, a window of eight. */
static void test_stream(void)
{
    enum { N = 1000 };
    struct ring r;
    uint32_t id, rx;
    pid_t pid;
    int status = -1;

    ring_new(&r, 0);
    id = made(create(&r, MULTICAST, 8, 16, 0600, 0));
    rx = made(attach(&r, id, 0, TO_RECV, NULL));
    pid = fork();
    if (pid == 0) {
        struct ring mine;
        uint32_t tx;

        ring_new(&mine, 0);
        tx = (uint32_t)attach(&mine, id, 0, TO_SEND, NULL);
        for (int i = 0; i < N;) {
            long res = send_to(&mine, tx, &i, 4, 0);

            if (res == 4)
                i++;
            else if (res != -ENOBUFS)
                _exit(1);
            else
                usleep(100);
        }
        _exit(0);
    }
    for (int i = 0; i < N;) {
        int got = -1;
        long res = ipc_recv(&r, rx, (char *)&got, 4);

        if (res == -EAGAIN) {
            usleep(100);
            continue;
        }
        EXPECT(res, 4);
        EXPECT(got, i);
        if (got != i)
            break;
        i++;
    }
    waitpid(pid, &status, 0);
    EXPECT(status, 0);
    ring_done(&r);
}

/* What ipcbox run cannot answer, as its manual page says: programs are to do without. */
static void test_unsupported(void)
{
    struct io_uring_params resized = {.sq_entries = 64, .cq_entries = 128}, p = {0};
    struct io_uring_rsrc_update up = {.offset = -1U};
    struct {
        uint32_t src_fd, flags, src_off, dst_off, nr, pad[3];
    } clone = {.flags = SRC_REGISTERED};
    struct ring r, poll;
    long res;

    ring_new(&r, 0);
    up.data = (uint64_t)(unsigned int)r.fd;
    EXPECT(reg(&r, IORING_REGISTER_RING_FDS, &up, 1), -EINVAL);
    p.flags = NO_MMAP | REGISTERED_FD_ONLY;
    res = syscall(SYS_io_uring_setup, 4, &p);
    EXPECT(res < 0 ? -errno : res, -EINVAL);
    EXPECT(reg(&r, RESIZE_RINGS, &resized, 1), -EINVAL);
    res = syscall(SYS_io_uring_register, -1, REGISTER_QUERY, NULL, 0);
    EXPECT(res < 0 ? -errno : res, -EINVAL);
    res = reg(&r, CLONE_BUFFERS, &clone, 1); /* which kernels before 6.12 do not know */
    EXPECT(res == -EBADF || res == -EINVAL, 1);
    ring_new(&poll, IORING_SETUP_SQPOLL);
    EXPECT(poll.p.flags & IORING_SETUP_SQPOLL, 0);
    ring_done(&poll);
    ring_done(&r);
}

int main(int argc, char **argv)
{
    struct ring r;

    setvbuf(stdout, NULL, _IOLBF, 0);
    bad = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ring_new(&r, 0);
    if (create(&r, PRIVATE, 1, 1, 0600, 0) < 0) {
        printf("no io_uring channels here\n");
        return 1;
    }
    ring_done(&r);
    if (argc > 1 && !strcmp(argv[1], "run"))
        test_unsupported();
    test_create();
    test_attach();
    test_permission();
    test_probe();
    test_mapping();
    test_ring("plain", 0, 0);
    test_ring("permuted", 0, 1);
    test_ring("SQE128", IORING_SETUP_SQE128, 1);
    test_ring("CQE32", IORING_SETUP_CQE32, 0);
    test_ring("SQE128 and CQE32", IORING_SETUP_SQE128 | IORING_SETUP_CQE32, 0);
    test_ring("NO_SQARRAY", NO_SQARRAY, 0);
    test_ring("NO_MMAP", NO_MMAP, 1);
    test_ring("NO_MMAP and NO_SQARRAY", NO_MMAP | NO_SQARRAY, 0);
    test_ring("SINGLE_ISSUER", IORING_SETUP_SINGLE_ISSUER, 0);
    test_ring("DEFER_TASKRUN", IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, 0);
    test_ring("COOP_TASKRUN, SUBMIT_ALL", IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL, 0);
    test_ring("SQPOLL", IORING_SETUP_SQPOLL, 0);
    test_drain();
    test_iopoll();
    test_fork();
    test_lifetime();
    test_stream();
    printf("%d checks, %d failed\n", checks, failures);
    return failures != 0;
}
