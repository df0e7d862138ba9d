/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What `ipcbox run` costs: bench_run IPCBOX.
 *
 * The floor is a call that is trapped and answered by a supervisor that does nothing else, here
 * getppid(); beside it stand the calls that ipcbox answers. That of a call which is not trapped is
 * one under a filter that allows all: the kernel looks whether there is a filter at every call.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <mqueue.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "b1bench.h"
#include "figure.h"
#include "mqpeek_abi.h"
#include "uringk.h"

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS /* Linux 6.6 */
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS _IOW('!', 4, uint64_t)
#endif

enum { CALLS = 20000, PLAIN = 200000, BATCH = 8, REPEATS = 5 };

/* The best of some: what the machine does meanwhile only adds. */
static double best(double (*bench)(void))
{
    double least = bench();

    for (int i = 1; i < REPEATS; i++) {
        double t = bench();

        least = t < least ? t : least;
    }
    return least;
}

static double untrapped(void)
{
    uint64_t t0 = timefmt_now(CLOCK_MONOTONIC);

    for (int i = 0; i < PLAIN; i++)
        syscall(SYS_getppid);
    return us(t0, PLAIN);
}

/* ---- the floor of a call that is not trapped ---- */

static double under_an_empty_filter(void)
{
    struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog prog = {.len = ARRAY_SIZE(code), .filter = code};
    int out[2];
    pid_t pid;
    double t = 0;

    if (pipe(out) < 0)
        die("pipe");
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
            die("seccomp");
        t = best(untrapped);
        if (write(out[1], &t, sizeof(t)) < 0)
            die("write");
        _exit(0);
    }
    close(out[1]);
    if (read(out[0], &t, sizeof(t)) != sizeof(t))
        die("an empty filter");
    close(out[0]);
    waitpid(pid, NULL, 0);
    return t;
}

/* ---- the floor of one that is ---- */

static double trapped(void)
{
    uint64_t t0 = timefmt_now(CLOCK_MONOTONIC);

    for (int i = 0; i < CALLS; i++)
        syscall(SYS_getppid);
    return us(t0, CALLS);
}

/* A child whose getppid() we answer; it measures, and writes its figure to @out. */
static void answer_getppid(int listener)
{
    struct seccomp_notif n;
    struct seccomp_notif_resp r;
    struct pollfd p = {.fd = listener, .events = POLLIN};

    (void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, (uint64_t)1 /* SYNC_WAKE_UP */);
    while (poll(&p, 1, -1) > 0 && p.revents == POLLIN) {
        memset(&n, 0, sizeof(n));
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &n) < 0)
            continue;
        r = (struct seccomp_notif_resp){.id = n.id, .val = 1};
        (void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &r);
    }
}

static double floor_of_a_trap(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = {.len = ARRAY_SIZE(code), .filter = code};
    int out[2], number;
    pid_t pid;
    double t = 0;

    if (pipe(out) < 0)
        die("pipe");
    pid = fork();
    if (pid == 0) {
        long fd;

        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog);
        number = (int)fd;
        if (fd < 0 || write(out[1], &number, sizeof(number)) < 0)
            die("seccomp");
        t = best(trapped);
        if (write(out[1], &t, sizeof(t)) < 0)
            die("write");
        _exit(0);
    }
    if (read(out[0], &number, sizeof(number)) != sizeof(number))
        die("the floor");
    number = (int)syscall(SYS_pidfd_getfd, (int)syscall(SYS_pidfd_open, pid, 0), number, 0);
    if (number < 0)
        die("pidfd_getfd");
    /* The child's own descriptor of it closes when it ends. */
    answer_getppid(number);
    if (read(out[0], &t, sizeof(t)) != sizeof(t))
        die("the floor");
    waitpid(pid, NULL, 0);
    return t;
}

/* ---- under ipcbox run ---- */

static mqd_t queue;

static double peek(void)
{
    char buf[SIZE];
    unsigned int prio;
    struct xlat_mq_timedreceive2_args args = {.msg_len = SIZE, .msg_prio = &prio, .msg_ptr = buf};
    uint64_t t0 = timefmt_now(CLOCK_MONOTONIC);

    for (int i = 0; i < CALLS; i++)
        if (syscall(XLAT_NR_MQ_TIMEDRECEIVE2, queue, &args, XLAT_MQ_PEEK, 0, NULL) != SIZE)
            die("mq_timedreceive2");
    return us(t0, CALLS);
}

static void bench_peek(void)
{
    struct mq_attr attr = {.mq_maxmsg = 10, .mq_msgsize = SIZE};
    char name[48], data[SIZE] = {0};

    snprintf(name, sizeof(name), "/bench-run-%d", getpid());
    queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
    if (queue < 0 || mq_unlink(name) < 0 || mq_send(queue, data, SIZE, 1) < 0)
        die("a queue");
    printf("peek %f\n", best(peek));
}

static struct uringk *ring;
static uint32_t channel, tx, rx;

static uint32_t attach(uint32_t flags)
{
    struct uring_ipc_attach a;

    uringk_encode_attach(&a, channel, 0, flags);
    if (uringk_register(ring, URING_IPC_REGISTER_ATTACH, &a, 1) < 0)
        die("ATTACH");
    return a.local_id_out;
}

static double ipc_send(void)
{
    char data[SIZE] = {0};
    struct io_uring_sqe sqe;
    uint64_t t0 = timefmt_now(CLOCK_MONOTONIC);

    for (int i = 0; i < CALLS; i++) {
        uringk_encode_send(&sqe, tx, data, SIZE, 0, 0);
        if (uringk_run(ring, &sqe) != SIZE)
            die("IPC_SEND");
    }
    return us(t0, CALLS);
}

static double ipc_pair(void)
{
    char data[SIZE] = {0};
    struct io_uring_sqe sqe;
    uint64_t t0 = timefmt_now(CLOCK_MONOTONIC);

    for (int i = 0; i < CALLS / 2; i++) {
        uringk_encode_send(&sqe, tx, data, SIZE, 0, 0);
        if (uringk_run(ring, &sqe) != SIZE)
            die("IPC_SEND");
        uringk_encode_recv(&sqe, rx, data, SIZE);
        if (uringk_run(ring, &sqe) != SIZE)
            die("IPC_RECV");
    }
    return us(t0, CALLS);
}

/* A ring of BATCH entries, by hand. */
static double ipc_batch(void)
{
    static struct io_uring_params p;
    static unsigned char *map;
    static struct io_uring_sqe *sqes;
    static struct uring_ipc_attach a;
    static int fd = -1;
    char data[SIZE] = {0};
    uint64_t t0;

    if (fd < 0) {
        fd = (int)syscall(SYS_io_uring_setup, BATCH, &p);
        map = mmap(NULL, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                   IORING_OFF_SQ_RING);
        sqes = mmap(NULL, p.sq_entries * sizeof(*sqes), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                    IORING_OFF_SQES);
        uringk_encode_attach(&a, channel, 0, URING_IPC_SUB_SEND);
        if (fd < 0 || map == MAP_FAILED || (void *)sqes == MAP_FAILED ||
            syscall(SYS_io_uring_register, fd, URING_IPC_REGISTER_ATTACH, &a, 1) < 0)
            die("io_uring");
    }
    t0 = timefmt_now(CLOCK_MONOTONIC);
    for (int i = 0; i < CALLS; i++) {
        uint32_t *tail = (uint32_t *)(void *)(map + p.sq_off.tail);
        uint32_t *head = (uint32_t *)(void *)(map + p.cq_off.head);

        for (uint32_t k = 0; k < BATCH; k++) {
            uringk_encode_send(&sqes[k], a.local_id_out, data, SIZE, 0, 0);
            ((uint32_t *)(void *)(map + p.sq_off.array))[k] = k;
        }
        __atomic_store_n(tail, *tail + BATCH, __ATOMIC_RELEASE);
        if (syscall(SYS_io_uring_enter, fd, BATCH, 0, 0, NULL, 0) != BATCH)
            die("io_uring_enter");
        __atomic_store_n(head, *(uint32_t *)(void *)(map + p.cq_off.tail), __ATOMIC_RELEASE);
    }
    return us(t0, CALLS * BATCH);
}

/* Without a receiver a broadcast channel is never full. */
static void bench_channels(void)
{
    struct uring_ipc_create c;
    struct err e = ERR_INIT;
    struct io_uring_sqe sqe;
    char data[SIZE];

    uringk_encode_create(&c, URING_IPC_F_BROADCAST, 64, SIZE, 0600, 0);
    if (uringk_new(&ring, &e) < 0 || uringk_register(ring, URING_IPC_REGISTER_CREATE, &c, 1) < 0)
        die("CREATE");
    channel = c.channel_id_out;
    tx = attach(URING_IPC_SUB_SEND);
    printf("send %f\n", best(ipc_send));
    printf("batch %f\n", best(ipc_batch));
    rx = attach(URING_IPC_SUB_RECV);
    do /* what is still there */
        uringk_encode_recv(&sqe, rx, data, SIZE);
    while (uringk_run(ring, &sqe) >= 0);
    printf("pair %f\n", best(ipc_pair));
}

static int peer;
static uint64_t to_self;

static double bus_pair(void)
{
    uint64_t t0 = timefmt_now(CLOCK_MONOTONIC);

    for (int i = 0; i < CALLS / 2; i++) {
        bus_send(peer, to_self);
        if (!bus_recv(peer))
            die("RECV");
    }
    return us(t0, CALLS);
}

static void bench_bus(void)
{
    peer = peer_open(BUS1_DEVICE_PATH);
    to_self = link_new(peer, peer);
    printf("bus %f\n", best(bus_pair));
}

static int inside(void)
{
    bench_peek();
    bench_channels();
    bench_bus();
    return 0;
}

/* ---- both ---- */

static const struct {
    const char *key;
    const char *name;
    const char *goal;
} rows[] = {
    {"peek", "run: a peek at a queue, us", "<= 60"},
    {"send", "run: IPC_SEND of 64 B, us", "<= 25"},
    {"batch", "run: IPC_SEND of 64 B in a batch of 8, us each", "<= 8"},
    {"pair", "run: IPC_SEND or IPC_RECV of 64 B, us", "-"},
    {"bus", "run: bus1 SEND or RECV of 64 B, us", "<= 50"},
};

static void report(const char *key, double t, double trap)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (!strcmp(key, rows[i].key))
            figure(rows[i].name, t, rows[i].goal, "%.2f of a trapped getppid(), %.1f us", t / trap,
                   trap);
}

/* Starts this program under ipcbox run. */
static FILE *run_inside(char *const argv[], const char *what)
{
    char command[1024];
    FILE *f;

    snprintf(command, sizeof(command), "'%s' run '%s' %s", argv[1], argv[0], what);
    f = popen(command, "re");
    if (!f)
        die("popen");
    return f;
}

/* In turns: what changes on the machine meanwhile changes all three. */
static void bench_untrapped(char *const argv[])
{
    double outside = 1e9, empty = 1e9, inside = 1e9, t;

    for (int i = 0; i < REPEATS; i++) {
        FILE *f;

        t = best(untrapped);
        outside = t < outside ? t : outside;
        t = under_an_empty_filter();
        empty = t < empty ? t : empty;
        f = run_inside(argv, "--untrapped");
        if (fscanf(f, "%lf", &t) != 1 || pclose(f) != 0)
            die("a call that is not trapped");
        inside = t < inside ? t : inside;
    }
    figure("run: a call that is not trapped, of one outside", inside / outside, "<= 1.1",
           "%.4f us of %.4f us; under a filter that allows all %.2f", inside, outside,
           empty / outside);
    figure("run: an untrapped call, of one under an empty filter", inside / empty, "<= 1.05",
           "%.4f us of %.4f us", inside, empty);
}

int main(int argc, char **argv)
{
    double trap, t;
    char key[32];
    FILE *f;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc != 2) {
        fprintf(stderr, "usage: bench_run IPCBOX\n");
        return 2;
    }
    if (!strcmp(argv[1], "--inside"))
        return inside();
    if (!strcmp(argv[1], "--untrapped"))
        return printf("%f\n", best(untrapped)) < 0;
    bench_untrapped(argv);
    trap = floor_of_a_trap();
    f = run_inside(argv, "--inside");
    while (fscanf(f, "%31s %lf", key, &t) == 2)
        report(key, t, trap);
    return pclose(f) != 0;
}
