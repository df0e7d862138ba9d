/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The pool of threads that receive the filter's notifications and answer them. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "fileio.h"
#include "pool.h"
#include "run_internal.h"

enum { THREADS_START = 4, THREADS_IDLE = 8, THREADS_MAX = 1024 };

/**
 * struct worker - what a thread has for its answers
 * @n, @resp: room for a notification and its answer, of @size and @resp_size in this kernel
 * @kept: the thread whose call it answered last
 */
struct worker {
    struct seccomp_notif *n;
    struct seccomp_notif_resp *resp;
    size_t size;
    size_t resp_size;
    struct call_thread kept;
};

static void worker_free(void *arg)
{
    struct worker *w = arg;

    free(w->n);
    free(w->resp);
    call_forget(&w->kept);
    free(w);
}

static void *worker_new(void *ctx _unused_)
{
    struct seccomp_notif_sizes sizes = {0};
    struct worker *w = calloc(1, sizeof(*w));

    if (!w)
        return NULL;
    syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes);
    w->kept.pidfd = -1;
    w->size = MAX(sizes.seccomp_notif, sizeof(*w->n));
    w->resp_size = MAX(sizes.seccomp_notif_resp, sizeof(*w->resp));
    w->n = malloc(w->size);
    w->resp = malloc(w->resp_size);
    if (!w->n || !w->resp) {
        worker_free(w);
        return NULL;
    }
    return w;
}

static bool nobody_left(const struct run *run)
{
    struct pollfd p = {.fd = run->listener, .events = POLLIN};

    return poll(&p, 1, 0) > 0 && p.revents & ~POLLIN;
}

/* Tells the thread that waits for the command that calls can no longer be answered. */
static void fail(struct run *run, int r)
{
    __atomic_store_n(&run->failed, r, __ATOMIC_SEQ_CST);
    kill(getpid(), SIGCHLD);
}

static bool next_call(void *ctx, void *worker)
{
    struct worker *w = worker;
    struct run *run = ctx;
    int tries = 0;

    while (!__atomic_load_n(&run->ending, __ATOMIC_SEQ_CST)) {
        int e;

        memset(w->n, 0, w->size);
        if (ioctl(run->listener, SECCOMP_IOCTL_NOTIF_RECV, w->n) == 0)
            return true;
        e = errno;
        /* ENOENT: its caller was killed meanwhile, or nobody is left under the filter. */
        if (e == ENOENT && nobody_left(run))
            return false;
        if (e != EINTR && e != ENOENT && e != EAGAIN && ++tries == NOTIF_TRIES) {
            fail(run, -e);
            return false;
        }
    }
    return false;
}

static void answer(void *ctx, void *worker, uint64_t term)
{
    struct worker *w = worker;

    memset(w->resp, 0, w->resp_size);
    run_answer(ctx, w->n, term, &w->kept, w->resp);
}

void run_will_wait(const struct call *c)
{
    pool_pass(c->run->pool, c->term);
}

static void full(void *ctx)
{
    run_log(ctx, "too many calls wait: others are answered when one of them ends");
}

static void interrupt(int sig _unused_)
{
}

int run_threads_start(struct run *run)
{
    static const struct pool_ops ops = {
        .worker_new = worker_new, .worker_free = worker_free, .next = next_call, .answer = answer};
    const struct pool_config cfg = {
        .ops = &ops,
        .ctx = run,
        .start = THREADS_START,
        .idle = THREADS_IDLE,
        .max = THREADS_MAX,
        .full = full,
    };

    return pool_new(&cfg, &run->pool);
}

/*
 * Processes that were left behind under the filter are not waited for: the leader waits in the
 * kernel for the next call, and has to be called out of there.
 */
void run_threads_stop(struct run *run)
{
    const struct sigaction action = {.sa_handler = interrupt}; /* no SA_RESTART */

    if (!run->pool)
        return;
    event_raise(run->stop);
    __atomic_store_n(&run->ending, true, __ATOMIC_SEQ_CST);
    (void)sigaction(SIGURG, &action, NULL);
    (void)pool_close(TAKE_PTR(run->pool), SIGURG, UINT64_MAX);
}
