/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A program written for the proposed io_uring IPC channels with liburing, which knows nothing of
 * them: it uses what the library offers (probing, registered ring descriptors, a polling thread),
 * and falls back as a program does.
 *
 *     uring_lib [N]    with N short children instead
 *
 * Prints what failed; exit status 0 when everything is as promised.
 */
#include <errno.h>
#include <liburing.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CREATE = 38, ATTACH, DETACH, DESTROY, IPC_SEND = 65, IPC_RECV };
enum { BROADCAST = 1, MULTICAST = 2, TO_SEND = 1, TO_RECV = 2 };

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

static int failures, checks;

static void expect(int line, const char *what, long got, long want)
{
    checks++;
    if (got == want)
        return;
    failures++;
    printf("line %d: %s: %ld, not %ld\n", line, what, got, want);
}

#define EXPECT(call, want) expect(__LINE__, #call, (long)(call), (long)(want))

static long reg(struct io_uring *ring, unsigned int op, void *arg, unsigned int n)
{
    long r = syscall(SYS_io_uring_register, ring->ring_fd, op, arg, n);

    return r < 0 ? -errno : r;
}

static uint32_t create(struct io_uring *ring, uint32_t flags)
{
    struct create c = {flags, 16, 64, 0600, 0, 0, {0}};

    EXPECT(reg(ring, CREATE, &c, 1), 0);
    return c.id;
}

static uint32_t attach(struct io_uring *ring, uint32_t channel, uint32_t flags)
{
    struct attach a = {.channel = channel, .flags = flags};

    EXPECT(reg(ring, ATTACH, &a, 1), 0);
    close(a.fd);
    return a.sub;
}

static struct io_uring_sqe *next(struct io_uring *ring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

    if (!sqe) {
        printf("the submission queue is full\n");
        exit(1);
    }
    return sqe;
}

static struct io_uring_sqe *prep(struct io_uring *ring, int op, uint32_t id, void *buf,
                                 unsigned int n)
{
    struct io_uring_sqe *sqe = next(ring);

    io_uring_prep_rw(op, sqe, (int)id, buf, n, 0);
    return sqe;
}

static long result(struct io_uring *ring)
{
    struct io_uring_cqe *cqe;
    long r = io_uring_wait_cqe(ring, &cqe);

    if (r < 0)
        return r;
    r = cqe->res;
    io_uring_cqe_seen(ring, cqe);
    return r;
}

static void test_probe(struct io_uring *ring)
{
    struct io_uring_probe *p = io_uring_get_probe_ring(ring);

    EXPECT(p != NULL, 1);
    if (!p)
        return;
    EXPECT(io_uring_opcode_supported(p, IPC_SEND), 1);
    EXPECT(io_uring_opcode_supported(p, IPC_RECV), 1);
    EXPECT(io_uring_opcode_supported(p, IORING_OP_READ), 1);
    io_uring_free_probe(p);
}

/* Messages to oneself, in batches with a linked timeout and a write of what came. */
static void test_messages(struct io_uring *ring)
{
    uint32_t id = create(ring, 0), tx = attach(ring, id, TO_SEND), rx = attach(ring, id, TO_RECV);
    struct __kernel_timespec soon = {.tv_sec = 5};
    char in[64] = "", out[8][8], linked[] = "linked";
    int ends[2];

    EXPECT(pipe(ends), 0);
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 8; i++) {
            snprintf(out[i], sizeof(out[i]), "%d.%d", round, i);
            prep(ring, IPC_SEND, tx, out[i], (unsigned int)strlen(out[i]));
        }
        EXPECT(io_uring_submit(ring), 8);
        for (int i = 0; i < 8; i++)
            EXPECT(result(ring), strlen(out[i]));
        for (int i = 0; i < 8; i++) {
            memset(in, 0, sizeof(in));
            prep(ring, IPC_RECV, rx, in, sizeof(in));
            EXPECT(io_uring_submit_and_wait(ring, 1), 1);
            EXPECT(result(ring), strlen(out[i]));
            EXPECT(strcmp(in, out[i]), 0);
        }
    }
    prep(ring, IPC_RECV, rx, in, sizeof(in))->flags |= IOSQE_IO_LINK;
    io_uring_prep_link_timeout(next(ring), &soon, 0);
    EXPECT(io_uring_submit(ring), 2);
    EXPECT(result(ring), -EAGAIN);
    EXPECT(result(ring), -ECANCELED);
    prep(ring, IPC_SEND, tx, linked, 6)->flags |= IOSQE_IO_LINK;
    prep(ring, IPC_RECV, rx, in, sizeof(in))->flags |= IOSQE_IO_LINK;
    io_uring_prep_write(next(ring), ends[1], in, 6, 0);
    EXPECT(io_uring_submit(ring), 3);
    for (int i = 0; i < 3; i++)
        EXPECT(result(ring), 6);
    memset(in, 0, sizeof(in));
    EXPECT(read(ends[0], in, sizeof(in)), 6);
    EXPECT(strcmp(in, linked), 0);
    close(ends[0]);
    close(ends[1]);
    EXPECT(reg(ring, DETACH, NULL, tx), 0);
    EXPECT(reg(ring, DETACH, NULL, rx), 0);
    EXPECT(reg(ring, DESTROY, NULL, id), 0);
}

static void test_ring(unsigned int flags)
{
    struct io_uring_params p = {.flags = flags, .sq_thread_idle = 100};
    struct io_uring ring;
    int r = io_uring_queue_init_params(16, &ring, &p);

    EXPECT(r, 0);
    if (r < 0)
        return;
    r = io_uring_register_ring_fd(&ring); /* with it or without */
    EXPECT(r == 1 || r == -EINVAL, 1);
    test_probe(&ring);
    test_messages(&ring);
    io_uring_queue_exit(&ring);
}

/* Four workers compete for what a parent sends. */
static void test_workers(void)
{
    enum { WORKERS = 4, JOBS = 200 };
    struct io_uring ring;
    uint32_t id, tx;
    int sum = 0, status;
    pid_t pids[WORKERS];

    EXPECT(io_uring_queue_init(8, &ring, 0), 0);
    id = create(&ring, MULTICAST);
    tx = attach(&ring, id, TO_SEND);
    for (int w = 0; w < WORKERS; w++) {
        pids[w] = fork();
        if (pids[w] == 0) {
            struct io_uring own;
            int job = 0, n = 0;
            uint32_t rx;

            if (io_uring_queue_init(8, &own, 0) < 0)
                _exit(255);
            rx = attach(&own, id, TO_RECV);
            while (job >= 0) {
                prep(&own, IPC_RECV, rx, &job, sizeof(job));
                io_uring_submit(&own);
                if (result(&own) == sizeof(job))
                    n += job >= 0;
                else
                    usleep(500);
            }
            _exit(n);
        }
    }
    for (int i = 0; i < JOBS + WORKERS;) {
        int job = i < JOBS ? i : -1;

        prep(&ring, IPC_SEND, tx, &job, sizeof(job));
        io_uring_submit(&ring);
        if (result(&ring) == sizeof(job))
            i++;
        else
            usleep(500);
    }
    for (int w = 0; w < WORKERS; w++) {
        EXPECT(waitpid(pids[w], &status, 0), pids[w]);
        EXPECT(WIFEXITED(status), 1);
        sum += WEXITSTATUS(status);
    }
    EXPECT(sum, JOBS);
    io_uring_queue_exit(&ring);
}

/* Short children, each with a ring of its own, that say one word each. */
static void test_children(int n)
{
    enum { AT_A_TIME = 25 };
    struct io_uring ring;
    uint32_t id, rx;
    long sum = 0;
    int status;

    EXPECT(io_uring_queue_init(8, &ring, 0), 0);
    id = create(&ring, BROADCAST);
    rx = attach(&ring, id, TO_RECV);
    for (int started = 0, said = 0; said < n;) {
        int word = 0;

        if (started < n && started - said < AT_A_TIME) {
            word = ++started;
            if (fork() == 0) {
                struct io_uring own;
                uint32_t tx;
                long r = -EAGAIN;

                if (io_uring_queue_init(4, &own, 0) < 0)
                    _exit(1);
                tx = attach(&own, id, TO_SEND);
                while (r == -EAGAIN || r == -ENOBUFS) {
                    prep(&own, IPC_SEND, tx, &word, sizeof(word));
                    io_uring_submit(&own);
                    r = result(&own);
                }
                _exit(r != sizeof(word) || failures);
            }
            continue;
        }
        prep(&ring, IPC_RECV, rx, &word, sizeof(word));
        io_uring_submit(&ring);
        if (result(&ring) == sizeof(word)) {
            sum += word;
            said++;
            EXPECT(wait(&status) > 0, 1);
            EXPECT(status, 0);
        } else {
            usleep(200);
        }
    }
    EXPECT(sum, (long)n * (n + 1) / 2);
    io_uring_queue_exit(&ring);
}

int main(int argc, char **argv)
{
    struct create c = {0, 1, 1, 0600, 0, 0, {0}};
    struct io_uring ring;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (io_uring_queue_init(1, &ring, 0) < 0 || reg(&ring, CREATE, &c, 1) < 0) {
        printf("no io_uring channels here\n");
        return 1;
    }
    io_uring_queue_exit(&ring);
    if (argc > 1) {
        test_children(atoi(argv[1]));
        printf("%d checks, %d failed\n", checks, failures);
        return failures != 0;
    }
    test_ring(0);
    test_ring(IORING_SETUP_SQPOLL);
    test_ring(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN);
    test_ring(IORING_SETUP_SQE128 | IORING_SETUP_CQE32);
    test_workers();
    printf("%d checks, %d failed\n", checks, failures);
    return failures != 0;
}
