/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sockets and pipes with known contents. Prints a line "NAME PID:FD" for each, "ready", and holds
 * them until its standard input ends.
 *
 *     fdmake DIR        DIR: where to make a socket and a FIFO
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void must(int ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    exit(1);
}

static void tell(const char *name, int fd)
{
    printf("%s %d:%d\n", name, (int)getpid(), fd);
}

static void pair(int type, int fd[2])
{
    must(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fd) == 0, "socketpair");
}

static void put(int fd, const void *data, size_t n)
{
    must(write(fd, data, n) == (ssize_t)n, "write");
}

static void put_text(int fd, const char *text)
{
    put(fd, text, strlen(text));
}

/* "hello world", of which three bytes have been read, 150,000 bytes in pages, out-of-band data. */
static void stream(void)
{
    static unsigned char large[150000];
    char three[3];
    int fd[2];

    for (size_t i = 0; i < sizeof(large); i++)
        large[i] = (unsigned char)(i * 7 + i / 256);
    pair(SOCK_STREAM, fd);
    put_text(fd[0], "hello ");
    put_text(fd[0], "world");
    must(read(fd[1], three, 3) == 3, "read");
    put(fd[0], large, sizeof(large));
    must(send(fd[0], "X", 1, MSG_OOB) == 1 || errno == EOPNOTSUPP, "send");
    tell("stream", fd[1]);
    tell("stream-sender", fd[0]);
}

static void with_fds(int to, const char *text, const int *fds, size_t n)
{
    union {
        char room[CMSG_SPACE(4 * sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct iovec iov = {.iov_base = strdup(text), .iov_len = strlen(text)};
    struct msghdr m = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = CMSG_SPACE(n * sizeof(int)),
    };
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(n * sizeof(int));
    memcpy(CMSG_DATA(c), fds, n * sizeof(int));
    must(sendmsg(to, &m, 0) == (ssize_t)iov.iov_len, "sendmsg");
    free(iov.iov_base);
}

static void dgram(void)
{
    int fd[2], passed[2] = {-1, open("/etc/passwd", O_RDONLY | O_CLOEXEC)};

    pair(SOCK_DGRAM, fd);
    passed[0] = fd[0];
    put_text(fd[0], "one");
    must(send(fd[0], "", 0, 0) == 0, "send");
    with_fds(fd[0], "three with fds", passed, 2);
    tell("dgram", fd[1]);
    pair(SOCK_DGRAM, fd);
    must(send(fd[0], "", 0, 0) == 0, "send");
    tell("dgram-empty-first", fd[1]);
    pair(SOCK_DGRAM, fd);
    tell("dgram-none", fd[1]);
}

static void seqpacket(void)
{
    static char large[70000];
    int fd[2];

    memset(large, 'q', sizeof(large));
    pair(SOCK_SEQPACKET, fd);
    put_text(fd[0], "seq1");
    put(fd[0], large, sizeof(large));
    tell("seqpacket", fd[1]);
}

static void pipes(void)
{
    static char large[5000];
    int fd[2], from[2];
    char one;

    memset(large, 'd', sizeof(large));
    must(pipe2(fd, O_CLOEXEC) == 0, "pipe2");
    put_text(fd[1], "abc");
    put(fd[1], large, sizeof(large));
    must(read(fd[0], &one, 1) == 1, "read");
    tell("pipe", fd[0]);
    tell("pipe-writer", fd[1]);
    must(pipe2(fd, O_CLOEXEC | O_DIRECT) == 0, "pipe2");
    put_text(fd[1], "packet one");
    put_text(fd[1], "packet two");
    tell("packets", fd[0]);
    /* A page that belongs to a file and may change under the look. */
    must(pipe2(fd, O_CLOEXEC) == 0, "pipe2");
    from[0] = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    must(splice(from[0], NULL, fd[1], NULL, 100, 0) == 100, "splice");
    tell("spliced", fd[0]);
    must(pipe2(fd, O_CLOEXEC) == 0, "pipe2");
    tell("empty-pipe", fd[0]);
    /* Its only reader holds it as what can only be written to. */
    must(pipe2(fd, O_CLOEXEC) == 0, "pipe2");
    put_text(fd[1], "kept");
    tell("write-end", fd[1]);
}

static void named(const char *dir)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    char path[sizeof(a.sun_path) + 8];
    int l, c, f;

    snprintf(a.sun_path, sizeof(a.sun_path), "%s/sock", dir);
    l = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(bind(l, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(l, 5) == 0, "bind");
    c = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(connect(c, (struct sockaddr *)&a, sizeof(a)) == 0, "connect");
    put_text(c, "early bird");
    tell("listener", l);
    tell("client", c);
    snprintf(path, sizeof(path), "%s/fifo", dir);
    must(mkfifo(path, 0600) == 0, "mkfifo");
    f = open(path, O_RDWR | O_CLOEXEC);
    put_text(f, "in the fifo");
    tell("fifo", f);
}

/* A child that is blocked in reading an empty pipe, and one in writing to a full socket. */
static void blocked(void)
{
    static char page[4096];
    int fd[2];

    must(pipe2(fd, O_CLOEXEC) == 0, "pipe2");
    tell("read-by-child", fd[0]);
    fflush(stdout);
    if (fork() == 0)
        _exit(read(fd[0], page, 1) < 0);
    pair(SOCK_STREAM, fd);
    while (send(fd[0], page, sizeof(page), MSG_DONTWAIT) > 0)
        ;
    tell("written-by-child", fd[1]);
    fflush(stdout);
    if (fork() == 0)
        _exit(write(fd[0], page, sizeof(page)) < 0);
}

int main(int argc, char **argv)
{
    char byte;

    if (argc != 2)
        return 2;
    stream();
    dgram();
    seqpacket();
    pipes();
    named(argv[1]);
    blocked();
    puts("ready");
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    kill(0, SIGTERM);
    return 0;
}
