/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pool of threads: every request is answered once, an answer that takes long keeps nobody
 * waiting, and the end is clean whatever the threads are at.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "pool.h"
#include "timefmt.h"
#include "vmcopy.h"

enum { REQUESTS = 20000, SLOW = 20 };

struct job {
    int pipe[2];   /* a byte is a request: 's' takes long, 'p' passes the lead, 'q' ends the pool */
    sem_t release; /* an answer that takes long waits for it */
    struct pool *pool;
    atomic_uint answered, slow, passed, ticks, workers;
    atomic_bool full;
};

struct worker {
    struct job *job;
    char request;
    bool passed;
};

static void *worker_new(void *ctx)
{
    struct worker *w = calloc(1, sizeof(*w));

    if (!w)
        abort();
    w->job = ctx;
    atomic_fetch_add(&w->job->workers, 1);
    return w;
}

static void worker_free(void *arg)
{
    struct worker *w = arg;

    atomic_fetch_sub(&w->job->workers, 1);
    free(w);
}

static bool next(void *ctx, void *worker)
{
    struct worker *w = worker;
    struct job *j = ctx;

    w->passed = false;
    return read(j->pipe[0], &w->request, 1) == 1 && w->request != 'q';
}

static void answer(void *ctx, void *worker, uint64_t term)
{
    struct worker *w = worker;
    struct job *j = ctx;

    if (w->request == 'p')
        pool_pass(j->pool, term);
    if (w->request == 's' || w->request == 'p') {
        atomic_fetch_add(&j->slow, 1);
        sem_wait(&j->release);
    }
    atomic_fetch_add(&j->answered, 1);
}

static void passed(void *ctx, void *worker)
{
    struct worker *w = worker;
    struct job *j = ctx;

    if (w->passed)
        abort();
    w->passed = true;
    atomic_fetch_add(&j->passed, 1);
}

static bool tick(void *ctx)
{
    struct job *j = ctx;

    atomic_fetch_add(&j->ticks, 1);
    return atomic_load(&j->answered) < REQUESTS;
}

static void full(void *ctx)
{
    struct job *j = ctx;

    atomic_store(&j->full, true);
}

static const struct pool_ops ops = {worker_new, worker_free, next, answer, passed, tick};

static void begin(struct job *j, size_t start, size_t max)
{
    const struct pool_config cfg = {
        .ops = &ops, .ctx = j, .start = start, .idle = 2, .max = max, .full = full};

    memset(j, 0, sizeof(*j));
    sem_init(&j->release, 0, 0);
    if (pipe(j->pipe) < 0)
        abort();
    CHECK_INT(pool_new(&cfg, &j->pool), 0);
}

static void ask(struct job *j, char request, size_t n)
{
    for (size_t i = 0; i < n; i++)
        CHECK_INT(write(j->pipe[1], &request, 1), 1);
}

static void until(const atomic_uint *value, unsigned int n)
{
    while (atomic_load(value) < n)
        usleep(1000);
}

static void end(struct job *j)
{
    CHECK(pool_close(j->pool, 0, UINT64_MAX));
    CHECK_INT(atomic_load(&j->workers), 0);
    close(j->pipe[0]);
    close(j->pipe[1]);
    sem_destroy(&j->release);
}

static void test_slow(char how)
{
    struct job j;

    begin(&j, 1, 64);
    ask(&j, how, SLOW);
    until(&j.slow, SLOW);
    ask(&j, '.', REQUESTS);
    until(&j.answered, REQUESTS);
    CHECK_INT(atomic_load(&j.answered), REQUESTS);
    /* All have lost the lead, most in one way, and the others were told of. */
    CHECK(atomic_load(&j.passed) >= SLOW);
    CHECK(!atomic_load(&j.full));
    for (int i = 0; i < SLOW; i++)
        sem_post(&j.release);
    until(&j.answered, REQUESTS + SLOW);
    ask(&j, 'q', 1);
    end(&j);
}

/* With no thread to spare requests wait, and are answered when a thread comes back. */
static void test_full(void)
{
    struct job j;

    begin(&j, 2, 4);
    ask(&j, 's', 4);
    until(&j.slow, 4);
    while (!atomic_load(&j.full))
        usleep(1000);
    ask(&j, '.', 10);
    CHECK_INT(atomic_load(&j.answered), 0);
    until(&j.ticks, 1);
    sem_post(&j.release);
    until(&j.answered, 11);
    for (int i = 0; i < 3; i++)
        sem_post(&j.release);
    until(&j.answered, 14);
    ask(&j, 'q', 1);
    end(&j);
}

static void interrupted(int sig)
{
    (void)sig;
}

/* A leader that waits is called out by a signal; a thread that does not end is not waited for. */
static void test_close(void)
{
    const struct sigaction action = {.sa_handler = interrupted};
    static struct job j;

    CHECK_INT(sigaction(SIGURG, &action, NULL), 0);
    begin(&j, 4, 8);
    ask(&j, '.', 1);
    until(&j.answered, 1);
    CHECK(pool_close(j.pool, SIGURG, UINT64_MAX));
    CHECK_INT(atomic_load(&j.workers), 0);

    begin(&j, 1, 8);
    ask(&j, 's', 1);
    until(&j.passed, 1);
    ask(&j, 'q', 1);
    CHECK(!pool_close(j.pool, 0, NSEC_PER_MSEC));
    sem_post(&j.release);
    while (atomic_load(&j.workers))
        usleep(1000);
}

static void test_vm(void)
{
    char from[100000], to[100000] = "", *bad = (char *)8;
    struct vm_range v[100];

    for (size_t i = 0; i < sizeof(from); i++)
        from[i] = (char)i;
    for (size_t i = 0; i < 100; i++)
        v[i] = (struct vm_range){(uint64_t)(uintptr_t)(from + i * 1000), to + i * 1000, 1000};
    CHECK_INT(vm_read(getpid(), v, 100), 0);
    CHECK(!memcmp(from, to, sizeof(from)));
    v[80].remote = (uint64_t)(uintptr_t)bad;
    CHECK_INT(vm_read(getpid(), v, 100), -EFAULT);
    CHECK_INT(vm_write(getpid(), v, 100), -EFAULT);
    v[80].n = 0;
    CHECK_INT(vm_write(getpid(), v, 100), 0);
    CHECK_INT(vm_read(getpid(), v, 0), 0);
    CHECK_INT(vm_read(4194303, v, 1), -ESRCH);
}

int main(void)
{
    test_slow('s');
    test_slow('p');
    test_full();
    test_close();
    test_vm();
    return check_done();
}
