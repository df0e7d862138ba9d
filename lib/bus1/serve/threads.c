/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who reads the requests: the leader, its keeper, and those who wait for a client's memory. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fileio.h"
#include "macros.h"
#include "serve_private.h"

enum {
    TICK_NS = 2 * 1000 * 1000, /* an ioctl that takes a whole tick has lost its thread */
    IDLE_TICKS = 50,
    DEATH_TICKS = 25,
    IDLE_WORKERS = 2,
    MAX_WORKERS = 1024,
    STACK = 256 * 1024,
};

static __thread struct b1_worker *self;

static bool deposed(unsigned int seq)
{
    return seq & 2;
}

static void busy_begin(struct b1_worker *w, struct b1_call *c)
{
    w->call = c;
    atomic_store(&w->seq, atomic_load(&w->seq) + 1);
    if (atomic_load(&w->s->keeper_sleeps) && atomic_exchange(&w->s->keeper_sleeps, false))
        sem_post(&w->s->keeper_wake);
}

/* Whether the worker still leads. */
static bool busy_end(struct b1_worker *w)
{
    unsigned int seq = atomic_load(&w->seq);

    return !deposed(seq) && atomic_compare_exchange_strong(&w->seq, &seq, seq + 3);
}

static bool may_run(const struct b1_serve *s, const struct b1_call *c)
{
    unsigned int n = 0;

    if (c->file->n_stuck)
        return false;
    for (const struct b1_call *o = s->stuck; o; o = o->next)
        n += o->uid == c->uid;
    return n < B1_STUCK_PER_USER;
}

static void stuck_add(struct b1_serve *s, struct b1_call *c)
{
    c->stuck = true;
    c->file->n_stuck++;
    c->next = s->stuck;
    s->stuck = c;
}

/* Ends a call that was stuck. Its file may be gone already for all but the count. */
static void stuck_del(struct b1_serve *s, struct b1_call *c)
{
    struct b1_call **at = &s->stuck;

    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    c->stuck = false;
    c->file->n_stuck--;
}

static struct b1_call *parked_take(struct b1_serve *s)
{
    for (struct b1_call **at = &s->parked; *at; at = &(*at)->next) {
        struct b1_call *c = *at;

        if (may_run(s, c)) {
            *at = c->next;
            return c;
        }
    }
    return NULL;
}

static struct b1_file *file_ref(struct b1_file *f)
{
    f->refs++;
    return f;
}

/* After a stuck call: those who waited for it, by the same thread, which leads no more. */
static void run_parked(struct b1_serve *s)
{
    for (;;) {
        struct b1_call *c;
        struct b1_file *f;

        pthread_mutex_lock(&s->lock);
        c = parked_take(s);
        if (c) {
            stuck_add(s, c);
            f = file_ref(c->file);
        }
        pthread_mutex_unlock(&s->lock);
        if (!c)
            return;
        b1_call_run(c);
        pthread_mutex_lock(&s->lock);
        stuck_del(s, c);
        pthread_mutex_unlock(&s->lock);
        b1_file_unref(s, f);
        free(c);
    }
}

/* Lets a copy of the call wait. The lock is held. */
static int park(struct b1_serve *s, const struct b1_call *c)
{
    struct b1_call *copy = malloc(sizeof(*copy)), **at = &s->parked;

    if (!copy)
        return -ENOMEM;
    memcpy(copy, c, sizeof(*copy));
    copy->next = NULL;
    while (*at)
        at = &(*at)->next;
    *at = copy;
    file_ref(c->file);
    return 0;
}

void b1_loop_ioctl(struct b1_serve *s, struct b1_call *c)
{
    struct b1_file *f = c->file;
    int parked = 1;

    pthread_mutex_lock(&s->lock);
    if (s->stuck && !may_run(s, c)) {
        parked = park(s, c);
    } else {
        file_ref(f); /* the call's */
        file_ref(f); /* ours */
    }
    pthread_mutex_unlock(&s->lock);
    if (parked < 0)
        b1_call_answer(c, parked);
    if (parked <= 0)
        return;
    busy_begin(self, c);
    b1_call_run(c);
    if (busy_end(self)) {
        b1_file_unref(s, f);
        return;
    }
    pthread_mutex_lock(&s->lock);
    stuck_del(s, c);
    pthread_mutex_unlock(&s->lock);
    b1_file_unref(s, f);
    run_parked(s);
}

/* The next request, in @b. Return: 1; 0 at the end; or -errno. */
static int next_request(struct b1_serve *s, struct fuse_buf *b)
{
    int r;

    do {
        if (atomic_load(&s->stop_seen))
            return 0;
        atomic_store(&s->leader_sleeps, true);
        r = fuse_session_receive_buf(s->se, b);
        atomic_store(&s->leader_sleeps, false);
    } while (r == -EINTR || r == -EAGAIN);
    return r > 0 ? 1 : r;
}

static void lead(struct b1_worker *w, struct fuse_buf *b)
{
    struct b1_serve *s = w->s;

    while (w->leads) {
        int r = next_request(s, b);

        if (r <= 0) {
            atomic_store(&s->stopping, true);
            event_raise(s->end_fd);
            return;
        }
        fuse_session_process_buf(s->se, b);
        if (deposed(atomic_load(&w->seq)))
            w->leads = false;
    }
}

/* Waits to be appointed. Return: false when there are enough who wait. */
static bool wait_for_lead(struct b1_worker *w)
{
    struct b1_serve *s = w->s;
    size_t n = 0;

    pthread_mutex_lock(&s->lock);
    atomic_store(&w->seq, 0);
    if (s->leader == w) { /* nobody could take over */
        w->leads = true;
        pthread_mutex_unlock(&s->lock);
        return true;
    }
    for (struct b1_worker *o = s->idle; o; o = o->next)
        n++;
    if (n >= IDLE_WORKERS || atomic_load(&s->stopping)) {
        pthread_mutex_unlock(&s->lock);
        return false;
    }
    w->next = s->idle;
    s->idle = w;
    while (!w->leads && !atomic_load(&s->stopping))
        pthread_cond_wait(&w->wake, &s->lock);
    pthread_mutex_unlock(&s->lock);
    return w->leads;
}

static void *worker_main(void *arg)
{
    struct b1_worker *w = arg;
    struct b1_serve *s = w->s;
    struct fuse_buf b = {0};

    self = w;
    do
        lead(w, &b);
    while (!atomic_load(&s->stopping) && wait_for_lead(w));
    free(b.mem);
    pthread_mutex_lock(&s->lock);
    for (struct b1_worker **at = &s->idle; *at; at = &(*at)->next)
        if (*at == w) {
            *at = w->next;
            break;
        }
    if (s->leader == w)
        s->leader = NULL;
    s->n_workers--;
    pthread_cond_broadcast(&s->workers_gone);
    pthread_mutex_unlock(&s->lock);
    pthread_cond_destroy(&w->wake);
    free(w);
    return NULL;
}

/* Makes an idle or a new worker the leader. The lock is held. */
static int appoint(struct b1_serve *s)
{
    struct b1_worker *w = s->idle;
    pthread_attr_t attr;
    pthread_t thread;
    int r;

    if (w) {
        s->idle = w->next;
        w->leads = true;
        s->leader = w;
        pthread_cond_signal(&w->wake);
        return 0;
    }
    if (s->n_workers >= MAX_WORKERS)
        return -EAGAIN;
    w = calloc(1, sizeof(*w));
    if (!w)
        return -ENOMEM;
    w->s = s;
    w->leads = true;
    pthread_cond_init(&w->wake, NULL);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK);
    r = -pthread_create(&thread, &attr, worker_main, w);
    pthread_attr_destroy(&attr);
    if (r < 0) {
        pthread_cond_destroy(&w->wake);
        free(w);
        return r;
    }
    s->n_workers++;
    s->leader = w;
    return 0;
}

/* The leader has been at one ioctl since the last tick: another takes over. */
static void depose(struct b1_serve *s, struct b1_worker *w, unsigned int seq)
{
    pthread_mutex_lock(&s->lock);
    if (s->leader != w) { /* it has ended meanwhile */
        pthread_mutex_unlock(&s->lock);
        return;
    }
    if (!deposed(seq) && atomic_compare_exchange_strong(&w->seq, &seq, seq | 2)) {
        stuck_add(s, w->call);
        seq |= 2;
    }
    /* Without a thread to spare there is no leader for now; it is tried again at the next tick. */
    if (deposed(seq))
        (void)appoint(s);
    pthread_mutex_unlock(&s->lock);
}

/* Answers for clients that are being killed: their memory may never answer. */
static void reap(struct b1_serve *s)
{
    pthread_mutex_lock(&s->lock);
    for (struct b1_call *c = s->stuck; c; c = c->next) {
        enum b1_call_state running = B1_CALL_RUNNING;

        if (!c->answered && b1_client_dying(c->pid) &&
            atomic_compare_exchange_strong(&c->state, &running, B1_CALL_ABANDONED)) {
            c->answered = true;
            b1_call_answer(c, -EINTR);
        }
    }
    for (struct b1_call **at = &s->parked; *at;) {
        struct b1_call *c = *at;

        if (!b1_client_dying(c->pid)) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        b1_call_answer(c, -EINTR);
        c->file->refs--;
        free(c);
    }
    pthread_mutex_unlock(&s->lock);
}

/* Until an ioctl begins. The leader tells when it sees the flag; else its ioctl is seen here. */
static void keeper_sleep(struct b1_serve *s)
{
    bool busy;

    atomic_store(&s->keeper_sleeps, true);
    pthread_mutex_lock(&s->lock);
    busy = !s->leader || (atomic_load(&s->leader->seq) & 1);
    pthread_mutex_unlock(&s->lock);
    if (busy && atomic_exchange(&s->keeper_sleeps, false))
        return;
    while (sem_wait(&s->keeper_wake) < 0)
        ;
}

static void *keeper_main(void *arg)
{
    const struct timespec tick = {.tv_nsec = TICK_NS};
    struct b1_serve *s = arg;
    unsigned int last = 0, quiet = 0, ticks = 0;

    while (!atomic_load(&s->stopping)) {
        struct b1_worker *w;
        unsigned int seq = 0;

        nanosleep(&tick, NULL);
        pthread_mutex_lock(&s->lock);
        w = s->leader;
        if (w)
            seq = atomic_load(&w->seq);
        quiet = atomic_load(&s->leader_sleeps) && !s->stuck && !s->parked ? quiet + 1 : 0;
        pthread_mutex_unlock(&s->lock);
        if (!w)
            break;
        if ((seq & 1) && (seq & ~2u) == (last & ~2u))
            depose(s, w, seq);
        last = seq;
        if (++ticks % DEATH_TICKS == 0)
            reap(s);
        if (quiet > IDLE_TICKS)
            keeper_sleep(s);
    }
    return NULL;
}

/* Wakes the leader with a request of our own, after which it reads no more. */
static void stop_leader(struct b1_serve *s)
{
    char name[PATH_MAX];
    struct stat st;

    atomic_store(&s->stop, true);
    if (!atomic_load(&s->stopping) &&
        snprintf(name, sizeof(name), "%s/" B1_STOP_NAME, s->dir) < (int)sizeof(name))
        (void)stat(name, &st);
}

int b1_loop_run(struct b1_serve *s, int stop_fd)
{
    struct pollfd fds[2] = {{.fd = stop_fd, .events = POLLIN}, {.fd = s->end_fd, .events = POLLIN}};
    pthread_t keeper;
    int r;

    sem_init(&s->keeper_wake, 0, 0);
    pthread_mutex_lock(&s->lock);
    /* The keeper comes first: nothing runs yet that would have to be stopped when it cannot. */
    r = -pthread_create(&keeper, NULL, keeper_main, s);
    if (r == 0) {
        r = appoint(s);
        if (r < 0)
            atomic_store(&s->stopping, true);
    }
    pthread_mutex_unlock(&s->lock);
    if (r < 0) {
        if (atomic_load(&s->stopping))
            pthread_join(keeper, NULL);
        return r;
    }
    while (poll(fds, 2, -1) < 0 && errno == EINTR)
        ;
    stop_leader(s);
    pthread_mutex_lock(&s->lock);
    while (!atomic_load(&s->stopping))
        pthread_cond_wait(&s->workers_gone, &s->lock);
    for (struct b1_worker *w = s->idle; w; w = w->next)
        pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&s->lock);
    atomic_store(&s->keeper_sleeps, false);
    sem_post(&s->keeper_wake);
    pthread_join(keeper, NULL);
    return 0;
}
