/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The view of one queue: its attributes, its users and its messages, as lines that can be scrolled.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "escape.h"
#include "timefmt.h"
#include "top.h"

enum {
    MESSAGES_SHOWN = 1000,
    PREVIEW_BYTES = 1024, /* no line of a terminal shows more */
};

struct top_detail {
    struct top *top;
    struct pmq_attr attr;
    struct pmq_ref ref;
    bool openable;
    struct msgq_peeker *peeker;
    struct buf text; /* the lines; text of other processes in them is escaped */
    struct buf title;
    size_t lines;
    size_t first;
    uint64_t shown; /* number of messages shown so far during a visit */
};

int top_detail_new(struct top *t, const struct pmq_watched *q, struct top_detail **ret)
{
    struct top_detail *d = calloc(1, sizeof(*d));

    if (!d)
        return -ENOMEM;
    d->top = t;
    d->attr = q->attr;
    d->openable = pmq_watch_ref(q, &d->ref) == 0;
    *ret = d;
    top_detail_refresh(d);
    return 0;
}

void top_detail_free(struct top_detail *d)
{
    if (!d)
        return;
    msgq_peeker_free(d->peeker);
    buf_done(&d->text);
    buf_done(&d->title);
    free(d);
}

/* ---- attributes ---- */

static const char *notify_text(enum pmq_notify_method method)
{
    switch (method) {
    case PMQ_NOTIFY_NONE:
        return "nobody is registered";
    case PMQ_NOTIFY_SIGNAL:
        return "by signal";
    case PMQ_NOTIFY_SILENT:
        return "registered, silent";
    case PMQ_NOTIFY_THREAD:
        return "by thread";
    case PMQ_NOTIFY_UNKNOWN:
        break;
    }
    return "not known";
}

static void add_attr(struct top_detail *d, const struct pmq_attr *a, const struct pmq_inspect *in)
{
    struct buf *b = &d->text;
    char age[TIMEFMT_SPAN_SIZE];
    uint64_t now = timefmt_now(CLOCK_REALTIME);

    timefmt_span(age, now > a->changed ? now - a->changed : 0);
    buf_printf(b, "messages  %" PRIu64 " of %" PRIu64, a->curmsgs, a->maxmsg);
    if (a->bytes != PMQ_UNKNOWN)
        buf_printf(b, ", %" PRIu64 " bytes", a->bytes);
    buf_printf(b, "; the largest may have %" PRIu64 " bytes\n", a->msgsize);
    buf_printf(b, "owner     uid %u, gid %u, mode %04o\n", a->uid, a->gid, a->mode);
    buf_printf(b, "used      %s ago (last send or receive)\n", age);
    buf_printf(b, "notify    %s", notify_text(a->notify));
    if (a->notify_pid)
        buf_printf(b, ", pid %d", (int)a->notify_pid);
    if (a->notify == PMQ_NOTIFY_SIGNAL)
        buf_printf(b, ", signal %d", a->notify_signo);
    buf_printf(b, "\nmemory    %" PRIu64 " bytes charged", pmq_charge(a->maxmsg, a->msgsize));
    if (in)
        buf_printf(b, " to uid %u", in->charged_uid);
    if (in && in->charged_bytes != PMQ_UNKNOWN)
        buf_printf(b, ", for all its queues %" PRIu64, in->charged_bytes);
    buf_add_char(b, '\n');
}

/* ---- users ---- */

static const char *access_text(int access)
{
    return access == O_RDONLY ? "receives" : access == O_WRONLY ? "sends" : "sends and receives";
}

static void add_holders(struct buf *b, const struct pmq_info *q)
{
    buf_printf(b, "\nopen in %zu place%s\n", q->n_holders, q->n_holders == 1 ? "" : "s");
    for (size_t i = 0; i < q->n_holders; i++) {
        const struct pmq_holder *h = &q->holders[i];

        buf_printf(b, "  pid %d  ", (int)h->pid);
        esc_terminal(b, h->comm, strnlen(h->comm, sizeof(h->comm)));
        buf_printf(b, "  fd %d  %s%s\n", h->fd, access_text(h->access),
                   h->nonblock ? ", never blocks" : "");
    }
}

static void add_waiters(struct buf *b, const struct pmq_waiter *v, size_t n)
{
    char span[TIMEFMT_SPAN_SIZE];

    buf_printf(b, "\n%zu thread%s blocked\n", n, n == 1 ? "" : "s");
    for (size_t i = 0; i < n; i++) {
        const struct pmq_waiter *w = &v[i];

        if (w->pid)
            buf_printf(b, "  pid %d  tid %d  ", (int)w->pid, (int)w->tid);
        else
            buf_add_str(b, "  in another pid namespace  ");
        esc_terminal(b, w->comm, strnlen(w->comm, sizeof(w->comm)));
        buf_add_str(b, w->direction == PMQ_SEND ? "  in send" : "  in receive");
        if (w->since != PMQ_UNKNOWN) {
            timefmt_span(span, w->since);
            buf_printf(b, " for %s", span);
        }
        buf_add_char(b, '\n');
    }
}

static const struct pmq_info *find(const struct top_detail *d, const struct pmq_set *set)
{
    for (size_t i = 0; i < set->n; i++)
        if (set->v[i].attr.dev == d->attr.dev && set->v[i].attr.ino == d->attr.ino)
            return &set->v[i];
    return NULL;
}

/*
 * Adds the processes that have it open, and the blocked threads: from @in if BPF could read them,
 * which also tells for how long.
 */
static void add_users(struct top_detail *d, const struct pmq_set *set, const struct pmq_inspect *in)
{
    const struct pmq_info *q = find(d, set);

    if (q)
        add_holders(&d->text, q);
    if (in)
        add_waiters(&d->text, in->waiters, in->n_waiters);
    else if (q)
        add_waiters(&d->text, q->waiters, q->n_waiters);
    if (set->note[0])
        buf_printf(&d->text, "  (%s)\n", set->note);
}

/* ---- messages ---- */

static int add_message(const struct msgq_message *m, void *ctx)
{
    struct top_detail *d = ctx;
    struct buf *b = &d->text;

    if (d->shown == MESSAGES_SHOWN) {
        buf_add_str(b, "  … and more\n");
        return 1;
    }
    d->shown++;
    buf_printf(b, "%7" PRIu64 "  %8u  %6zu  ", m->index, m->priority, m->length);
    if (m->length == 0)
        buf_add_str(b, "(empty)");
    else if (esc_is_text(m->data, MIN(m->length, (size_t)PREVIEW_BYTES)))
        esc_terminal(b, m->data, MIN(m->length, (size_t)PREVIEW_BYTES));
    else
        esc_hex(b, m->data, m->length, PREVIEW_BYTES / 4);
    buf_add_char(b, '\n');
    return buf_error(b);
}

static int add_snapshot(struct top_detail *d, const struct pmq_queue *q, struct err *e)
{
    _cleanup_(msgq_snapshot_freep) struct msgq_snapshot *s = NULL;
    const struct msgq_snapshot_info *info;
    int r = 0;

    if (!d->peeker)
        r = pmq_peeker_new(&d->top->peek, &d->peeker, e);
    if (r == 0)
        r = pmq_peek(d->peeker, q, &s, e);
    if (r < 0)
        return r;
    info = msgq_snapshot_info(s);
    buf_printf(&d->text, "\nmessages in receive order (%s, %s)\n", info->backend,
               msgq_consistency_name(info->consistency));
    buf_add_str(&d->text, "  INDEX  PRIORITY  LENGTH  CONTENT\n");
    d->shown = 0;
    r = msgq_snapshot_visit(s, add_message, d, e);
    if (r == 0 && !d->shown)
        buf_add_str(&d->text, "  none\n");
    return MIN(r, 0);
}

static void add_messages(struct top_detail *d, const struct pmq_queue *q)
{
    struct err e = ERR_INIT;
    int r = add_snapshot(d, q, &e);

    if (r == 0)
        return;
    buf_add_str(&d->text, "\nmessages: ");
    esc_terminal_str(&d->text, err_text(&e, r));
    if (e.remedy[0]) {
        buf_add_str(&d->text, ": ");
        esc_terminal_str(&d->text, e.remedy);
    }
    buf_add_char(&d->text, '\n');
}

/* ---- the whole view ---- */

static int open_queue(const struct top_detail *d, struct pmq_queue **ret, struct pmq_attr *attr,
                      struct err *e)
{
    _cleanup_(pmq_queue_closep) struct pmq_queue *q = NULL;
    int r = d->openable ? pmq_queue_open(&d->ref, PMQ_OPEN_READ, &q, e) : -ENOENT;

    if (d->attr.dev & PMQ_WATCH_MORE)
        return err_set(e, r, NULL, "mqpeek %s shows its messages, mqpeek info %s all else",
                       d->attr.name, d->attr.name);

    if (r == 0)
        r = pmq_queue_attr(q, attr);
    if (r == 0 && (attr->dev != d->attr.dev || attr->ino != d->attr.ino))
        r = err_set(e, -ENOENT, NULL, "it has gone");
    if (r == 0)
        *ret = TAKE_PTR(q);
    return r;
}

void top_detail_refresh(struct top_detail *d)
{
    _cleanup_(pmq_inspect_freep) struct pmq_inspect *in = NULL;
    _cleanup_(pmq_queue_closep) struct pmq_queue *q = NULL;
    _cleanup_(pmq_set_freep) struct pmq_set *set = NULL;
    struct err e = ERR_INIT, why = ERR_INIT;
    struct pmq_attr attr;
    int r, scanned;

    /* Before this process opens the queue itself. */
    scanned = pmq_scan(PMQ_SCAN_HOLDERS | PMQ_SCAN_WAITERS | PMQ_SCAN_UNLINKED, 0, &set, &why);
    buf_clear(&d->text);
    buf_clear(&d->title);
    esc_terminal_str(&d->title, d->attr.name[0] ? d->attr.name : "(no name)");
    r = open_queue(d, &q, &attr, &e);
    if (r == 0 && d->top->inspector)
        /* if that fails, the threads found in /proc are shown */
        (void)pmq_inspector_look(d->top->inspector, q, &in, NULL);
    if (r == 0)
        add_attr(d, &attr, in);
    else
        buf_printf(&d->text, "cannot look into it: %s\n", err_text(&e, r));
    if (d->attr.dev & PMQ_WATCH_MORE)
        buf_printf(&d->text, "%" PRIu64 " messages, %" PRIu64 " bytes\n", d->attr.curmsgs,
                   d->attr.bytes);
    else if (scanned == 0)
        add_users(d, set, in);
    else
        buf_printf(&d->text, "\nwho uses it: %s\n", err_text(&why, scanned));
    if (r == 0)
        add_messages(d, q);
    d->lines = 0;
    for (size_t i = 0; i < d->text.len; i++)
        d->lines += d->text.data[i] == '\n';
}

void top_detail_scroll(struct top_detail *d, long lines)
{
    if (lines < 0)
        d->first -= MIN(d->first, (size_t)-lines);
    else
        d->first = MIN(d->first + (size_t)lines, d->lines);
}

void top_detail_draw(struct top_detail *d, struct term *term, bool paused)
{
    struct term_screen *p = term_get_screen(term);
    unsigned int rows = term_screen_rows(p), cols = term_screen_cols(p);
    size_t page = rows > 2 ? rows - 2 : 0, line = 0;
    char *at = d->text.data, *end = at + d->text.len;
    unsigned int col = 0;

    term_screen_put(p, 0, 0, TERM_REVERSE, "", cols);
    if (paused)
        col = term_screen_put(p, 0, 0, TERM_REVERSE, "PAUSED  ", 0);
    term_screen_put(p, 0, col, TERM_REVERSE, buf_str(&d->title), 0);
    d->first = MIN(d->first, d->lines > page ? d->lines - page : 0);
    while (at && at < end && line < d->first + page) {
        char *nl = memchr(at, '\n', (size_t)(end - at));

        if (!nl)
            break;
        *nl = '\0';
        if (line >= d->first)
            term_screen_put(p, 1 + (unsigned int)(line - d->first), 0, TERM_PLAIN, at, 0);
        *nl = '\n';
        line++;
        at = nl + 1;
    }
    if (rows > 1)
        term_screen_put(p, rows - 1, 0, TERM_DIM, "q back  up down scroll  space pause", 0);
}
