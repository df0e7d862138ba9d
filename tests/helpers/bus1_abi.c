/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A program written for bus1's proposed interface, with plain system calls: it checks what the
 * device promises to a client.
 *
 *     bus1_abi [PATH]    the device, /dev/bus1 by default
 *
 * Prints what failed; exit status 0 when everything is as promised.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

typedef uint64_t u64;

struct transfer {
    u64 flags, id;
};
struct metadata {
    u64 flags, id, account;
};
struct message {
    u64 flags, type, n_transfers, ptr_transfers, n_data, n_data_vecs, ptr_data_vecs;
};
struct cmd_transfer {
    u64 flags, to, n_transfers, ptr_src, ptr_dst;
};
struct cmd_release {
    u64 flags, n_ids, ptr_ids;
};
struct cmd_send {
    u64 flags, n_destinations, ptr_destinations, ptr_errors, ptr_message;
};
struct cmd_recv {
    u64 flags, ptr_metadata, ptr_message;
};

#define TRANSFER _IOWR(0x97, 0, struct cmd_transfer)
#define RELEASE  _IOWR(0x97, 1, struct cmd_release)
#define SEND     _IOWR(0x97, 2, struct cmd_send)
#define RECV     _IOWR(0x97, 3, struct cmd_recv)
#define INVALID  (~(u64)0)
#define PTR(p)   ((u64)(uintptr_t)(p))

static const char *device = "/dev/bus1";
static int failures, checks;
static char *bad;

static void expect(int line, const char *what, int64_t got, int64_t want)
{
    checks++;
    if (got == want)
        return;
    failures++;
    printf("line %d: %s: %lld, not %lld\n", line, what, (long long)got, (long long)want);
}

#define EXPECT(call, want) expect(__LINE__, #call, (int64_t)(call), (int64_t)(want))

static int control(int fd, unsigned long cmd, void *arg)
{
    return ioctl(fd, cmd, arg) < 0 ? -errno : 0;
}

/* A new node in @fd and a handle to it in @to (-1: in itself). */
static int create(int fd, int to, u64 *node, u64 *handle)
{
    struct transfer src = {1, INVALID}, dst = {0};
    struct cmd_transfer c = {0, to < 0 ? INVALID : (u64)to, 1, PTR(&src), PTR(&dst)};
    int r = control(fd, TRANSFER, &c);

    *node = src.id;
    *handle = dst.id;
    return r ? r : src.flags || dst.flags ? -EPROTO : 0;
}

static int send_to(int fd, const u64 *dst, size_t n, const char *text, u64 pass)
{
    struct iovec vec = {(void *)(uintptr_t)text, strlen(text)};
    struct transfer t = {0, pass};
    struct message m = {0, 0, pass != INVALID, PTR(&t), vec.iov_len, 1, PTR(&vec)};
    int32_t errors[8] = {77, 77, 77, 77, 77, 77, 77, 77};
    struct cmd_send s = {0, n, PTR(dst), PTR(errors), PTR(&m)};
    int r = control(fd, SEND, &s);

    for (size_t i = 0; r == 0 && i < 8; i++)
        if (errors[i] != (i < n ? 0 : 77))
            return -EPROTO;
    return r;
}

struct got {
    struct metadata meta;
    struct message m;
    struct transfer t[4];
    char text[64];
};

static int receive(int fd, struct got *g)
{
    struct iovec vec = {g->text, sizeof(g->text) - 1};
    struct cmd_recv c = {0, PTR(&g->meta), PTR(&g->m)};
    int r;

    memset(g, 0, sizeof(*g));
    g->m = (struct message){0, INVALID, 4, PTR(g->t), vec.iov_len, 1, PTR(&vec)};
    r = control(fd, RECV, &c);
    return r;
}

static short ready(int fd)
{
    struct pollfd p = {fd, POLLIN | POLLOUT, 0};

    poll(&p, 1, 0);
    return p.revents & (POLLIN | POLLOUT);
}

static int open_peer(void)
{
    int fd = open(device, O_RDWR | O_CLOEXEC);

    if (fd < 0) {
        perror(device);
        exit(1);
    }
    return fd;
}

static void check_messages(void)
{
    int a = open_peer(), b = open_peer();
    u64 node, handle, dst[2];
    struct got g;

    EXPECT(ready(a), POLLOUT);
    EXPECT(receive(a, &g), -EAGAIN);
    EXPECT(create(a, b, &node, &handle), 0);
    EXPECT(node & handle & 1, 1);
    EXPECT(send_to(b, &handle, 1, "hello", INVALID), 0);
    EXPECT(ready(a), POLLIN | POLLOUT);
    EXPECT(ready(b), POLLOUT);
    EXPECT(receive(a, &g), 0);
    EXPECT(g.meta.id, node);
    EXPECT(g.m.type, 0);
    EXPECT(g.m.n_data, 5);
    EXPECT(g.m.n_transfers, 0);
    EXPECT(strcmp(g.text, "hello"), 0);
    EXPECT(ready(a), POLLOUT);
    EXPECT(receive(a, &g), -EAGAIN);
    /* Twice in one transaction; a handle travels with it. */
    dst[0] = dst[1] = handle;
    EXPECT(send_to(b, dst, 2, "", handle), 0);
    for (int i = 0; i < 2; i++) {
        EXPECT(receive(a, &g), 0);
        EXPECT(g.m.n_transfers, 1);
        EXPECT(g.t[0].flags, 0);
        EXPECT(send_to(a, &g.t[0].id, 1, "to myself", INVALID), 0);
    }
    EXPECT(receive(a, &g), 0);
    EXPECT(strcmp(g.text, "to myself"), 0);
    EXPECT(receive(a, &g), 0);
    close(a);
    /* The node went with its peer: each handle to it hears of that. */
    EXPECT(receive(b, &g), 0);
    EXPECT(g.m.type, 1);
    EXPECT(g.meta.id, handle);
    EXPECT(send_to(b, &handle, 1, "x", INVALID), -EBADRQC);
    close(b);
}

static void check_release(void)
{
    int a = open_peer(), b = open_peer();
    u64 node, handle, ids[2];
    struct cmd_release c = {0, 2, PTR(ids)};
    struct got g;

    EXPECT(create(a, b, &node, &handle), 0);
    ids[0] = handle;
    ids[1] = 12345;
    EXPECT(control(b, RELEASE, &c), -EBADRQC);
    EXPECT(send_to(b, &handle, 1, "before", INVALID), 0);
    c.n_ids = 1;
    EXPECT(control(b, RELEASE, &c), 0);
    EXPECT(receive(a, &g), 0);
    EXPECT(strcmp(g.text, "before"), 0);
    EXPECT(receive(a, &g), 0);
    EXPECT(g.m.type, 2);
    EXPECT(g.meta.id, node);
    EXPECT(receive(a, &g), -EAGAIN);
    c.n_ids = 0;
    EXPECT(control(b, RELEASE, &c), 0);
    c.flags = 1;
    EXPECT(control(b, RELEASE, &c), -EINVAL);
    close(a);
    close(b);
}

static void check_errors(void)
{
    int a = open_peer(), devnull = open("/dev/null", O_RDWR);
    u64 node, handle;
    struct transfer src = {0, 999}, dst;
    struct cmd_transfer t = {0, INVALID, 1, PTR(&src), PTR(&dst)};
    struct iovec vec = {(void *)(uintptr_t) "abc", 3};
    struct message m = {0, 0, 0, 0, 4, 1, PTR(&vec)};
    int32_t error;
    struct cmd_send s = {0, 1, PTR(&handle), PTR(&error), PTR(&m)};
    struct cmd_recv r = {0, PTR(bad), PTR(bad)};
    struct got g;

    EXPECT(control(a, TRANSFER, &t), -EBADRQC);
    t.to = (u64)devnull;
    EXPECT(control(a, TRANSFER, &t), -EOPNOTSUPP);
    t.to = 9999;
    EXPECT(control(a, TRANSFER, &t), -EBADF);
    t.to = (u64)(unsigned int)a + (UINT64_C(1) << 32);
    EXPECT(control(a, TRANSFER, &t), -EBADF);
    t = (struct cmd_transfer){0, INVALID, 1, PTR(bad), PTR(&dst)};
    EXPECT(control(a, TRANSFER, &t), -EFAULT);
    src = (struct transfer){1, 5};
    t.ptr_src = PTR(&src);
    EXPECT(control(a, TRANSFER, &t), -EINVAL);
    t.flags = 1;
    EXPECT(control(a, TRANSFER, &t), -EINVAL);
    EXPECT(control(a, TRANSFER, bad), -EFAULT);
    EXPECT(control(a, _IOWR(0x97, 9, struct cmd_recv), &t), -ENOTTY);
    EXPECT(control(a, _IOWR(0x97, 0, struct cmd_recv), &t), -ENOTTY);
    EXPECT(create(a, -1, &node, &handle), 0);
    EXPECT(control(a, SEND, &s), -EMSGSIZE);
    m.n_data = 3;
    m.type = 1;
    EXPECT(control(a, SEND, &s), -EINVAL);
    m.type = 0;
    s.ptr_errors = 0;
    EXPECT(control(a, SEND, &s), -EFAULT);
    EXPECT(receive(a, &g), -EAGAIN);
    s.ptr_errors = PTR(&error);
    EXPECT(control(a, SEND, &s), 0);
    EXPECT(control(a, RECV, &r), -EFAULT);
    EXPECT(receive(a, &g), 0); /* it stayed */
    EXPECT(strcmp(g.text, "abc"), 0);
    close(a);
    close(devnull);
}

/* A message that does not fit says how large it is, and stays. */
static void check_size(void)
{
    int a = open_peer();
    u64 node, handle;
    struct metadata meta = {0};
    struct message m = {0, INVALID, 0, 0, 0, 0, 0};
    struct cmd_recv c = {0, PTR(&meta), PTR(&m)};
    struct got g;

    EXPECT(create(a, -1, &node, &handle), 0);
    EXPECT(send_to(a, &handle, 1, "0123456789", handle), 0);
    EXPECT(control(a, RECV, &c), -EMSGSIZE);
    EXPECT(m.n_data, 10);
    EXPECT(m.n_transfers, 1);
    EXPECT(receive(a, &g), 0);
    EXPECT(strcmp(g.text, "0123456789"), 0);
    close(a);
}

static void check_epoll(void)
{
    int a = open_peer(), b = open_peer(), ep = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET}, out;
    u64 node, handle;
    struct got g;

    EXPECT(create(a, b, &node, &handle), 0);
    EXPECT(epoll_ctl(ep, EPOLL_CTL_ADD, a, &ev), 0);
    for (int i = 0; i < 3; i++) {
        EXPECT(epoll_wait(ep, &out, 1, 0), 0);
        EXPECT(send_to(b, &handle, 1, "wake", INVALID), 0);
        EXPECT(epoll_wait(ep, &out, 1, 10000), 1);
        EXPECT(receive(a, &g), 0);
        EXPECT(receive(a, &g), -EAGAIN);
    }
    close(ep);
    close(a);
    close(b);
}

/* A peer lives until the last descriptor of all processes is closed. */
static void check_fork(void)
{
    int a = open_peer(), b = open_peer(), pipefd[2];
    struct pollfd p;
    u64 node, handle;
    struct got g;
    pid_t child;
    char c;

    EXPECT(create(a, b, &node, &handle), 0);
    EXPECT(pipe(pipefd), 0);
    child = fork();
    if (child == 0) {
        close(pipefd[1]);
        send_to(b, &handle, 1, "from a child", INVALID);
        (void)!read(pipefd[0], &c, 1);
        _exit(0);
    }
    close(pipefd[0]);
    close(b);
    p = (struct pollfd){a, POLLIN, 0};
    EXPECT(poll(&p, 1, 10000), 1);
    EXPECT(receive(a, &g), 0);
    EXPECT(strcmp(g.text, "from a child"), 0);
    EXPECT(receive(a, &g), -EAGAIN);
    close(pipefd[1]);
    waitpid(child, NULL, 0);
    EXPECT(poll(&p, 1, 10000), 1);
    EXPECT(receive(a, &g), 0);
    EXPECT(g.m.type, 2);
    close(a);
}

static int pass_fd(int sock, int fd)
{
    union {
        struct cmsghdr align;
        char control[CMSG_SPACE(sizeof(int))];
    } u = {0};
    struct iovec vec = {(void *)(uintptr_t) "x", 1};
    struct msghdr msg = {.msg_iov = &vec,
                         .msg_iovlen = 1,
                         .msg_control = u.control,
                         .msg_controllen = sizeof(u.control)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    return sendmsg(sock, &msg, 0) == 1 ? 0 : -errno;
}

static int take_fd(int sock)
{
    union {
        struct cmsghdr align;
        char control[CMSG_SPACE(sizeof(int))];
    } u;
    char byte;
    struct iovec vec = {&byte, 1};
    struct msghdr msg = {.msg_iov = &vec,
                         .msg_iovlen = 1,
                         .msg_control = u.control,
                         .msg_controllen = sizeof(u.control)};
    struct cmsghdr *c;
    int fd = -1;

    if (recvmsg(sock, &msg, 0) != 1)
        return -errno;
    c = CMSG_FIRSTHDR(&msg);
    if (c)
        memcpy(&fd, CMSG_DATA(c), sizeof(fd));
    return fd;
}

/* The first handle of two strangers: one passes its peer to the other. */
static void check_passing(void)
{
    int sock[2], a = open_peer(), theirs;
    u64 node, handle;
    struct got g;
    pid_t child;

    EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, sock), 0);
    child = fork();
    if (child == 0) {
        int b = open_peer();
        struct pollfd p = {b, POLLIN, 0};

        close(a);
        pass_fd(sock[1], b);
        poll(&p, 1, 10000);
        _exit(receive(b, &g) == 0 && !strcmp(g.text, "found you") ? 0 : 1);
    }
    theirs = take_fd(sock[0]);
    EXPECT(theirs >= 0, 1);
    EXPECT(create(theirs, a, &node, &handle), 0);
    close(theirs);
    EXPECT(send_to(a, &handle, 1, "found you", INVALID), 0);
    EXPECT(waitpid(child, &theirs, 0) == child && theirs == 0, 1);
    close(sock[0]);
    close(sock[1]);
    close(a);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        device = argv[1];
    bad = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check_messages();
    check_release();
    check_errors();
    check_size();
    check_epoll();
    check_fork();
    check_passing();
    printf("%d checks, %d failed\n", checks, failures);
    return failures != 0;
}
