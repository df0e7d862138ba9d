/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finding the journals of interrupted drains, and finishing what they began. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "drain.h"
#include "fileio.h"
#include "pmq_journal.h"
#include "realuser.h"

/* ---- finding ---- */

/* Return: 1 with @out filled, 0 when nothing was ever taken, -errno. */
static int describe(const char *path, struct pmq_journal_info *out)
{
    const struct journal_head *h;
    struct journal j;
    int r = journal_open(path, false, &j);

    *out = (struct pmq_journal_info){.busy = r == -EBUSY};
    snprintf(out->path, sizeof(out->path), "%s", path);
    if (r == -ENODATA || r == -ENOENT)
        return 0;
    if (r < 0) /* in use, not ours to read, or damaged: it is there all the same */
        return r == -EBUSY || r == -EACCES || r == -EPERM || r == -EBADMSG ? 1 : r;
    h = journal_head(&j);
    out->readable = true;
    snprintf(out->label, sizeof(out->label), "%.*s", (int)sizeof(out->label) - 1, h->label);
    out->dev = h->dev;
    out->ino = h->ino;
    out->this_boot = journal_this_boot(h);
    out->pid = (pid_t)h->pid;
    out->started = h->started;
    out->held = j.n - j.n_sent;
    if (h->phase == JOURNAL_RECEIVING && journal_at(&j, j.end)->priority != JOURNAL_NO_PRIORITY)
        out->held++;
    journal_close(&j);
    return 1;
}

static int pending_in(bool of_root, const struct pmq_attr *attr, struct pmq_journal_info *out)
{
    char dir[PMQ_JOURNAL_PATH - 256], path[PMQ_JOURNAL_PATH];
    int r = journal_dir(of_root, dir, sizeof(dir));

    if (r == 0)
        r = journal_path(dir, attr->dev, attr->ino, path, sizeof(path));
    if (r < 0 || faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    return describe(path, out);
}

int pmq_journal_pending(const struct pmq_attr *attr, struct pmq_journal_info *out)
{
    struct realuser rights;
    int r = realuser_enter(&rights);

    if (r < 0)
        return r;
    r = pending_in(true, attr, out);
    if (r == 0 && getuid() != 0)
        r = pending_in(false, attr, out);
    realuser_leave(&rights);
    return r;
}

static int visit_named(const char *path, const char *name, pmq_journal_fn visit, void *ctx,
                       struct err *e)
{
    struct pmq_journal_info info;
    uint64_t dev, ino;
    bool this_boot;
    int r;

    if (!journal_parse_name(name, &dev, &ino, &this_boot))
        return 0;
    r = describe(path, &info);
    if (r < 0)
        return err_set(e, r, NULL, "%s: %s", path, err_text(NULL, r));
    if (r == 0)
        return 0;
    if (!info.readable) {
        info.dev = dev;
        info.ino = ino;
        info.this_boot = this_boot;
    }
    return visit(&info, ctx);
}

static int list_dir(bool of_root, pmq_journal_fn visit, void *ctx, struct err *e)
{
    char dir[PMQ_JOURNAL_PATH - 256], path[PMQ_JOURNAL_PATH];
    _cleanup_(closedirp) DIR *d = NULL;
    const char *name;
    int r = journal_dir(of_root, dir, sizeof(dir));

    if (r < 0)
        return r == -ENOTDIR ? 0 : r;
    d = opendir(dir);
    if (!d)
        return errno == ENOENT ? 0
                               : err_set(e, -errno, NULL, "%s: %s", dir, err_text(NULL, -errno));
    while (r == 0 && (name = dir_next(d, &r))) {
        snprintf(path, sizeof(path), "%s/%s", dir, name);
        r = visit_named(path, name, visit, ctx, e);
    }
    return r;
}

int pmq_journal_list(bool of_root, pmq_journal_fn visit, void *ctx, struct err *e)
{
    bool root = getuid() == 0;
    struct realuser rights;
    int r = realuser_enter(&rights);

    if (r < 0)
        return r;
    r = root || of_root ? list_dir(true, visit, ctx, e) : 0;
    if (r == 0 && !root)
        r = list_dir(false, visit, ctx, e);
    realuser_leave(&rights);
    return r;
}

/* ---- finishing ---- */

/*
 * The message that was received and not committed, if there is one. Its length is what the queue's
 * total is short of, when the counts show that nobody else was there; its bytes must agree.
 */
static void settle_receive(struct journal *j, const struct pmq_attr *now, bool same,
                           struct pmq_recovered *out)
{
    const struct journal_head *h = journal_head(j);
    const struct journal_record *r = journal_at(j, j->end);
    uint64_t length = h->bytes - j->bytes - now->bytes;

    if (r->priority == JOURNAL_NO_PRIORITY)
        return;
    if (!same || now->curmsgs + j->n + 1 != h->depth || !journal_can_be_length(j, length)) {
        length = journal_guess_length(j);
        out->guessed = true;
    }
    journal_commit(j, (size_t)length);
}

/* The message that was sent and not marked, if there is one. */
static void settle_send(struct journal *j, const struct pmq_attr *now, struct pmq_recovered *out)
{
    const struct journal_head *h = journal_head(j);
    struct journal_record *r;
    size_t at = JOURNAL_HEAD;
    uint64_t depth = now->curmsgs - h->base_depth, bytes = now->bytes - h->base_bytes;

    for (uint64_t i = 0; i < j->n_sent; i++)
        at += journal_space(journal_at(j, at)->commit - 1);
    r = journal_at(j, at);
    if (depth == j->n_sent && bytes == j->bytes_sent)
        return;
    if (j->n_sent < j->n && depth == j->n_sent + 1 && bytes == j->bytes_sent + r->commit - 1) {
        r->sent = 1;
        j->n_sent++;
        j->bytes_sent += r->commit - 1;
        return;
    }
    /* Others were there. Rather twice than lost. */
    out->uncertain = true;
}

/* Receives the rest, so that everything goes back in its order. */
static int finish_receiving(struct journal *j, const struct pmq_queue *q, struct err *e)
{
    struct journal_head *h;
    struct pmq_attr now;
    int r = pmq_queue_attr(q, &now);

    if (r == 0)
        r = journal_reserve(j, now.curmsgs, now.bytes);
    if (r < 0)
        return err_set(e, r, NULL, "no room for the rest in %s: %s", j->path, err_text(NULL, r));
    h = journal_head(j);
    h->depth = now.curmsgs + j->n;
    h->bytes = now.bytes + j->bytes;
    return drain_receive(j, pmq_queue_fd(q));
}

static int start_sending(struct journal *j, const struct pmq_queue *q)
{
    struct journal_head *h = journal_head(j);
    struct pmq_attr now;
    int r = pmq_queue_attr(q, &now);

    if (r < 0)
        return r;
    h->base_depth = now.curmsgs - j->n_sent;
    h->base_bytes = now.bytes - j->bytes_sent;
    __atomic_store_n(&h->phase, JOURNAL_SENDING, __ATOMIC_SEQ_CST);
    return 0;
}

static int finish(struct journal *j, const struct pmq_queue *q, const struct pmq_attr *now,
                  bool same, struct pmq_recovered *out, struct err *e)
{
    uint64_t before;
    int r = 0;

    if (journal_head(j)->phase == JOURNAL_RECEIVING) {
        settle_receive(j, now, same, out);
        if (same)
            r = finish_receiving(j, q, e);
    } else if (same) {
        settle_send(j, now, out);
    } else {
        out->uncertain = true;
    }
    if (r == 0)
        r = start_sending(j, q);
    if (r < 0)
        return r;
    before = j->n_sent;
    r = drain_send(j, pmq_queue_fd(q), e);
    out->sent = j->n_sent - before;
    return r;
}

static int recover_locked(struct journal *j, const struct pmq_queue *q, bool force,
                          struct pmq_recovered *out, struct err *e)
{
    _cleanup_(pmq_queue_closep) struct pmq_queue *own = NULL;
    const struct journal_head *h = journal_head(j);
    struct pmq_attr now;
    bool same;
    int r = pmq_queue_reopen(q, PMQ_OPEN_WRITE, &own, e);

    if (r == 0)
        r = pmq_queue_attr(own, &now);
    if (r < 0)
        return r;
    same = now.dev == h->dev && now.ino == h->ino && journal_this_boot(h);
    if (!same && !force)
        return err_set(e, -ESTALE, "--force puts the messages into this one",
                       "it is not the queue that the messages of %s come from", j->path);
    if (now.msgsize < h->msgsize)
        return err_set(e, -EMSGSIZE, NULL, "its messages are smaller than those of %s", j->path);
    if (!force) {
        r = drain_allowed(&now, e);
        if (r < 0)
            return r;
    }
    return finish(j, own, &now, same, out, e);
}

int pmq_recover(const struct pmq_queue *q, const char *path, bool force, struct pmq_recovered *out,
                struct err *e)
{
    struct realuser rights;
    struct journal j;
    sigset_t all, old;
    int r = realuser_enter(&rights);

    *out = (struct pmq_recovered){.sent = 0};
    if (r < 0)
        return r;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    r = journal_open(path, true, &j);
    if (r == -EBUSY)
        err_set(e, r, NULL, "a drain or another recovery of it is at work");
    else if (r == -EBADMSG)
        err_set(e, r, NULL, "%s is damaged", path);
    else if (r < 0 && r != -ENODATA)
        err_set(e, r, NULL, "%s: %s", path, err_text(NULL, r));
    if (r == -ENODATA)
        r = unlink(path) < 0 ? -errno : 0;
    else if (r == 0) {
        r = recover_locked(&j, q, force, out, e);
        snprintf(out->journal, sizeof(out->journal), "%s", j.path);
        journal_close(&j);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    realuser_leave(&rights);
    return r;
}
