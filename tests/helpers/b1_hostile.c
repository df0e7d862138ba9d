/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Clients that mean harm to a served bus. b1_hostile FILE WHAT:
 *   counts    numbers and pointers beyond reason; every answer must be an error
 *   stuck     many ioctls on memory that never faults in; prints "stuck", then waits to be killed
 *   peers N   opens N peers from several processes, prints "open", closes them when stdin ends
 *   killed N  children that are killed in the middle of ioctls, N times
 *   edge N    an edge-triggered epoll client that empties its queue N times, each time when it is
 *             woken; prints how often it was
 *   gone      opens a peer, prints "open", and once stdin ends what the ioctls and poll then say
 *   quota     goes over each limit of a bus with --max-peers 2 --max-nodes 2 --max-handles 3
 *             --max-messages 2 --max-message 10, and prints what came of it
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bus1_abi.h"

enum { STUCK_PEERS = 12, STUCK_SAME = 4, PER_PROCESS = 900 };

static const char *path;

static uint64_t ptr(const void *p)
{
    return (uint64_t)(uintptr_t)p;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int peer_open(void)
{
    int fd = open(path, O_RDWR);

    if (fd < 0)
        die(path);
    return fd;
}

static uint64_t self_handle(int fd)
{
    struct bus1_transfer src = {BUS1_TRANSFER_FLAG_CREATE, BUS1_INVALID}, dst;
    struct bus1_cmd_transfer c = {
        .to = BUS1_INVALID, .n_transfers = 1, .ptr_src = ptr(&src), .ptr_dst = ptr(&dst)};

    if (ioctl(fd, BUS1_CMD_TRANSFER, &c) < 0)
        die("TRANSFER");
    return dst.id;
}

static int send_from(int fd, uint64_t to, const void *data, size_t n)
{
    int32_t error;
    struct iovec v = {(void *)(uintptr_t)data, n};
    struct bus1_message m = {.n_data = n, .n_data_vecs = 1, .ptr_data_vecs = ptr(&v)};
    struct bus1_cmd_send c = {.n_destinations = 1,
                              .ptr_destinations = ptr(&to),
                              .ptr_errors = ptr(&error),
                              .ptr_message = ptr(&m)};

    return ioctl(fd, BUS1_CMD_SEND, &c);
}

/* Each must fail: nothing here is a valid request. */
static int counts(void)
{
    static const uint64_t big[] = {1 << 20, UINT64_C(1) << 32, UINT64_C(1) << 60, UINT64_MAX,
                                   UINT64_MAX / 16 + 1};
    int fd = peer_open(), wrong = 0;
    uint64_t h = self_handle(fd);
    char page[4096] = {0};

    for (size_t i = 0; i < sizeof(big) / sizeof(big[0]); i++) {
        struct iovec v = {page, SIZE_MAX};
        struct bus1_message m = {.n_data = big[i], .n_data_vecs = 1, .ptr_data_vecs = ptr(&v)};
        struct bus1_cmd_send s = {0, 1, ptr(&h), ptr(page), ptr(&m)};
        struct bus1_cmd_transfer t = {0, BUS1_INVALID, big[i], ptr(page), ptr(page)};
        struct bus1_cmd_release r = {0, big[i], ptr(page)};

        wrong += ioctl(fd, BUS1_CMD_SEND, &s) >= 0;
        m = (struct bus1_message){.n_data = 1, .n_data_vecs = big[i], .ptr_data_vecs = ptr(page)};
        wrong += ioctl(fd, BUS1_CMD_SEND, &s) >= 0;
        m = (struct bus1_message){.n_transfers = big[i], .ptr_transfers = ptr(page)};
        wrong += ioctl(fd, BUS1_CMD_SEND, &s) >= 0;
        s.n_destinations = big[i];
        wrong += ioctl(fd, BUS1_CMD_SEND, &s) >= 0;
        wrong += ioctl(fd, BUS1_CMD_TRANSFER, &t) >= 0;
        wrong += ioctl(fd, BUS1_CMD_RELEASE, &r) >= 0;
    }
    printf("%d wrong\n", wrong);
    return wrong != 0;
}

/* A page whose faults nobody answers. */
static char *dead_page(void)
{
    struct uffdio_api api = {.api = UFFD_API};
    struct uffdio_register reg = {.mode = UFFDIO_REGISTER_MODE_MISSING};
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
    char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (fd < 0 || p == MAP_FAILED || ioctl(fd, UFFDIO_API, &api) < 0)
        die("userfaultfd");
    reg.range.start = ptr(p);
    reg.range.len = 4096;
    if (ioctl(fd, UFFDIO_REGISTER, &reg) < 0)
        die("UFFDIO_REGISTER");
    return p;
}

struct stuck {
    int fd;
    uint64_t to;
    const char *data;
};

static void *stuck_main(void *arg)
{
    const struct stuck *s = arg;

    (void)send_from(s->fd, s->to, s->data, 64);
    return NULL;
}

static int stuck(void)
{
    static struct stuck s[STUCK_PEERS];
    const char *page = dead_page();
    pthread_t t;

    for (int i = 0; i < STUCK_PEERS; i++) {
        s[i].fd = peer_open();
        s[i].to = self_handle(s[i].fd);
        s[i].data = page;
    }
    for (int i = 0; i < STUCK_PEERS; i++)
        for (int k = 0; k < STUCK_SAME; k++)
            if (pthread_create(&t, NULL, stuck_main, &s[i]))
                die("pthread_create");
    puts("stuck");
    fflush(stdout);
    pause();
    return 0;
}

static int peers(int n)
{
    int ready[2], end[2];
    char c;

    if (pipe(ready) < 0 || pipe(end) < 0)
        die("pipe");
    for (int left = n; left > 0; left -= PER_PROCESS)
        if (fork() == 0) {
            close(end[1]);
            for (int i = 0; i < left && i < PER_PROCESS; i++)
                (void)self_handle(peer_open());
            if (write(ready[1], "y", 1) != 1 || read(end[0], &c, 1) < 0)
                _exit(1);
            _exit(0);
        }
    close(ready[1]);
    for (int left = n; left > 0; left -= PER_PROCESS)
        if (read(ready[0], &c, 1) != 1)
            die("a child");
    puts("open");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    close(end[1]);
    while (wait(NULL) > 0)
        ;
    return 0;
}

static int killed(int n)
{
    static char data[512 * 1024];
    unsigned int seed = 1;

    memset(data, 'k', sizeof(data));
    for (int i = 0; i < n; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            int fd = peer_open();
            uint64_t h = self_handle(fd);

            for (;;)
                (void)send_from(fd, h, data, sizeof(data));
        }
        usleep((useconds_t)rand_r(&seed) % 10000);
        kill(pid, SIGKILL);
        if (waitpid(pid, NULL, 0) != pid)
            die("waitpid");
    }
    puts("done");
    return 0;
}

static void say(const char *what, int r)
{
    printf("%s: %s\n", what, r < 0 ? strerrorname_np(errno) : "0");
}

static int recv_into(int fd, char *data, size_t n)
{
    struct iovec v = {data, n};
    struct bus1_metadata meta;
    struct bus1_message m = {
        .type = BUS1_INVALID, .n_data = n, .n_data_vecs = 1, .ptr_data_vecs = ptr(&v)};
    struct bus1_cmd_recv c = {.ptr_metadata = ptr(&meta), .ptr_message = ptr(&m)};

    return ioctl(fd, BUS1_CMD_RECV, &c);
}

struct sender {
    int fd;
    uint64_t to;
    int n;
    sem_t go;
};

/* Sends a message each time that the last one was received, at once or a little later. */
static void *sender_main(void *arg)
{
    struct sender *s = arg;

    for (int i = 0; i < s->n; i++) {
        sem_wait(&s->go);
        if (i % 3)
            usleep((useconds_t)(i % 3) * 60);
        if (send_from(s->fd, s->to, "x", 1) < 0)
            die("SEND");
    }
    return NULL;
}

/* Nobody asks a file again that has nothing more to say: its next message must wake by itself. */
static int edge(int n)
{
    struct sender s = {.fd = peer_open(), .n = n};
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
    int epoll = epoll_create1(EPOLL_CLOEXEC), got = 0;
    pthread_t thread;
    char data[8];

    s.to = self_handle(s.fd);
    sem_init(&s.go, 0, 0);
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, s.fd, &ev) < 0 ||
        pthread_create(&thread, NULL, sender_main, &s))
        die("epoll");
    sem_post(&s.go);
    while (got < n && epoll_wait(epoll, &ev, 1, 20000) > 0)
        while (recv_into(s.fd, data, sizeof(data)) >= 0) {
            got++;
            sem_post(&s.go);
        }
    printf("woken for %d of %d\n", got, n);
    return got < n;
}

static int transfer_one(int fd, uint64_t flags, uint64_t id)
{
    struct bus1_transfer src = {flags, id}, dst;
    struct bus1_cmd_transfer c = {
        .to = BUS1_INVALID, .n_transfers = 1, .ptr_src = ptr(&src), .ptr_dst = ptr(&dst)};

    return ioctl(fd, BUS1_CMD_TRANSFER, &c);
}

static int gone(void)
{
    int fd = peer_open(), r;
    uint64_t h = self_handle(fd);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char data[8];

    puts("open");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    say("TRANSFER", transfer_one(fd, 0, h));
    say("RELEASE", ioctl(fd, BUS1_CMD_RELEASE, &(struct bus1_cmd_release){0, 1, ptr(&h)}));
    say("SEND", send_from(fd, h, "x", 1));
    say("RECV", recv_into(fd, data, sizeof(data)));
    r = poll(&p, 1, 10000);
    printf("poll: %d %s\n", r, p.revents & POLLERR ? "POLLERR" : "");
    return 0;
}

static int quota(void)
{
    static uint64_t many[16385];
    int fd = peer_open();
    uint64_t h = self_handle(fd);
    char data[16] = "";

    (void)peer_open();
    say("a third peer", open(path, O_RDWR));
    (void)self_handle(fd);
    say("a third node", transfer_one(fd, BUS1_TRANSFER_FLAG_CREATE, BUS1_INVALID));
    say("a third handle", transfer_one(fd, 0, h));
    say("a fourth handle", transfer_one(fd, 0, h));
    say("a long message", send_from(fd, h, "12345678901", 11));
    say("a message", send_from(fd, h, "one", 3));
    say("a message", send_from(fd, h, "two", 3));
    say("a third message", send_from(fd, h, "three", 5));
    say("many ids", ioctl(fd, BUS1_CMD_RELEASE, &(struct bus1_cmd_release){0, 16385, ptr(many)}));
    say("room for 2 bytes", recv_into(fd, data, 2));
    /* What was queued is kept. */
    say(recv_into(fd, data, sizeof(data)) ? "nothing" : data, 0);
    say(recv_into(fd, data, sizeof(data)) ? "nothing" : data, 0);
    say("no more", recv_into(fd, data, sizeof(data)));
    say("room again", send_from(fd, h, "three", 5));
    return 0;
}

int main(int argc, char **argv)
{
    int n = argc > 3 ? atoi(argv[3]) : 0;

    if (argc < 3)
        return 2;
    path = argv[1];
    if (!strcmp(argv[2], "counts"))
        return counts();
    if (!strcmp(argv[2], "stuck"))
        return stuck();
    if (!strcmp(argv[2], "peers"))
        return peers(n);
    if (!strcmp(argv[2], "killed"))
        return killed(n);
    if (!strcmp(argv[2], "edge"))
        return edge(n);
    if (!strcmp(argv[2], "gone"))
        return gone();
    if (!strcmp(argv[2], "quota"))
        return quota();
    return 2;
}
