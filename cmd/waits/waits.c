/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A thread and its wait, in words and in JSON. */
#include "waits.h"

#include <inttypes.h>
#include <string.h>

#include "cleanup.h"
#include "escape.h"
#include "timefmt.h"

enum { MOST_WAKERS = 5 }; /* that a line names */

void waits_add_thread(struct buf *b, const struct wait_thread *t)
{
    buf_printf(b, "%s[%d]", t->comm, (int)t->pid);
    if (t->tid != t->pid)
        buf_printf(b, " thread %d", (int)t->tid);
    if (t->cgroup)
        buf_printf(b, " in %s", t->cgroup[0] ? t->cgroup : "another container");
}

static const char *verb_of(const struct wait_thread *t)
{
    static const char *const verbs[] = {
        [WAIT_READ] = "reads",          [WAIT_WRITE] = "writes",
        [WAIT_SEND] = "sends to",       [WAIT_RECV] = "receives from",
        [WAIT_ACCEPT] = "accepts on",   [WAIT_CONNECT] = "connects through",
        [WAIT_LOCK] = "waits to lock",  [WAIT_OPEN] = "opens",
        [WAIT_FOR_CHILD] = "waits for", [WAIT_POLL] = "polls",
    };

    return verbs[t->direction];
}

static void add_fill(struct buf *b, const struct wait_object *o)
{
    const char *unit = o->messages ? "" : " bytes";

    if (o->used == WAIT_UNKNOWN)
        return;
    if (o->limit == WAIT_UNKNOWN)
        buf_printf(b, " (%" PRIu64 "%s)", o->used, o->messages ? " messages" : unit);
    else
        buf_printf(b, " (%s%" PRIu64 " of %" PRIu64 "%s)",
                   o->messages && o->used == o->limit ? "full, " : "", o->used, o->limit, unit);
}

void waits_add_wait(struct buf *b, const struct wait_thread *t)
{
    const struct wait_object *o = &t->object;

    if (!t->waits) {
        buf_add_str(b, t->state == 'T' || t->state == 't' ? "is stopped"
                       : t->outside                       ? "goes on"
                                                          : "waits");
        if (t->outside)
            buf_printf(b, ": %s", t->outside);
        return;
    }
    buf_printf(b, "%s %s%s%s", verb_of(t), o->kind == WAIT_MQ ? "mq " : "", o->name,
               o->unlinked ? " (unlinked)" : "");
    add_fill(b, o);
    if (t->outside)
        buf_printf(b, ", or is woken by: %s", t->outside);
}

static void add_waker(struct buf *b, int proc, pid_t pid)
{
    char comm[PROC_COMM_SIZE];

    if (proc < 0 || proc_comm(proc, pid, pid, comm) < 0)
        buf_printf(b, "process %d", (int)pid);
    else
        buf_printf(b, "%s[%d]", comm, (int)pid);
}

static const char *relation_of(const struct wait_thread *t)
{
    switch (t->direction) {
    case WAIT_READ:
    case WAIT_RECV:
        return "written only by";
    case WAIT_WRITE:
    case WAIT_SEND:
        return "read only by";
    case WAIT_LOCK:
        return "held by";
    default:
        return "only";
    }
}

void waits_add_wakers(struct buf *b, const struct wait_thread *t)
{
    _cleanup_(closep) int proc = proc_open(NULL);

    if (!t->waits)
        return;
    if (!t->n_wakers) {
        buf_add_str(b, "  <- nobody else has it open");
        return;
    }
    if (t->n_wakers == 1 && t->wakers[0] == t->pid && t->object.kind != WAIT_FUTEX) {
        buf_add_str(b, "  <- nobody but itself has it open");
        return;
    }
    buf_printf(b, "  <- %s ", relation_of(t));
    for (size_t i = 0; i < t->n_wakers && i < MOST_WAKERS; i++) {
        buf_add_str(b, i ? ", " : "");
        add_waker(b, proc, t->wakers[i]);
    }
    if (t->n_wakers > MOST_WAKERS)
        buf_printf(b, " and %zu more", t->n_wakers - MOST_WAKERS);
}

void waits_line(struct out *out, const char *indent, const struct wait_thread *t, bool wakers)
{
    _cleanup_(buf_done) struct buf line = BUF_INIT;
    char span[TIMEFMT_SPAN_SIZE];

    buf_add_str(&line, indent);
    waits_add_thread(&line, t);
    buf_add_str(&line, "  ");
    waits_add_wait(&line, t);
    if (t->since_ns != WAIT_UNKNOWN) {
        timefmt_span(span, t->since_ns);
        buf_printf(&line, " for %s", span);
    }
    if (wakers)
        waits_add_wakers(&line, t);
    out_line(out, "%s", buf_str(&line));
}

/* ---- JSON ---- */

struct thread_row {
    int32_t pid, tid;
    const char *comm;
    char state[2];
    const char *call;
    const char *object;
    const char *direction;
    const char *wakers;
    double since;
    const char *cgroup;
    const char *outside;
    struct buf object_text, wakers_text;
};

#define THREAD struct thread_row

const struct out_col waits_thread_cols[] = {
    OUT_I32(THREAD, pid, "pid", "process"),
    OUT_I32(THREAD, tid, "tid", "thread"),
    OUT_STR(THREAD, comm, "comm", "the process's name"),
    OUT_CHARS(THREAD, state, "state", "a letter, as in ps"),
    OUT_STR(THREAD, call, "call", "system call that it is blocked in"),
    OUT_VALUE(
        THREAD, object, "object",
        "what it waits for: kind (pipe, fifo, unix, mq, sysv, futex, flock, posix_lock, child, "
        "channel, bus1, epoll, eventfd), name, inode, used, limit",
        .flags = OUT_JSON),
    OUT_STR(THREAD, direction, "direction",
            "read, write, send, recv, accept, connect, lock, open, wait or poll"),
    OUT_VALUE(THREAD, wakers, "wakers", "processes that could wake it", .flags = OUT_JSON),
    OUT_F64(THREAD, since, "since", "seconds that it has waited; null when that is not known"),
    OUT_STR(THREAD, cgroup, "cgroup", "its control group, when it is not the caller's"),
    OUT_STR(THREAD, outside, "live_because",
            "why it is taken as able to go on; null when it is not"),
    OUT_END,
};

static void add_number(struct buf *b, const char *key, uint64_t n)
{
    if (n == WAIT_UNKNOWN)
        buf_printf(b, ",\"%s\":null", key);
    else
        buf_printf(b, ",\"%s\":%" PRIu64, key, n);
}

static void object_json(struct buf *b, const struct wait_object *o)
{
    buf_printf(b, "{\"kind\":\"%s\",\"name\":", wait_object_kind_name(o->kind));
    esc_json(b, o->name, strlen(o->name));
    add_number(b, "inode", o->inode ? o->inode : WAIT_UNKNOWN);
    add_number(b, "used", o->used);
    add_number(b, "limit", o->limit);
    buf_add_char(b, '}');
}

static void thread_json(struct out *out, const struct wait_thread *t)
{
    struct thread_row row = {
        .pid = t->pid,
        .tid = t->tid,
        .comm = t->comm,
        .state = {t->state},
        .call = t->call,
        .direction = t->waits ? wait_direction_name(t->direction) : NULL,
        .since = t->since_ns == WAIT_UNKNOWN ? OUT_UNKNOWN_F64 : (double)t->since_ns / 1e9,
        .cgroup = t->cgroup,
        .outside = t->outside,
    };

    if (t->waits)
        object_json(&row.object_text, &t->object);
    buf_add_char(&row.wakers_text, '[');
    for (size_t i = 0; i < t->n_wakers; i++)
        buf_printf(&row.wakers_text, "%s%d", i ? "," : "", (int)t->wakers[i]);
    buf_add_char(&row.wakers_text, ']');
    row.object = t->waits ? buf_str(&row.object_text) : NULL;
    row.wakers = buf_str(&row.wakers_text);
    out_row(out, &row);
    buf_done(&row.object_text);
    buf_done(&row.wakers_text);
}

void waits_threads_json(struct out *out, const char *key, const struct wait_thread *t, size_t n)
{
    out_list_begin(out, key, waits_thread_cols, 0);
    for (size_t i = 0; i < n; i++)
        thread_json(out, &t[i]);
    out_list_end(out);
}
