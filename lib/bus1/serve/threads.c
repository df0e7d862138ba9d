/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests are read and answered by a pool of threads (pool.h). An ioctl that takes long, because
 * its client's memory does not answer, is called stuck: its thread stops being the leader. At most
 * one ioctl of each file and B1_STUCK_PER_USER of each user may be stuck; further ones are parked
 * until one of these ends.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fileio.h"
#include "macros.h"
#include "serve_private.h"
#include "timefmt.h"

enum { THREADS_IDLE = 2, THREADS_MAX = 1024 };

/**
 * struct worker - the state of a thread of the pool
 * @request: the last request that it read
 * @call: the ioctl that it answers; guarded by the server's lock
 * @passed: another thread has become the leader while this one still answers; guarded likewise
 */
struct worker {
    struct fuse_buf request;
    struct b1_call *call;
    bool passed;
};

static __thread struct worker *self;

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

/*
 * Ends a call that was stuck. The reference of the call keeps its file valid, even if it was
 * closed.
 */
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

/*
 * Runs the parked calls that may run now, in the thread of a stuck call that has ended, which is no
 * longer the leader.
 */
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

/* Parks a copy of the call. The lock is held. */
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
    bool was_stuck;
    int parked = 1;

    pthread_mutex_lock(&s->lock);
    if (s->stuck && !may_run(s, c)) {
        parked = park(s, c);
    } else {
        file_ref(f); /* for the call */
        file_ref(f); /* for this function */
        self->call = c;
        if (self->passed)
            stuck_add(s, c);
    }
    pthread_mutex_unlock(&s->lock);
    if (parked < 0)
        b1_call_answer(c, parked);
    if (parked <= 0)
        return;
    b1_call_run(c);
    pthread_mutex_lock(&s->lock);
    self->call = NULL;
    was_stuck = c->stuck;
    if (was_stuck)
        stuck_del(s, c);
    pthread_mutex_unlock(&s->lock);
    b1_file_unref(s, f);
    if (was_stuck)
        run_parked(s);
}

/*
 * Answers the calls of clients that are being killed, because their memory may never answer.
 * Return: whether calls are left that may have to be answered in this way.
 */
static bool reap(void *ctx)
{
    struct b1_serve *s = ctx;
    bool left;

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
    left = s->stuck || s->parked;
    pthread_mutex_unlock(&s->lock);
    return left;
}

/* ---- what the threads of the pool do ---- */

static void *worker_new(void *ctx _unused_)
{
    return calloc(1, sizeof(struct worker));
}

static void worker_free(void *arg)
{
    struct worker *w = arg;

    free(w->request.mem);
    free(w);
}

static bool next_request(void *ctx, void *worker)
{
    struct b1_serve *s = ctx;
    struct worker *w = worker;
    int r = -EINTR;

    w->passed = false; /* from here on its answer on another thread may set it */
    while (!atomic_load(&s->stop_seen) && (r == -EINTR || r == -EAGAIN))
        r = fuse_session_receive_buf(s->se, &w->request);
    if (r > 0)
        return true;
    event_raise(s->end_fd);
    return false;
}

static void answer(void *ctx, void *worker, uint64_t term _unused_)
{
    const struct b1_serve *s = ctx;

    self = worker;
    fuse_session_process_buf(s->se, &self->request);
}

/* The leader has worked on one request for long: if that is an ioctl, it counts as stuck. */
static void passed(void *ctx, void *worker)
{
    struct b1_serve *s = ctx;
    struct worker *w = worker;

    pthread_mutex_lock(&s->lock);
    w->passed = true;
    if (w->call)
        stuck_add(s, w->call);
    pthread_mutex_unlock(&s->lock);
}

static const struct pool_ops pool_ops = {
    .worker_new = worker_new,
    .worker_free = worker_free,
    .next = next_request,
    .answer = answer,
    .passed = passed,
    .tick = reap,
};

/* Wakes the leader with a request of our own, after which it reads no more requests. */
static void stop_leader(struct b1_serve *s)
{
    char name[PATH_MAX];
    struct stat st;

    atomic_store(&s->stop, true);
    if (snprintf(name, sizeof(name), "%s/" B1_STOP_NAME, s->dir) < (int)sizeof(name))
        (void)stat(name, &st);
}

int b1_loop_run(struct b1_serve *s, int stop_fd)
{
    const struct pool_config cfg = {
        .ops = &pool_ops, .ctx = s, .start = 1, .idle = THREADS_IDLE, .max = THREADS_MAX};
    struct pollfd fds[2] = {{.fd = stop_fd, .events = POLLIN}, {.fd = s->end_fd, .events = POLLIN}};
    int r = pool_new(&cfg, &s->pool);

    if (r < 0)
        return r;
    while (poll(fds, 2, -1) < 0 && errno == EINTR)
        ;
    if (!fds[1].revents)
        stop_leader(s);
    while (poll(&fds[1], 1, -1) < 0 && errno == EINTR)
        ;
    return 0;
}
