/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What following costs: a send and a receive of 64 bytes while nobody follows, while another queue
 * is followed, and while this one is; and one other system call. Processor time of the caller.
 */
#include <mqueue.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "figure.h"
#include "pmq.h"
#include "pmq_follow.h"
#include "timefmt.h"

enum { PAIRS = 50000, ROUNDS = 7 };

static char names[2][64];

static int write_event(const struct msgq_event *ev, void *ctx)
{
    fprintf(ctx, "%llu %d %u %zu %.*s\n", (unsigned long long)ev->time, ev->pid, ev->priority,
            ev->length, (int)ev->captured, (const char *)ev->data);
    return 0;
}

/* A process that follows one queue and writes what it sees, until it is killed. */
static pid_t follow(const char *name, bool all, bool counters)
{
    int ready[2];
    char c;
    pid_t pid;

    if (pipe(ready) < 0)
        exit(1);
    pid = fork();
    if (pid == 0) {
        struct msgq_follow_opts opts = {
            .all = all, .counters_only = counters, .capture = UINT64_MAX};
        struct pmq_ref ref = {.kind = PMQ_REF_NAME};
        FILE *out = fopen("/dev/null", "w");
        struct msgq_follow *f;
        struct pmq_queue *q;
        struct err e = ERR_INIT;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        snprintf(ref.name, sizeof(ref.name), "%s", name);
        if (pmq_follow_new(&opts, &f, &e) < 0 || pmq_queue_open(&ref, PMQ_OPEN_READ, &q, &e) < 0 ||
            (!all && pmq_follow_add(f, q, NULL, &e) < 0) || msgq_follow_start(f, &e) < 0) {
            fprintf(stderr, "cannot follow: %s\n", e.why);
            _exit(1);
        }
        if (write(ready[1], "x", 1) != 1)
            _exit(1);
        for (;;) {
            struct pollfd p = {.fd = msgq_follow_fd(f), .events = POLLIN};

            if (poll(&p, 1, -1) > 0 && msgq_follow_read(f, write_event, out, &e) < 0)
                _exit(1);
        }
    }
    close(ready[1]);
    if (read(ready[0], &c, 1) != 1)
        exit(1);
    close(ready[0]);
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static double pair_us(mqd_t q)
{
    char buf[64] = "benchmark";
    uint64_t begun = timefmt_now(CLOCK_PROCESS_CPUTIME_ID);

    for (int i = 0; i < PAIRS; i++)
        if (mq_send(q, buf, sizeof(buf), 0) < 0 || mq_receive(q, buf, sizeof(buf), NULL) < 0)
            exit(1);
    return (double)(timefmt_now(CLOCK_PROCESS_CPUTIME_ID) - begun) / PAIRS / 1e3;
}

static double getppid_ns(void)
{
    uint64_t begun = timefmt_now(CLOCK_PROCESS_CPUTIME_ID);

    for (int i = 0; i < PAIRS; i++)
        syscall(SYS_getppid);
    return (double)(timefmt_now(CLOCK_PROCESS_CPUTIME_ID) - begun) / PAIRS;
}

static int by_value(const void *a, const void *b)
{
    double d = *(const double *)a - *(const double *)b;

    return (d > 0) - (d < 0);
}

static double median(double v[ROUNDS])
{
    qsort(v, ROUNDS, sizeof(*v), by_value);
    return v[ROUNDS / 2];
}

int main(void)
{
    struct mq_attr attr = {.mq_maxmsg = 2, .mq_msgsize = 64};
    enum { NONE, OTHER, THIS, ALL, COUNT, CASES };
    static const char *const what[CASES] = {
        [OTHER] = "send+receive, another queue followed",
        [THIS] = "send+receive, this queue followed",
        [ALL] = "send+receive, all queues followed",
        [COUNT] = "send+receive, all queues counted",
    };
    static const char *const goal[CASES] = {
        [OTHER] = "<= 1.6", [THIS] = "<= 4", [ALL] = "<= 4", [COUNT] = "-"};
    double pair[CASES][ROUNDS], call[CASES][ROUNDS], base = 0, base_call = 0;
    mqd_t q[2];

    for (int i = 0; i < 2; i++) {
        snprintf(names[i], sizeof(names[i]), "/bench-follow-%d-%c", getpid(), "ab"[i]);
        q[i] = mq_open(names[i], O_RDWR | O_CREAT, 0600, &attr);
        if (q[i] < 0)
            return 1;
    }
    for (size_t r = 0; r < ROUNDS; r++)
        for (int c = 0; c < CASES; c++) {
            pid_t pid = c == NONE ? 0 : follow(names[c == OTHER], c >= ALL, c == COUNT);

            pair_us(q[0]);
            pair[c][r] = pair_us(q[0]);
            call[c][r] = getppid_ns();
            if (pid)
                end(pid);
        }
    for (int c = 0; c < CASES; c++) {
        double p = median(pair[c]), s = median(call[c]);

        base = c == NONE ? p : base;
        base_call = c == NONE ? s : base_call;
        if (c != NONE)
            figure(what[c], p / base, goal[c],
                   "a pair %.2f us of %.2f us; getppid %.0f ns of %.0f ns", p, base, s, base_call);
    }
    for (int i = 0; i < 2; i++)
        mq_unlink(names[i]);
    return 0;
}
