/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The threads that answer. One of them leads: it waits for a call and answers it itself, for all
 * who wait for calls are woken by each. Another gets the lead when an answer will take long, or
 * does: a caller that is slow to give its memory holds up only itself. The latter is found by a
 * watch, which sleeps while there are no calls.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "fileio.h"
#include "run_internal.h"
#include "timefmt.h"

enum {
    CREW_START = 4,
    CREW_MAX = 1024,
    PATIENCE_MS = 1, /* between an answer's beginning and another's lead: this to twice this */
};

/**
 * struct crew - the threads
 * @lock: of what is not atomic
 * @vacant: there is no leader, or it is time to end
 * @called: the watch is to watch again, or to end
 * @threads, @n: all that answer; @idle: of those, who wait for the lead
 * @led: there is a leader
 * @term: counts up: odd while the leader answers, even while it waits for a call. Who finds the
 *        odd number of its own still there has the lead still. Atomic
 * @watcher, @watched: the watch; that it does not sleep. Atomic
 * @ended: atomic
 */
struct crew {
    pthread_mutex_t lock;
    pthread_cond_t vacant;
    pthread_cond_t called;
    pthread_t threads[CREW_MAX];
    size_t n;
    size_t idle;
    bool led;
    uint64_t term;
    pthread_t watcher;
    bool watched;
    bool ended;
};

static void *work(void *argp);

/**
 * struct desk - what a thread has for its answers
 * @run: whose
 * @n, @resp: room for a notification and its answer, of @size and @resp_size in this kernel
 * @kept: of whom it answered the last call
 */
struct desk {
    struct run *run;
    struct seccomp_notif *n;
    struct seccomp_notif_resp *resp;
    size_t size;
    size_t resp_size;
    struct call_thread kept;
};

static void desk_free(struct desk *d)
{
    if (!d)
        return;
    free(d->n);
    free(d->resp);
    call_forget(&d->kept);
    free(d);
}

static struct desk *desk_new(struct run *run)
{
    struct seccomp_notif_sizes sizes = {0};
    struct desk *d = calloc(1, sizeof(*d));

    if (!d)
        return NULL;
    syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes);
    d->run = run;
    d->kept.pidfd = -1;
    d->size = MAX(sizes.seccomp_notif, sizeof(*d->n));
    d->resp_size = MAX(sizes.seccomp_notif_resp, sizeof(*d->resp));
    d->n = malloc(d->size);
    d->resp = malloc(d->resp_size);
    if (!d->n || !d->resp) {
        desk_free(d);
        return NULL;
    }
    return d;
}

static int add_worker(struct run *run)
{
    struct crew *crew = run->crew;
    struct desk *d = desk_new(run);
    int r = d ? -EAGAIN : -ENOMEM;

    pthread_mutex_lock(&crew->lock);
    if (d && crew->n < CREW_MAX && !crew->ended)
        r = -pthread_create(&crew->threads[crew->n], NULL, work, d);
    if (r == 0)
        crew->n++;
    pthread_mutex_unlock(&crew->lock);
    if (r < 0)
        desk_free(d);
    return r;
}

/* ---- the lead ---- */

/* Waits for it. Return: false when it is time to end. */
static bool take_lead(struct crew *crew)
{
    bool mine;

    pthread_mutex_lock(&crew->lock);
    crew->idle++;
    while (crew->led && !crew->ended)
        pthread_cond_wait(&crew->vacant, &crew->lock);
    crew->idle--;
    mine = !crew->ended;
    crew->led |= mine;
    pthread_mutex_unlock(&crew->lock);
    return mine;
}

/* Ends the answer @term of the leader. Return: whether the lead had been its own until then. */
static bool end_term(struct crew *crew, uint64_t term)
{
    return __atomic_compare_exchange_n(&crew->term, &term, term + 1, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

/* Another thread leads while the answer @term goes on, unless one does already. */
static void pass_lead(struct run *run, uint64_t term)
{
    struct crew *crew = run->crew;
    size_t idle;

    if (!end_term(crew, term))
        return;
    pthread_mutex_lock(&crew->lock);
    crew->led = false;
    idle = crew->idle;
    pthread_cond_signal(&crew->vacant);
    pthread_mutex_unlock(&crew->lock);
    if (idle == 0 && add_worker(run) < 0)
        run_log(run, "too many calls wait: others are answered when one of them ends");
}

void run_will_wait(const struct call *c)
{
    pass_lead(c->run, c->term);
}

/* ---- the watch ---- */

static void wake_watch(struct crew *crew)
{
    if (__atomic_load_n(&crew->watched, __ATOMIC_SEQ_CST))
        return;
    pthread_mutex_lock(&crew->lock);
    __atomic_store_n(&crew->watched, true, __ATOMIC_SEQ_CST);
    pthread_cond_signal(&crew->called);
    pthread_mutex_unlock(&crew->lock);
}

/* With the lock: sleeps until a call comes after @term. */
static void sleep_on(struct crew *crew, uint64_t term)
{
    __atomic_store_n(&crew->watched, false, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&crew->term, __ATOMIC_SEQ_CST) != term)
        __atomic_store_n(&crew->watched, true, __ATOMIC_SEQ_CST);
    while (!crew->watched && !crew->ended)
        pthread_cond_wait(&crew->called, &crew->lock);
}

static void *watch(void *argp)
{
    struct run *run = argp;
    struct crew *crew = run->crew;
    uint64_t last = 0, term;

    pthread_mutex_lock(&crew->lock);
    while (!crew->ended) {
        struct timespec until = timefmt_to_timespec(timefmt_now(CLOCK_MONOTONIC) +
                                                    PATIENCE_MS * NSEC_PER_MSEC);

        (void)pthread_cond_clockwait(&crew->called, &crew->lock, CLOCK_MONOTONIC, &until);
        term = __atomic_load_n(&crew->term, __ATOMIC_SEQ_CST);
        if (term == last && term % 2 == 0) {
            sleep_on(crew, term);
        } else if (term == last) {
            pthread_mutex_unlock(&crew->lock);
            pass_lead(run, term);
            pthread_mutex_lock(&crew->lock);
        }
        last = term;
    }
    pthread_mutex_unlock(&crew->lock);
    return NULL;
}

/* ---- answering ---- */

static void end_crew(struct crew *crew)
{
    pthread_mutex_lock(&crew->lock);
    __atomic_store_n(&crew->ended, true, __ATOMIC_SEQ_CST);
    pthread_cond_broadcast(&crew->vacant);
    pthread_cond_broadcast(&crew->called);
    pthread_mutex_unlock(&crew->lock);
}

static bool nobody_left(const struct run *run)
{
    struct pollfd p = {.fd = run->listener, .events = POLLIN};

    return poll(&p, 1, 0) > 0 && p.revents & ~POLLIN;
}

/* Tells who supervises. */
static void fail(struct run *run, int r)
{
    __atomic_store_n(&run->failed, r, __ATOMIC_SEQ_CST);
    kill(getpid(), SIGCHLD);
}

/* Return: false when there will be none any more. */
static bool next_call(struct run *run, struct seccomp_notif *n, size_t size)
{
    int tries = 0;

    while (!__atomic_load_n(&run->crew->ended, __ATOMIC_SEQ_CST)) {
        int e;

        memset(n, 0, size);
        if (ioctl(run->listener, SECCOMP_IOCTL_NOTIF_RECV, n) == 0)
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

/* Answers as long as this thread has the lead. */
static void lead(struct run *run, struct desk *d)
{
    struct crew *crew = run->crew;
    uint64_t term;

    do {
        if (!next_call(run, d->n, d->size)) {
            end_crew(crew);
            return;
        }
        term = __atomic_add_fetch(&crew->term, 1, __ATOMIC_SEQ_CST);
        wake_watch(crew);
        memset(d->resp, 0, d->resp_size);
        run_answer(run, d->n, term, &d->kept, d->resp);
    } while (end_term(crew, term));
}

/* Takes over its desk. */
static void *work(void *argp)
{
    struct desk *d = argp;

    while (take_lead(d->run->crew))
        lead(d->run, d);
    desk_free(d);
    return NULL;
}

/* ---- starting and ending ---- */

static void interrupt(int sig _unused_)
{
}

int crew_new(struct run *run)
{
    struct crew *crew = calloc(1, sizeof(*crew));
    int r = crew ? 0 : -ENOMEM;

    if (r < 0)
        return r;
    run->crew = crew;
    pthread_mutex_init(&crew->lock, NULL);
    pthread_cond_init(&crew->vacant, NULL);
    pthread_cond_init(&crew->called, NULL);
    r = -pthread_create(&crew->watcher, NULL, watch, run);
    if (r < 0)
        crew->watcher = 0;
    for (size_t i = 0; i < CREW_START && r == 0; i++)
        r = add_worker(run);
    return r;
}

/* It may still grow: a worker that is not joined yet adds one. */
static size_t crew_size(struct crew *crew)
{
    size_t n;

    pthread_mutex_lock(&crew->lock);
    n = crew->n;
    pthread_mutex_unlock(&crew->lock);
    return n;
}

/*
 * Who was left behind under the filter is not waited for: the leader waits in the kernel for the
 * next call, and has to be called out of there.
 */
void crew_free(struct run *run)
{
    const struct sigaction action = {.sa_handler = interrupt}; /* no SA_RESTART */
    struct crew *crew = run->crew;

    if (!crew)
        return;
    event_raise(run->stop);
    (void)sigaction(SIGURG, &action, NULL);
    end_crew(crew);
    for (size_t i = 0; i < crew_size(crew); i++) {
        struct timespec soon = timefmt_to_timespec(timefmt_now(CLOCK_REALTIME));

        while (pthread_timedjoin_np(crew->threads[i], NULL, &soon) == ETIMEDOUT) {
            (void)pthread_kill(crew->threads[i], SIGURG);
            soon = timefmt_to_timespec(timefmt_now(CLOCK_REALTIME) + 10 * NSEC_PER_MSEC);
        }
    }
    if (crew->watcher)
        pthread_join(crew->watcher, NULL);
    pthread_cond_destroy(&crew->vacant);
    pthread_cond_destroy(&crew->called);
    pthread_mutex_destroy(&crew->lock);
    free(crew);
}
