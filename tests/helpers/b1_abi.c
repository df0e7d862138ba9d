/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A client of bus1 that shares no code with the tree: the interface is written here once more, as a
 * program would have it from the kernel's header. b1_abi FILE checks every rule of it on FILE and
 * prints each one that does not hold.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

struct xfer {
    uint64_t flags, id;
};
struct meta {
    uint64_t flags, id, account;
};
struct msg {
    uint64_t flags, type, n_xfers, xfers, n_data, n_vecs, vecs;
};
struct c_transfer {
    uint64_t flags, to, n, src, dst;
};
struct c_release {
    uint64_t flags, n, ids;
};
struct c_send {
    uint64_t flags, n, dests, errors, msg;
};
struct c_recv {
    uint64_t flags, meta, msg;
};
#define TRANSFER _IOWR(0x97, 0, struct c_transfer)
#define RELEASE  _IOWR(0x97, 1, struct c_release)
#define SEND     _IOWR(0x97, 2, struct c_send)
#define RECV     _IOWR(0x97, 3, struct c_recv)
#define NONE     UINT64_MAX
#define P(x)     ((uint64_t)(uintptr_t)(x))
#define BAD      ((uint64_t)8)

static const char *path;
static int failed, checks;

#define IS(got, want)                                                          \
    do {                                                                       \
        long long g_ = (long long)(got), w_ = (long long)(want);               \
        checks++;                                                              \
        if (g_ != w_) {                                                        \
            failed++;                                                          \
            printf("line %d: %s is %lld, not %lld\n", __LINE__, #got, g_, w_); \
        }                                                                      \
    } while (0)

static int opened(void)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0) {
        perror(path);
        exit(1);
    }
    return fd;
}

/* 0 or more, or a negative errno. */
static int ctl(int fd, unsigned long nr, void *arg)
{
    int r = ioctl(fd, nr, arg);

    return r < 0 ? -errno : r;
}

static int transfer(int fd, uint64_t to, struct xfer *src, struct xfer *dst, uint64_t n)
{
    struct c_transfer c = {0, to, n, P(src), P(dst)};

    return ctl(fd, TRANSFER, &c);
}

static uint64_t make(int owner, int holder, uint64_t *node)
{
    struct xfer s = {1, NONE}, d = {7, 7};

    IS(transfer(owner, (uint64_t)holder, &s, &d, 1), 0);
    IS(s.flags, 0);
    IS(d.flags, 0);
    *node = s.id;
    return d.id;
}

static int release(int fd, uint64_t *ids, uint64_t n)
{
    struct c_release c = {0, n, P(ids)};

    return ctl(fd, RELEASE, &c);
}

static int sends(int fd, const uint64_t *to, uint64_t n, const char *text, struct xfer *x,
                 uint64_t n_x, int32_t *errors)
{
    size_t len = strlen(text), half = len / 2;
    struct iovec v[3] = {{(void *)(uintptr_t)text, half},
                         {(void *)(uintptr_t)(text + half), 0},
                         {(void *)(uintptr_t)(text + half), len - half}};
    struct msg m = {0, 0, n_x, P(x), len, 3, P(v)};
    struct c_send c = {0, n, P(to), P(errors), P(&m)};

    return ctl(fd, SEND, &c);
}

static int send1(int fd, uint64_t to, const char *text)
{
    int32_t error[2] = {77, 77};
    int r = sends(fd, &to, 1, text, NULL, 0, error);

    if (r == 0) {
        IS(error[0], 0);
        IS(error[1], 77);
    }
    return r;
}

static struct msg got;
static struct meta got_meta;
static struct xfer got_x[64];
static char got_data[4096];

static int recvs(int fd, size_t room, uint64_t n_x)
{
    struct iovec v[2] = {{got_data, room / 2}, {got_data + room / 2, room - room / 2}};
    struct c_recv c = {0, P(&got_meta), P(&got)};

    memset(got_data, 0, sizeof(got_data));
    got = (struct msg){0, NONE, n_x, P(got_x), room, 2, P(v)};
    return ctl(fd, RECV, &c);
}

static void expect(int line, int fd, uint64_t type, uint64_t id, const char *text)
{
    int r = recvs(fd, sizeof(got_data) - 1, 64);

    checks++;
    if (r < 0 || got.type != type || got_meta.id != id || got.n_data != strlen(text) ||
        memcmp(got_data, text, strlen(text))) {
        failed++;
        printf("line %d: RECV: %d, type %llu, id %llu (want %llu), \"%s\" (want \"%s\")\n", line, r,
               (unsigned long long)got.type, (unsigned long long)got_meta.id,
               (unsigned long long)id, got_data, text);
    }
}

#define EXPECT(fd, type, id, text) expect(__LINE__, fd, type, id, text)
#define EXPECT_NONE(fd)            IS(recvs(fd, 64, 4), -EAGAIN)

static void test_messages(void)
{
    int a = opened(), b = opened();
    uint64_t n, h = make(a, b, &n), copy;
    struct xfer x = {0, h}, d;
    struct meta meta;

    EXPECT_NONE(a);
    IS(send1(b, h, "hello"), 0);
    IS(send1(b, h, ""), 0);
    EXPECT(a, 0, n, "hello");
    IS(got.flags, 0);
    IS(got_meta.account, geteuid());
    EXPECT(a, 0, n, "");
    IS(transfer(b, NONE, &x, &d, 1), 0);
    copy = d.id;
    IS(sends(b, &copy, 1, "with", &(struct xfer){0, h}, 1, (int32_t[1]){0}), 0);
    IS(release(b, (uint64_t[]){h, copy}, 2), 0);
    /* Too small: the sizes are told, and it stays. */
    IS(recvs(a, 2, 4), -EMSGSIZE);
    IS(got.n_data, 4);
    meta = got_meta;
    (void)meta;
    EXPECT(a, 0, n, "with");
    close(b);
    close(a);
}

static void test_transfers(void)
{
    int a = opened(), b = opened(), c = opened();
    uint64_t n, m, h = make(a, b, &n), back = make(b, a, &m), got_h;
    struct xfer two[2] = {{1, NONE}, {1, NONE}}, out[2];

    IS(sends(a, &back, 1, "take", &(struct xfer){0, back}, 1, (int32_t[1]){0}), 0);
    IS(recvs(b, 64, 0), -EMSGSIZE);
    IS(got.n_xfers, 1);
    EXPECT(b, 0, m, "take");
    IS(got.n_xfers, 1);
    IS(got_x[0].flags, 0);
    got_h = got_x[0].id;
    IS(send1(b, got_h, "to myself"), 0);
    EXPECT(b, 0, m, "to myself");
    IS(transfer(a, (uint64_t)c, two, out, 2), 0);
    IS(send1(c, out[1].id, "second"), 0);
    EXPECT(a, 0, two[1].id, "second");
    IS(transfer(a, (uint64_t)c, NULL, NULL, 0), 0);
    /* Wrong in every way. */
    IS(transfer(a, NONE, &(struct xfer){2, NONE}, out, 1), -EINVAL);
    IS(transfer(a, NONE, &(struct xfer){1, 5}, out, 1), -EINVAL);
    IS(transfer(a, NONE, &(struct xfer){0, n}, out, 1), -EBADRQC);
    IS(transfer(a, NONE, &(struct xfer){0, 9999}, out, 1), -EBADRQC);
    IS(transfer(a, 777, &(struct xfer){1, NONE}, out, 1), -EBADF);
    IS(transfer(a, (uint64_t)b + (UINT64_C(1) << 32), &(struct xfer){1, NONE}, out, 1), -EBADF);
    IS(transfer(a, 1, &(struct xfer){1, NONE}, out, 1), -EOPNOTSUPP);
    IS(transfer(a, NONE, (struct xfer *)(uintptr_t)BAD, out, 1), -EFAULT);
    IS(transfer(a, NONE, &(struct xfer){1, NONE}, (struct xfer *)(uintptr_t)BAD, 1), -EFAULT);
    IS(ctl(a, TRANSFER, &(struct c_transfer){1, NONE, 0, 0, 0}), -EINVAL);
    (void)h;
    close(a);
    close(b);
    close(c);
}

static void test_releases(void)
{
    int a = opened(), b = opened();
    uint64_t n, m, h = make(a, b, &n), k = make(a, b, &m);
    struct xfer x = {0, h}, d;

    IS(transfer(b, NONE, &x, &d, 1), 0);
    IS(release(b, (uint64_t[]){h, 12345}, 2), -EBADRQC);
    IS(send1(b, h, "alive"), 0);
    EXPECT(a, 0, n, "alive");
    IS(release(b, &h, 1), 0);
    EXPECT_NONE(a);
    IS(release(b, &d.id, 1), 0);
    EXPECT(a, 2, n, "");
    IS(release(b, &h, 1), -EBADRQC);
    IS(send1(b, k, "before"), 0);
    IS(release(a, &m, 1), 0);
    EXPECT(a, 0, m, "before");
    EXPECT(b, 1, k, "");
    IS(send1(b, k, "after"), -EBADRQC);
    IS(release(a, NULL, 0), 0);
    IS(release(a, (uint64_t *)(uintptr_t)BAD, 1), -EFAULT);
    IS(ctl(a, RELEASE, &(struct c_release){1, 0, 0}), -EINVAL);
    close(b);
    close(a);
}

static void test_send_errors(void)
{
    int a = opened();
    uint64_t n, h = make(a, a, &n), both[2] = {h, 999};
    char data[8] = "12345678";
    struct iovec v = {data, 8}, bad_v = {(void *)(uintptr_t)BAD, 8};
    int32_t err[2] = {5, 5};
    struct msg good = {0, 0, 0, 0, 8, 1, P(&v)}, m;
    struct c_send c = {0, 1, P(&h), P(err), P(&m)};

    m = good;
    c.flags = 1;
    IS(ctl(a, SEND, &c), -EINVAL);
    c.flags = 0;
    m.flags = 1;
    IS(ctl(a, SEND, &c), -EINVAL);
    m = good;
    m.type = 1;
    IS(ctl(a, SEND, &c), -EINVAL);
    m = good;
    m.n_data = 9;
    IS(ctl(a, SEND, &c), -EMSGSIZE);
    m.n_data = NONE;
    IS(ctl(a, SEND, &c), -EMSGSIZE);
    m = good;
    m.vecs = P(&bad_v);
    IS(ctl(a, SEND, &c), -EFAULT);
    m.vecs = BAD;
    IS(ctl(a, SEND, &c), -EFAULT);
    m = good;
    m.n_xfers = 1;
    m.xfers = BAD;
    IS(ctl(a, SEND, &c), -EFAULT);
    m.xfers = P((&(struct xfer){1, NONE}));
    IS(ctl(a, SEND, &c), -EINVAL);
    m.xfers = P((&(struct xfer){0, 31337}));
    IS(ctl(a, SEND, &c), -EBADRQC);
    m = good;
    IS(ctl(a, SEND, &(struct c_send){0, 1, BAD, P(err), P(&m)}), -EFAULT);
    IS(ctl(a, SEND, &(struct c_send){0, 1, P(&h), 0, P(&m)}), -EFAULT);
    IS(ctl(a, SEND, &(struct c_send){0, 1, P(&h), BAD, P(&m)}), -EFAULT);
    IS(ctl(a, SEND, &(struct c_send){0, 1, P(&h), P(err), BAD}), -EFAULT);
    IS(ctl(a, SEND, &(struct c_send){0, 2, P(both), P(err), P(&m)}), -EBADRQC);
    IS(ctl(a, SEND, &(struct c_send){0, 1, P(&n), P(err), P(&m)}), -EBADRQC);
    IS(ctl(a, SEND, &(struct c_send){0, 0, 0, 0, 0}), 0);
    m.n_data = 3;
    IS(ctl(a, SEND, &c), 0);
    EXPECT(a, 0, n, "123");
    EXPECT_NONE(a);
    close(a);
}

static void test_recv_errors(void)
{
    int a = opened();
    uint64_t n, h = make(a, a, &n);
    struct iovec v = {got_data, 64};
    struct msg m = {0, NONE, 0, 0, 64, 1, P(&v)};
    struct meta meta;

    IS(send1(a, h, "stays"), 0);
    IS(ctl(a, RECV, &(struct c_recv){1, P(&meta), P(&m)}), -EINVAL);
    m.type = 0;
    IS(ctl(a, RECV, &(struct c_recv){0, P(&meta), P(&m)}), -EINVAL);
    m.type = NONE;
    m.flags = 1;
    IS(ctl(a, RECV, &(struct c_recv){0, P(&meta), P(&m)}), -EINVAL);
    m.flags = 0;
    IS(ctl(a, RECV, &(struct c_recv){0, BAD, P(&m)}), -EFAULT);
    m.type = NONE;
    IS(ctl(a, RECV, &(struct c_recv){0, P(&meta), BAD}), -EFAULT);
    v.iov_base = (void *)(uintptr_t)BAD;
    IS(ctl(a, RECV, &(struct c_recv){0, P(&meta), P(&m)}), -EFAULT);
    EXPECT(a, 0, n, "stays");
    IS(ctl(a, _IOWR(0x97, 4, struct c_recv), &m), -ENOTTY);
    IS(ctl(a, _IOWR(0x97, 3, struct c_send), &m), -ENOTTY);
    IS(ctl(a, _IOR(0x97, 3, struct c_recv), &m), -ENOTTY);
    IS(ctl(a, _IO(0x97, 3), NULL), -ENOTTY);
    close(a);
}

static void test_sizes(void)
{
    enum { N = 40, BIG = 1 << 20, QUEUED = 300, PEERS = 200 };
    int a = opened(), fd[PEERS];
    uint64_t n, h = make(a, a, &n);
    struct xfer x[N];
    char *big = calloc(1, BIG), *back = calloc(1, BIG);
    struct iovec v = {big, BIG};
    int32_t e[1];
    struct msg m = {0, 0, 0, 0, BIG, 1, P(&v)};

    if (!big || !back)
        exit(1);
    memset(big, 'b', BIG);
    IS(ctl(a, SEND, &(struct c_send){0, 1, P(&h), P(e), P(&m)}), 0);
    v.iov_base = back;
    m.type = NONE;
    IS(ctl(a, RECV, &(struct c_recv){0, P(&got_meta), P(&m)}), 0);
    IS(memcmp(big, back, BIG), 0);
    for (int i = 0; i < N; i++)
        x[i] = (struct xfer){0, h};
    IS(sends(a, &h, 1, "many", x, N, e), 0);
    EXPECT(a, 0, n, "many");
    IS(got.n_xfers, N);
    for (int i = 0; i < QUEUED; i++)
        IS(send1(a, h, "q"), 0);
    for (int i = 0; i < QUEUED; i++)
        EXPECT(a, 0, n, "q");
    for (int i = 0; i < PEERS; i++)
        fd[i] = opened();
    for (int i = 0; i < PEERS; i++)
        close(fd[i]);
    free(big);
    free(back);
    close(a);
}

static int polled(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};

    return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

/* Waits for a message in another process's time. */
static void wait_in(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    IS(poll(&p, 1, 30000), 1);
    IS(p.revents, POLLIN);
}

static void test_poll(void)
{
    int a = opened(), b = opened(), ep = epoll_create1(EPOLL_CLOEXEC);
    uint64_t n, h = make(a, b, &n);
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
    pid_t pid;

    IS(polled(a), POLLOUT);
    IS(send1(b, h, "1"), 0);
    IS(polled(a), POLLIN | POLLOUT);
    EXPECT(a, 0, n, "1");
    IS(polled(a), POLLOUT);
    pid = fork();
    if (pid == 0) {
        usleep(20000);
        _exit(send1(b, h, "2") < 0);
    }
    wait_in(a);
    EXPECT(a, 0, n, "2");
    waitpid(pid, NULL, 0);
    IS(epoll_ctl(ep, EPOLL_CTL_ADD, a, &ev), 0);
    IS(epoll_wait(ep, &ev, 1, 0), 0);
    for (int i = 0; i < 3; i++) { /* each message is an edge, also while others wait */
        pid = fork();
        if (pid == 0) {
            usleep(10000);
            _exit(send1(b, h, "edge") < 0);
        }
        IS(epoll_wait(ep, &ev, 1, 30000), 1);
        waitpid(pid, NULL, 0);
    }
    for (int i = 0; i < 3; i++)
        EXPECT(a, 0, n, "edge");
    close(ep);
    close(a);
    close(b);
}

static void fd_send(int sock, int fd)
{
    char one = 1, control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec v = {&one, 1};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);

    if (!c)
        exit(1);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    IS(sendmsg(sock, &m, 0), 1);
}

static int fd_receive(int sock)
{
    char one, control[CMSG_SPACE(sizeof(int))];
    struct iovec v = {&one, 1};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    int fd;

    if (recvmsg(sock, &m, 0) != 1)
        return -1;
    if (!CMSG_FIRSTHDR(&m))
        return -1;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
    return fd;
}

/* A peer lives as long as its last descriptor, wherever that is; and dies with it, however. */
static void test_processes(void)
{
    int a = opened(), s[2], sync[2], b = opened();
    uint64_t n, h = make(a, b, &n);
    char one;
    pid_t pid;

    IS(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s), 0);
    IS(pipe(sync), 0);
    pid = fork();
    if (pid == 0) {
        int fd;

        close(b);
        fd = fd_receive(s[1]);
        failed = send1(fd, h, "from another process") < 0;
        if (write(sync[1], failed ? "n" : "y", 1) != 1)
            _exit(1);
        pause();
    }
    fd_send(s[0], b);
    IS(read(sync[0], &one, 1), 1);
    IS(one, 'y');
    close(b);
    close(s[0]);
    close(s[1]);
    EXPECT(a, 0, n, "from another process");
    EXPECT_NONE(a);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    wait_in(a);
    EXPECT(a, 2, n, "");
    close(sync[0]);
    close(sync[1]);
    close(a);
}

static void test_multicast(void)
{
    enum { N = 30 };
    int s = opened(), fd[N];
    uint64_t to[N], node[N], dead;
    int32_t e[N + 1];

    e[N] = 4711;
    for (int i = 0; i < N; i++) {
        fd[i] = opened();
        to[i] = make(fd[i], s, &node[i]);
    }
    IS(sends(s, to, N, "all", NULL, 0, e), 0);
    for (int i = 0; i < N; i++) {
        IS(e[i], 0);
        EXPECT(fd[i], 0, node[i], "all");
    }
    IS(e[N], 4711);
    close(fd[N - 1]);
    dead = to[N - 1];
    wait_in(s);
    EXPECT(s, 1, dead, "");
    IS(sends(s, to, N, "none", NULL, 0, e), -EBADRQC);
    for (int i = 0; i < N - 1; i++) {
        EXPECT_NONE(fd[i]);
        close(fd[i]);
    }
    close(s);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    path = argv[1];
    test_messages();
    test_transfers();
    test_releases();
    test_send_errors();
    test_recv_errors();
    test_sizes();
    test_poll();
    test_processes();
    test_multicast();
    printf("%d checks, %d failed\n", checks, failed);
    return failed != 0;
}
