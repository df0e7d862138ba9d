/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sends recorded traffic again. Each event has a time at which it is due; a queue that is full
 * delays it and all later events, which the lateness shows.
 */
#include "msgdump_replay.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fileio.h"
#include "mqio.h"
#include "timefmt.h"

enum {
    QUEUES_MAX = 1024,
    SPOOL_BUFFER = 1 << 20,
    WINDOW = 128 << 10, /* for reading the spool: it fits into the processor's cache */
    SUB_BITS = 6,       /* steps for each power of two in the histogram: a precision of 1.6 % */
    BUCKETS = 64 << SUB_BITS,
};

struct target {
    char name[PMQ_NAME_MAX + 2];
    int fd; /* -1 in a dry run, and for System V queues */
    struct mqio *sysv;
    uint64_t msgsize;
};

/*
 * The part of a checked event that sending needs, followed by its payload. At full speed these are
 * kept in a file, so that the recording is read and checked only once.
 */
struct spooled {
    uint32_t target;
    uint32_t priority;
    int64_t mtype;
    uint32_t length;
    bool send;
};

/* The part of the spool that is in memory; start..stop has not been used yet. */
struct window {
    char *data;
    size_t cap, start, stop;
};

struct msgdump_replay {
    struct dump_reader *reader;
    const struct msgdump_replay_opts *opts;
    char to[PMQ_NAME_MAX + 2]; /* "": send to the queue that was recorded */
    struct target *targets;
    size_t n;
    char *buffer; /* buffer for received messages: as large as the largest message of any queue */
    size_t buffer_size;
    uint64_t first; /* time of the first event */
    uint64_t start; /* CLOCK_MONOTONIC */
    bool started;
    struct msgdump_replay_result result;
    uint64_t lateness[BUCKETS];
    FILE *spool; /* at full speed: the file with all events */
    struct window window;
};

struct event {
    bool send;
    uint64_t time;
    char queue[PMQ_NAME_MAX + 2];
    uint32_t priority;
    int64_t mtype; /* 0: not recorded */
    struct dump_payload payload;
};

/* ---- events ---- */

/* Return: 1 for an event that is to be replayed, 0 for any other, or -errno. */
static int take_event(const struct msgdump_replay *p, struct dump_record *rec, struct event *ev,
                      struct err *e)
{
    uint64_t priority = 0;
    char kind[8];
    int r;

    if (strcmp(rec->type, "event") != 0)
        return 0;
    r = dump_get_str(rec, "event", kind, sizeof(kind), e);
    if (r < 0)
        return r;
    ev->send = strcmp(kind, "send") == 0;
    if (!ev->send && (!p->opts->receive || strcmp(kind, "recv") != 0))
        return 0;
    r = dump_get_time(rec, "time", &ev->time, e);
    if (r == 0)
        r = dump_get_str(rec, "queue", ev->queue, sizeof(ev->queue), e);
    ev->mtype = 0;
    if (r == 0 && dump_has(rec, "mtype"))
        r = dump_get_i64(rec, "mtype", &ev->mtype, e);
    if (r == 0 && dump_has(rec, "mtype") && ev->mtype < 1)
        return dump_bad(rec, e, "\"mtype\" is below 1");
    if (r < 0 || !ev->send)
        return r < 0 ? r : 1;
    if (dump_has(rec, "priority"))
        r = dump_get_u64(rec, "priority", PMQ_PRIO_MAX - 1, &priority, e);
    if (r == 0)
        r = dump_get_payload(rec, &ev->payload, e);
    if (r < 0)
        return r;
    if (ev->payload.captured != ev->payload.length)
        return dump_bad(rec, e, "only %zu of the message's %" PRIu64 " bytes were recorded",
                        ev->payload.captured, ev->payload.length);
    ev->priority = (uint32_t)priority;
    return 1;
}

static uint64_t now(void)
{
    return timefmt_now(CLOCK_MONOTONIC);
}

/* ---- targets ---- */

static struct target *find_target(const struct msgdump_replay *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->targets[i].name, name) == 0)
            return &p->targets[i];
    return NULL;
}

static int open_sysv(const struct msgdump_replay *p, const struct mqio_ref *ref, struct target *t,
                     struct err *e)
{
    struct err why = ERR_INIT;
    int r = mqio_open(ref, p->opts->receive ? MQIO_RECV : MQIO_SEND, &t->sysv, &why);

    if (r < 0)
        return err_set(e, r, r == -ENOENT ? "make it, or send --to another" : why.remedy, "%s: %s",
                       t->name, err_text(&why, r));
    t->msgsize = mqio_max_length(t->sysv);
    return 0;
}

static int open_target(struct msgdump_replay *p, struct target *t, struct err *e)
{
    int flags = (p->opts->receive ? O_RDWR : O_WRONLY) | O_CLOEXEC;
    struct mq_attr attr;
    char *buffer;

    t->fd = mq_open(t->name, flags);
    if (t->fd < 0)
        return err_set(e, -errno, errno == ENOENT ? "make it, or send --to another" : NULL,
                       "%s: %s", t->name, strerrordesc_np(errno));
    if (mq_getattr(t->fd, &attr) < 0)
        return -errno;
    t->msgsize = (uint64_t)attr.mq_msgsize;
    if (!p->opts->receive || t->msgsize <= p->buffer_size)
        return 0;
    buffer = realloc(p->buffer, (size_t)t->msgsize);
    if (!buffer)
        return -ENOMEM;
    p->buffer = buffer;
    p->buffer_size = (size_t)t->msgsize;
    return 0;
}

/* Parses the name of a queue that can be sent to: one of this IPC namespace. */
static int parse_target(const char *name, struct mqio_ref *ref, char out[PMQ_NAME_MAX + 2],
                        struct err *e)
{
    int r = mqio_ref_parse(name, ref, e);

    if (r < 0)
        return r;
    if (ref->is_sysv ? ref->sysv.pid != 0 : ref->posix.kind != PMQ_REF_NAME)
        return err_set(e, -EINVAL, NULL, "it is no name, or of another IPC namespace");
    if (ref->is_sysv)
        sysv_ref_format(&ref->sysv, out);
    else
        memcpy(out, ref->posix.name, sizeof(ref->posix.name));
    return 0;
}

static int add_target(struct msgdump_replay *p, const char *name, struct err *e)
{
    char own[PMQ_NAME_MAX + 2];
    struct mqio_ref ref;
    struct target *v;

    if (find_target(p, name))
        return 0;
    if (parse_target(name, &ref, own, NULL) < 0)
        return err_set(e, -EINVAL, "choose a queue with --to", "\"%s\" is no queue to send to",
                       name);
    if (p->n == QUEUES_MAX)
        return err_set(e, -E2BIG, NULL, "more than %d queues", QUEUES_MAX);
    v = reallocarray(p->targets, p->n + 1, sizeof(*v));
    if (!v)
        return -ENOMEM;
    p->targets = v;
    v = &p->targets[p->n++];
    *v = (struct target){.fd = -1};
    snprintf(v->name, sizeof(v->name), "%s", name);
    if (p->opts->dry_run)
        return 0;
    return ref.is_sysv ? open_sysv(p, &ref, v, e) : open_target(p, v, e);
}

static const char *target_name(const struct msgdump_replay *p, const struct event *ev)
{
    return p->to[0] ? p->to : ev->queue;
}

static void count_event(struct msgdump_replay *p, const struct event *ev)
{
    p->result.sent += ev->send;
    p->result.received += !ev->send;
    p->result.bytes += ev->send ? ev->payload.captured : 0;
}

static int spool_failed(struct err *e)
{
    int r = errno ? -errno : -EIO;

    return err_set(e, r, "set TMPDIR to a directory with more room",
                   "cannot keep what is to be sent in %s: %s", file_spool_dir(),
                   strerrordesc_np(-r));
}

static int spool_open(struct msgdump_replay *p, struct err *e)
{
    int fd = file_spool_open(e);

    if (fd < 0)
        return fd;
    p->spool = fdopen(fd, "w+");
    if (!p->spool) {
        close(fd);
        return -ENOMEM;
    }
    (void)setvbuf(p->spool, NULL, _IOFBF, SPOOL_BUFFER);
    return 0;
}

static int spool_event(struct msgdump_replay *p, const struct event *ev, struct err *e)
{
    const struct target *t = find_target(p, target_name(p, ev));
    const struct spooled s = {
        .target = (uint32_t)(t - p->targets),
        .priority = ev->priority,
        .mtype = ev->mtype,
        .length = ev->send ? (uint32_t)ev->payload.captured : 0,
        .send = ev->send,
    };

    errno = 0;
    if (fwrite(&s, sizeof(s), 1, p->spool) == 1 &&
        (!s.length || fwrite(ev->payload.data, s.length, 1, p->spool) == 1))
        return 0;
    return spool_failed(e);
}

/* Checks what can be checked before the first message is sent. */
static int check_event(struct msgdump_replay *p, const struct dump_record *rec,
                       const struct event *ev, struct err *e)
{
    const struct target *t;
    int r = add_target(p, target_name(p, ev), e);

    if (r < 0)
        return r;
    if (p->opts->dry_run)
        count_event(p, ev);
    t = find_target(p, target_name(p, ev));
    if (ev->send && t && (t->fd >= 0 || t->sysv) && ev->payload.length > t->msgsize) {
        dump_bad(rec, e, "the message has %" PRIu64 " bytes, %s takes %" PRIu64, ev->payload.length,
                 t->name, t->msgsize);
        return -EMSGSIZE;
    }
    return p->spool ? spool_event(p, ev, e) : 0;
}

/* ---- lateness ---- */

/* Exact below 2^7; above, 64 steps for each power of two. */
static size_t bucket_of(uint64_t ns)
{
    unsigned int shift;

    if (ns < 2u << SUB_BITS)
        return (size_t)ns;
    shift = 63 - SUB_BITS - (unsigned int)__builtin_clzll(ns);
    return ((size_t)shift << SUB_BITS) + (size_t)(ns >> shift);
}

static uint64_t bucket_value(size_t i)
{
    size_t shift = i < 2u << SUB_BITS ? 0 : (i >> SUB_BITS) - 1;

    return (uint64_t)(i - (shift << SUB_BITS)) << shift;
}

static uint64_t percentile(const struct msgdump_replay *p, uint64_t part)
{
    uint64_t total = p->result.sent + p->result.received, seen = 0;

    for (size_t i = 0; i < BUCKETS; i++) {
        seen += p->lateness[i];
        if (seen && seen * 100 >= total * part)
            return bucket_value(i);
    }
    return 0;
}

/* ---- sending and receiving ---- */

/* Sleeps until the event is due. Return: the time at which it was due, on CLOCK_MONOTONIC. */
static uint64_t wait_until_due(const struct msgdump_replay *p, const struct event *ev)
{
    uint64_t since = ev->time > p->first ? ev->time - p->first : 0;
    uint64_t due = p->start + (uint64_t)((double)since / p->opts->speed);
    struct timespec ts = timefmt_to_timespec(due);

    while (now() < due && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
        ;
    return due;
}

static void count_lateness(struct msgdump_replay *p, uint64_t due)
{
    uint64_t at = now();
    uint64_t late = at > due ? at - due : 0;

    p->lateness[bucket_of(late)]++;
    p->result.late_worst = MAX(p->result.late_worst, late);
}

/*
 * Makes one call, which sleeps at most until @deadline, on CLOCK_REALTIME; NULL: no limit. Return:
 * 0 or -errno.
 */
static int call_until(const struct msgdump_replay *p, const struct target *t,
                      const struct event *ev, const struct timespec *deadline)
{
    const char *data = ev->payload.data ? ev->payload.data : "";
    unsigned int priority; /* asked for, so that a recording of this replay contains it */
    ssize_t n;

    if (ev->send && deadline)
        n = mq_timedsend(t->fd, data, ev->payload.captured, ev->priority, deadline);
    else if (ev->send)
        n = mq_send(t->fd, data, ev->payload.captured, ev->priority);
    else if (deadline)
        n = mq_timedreceive(t->fd, p->buffer, p->buffer_size, &priority, deadline);
    else
        n = mq_receive(t->fd, p->buffer, p->buffer_size, &priority);
    return n < 0 ? -errno : 0;
}

/*
 * Sleeps in the call itself, for a second at a time, because its deadline is on the wall clock,
 * which may be set.
 */
static int call_patiently(const struct msgdump_replay *p, const struct target *t,
                          const struct event *ev)
{
    uint64_t end;
    int r;

    if (p->opts->timeout == UINT64_MAX || __builtin_add_overflow(now(), p->opts->timeout, &end)) {
        do
            r = call_until(p, t, ev, NULL);
        while (r == -EINTR);
        return r;
    }
    for (;;) {
        uint64_t at = now();
        uint64_t left = at < end ? MIN(end - at, NSEC_PER_SEC) : 0;
        struct timespec deadline = timefmt_to_timespec(timefmt_now(CLOCK_REALTIME) + left);

        r = call_until(p, t, ev, &deadline);
        if ((r == -ETIMEDOUT && left > 0) || r == -EINTR)
            continue;
        return r;
    }
}

/*
 * Sends; or receives a message of the recorded type, or the first one if a POSIX queue was
 * recorded. Return: -ETIMEDOUT when the queue is full or empty.
 */
static int call_sysv(const struct target *t, const struct event *ev, bool wait, struct err *e)
{
    const struct mqio_want want = {.type = ev->mtype};
    struct mqio_message m = {
        .data = ev->payload.data ? ev->payload.data : "",
        .length = ev->payload.captured,
        .mtype = ev->mtype ? ev->mtype : 1,
    };
    int r = ev->send ? mqio_send(t->sysv, &m, wait, e) : mqio_recv(t->sysv, &want, &m, wait, e);

    return r == -EAGAIN ? -ETIMEDOUT : r;
}

/*
 * msgsnd() and msgrcv() have no time limit: when there is one, the call is repeated until it
 * succeeds.
 */
static int call_sysv_patiently(const struct msgdump_replay *p, const struct target *t,
                               const struct event *ev, struct err *e)
{
    const struct timespec moment = {.tv_nsec = 2000000};
    uint64_t end = UINT64_MAX;
    bool limited = p->opts->timeout != UINT64_MAX &&
                   !__builtin_add_overflow(now(), p->opts->timeout, &end);
    int r;

    for (;;) {
        r = call_sysv(t, ev, !limited, e);
        if (r == -EINTR)
            continue;
        if (r != -ETIMEDOUT || now() >= end)
            return r;
        nanosleep(&moment, NULL);
    }
}

/* Tries once. Return: 0, -ETIMEDOUT (full or empty), or -errno with a reason. */
static int call_once(const struct msgdump_replay *p, const struct target *t, const struct event *ev,
                     struct err *e)
{
    static const struct timespec past = {0};

    return t->sysv ? call_sysv(t, ev, false, e) : call_until(p, t, ev, &past);
}

static int do_event(struct msgdump_replay *p, const struct target *t, const struct event *ev,
                    struct err *e)
{
    struct err why = ERR_INIT;
    int r = -ETIMEDOUT;

    /* Only when the caller wants to be told of a full queue, the first call does not wait. */
    if (p->opts->blocked)
        r = call_once(p, t, ev, &why);
    if (r == -ETIMEDOUT || r == -EINTR) {
        if (p->opts->blocked)
            p->opts->blocked(p->opts->ctx, t->name, ev->send, true);
        why = (struct err)ERR_INIT;
        r = t->sysv ? call_sysv_patiently(p, t, ev, &why) : call_patiently(p, t, ev);
        if (p->opts->blocked && r == 0)
            p->opts->blocked(p->opts->ctx, t->name, ev->send, false);
    }
    if (r == -ETIMEDOUT)
        return err_set(e, r, NULL, "%s stayed %s", t->name, ev->send ? "full" : "empty");
    if (r < 0)
        return err_set(e, r, why.remedy[0] ? why.remedy : NULL, "%s: %s", t->name,
                       err_text(&why, r));
    count_event(p, ev);
    return 0;
}

/* Moves the unused part to the front and reads more after it. Return: bytes, or -errno. */
static ssize_t window_fill(struct window *w, int fd, size_t need)
{
    ssize_t n;

    w->stop -= w->start;
    if (w->stop)
        memmove(w->data, w->data + w->start, w->stop);
    w->start = 0;
    if (w->cap < need) {
        size_t cap = MAX(need, (size_t)WINDOW);
        char *data = realloc(w->data, cap);

        if (!data)
            return -ENOMEM;
        w->data = data;
        w->cap = cap;
    }
    do
        n = read(fd, w->data + w->stop, w->cap - w->stop);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    w->stop += (size_t)n;
    return n;
}

/* Returns the next @n bytes of the spool in one piece. Return: 1; 0 at the end; or -errno. */
static int spool_take(struct msgdump_replay *p, size_t n, char **at, struct err *e)
{
    struct window *w = &p->window;

    while (w->stop - w->start < n) {
        ssize_t r = window_fill(w, fileno(p->spool), n);

        if (r == -ENOMEM || (r == 0 && !w->stop))
            return (int)r;
        errno = r < 0 ? (int)-r : EIO; /* the spool ends within an event */
        if (r <= 0)
            return spool_failed(e);
    }
    *at = w->data + w->start;
    w->start += n;
    return 1;
}

/* Reads the next event of the spool and finds its target. Return: as spool_take(). */
static int next_spooled(struct msgdump_replay *p, struct event *ev, struct target **t,
                        struct err *e)
{
    struct spooled s;
    char *at;
    int r = spool_take(p, sizeof(s), &at, e);

    if (r <= 0)
        return r;
    memcpy(&s, at, sizeof(s));
    if (s.length)
        r = spool_take(p, s.length, &at, e);
    ev->send = s.send;
    ev->priority = s.priority;
    ev->mtype = s.mtype;
    ev->payload = (struct dump_payload){at, s.length, s.length};
    *t = &p->targets[s.target];
    errno = EIO; /* the event was cut off */
    return r ? r : spool_failed(e);
}

/*
 * Sends all events of the spool without a pause. A pause between two messages would cost more than
 * itself: the receiver finds the queue empty, sleeps, and has to be woken.
 */
static int send_spooled(struct msgdump_replay *p, struct err *e)
{
    struct event ev = {0};
    struct target *t;
    int r;

    p->window.start = p->window.stop = 0;
    if (lseek(fileno(p->spool), 0, SEEK_SET) < 0)
        return spool_failed(e);
    while ((r = next_spooled(p, &ev, &t, e)) > 0) {
        r = do_event(p, t, &ev, e);
        if (r < 0)
            return r;
    }
    return r;
}

static int replay_event(struct msgdump_replay *p, const struct event *ev, struct err *e)
{
    const struct target *t = find_target(p, target_name(p, ev));
    uint64_t due;
    int r;

    if (!t)
        return err_set(e, -EBADMSG, NULL, "the file has changed while it was read");
    if (!p->started) {
        p->first = ev->time;
        p->start = now();
        p->started = true;
    }
    due = wait_until_due(p, ev);
    r = do_event(p, t, ev, e);
    if (r == 0)
        count_lateness(p, due);
    return r;
}

/* Reads the recording once, either to check it or to replay it. */
static int walk(struct msgdump_replay *p, bool check, struct err *e)
{
    struct dump_record *rec;
    struct event ev;
    int r;

    while ((r = dump_reader_next(p->reader, &rec, e)) > 0) {
        r = take_event(p, rec, &ev, e);
        if (r == -ENOENT)
            r = -EBADMSG; /* a member is missing */
        if (r > 0)
            r = check ? check_event(p, rec, &ev, e) : replay_event(p, &ev, e);
        else if (r == 0 && check)
            p->result.skipped++;
        if (r < 0)
            return r;
    }
    return r;
}

static int choose_target(struct msgdump_replay *p, const char *name, struct err *e)
{
    struct mqio_ref ref;
    struct err why = ERR_INIT;
    int r = parse_target(name, &ref, p->to, &why);

    if (r < 0)
        return err_set(e, -EINVAL, "write --to /QUEUE, or --to sysv:ID",
                       "\"%s\" is no queue to send to: %s", name, err_text(&why, r));
    return 0;
}

int msgdump_replay_new(struct dump_reader *reader, const struct msgdump_replay_opts *opts,
                       struct msgdump_replay **ret, struct err *e)
{
    _cleanup_(msgdump_replay_freep) struct msgdump_replay *p = calloc(1, sizeof(*p));
    const char *kind = dump_reader_header(reader)->kind;
    int r;

    if (!p)
        return -ENOMEM;
    if (strcmp(kind, MSGDUMP_KIND_TRAFFIC) != 0)
        return err_set(e, -EBADMSG, "mqdump restore is for saved queues",
                       "a dump of kind \"%s\", not of traffic", kind);
    p->reader = reader;
    p->opts = opts;
    r = opts->to ? choose_target(p, opts->to, e) : 0;
    if (r == 0 && opts->speed <= 0 && !opts->dry_run)
        r = spool_open(p, e);
    if (r == 0)
        r = walk(p, true, e);
    errno = 0;
    if (r == 0 && p->spool && fflush(p->spool) != 0)
        r = spool_failed(e);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(p);
    return 0;
}

int msgdump_replay_run(struct msgdump_replay *p, struct err *e)
{
    uint64_t begin = now();
    int r;

    if (p->opts->dry_run)
        return 0;
    p->started = false;
    r = p->spool ? send_spooled(p, e) : dump_reader_rewind(p->reader, e);
    if (r == 0 && !p->spool)
        r = walk(p, false, e);
    p->result.span += now() - begin;
    return r;
}

void msgdump_replay_result(const struct msgdump_replay *p, struct msgdump_replay_result *out)
{
    *out = p->result;
    out->late_median = percentile(p, 50);
    out->late_p99 = percentile(p, 99);
}

void msgdump_replay_free(struct msgdump_replay *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n; i++) {
        if (p->targets[i].fd >= 0)
            close(p->targets[i].fd);
        mqio_close(p->targets[i].sysv);
    }
    free(p->targets);
    free(p->buffer);
    free(p->window.data);
    if (p->spool)
        fclose(p->spool);
    free(p);
}

void msgdump_replay_freep(struct msgdump_replay **p)
{
    msgdump_replay_free(*p);
}
