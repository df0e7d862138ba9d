/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Words for threads, their waits, and what to do about them. */
#include "stuck_words.h"

#include <inttypes.h>
#include <string.h>

#include "cleanup.h"

enum { MOST_WAKERS = 5 }; /* that a line names */

void stuck_add_thread(struct buf *b, const struct wait_thread *t)
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

void stuck_add_wait(struct buf *b, const struct wait_thread *t)
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

void stuck_add_wakers(struct buf *b, const struct wait_thread *t)
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

static const char *threads_wait(size_t n, const char **verb)
{
    *verb = n == 1 ? "waits" : "wait";
    return n == 1 ? "thread" : "threads";
}

void stuck_add_headline(struct buf *b, const struct wait_finding *f)
{
    const char *verb, *noun = threads_wait(f->n, &verb);

    switch (f->kind) {
    case WAIT_STOPPED:
        buf_printf(b, "%s[%d] is ", f->stopped_comm, (int)f->stopped_pid);
        if (f->tracer)
            buf_printf(b, "stopped by process %d, which traces it", (int)f->tracer);
        else if (f->frozen)
            buf_printf(b, "frozen with the control group %s", f->frozen);
        else
            buf_add_str(b, "stopped (SIGSTOP)");
        buf_printf(b, "; %zu %s %s for it", f->n, noun, verb);
        break;
    case WAIT_DEADLOCK:
        noun = threads_wait(f->n_core, &verb);
        buf_printf(b, "%zu %s that nobody else can wake", f->n_core, noun);
        if (f->n > f->n_core)
            buf_printf(b, ", and %zu that wait for them", f->n - f->n_core);
        break;
    case WAIT_ORPHAN:
        stuck_add_thread(b, &f->threads[0]);
        buf_add_str(b, " waits for what nobody else has open");
        if (f->n > 1)
            buf_printf(b, ", and %zu wait for it", f->n - 1);
        break;
    }
}

/* Whether a shell takes it as one word, as it stands. */
static bool is_plain(const char *s)
{
    return s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._:-")] ==
           '\0';
}

static bool is_writing(const struct wait_thread *t)
{
    return t->direction == WAIT_SEND || t->direction == WAIT_WRITE;
}

/* Adds the command that shows the object. Return: false when no command does. */
static bool add_look(struct buf *b, const struct wait_thread *t)
{
    const struct wait_object *o = &t->object;

    if (!t->waits)
        return false;
    switch (o->kind) {
    case WAIT_MQ:
    case WAIT_SYSV:
        if (!o->unlinked && is_plain(o->name))
            buf_printf(b, "mqpeek %s", o->name);
        else
            buf_printf(b, "mqpeek pid:%d:%d", (int)t->pid, t->fd);
        return true;
    case WAIT_PIPE:
    case WAIT_FIFO:
    case WAIT_UNIX:
        if (t->fd >= 0)
            buf_printf(b, "fdpeek %s%d:%d", o->kind == WAIT_UNIX && is_writing(t) ? "--peer " : "",
                       (int)t->pid, t->fd);
        return t->fd >= 0;
    default:
        return false;
    }
}

static bool add_first(struct buf *b, const struct wait_finding *f)
{
    switch (f->kind) {
    case WAIT_STOPPED:
        if (f->tracer)
            buf_printf(b, "ps -o pid,args -p %d", (int)f->tracer);
        else if (f->frozen)
            buf_printf(b, "echo 0 >%s/cgroup.freeze", f->frozen);
        else
            buf_printf(b, "kill -CONT %d", (int)f->stopped_pid);
        return true;
    default:
        buf_printf(b, "ipcbox stuck %d", (int)f->threads[0].pid);
        return true;
    }
}

bool stuck_add_advice(struct buf *b, const struct wait_finding *f, size_t at)
{
    if (at == 0)
        return add_first(b, f);
    return at == 1 && f->n && add_look(b, &f->threads[0]);
}
