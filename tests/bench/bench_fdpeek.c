/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Looking into sockets and pipes against draining them with read(2); whole processes; and what
 * following costs those that are followed.
 *
 *     bench_fdpeek PATH-OF-IPCBOX
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fdq_follow.h"
#include "fdq_peek.h"
#include "figure.h"
#include "timefmt.h"

enum { ROUNDS = 31, STARTS = 15, SOCKETS = 2000, EXCHANGES = 20000 };

static const char *ipcbox;

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    exit(1);
}

static double now_us(void)
{
    return (double)timefmt_now(CLOCK_MONOTONIC) / 1e3;
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static double median(double *v, size_t n)
{
    qsort(v, n, sizeof(*v), by_value);
    return v[n / 2];
}

/* ---- peeking, through the library ---- */

static int count(const struct fdq_message *m, void *ctx)
{
    *(uint64_t *)ctx += m->length;
    return 0;
}

static void peek(const char *what, const int fd[2], enum fdq_kind kind, size_t messages,
                 size_t size, const char *goal)
{
    const struct fdq_peek_opts opts = {.backend = "bpf"};
    struct fdq_holder self = {.pid = getpid(), .fd = fd[0]};
    struct fdq_queue q = {.kind = kind, .bytes = FDQ_UNKNOWN, .readers = {.v = &self, .n = 1}};
    static char data[65536];
    double looks[ROUNDS], drains[ROUNDS], a, b;
    struct fdq_peeker *p;
    struct stat st;

    must(fstat(fd[0], &st) == 0 && fdq_peeker_new(&opts, &p, NULL) == 0, what);
    q.inode = st.st_ino;
    q.dev = fdq_is_socket(kind) ? 0 : st.st_dev;
    for (size_t i = 0; i < ROUNDS; i++) {
        struct fdq_peek_info info;
        uint64_t bytes = 0;

        for (size_t n = 0; n < messages; n++)
            must(write(fd[1], data, size) == (ssize_t)size, "write");
        must(fdq_peek(p, &q, &info, NULL) == 0, "peek"); /* the first loads the program */
        a = now_us();
        must(fdq_peek(p, &q, &info, NULL) == 0, "peek");
        fdq_peek_visit(p, count, &bytes);
        looks[i] = now_us() - a;
        must(bytes == messages * size, "all of it");
        b = now_us();
        for (size_t n = 0; n < messages; n++)
            must(read(fd[0], data, size) == (ssize_t)size, "read");
        drains[i] = now_us() - b;
    }
    a = median(looks, ROUNDS);
    b = median(drains, ROUNDS);
    figure(what, a / b, goal, "%.1f us of %.1f us", a, b);
    fdq_peeker_free(p);
}

static void peeks(void)
{
    int fd[2];

    must(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0, "socketpair");
    peek("fdpeek: stream, 200 x 64 B, of a drain", fd, FDQ_STREAM, 200, 64, "<= 1");
    must(socketpair(AF_UNIX, SOCK_DGRAM, 0, fd) == 0, "socketpair");
    peek("fdpeek: 10 datagrams of 64 B, of a drain", fd, FDQ_DGRAM, 10, 64, "-");
    must(pipe(fd) == 0, "pipe");
    peek("fdpeek: pipe of 64 KiB, of a drain", fd, FDQ_PIPE, 1, 65536, "<= 1.5");
}

/* ---- processes ---- */

static double run(const char *const *command)
{
    double begin = now_us();
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        dup2(null, 1);
        dup2(null, 2);
        execvp(command[0], (char *const *)(uintptr_t)command);
        _exit(127);
    }
    must(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) != 127,
         command[0]);
    return now_us() - begin;
}

static void starts(void)
{
    char target[32];
    const char *const command[] = {ipcbox, "fdpeek", target, NULL};
    double t[STARTS], ms;
    int fd[2];

    must(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0 && write(fd[1], "x", 1) == 1, "socketpair");
    snprintf(target, sizeof(target), "%d:%d", (int)getpid(), fd[0]);
    for (size_t i = 0; i < STARTS; i++)
        t[i] = run(command);
    ms = median(t, STARTS) / 1e3;
    figure("fdpeek PID:FD, from start to end, ms", ms, "<= 15", "median of %d", STARTS);
}

static void lists(void)
{
    const char *const ours[] = {ipcbox, "fdpeek", "list", NULL}, *const ss[] = {"ss", "-xp", NULL};
    double a[STARTS], b[STARTS], x, y;

    for (size_t i = 0; i < SOCKETS / 2; i++) {
        int fd[2];

        must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == 0, "socketpair");
    }
    for (size_t i = 0; i < STARTS; i++) {
        a[i] = run(ours);
        b[i] = run(ss);
    }
    x = median(a, STARTS);
    y = median(b, STARTS);
    figure("fdpeek list of 2,000 sockets, of ss -xp", x / y, "<= 2", "%.1f ms of %.1f ms", x / 1e3,
           y / 1e3);
}

/* ---- following ---- */

static double exchange(const int fd[2])
{
    char m[64] = "";
    double begin = now_us();

    for (int i = 0; i < EXCHANGES; i++)
        must(write(fd[1], m, sizeof(m)) == sizeof(m) && read(fd[0], m, sizeof(m)) == sizeof(m),
             "exchange");
    return (now_us() - begin) * 1e3 / EXCHANGES;
}

static void tcp_pair(int fd[2])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int l = socket(AF_INET, SOCK_STREAM, 0), yes = 1;

    must(bind(l, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(l, 1) == 0 &&
             getsockname(l, (struct sockaddr *)&a, &len) == 0,
         "listen");
    fd[0] = socket(AF_INET, SOCK_STREAM, 0);
    must(connect(fd[0], (struct sockaddr *)&a, sizeof(a)) == 0, "connect");
    fd[1] = accept(l, NULL, NULL);
    setsockopt(fd[1], IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    close(l);
}

static int drop(const struct fdq_event *ev, void *ctx)
{
    (void)ev;
    (void)ctx;
    return 0;
}

/* A process that follows every unix socket and reads what comes every 10 ms. */
static pid_t follow_all(void)
{
    const struct fdq_follow_opts opts = {.all = true, .capture = UINT64_MAX};
    struct fdq_follow *f;
    int ready[2];
    pid_t pid;
    char c;

    must(pipe(ready) == 0, "pipe");
    pid = fork();
    if (pid == 0) {
        must(fdq_follow_new(&opts, &f, NULL) == 0 && fdq_follow_start(f, NULL) == 0, "follow");
        must(write(ready[1], "x", 1) == 1, "write");
        for (;;) {
            usleep(10000);
            fdq_follow_read(f, drop, NULL, NULL);
        }
    }
    must(read(ready[0], &c, 1) == 1, "ready");
    return pid;
}

static void follow(const char *what, const int fd[2], const char *goal)
{
    double off[ROUNDS], on[ROUNDS], a, b;
    pid_t pid;

    for (size_t i = 0; i < 7; i++) {
        off[i] = exchange(fd);
        pid = follow_all();
        on[i] = exchange(fd);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    a = median(on, 7);
    b = median(off, 7);
    figure(what, a / b, goal, "%.0f ns of %.0f ns", a, b);
}

static void follows(void)
{
    int fd[2];

    must(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0, "socketpair");
    follow("fdpeek follow: 64 B over a unix stream, of not followed", fd, "<= 1.6");
    tcp_pair(fd);
    follow("fdpeek follow: 64 B over TCP, of not followed", fd, "<= 1.1");
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    ipcbox = argv[1];
    peeks();
    starts();
    follows();
    lists();
    return 0;
}
