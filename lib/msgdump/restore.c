/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Carries out a plan. Each kind of action is a separate pass over the dump, the least reversible
 * last: create, replace, append. Then all queues get their modes.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <mqueue.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "descriptors.h"
#include "plan_internal.h"
#include "signals.h"
#include "timefmt.h"

static const char still_there[] = "what was appended stays; the rest is still in the dump";

struct pass {
    struct msgdump_plan *plan;
    enum msgdump_action action;
    size_t next; /* the item that belongs to the next queue record */
};

static bool of_pass(const struct pass *p, const struct msgdump_item *item)
{
    return item->action == p->action;
}

/* ---- making ---- */

static int make_item(struct msgdump_plan *p, struct msgdump_item *item, struct err *e)
{
    struct stat st;
    bool owned;
    int r;

    /*
     * A recovery may remove the queue that "make" names in the journal, so the old one must be
     * unlinked before that is written.
     */
    r = item->action == MSGDUMP_REPLACE ? msgdump_replace(p, item, e) : 0;
    if (r == 0 && p->opts->puts_back)
        r = pmq_restoring_from(p->journal, item->name, p->opts->puts_back);
    if (r == 0)
        r = pmq_restoring_make(p->journal, item->name, item->queue.mode);
    if (r < 0)
        return r;
    item->fd = msgdump_make(item->name, &item->queue, &owned, e);
    item->unsure = item->fd == -EIO;
    if (item->fd < 0)
        return item->fd;
    item->foreign_owner = !owned;
    if (fstat(item->fd, &st) < 0)
        return -errno;
    item->dev = st.st_dev;
    item->ino = st.st_ino;
    return pmq_restoring_made(p->journal, item->name, item->dev, item->ino);
}

static int open_for_append(struct msgdump_plan *p, struct msgdump_item *item, struct err *e)
{
    item->fd = mq_open(item->name, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (item->fd < 0)
        return err_set(e, -errno, NULL, "%s: %s", item->name, strerrordesc_np(errno));
    return pmq_restoring_append(p->journal, item->name, item->messages);
}

static int begin_queue(void *ctx, const struct msgdump_queue *q, struct err *e)
{
    struct pass *pass = ctx;
    struct msgdump_plan *p = pass->plan;
    struct msgdump_item *item;

    if (pass->next == p->n || p->items[pass->next].queue.line != q->line)
        return err_set(e, -EBADMSG, NULL, "the file has changed while it was read");
    item = &p->items[pass->next++];
    if (!of_pass(pass, item))
        return 0;
    memcpy(p->failed, item->name, strlen(item->name) + 1);
    return item->action == MSGDUMP_APPEND ? open_for_append(p, item, e) : make_item(p, item, e);
}

/* ---- filling ---- */

static bool is_interrupted(const struct msgdump_plan *p)
{
    struct pollfd signals = {.fd = p->signals, .events = POLLIN};

    return poll(&signals, 1, 0) > 0;
}

/* Waits until the queue has room. Return: 0, -ETIMEDOUT, -EINTR or -errno. */
static int wait_for_room(const struct msgdump_plan *plan, int fd)
{
    uint64_t deadline;
    struct pollfd p[] = {{.fd = fd, .events = POLLOUT}, {.fd = plan->signals, .events = POLLIN}};

    if (__builtin_add_overflow(timefmt_now(CLOCK_MONOTONIC), plan->opts->timeout, &deadline))
        deadline = UINT64_MAX;
    for (;;) {
        uint64_t now = timefmt_now(CLOCK_MONOTONIC);
        struct timespec left;

        if (now >= deadline)
            return -ETIMEDOUT;
        left = timefmt_to_timespec(deadline - now);
        if (ppoll(p, ARRAY_SIZE(p), &left, NULL) > 0)
            return p[1].revents ? -EINTR : 0;
        if (errno != EINTR && errno != 0)
            return -errno;
    }
}

static int send_one(struct msgdump_plan *p, struct msgdump_item *item, const struct msgq_message *m,
                    struct err *e)
{
    int r;

    for (;;) {
        if (mq_send(item->fd, m->data, m->length, m->priority) == 0)
            break;
        if (errno == EINTR)
            continue;
        r = -errno;
        if (r != -EAGAIN)
            return err_set(e, r, NULL, "%s: %s", item->name, err_text(NULL, r));
        if (item->action != MSGDUMP_APPEND)
            return err_set(e, -EBUSY, NULL, "%s: somebody else sends to it while it is filled",
                           item->name);
        errno = 0;
        r = wait_for_room(p, item->fd);
        if (r < 0)
            return err_set(e, r, still_there,
                           "%s %s: %" PRIu64 " of %" PRIu64 " messages were appended", item->name,
                           r == -EINTR ? "was full when this was interrupted" : "became full",
                           item->done, item->messages);
    }
    item->done++;
    return item->action == MSGDUMP_APPEND
               ? pmq_restoring_appended(p->journal, item->name, item->done)
               : 0;
}

static int fill_queue(void *ctx, const struct msgdump_queue *q, const struct msgq_message *m,
                      struct err *e)
{
    struct pass *pass = ctx;
    struct msgdump_item *item = &pass->plan->items[pass->next - 1];

    (void)q;
    if (!of_pass(pass, item))
        return 0;
    if (!is_interrupted(pass->plan))
        return send_one(pass->plan, item, m, e);
    if (item->action != MSGDUMP_APPEND)
        return err_set(e, -EINTR, NULL, "interrupted");
    return err_set(e, -EINTR, still_there,
                   "interrupted: %" PRIu64 " of %" PRIu64 " messages were appended to %s",
                   item->done, item->messages, item->name);
}

static int end_queue(void *ctx, const struct msgdump_queue *q, uint64_t messages, uint64_t bytes,
                     struct err *e)
{
    struct pass *pass = ctx;
    struct msgdump_item *item = &pass->plan->items[pass->next - 1];
    struct mq_attr attr;
    struct stat st;

    (void)q;
    (void)messages;
    (void)bytes;
    if (!of_pass(pass, item) || item->action == MSGDUMP_APPEND)
        return 0;
    if (mq_getattr(item->fd, &attr) < 0 || fstat(item->fd, &st) < 0)
        return -errno;
    if ((uint64_t)attr.mq_curmsgs != item->done || st.st_nlink == 0)
        return err_set(e, -EBUSY, NULL, "%s: somebody else has %s it while it was filled",
                       item->name, st.st_nlink == 0 ? "unlinked" : "used");
    return 0;
}

static int run_pass(struct msgdump_plan *p, enum msgdump_action action, struct err *e)
{
    static const struct msgdump_visitor visitor = {
        .queue = begin_queue, .message = fill_queue, .queue_end = end_queue};
    struct pass pass = {.plan = p, .action = action};
    struct dump_totals totals;
    bool any = false;
    int r;

    for (size_t i = 0; i < p->n && !any; i++)
        any = p->items[i].action == action;
    if (!any)
        return 0;
    r = dump_reader_rewind(p->reader, e);
    if (r == 0)
        r = msgdump_walk(p->reader, &visitor, &pass, e);
    if (r < 0)
        return r;
    dump_reader_totals(p->reader, &totals);
    if (totals.crc != p->crc || pass.next != p->n)
        return err_set(e, -EBADMSG, NULL, "the file has changed while it was read");
    return 0;
}

/* ---- publishing, or undoing ---- */

static int publish(struct msgdump_plan *p, struct err *e)
{
    int r = pmq_restoring_filled(p->journal);

    for (size_t i = 0; i < p->n && r == 0; i++) {
        const struct msgdump_item *item = &p->items[i];

        if (item->action != MSGDUMP_CREATE && item->action != MSGDUMP_REPLACE)
            continue;
        if (fchmod(item->fd, item->queue.mode) < 0)
            r = err_set(e, -errno, NULL, "%s: cannot give it its mode: %s", item->name,
                        strerrordesc_np(errno));
    }
    return r;
}

/* Removes the names of queues that had none; the descriptors keep the queues. */
static void hide_unlinked(struct msgdump_plan *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->items[i].queue.unlinked && p->items[i].ino)
            mq_unlink(p->items[i].name);
}

static bool is_made(const struct msgdump_item *item)
{
    return (item->action == MSGDUMP_CREATE || item->action == MSGDUMP_REPLACE) && item->fd >= 0;
}

/*
 * Removes the queue that was created: if the descriptor's queue still has a name, it is that one.
 */
static int unmake(const struct msgdump_item *item)
{
    struct stat st;

    if (item->unsure)
        return -EIO;
    if (!is_made(item))
        return 0;
    if (fstat(item->fd, &st) < 0 || (st.st_nlink > 0 && mq_unlink(item->name) < 0))
        return -errno;
    return 0;
}

/*
 * Return: whether the old state is restored completely; otherwise @e says what a recovery has to
 * do.
 */
static bool undo(struct msgdump_plan *p, struct err *e)
{
    bool all = true;

    /*
     * If this fails, stop: a recovery would take half undone work for complete, as the journal says
     * that it is full.
     */
    if (pmq_restoring_undo(p->journal) < 0) {
        snprintf(e->remedy, sizeof(e->remedy), "run: mqdump restore --recover");
        return false;
    }
    for (size_t i = 0; i < p->n; i++) {
        struct msgdump_item *item = &p->items[i];
        struct err why = ERR_INIT;
        int r = unmake(item);

        if (r < 0)
            snprintf(e->remedy, sizeof(e->remedy),
                     "what was made of %s could not be removed: run: mqdump restore --recover",
                     item->name);
        all &= r == 0;
        if (item->fd >= 0)
            close(TAKE_FD(item->fd));
        if (item->saved && !item->unlinked_old)
            unlink(item->saved);
        if (r < 0 || !item->unlinked_old)
            continue;
        r = msgdump_put_back(item->saved, &why);
        if (r < 0)
            snprintf(e->remedy, sizeof(e->remedy),
                     "the old %s could not be put back: %.60s; it is in %s", item->name,
                     err_text(&why, r), item->saved);
        all &= r == 0;
    }
    return all;
}

/*
 * Signals that would end the process are blocked until all is done or undone. Return: a descriptor
 * from which they are read; negative: they are not blocked.
 */
static int hold_signals(sigset_t *before)
{
    sigset_t held;
    int fd;

    signals_hold(&held, before);
    fd = signalfd(-1, &held, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        sigprocmask(SIG_SETMASK, before, NULL);
    return fd;
}

/* Signals that came meanwhile have been handled, or came too late: drop them. */
static void release_signals(int fd, const sigset_t *before)
{
    struct signalfd_siginfo info;

    while (read(fd, &info, sizeof(info)) > 0)
        ;
    close(fd);
    sigprocmask(SIG_SETMASK, before, NULL);
}

static int run_passes(struct msgdump_plan *p, struct err *e)
{
    int r = run_pass(p, MSGDUMP_CREATE, e);

    if (r == 0)
        r = run_pass(p, MSGDUMP_REPLACE, e);
    if (r == 0)
        r = run_pass(p, MSGDUMP_APPEND, e);
    if (r == 0)
        r = publish(p, e);
    if (r < 0 && !e->why[0])
        err_set(e, r, NULL, "%s: %s", p->failed, err_text(NULL, r));
    return r;
}

int msgdump_plan_run(struct msgdump_plan *p, struct err *e)
{
    struct err why = ERR_INIT;
    bool over = true;
    sigset_t before;
    int r = pmq_restoring_new(&p->journal, e);

    if (r < 0)
        return r;
    descriptors_raise_limit();
    p->signals = p->opts->puts_back ? -1 : hold_signals(&before);
    r = run_passes(p, &why);
    if (r < 0)
        over = undo(p, &why);
    else if (p->opts->hide_unlinked)
        hide_unlinked(p);
    if (r < 0 && e)
        *e = why;
    /*
     * Removed before the journal, which says that this file has been put back: after it, the file
     * would seem to hold another queue.
     */
    if (r == 0 && p->opts->puts_back)
        unlink(p->opts->puts_back);
    if (over)
        pmq_restoring_end(TAKE_PTR(p->journal));
    else
        pmq_restoring_leave(TAKE_PTR(p->journal));
    if (p->signals >= 0)
        release_signals(p->signals, &before);
    return r;
}
