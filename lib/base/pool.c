/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The counter "term" says what the leader does: it is odd while the leader answers, and even while
 * it waits for a request. The thread that advances it from an odd number to the next decides who
 * leads from then on: either the leader, which has finished its answer and stays the leader, or
 * another thread, which takes the lead away.
 */
#include "pool.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "cleanup.h"
#include "macros.h"
#include "timefmt.h"

enum {
    WATCH_MS = 1,    /* the lead is taken away after once to twice this time */
    TICK_LOOKS = 50, /* the watch calls tick once in this many checks */
    SIGNAL_MS = 10,
    STACK = 1024 * 1024,
};

struct thread {
    struct thread *next;
    struct pool *pool;
    pthread_t id;
    void *worker;
};

/**
 * struct pool - the pool and its threads
 * @lock: guards all members that are not atomic
 * @vacant: signalled when there is no leader, or the pool ends
 * @called: signalled when the watch must start to check again, or end
 * @gone: signalled when a thread has ended
 * @threads, @n: all threads but the watch; @n_idle of them wait to become the leader
 * @leader: the leading thread; NULL: there is none at the moment
 * @ready: all initial threads exist; before that none becomes the leader
 * @watching: the watch is not asleep
 */
struct pool {
    struct pool_config cfg;
    pthread_mutex_t lock;
    pthread_cond_t vacant;
    pthread_cond_t called;
    pthread_cond_t gone;
    struct thread *threads;
    size_t n;
    size_t n_idle;
    struct thread *leader;
    bool ready;
    pthread_t watch;
    bool closing; /* pool_close() was called: the watch has ended */
    _Atomic uint64_t term;
    atomic_bool watching;
    atomic_bool ended;
};

static void *thread_main(void *arg);

static void thread_free(struct thread *t)
{
    t->pool->cfg.ops->worker_free(t->worker);
    free(t);
}

/* Adds a thread, which waits to become the leader. */
static int add_thread(struct pool *p)
{
    struct thread *t = calloc(1, sizeof(*t));
    pthread_attr_t attr;
    int r = -EAGAIN;

    if (!t)
        return -ENOMEM;
    t->pool = p;
    t->worker = p->cfg.ops->worker_new(p->cfg.ctx);
    if (!t->worker) {
        free(t);
        return -ENOMEM;
    }
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK);
    pthread_mutex_lock(&p->lock);
    if (p->n < p->cfg.max && !atomic_load(&p->ended))
        r = -pthread_create(&t->id, &attr, thread_main, t);
    if (r == 0) {
        t->next = p->threads;
        p->threads = t;
        p->n++;
    }
    pthread_mutex_unlock(&p->lock);
    pthread_attr_destroy(&attr);
    if (r < 0)
        thread_free(t);
    return r;
}

/* ---- the lead ---- */

/* Waits to become the leader. Return: false when there are enough threads, or the pool ends. */
static bool take_lead(struct pool *p, struct thread *t)
{
    bool mine = false;

    pthread_mutex_lock(&p->lock);
    if (!p->leader || p->n_idle < p->cfg.idle) {
        p->n_idle++;
        while ((p->leader || !p->ready) && !atomic_load(&p->ended))
            pthread_cond_wait(&p->vacant, &p->lock);
        p->n_idle--;
        mine = !atomic_load(&p->ended);
    }
    if (mine)
        p->leader = t;
    pthread_mutex_unlock(&p->lock);
    return mine;
}

/* Marks the end of the answer @term. Return: whether its thread was still the leader. */
static bool end_term(struct pool *p, uint64_t term)
{
    return atomic_compare_exchange_strong(&p->term, &term, term + 1);
}

void pool_pass(struct pool *p, uint64_t term)
{
    const struct pool_ops *ops = p->cfg.ops;
    bool add;

    pthread_mutex_lock(&p->lock);
    if (!end_term(p, term)) {
        pthread_mutex_unlock(&p->lock);
        return;
    }
    assert(p->leader);
    if (ops->passed)
        ops->passed(p->cfg.ctx, p->leader->worker);
    p->leader = NULL;
    add = !p->n_idle;
    pthread_cond_signal(&p->vacant);
    pthread_mutex_unlock(&p->lock);
    if (add && add_thread(p) < 0 && p->cfg.full)
        p->cfg.full(p->cfg.ctx);
}

/* ---- the watch ---- */

static void wake_watch(struct pool *p)
{
    if (atomic_load(&p->watching))
        return;
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->watching, true);
    pthread_cond_signal(&p->called);
    pthread_mutex_unlock(&p->lock);
}

/* Called with the lock: sleeps until a request arrives after @term. */
static void sleep_on(struct pool *p, uint64_t term)
{
    atomic_store(&p->watching, false);
    if (atomic_load(&p->term) != term)
        atomic_store(&p->watching, true);
    while (!atomic_load(&p->watching) && !atomic_load(&p->ended))
        pthread_cond_wait(&p->called, &p->lock);
}

static void *watch_main(void *arg)
{
    bool (*tick)(void *ctx) = ((struct pool *)arg)->cfg.ops->tick;
    bool wanted = false; /* a tick is wanted */
    unsigned int looks = 0;
    struct pool *p = arg;
    uint64_t last = 0;

    pthread_mutex_lock(&p->lock);
    while (!atomic_load(&p->ended)) {
        struct timespec until = timefmt_to_timespec(timefmt_now(CLOCK_MONOTONIC) +
                                                    WATCH_MS * NSEC_PER_MSEC);
        bool vacant = p->ready && !p->leader && !p->n_idle;
        uint64_t term;

        (void)pthread_cond_clockwait(&p->called, &p->lock, CLOCK_MONOTONIC, &until);
        term = atomic_load(&p->term);
        pthread_mutex_unlock(&p->lock);
        if (term == last && term % 2) {
            pool_pass(p, term);
            wanted = tick;
        } else if (vacant) {
            /* no thread could be created before: try again until there is one */
            (void)add_thread(p);
        }
        if (wanted && ++looks % TICK_LOOKS == 0)
            wanted = tick(p->cfg.ctx);
        pthread_mutex_lock(&p->lock);
        if (term == last && term % 2 == 0 && !wanted && !vacant)
            sleep_on(p, term);
        last = term;
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* ---- answering ---- */

static void end(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->ended, true);
    pthread_cond_broadcast(&p->vacant);
    pthread_cond_broadcast(&p->called);
    pthread_mutex_unlock(&p->lock);
}

/* Answers requests as long as this thread is the leader. */
static void lead(struct pool *p, struct thread *t)
{
    const struct pool_ops *ops = p->cfg.ops;
    uint64_t term;

    do {
        if (atomic_load(&p->ended) || !ops->next(p->cfg.ctx, t->worker)) {
            end(p);
            return;
        }
        term = atomic_fetch_add(&p->term, 1) + 1;
        assert(term % 2);
        wake_watch(p);
        ops->answer(p->cfg.ctx, t->worker, term);
    } while (end_term(p, term));
}

static void *thread_main(void *arg)
{
    struct thread *t = arg;
    struct pool *p = t->pool;

    while (take_lead(p, t))
        lead(p, t);
    /* pool_close() sends signals only to threads on the list. */
    pthread_mutex_lock(&p->lock);
    for (struct thread **at = &p->threads; *at; at = &(*at)->next)
        if (*at == t) {
            *at = t->next;
            break;
        }
    p->n--;
    thread_free(t);
    pthread_cond_broadcast(&p->gone);
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* ---- beginning and end ---- */

static void pool_free(struct pool *p)
{
    assert(!p->threads && !p->n && !p->n_idle);
    pthread_cond_destroy(&p->vacant);
    pthread_cond_destroy(&p->called);
    pthread_cond_destroy(&p->gone);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

int pool_new(const struct pool_config *cfg, struct pool **ret)
{
    struct pool *p = calloc(1, sizeof(*p));
    int r;

    if (!p)
        return -ENOMEM;
    p->cfg = *cfg;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->vacant, NULL);
    pthread_cond_init(&p->called, NULL);
    pthread_cond_init(&p->gone, NULL);
    r = -pthread_create(&p->watch, NULL, watch_main, p);
    if (r < 0) {
        pool_free(p);
        return r;
    }
    for (size_t i = 0; i < cfg->start && r == 0; i++)
        r = add_thread(p);
    if (r < 0) {
        (void)pool_close(p, 0, UINT64_MAX); /* none of them leads yet, so all end at once */
        return r;
    }
    *ret = p;
    pthread_mutex_lock(&p->lock);
    p->ready = true;
    pthread_cond_signal(&p->vacant);
    pthread_mutex_unlock(&p->lock);
    return 0;
}

/* Called with the lock: waits until all threads have ended, or until the time @until. */
static bool wait_for_threads(struct pool *p, int signal, uint64_t until)
{
    while (p->n && timefmt_now(CLOCK_MONOTONIC) < until) {
        uint64_t soon = timefmt_now(CLOCK_MONOTONIC) + SIGNAL_MS * NSEC_PER_MSEC;
        struct timespec ts = timefmt_to_timespec(MIN(soon, until));

        for (struct thread *t = p->threads; t && signal; t = t->next)
            (void)pthread_kill(t->id, signal);
        (void)pthread_cond_clockwait(&p->gone, &p->lock, CLOCK_MONOTONIC, &ts);
    }
    return !p->n;
}

bool pool_close(struct pool *p, int signal, uint64_t patience_ns)
{
    uint64_t now = timefmt_now(CLOCK_MONOTONIC);
    bool all;

    if (!p)
        return true;
    end(p);
    if (!p->closing)
        pthread_join(p->watch, NULL);
    p->closing = true;
    pthread_mutex_lock(&p->lock);
    all = wait_for_threads(p, signal,
                           patience_ns > UINT64_MAX - now ? UINT64_MAX : now + patience_ns);
    pthread_mutex_unlock(&p->lock);
    if (all)
        pool_free(p);
    return all;
}
