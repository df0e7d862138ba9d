/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Words for threads, their waits, and what to do about them. */
#include "stuck_words.h"

#include <inttypes.h>
#include <string.h>

#include "waits.h"

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
        waits_add_thread(b, &f->threads[0]);
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
