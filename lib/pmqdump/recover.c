/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* After a kill: a restore whose queues were all full is finished, any other is undone. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <mqueue.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cleanup.h"
#include "plan_internal.h"

enum { MQUEUE_MAGIC = 0x19800202 }; /* ipc/mqueue.c */

struct recovery {
    void (*tell)(void *ctx, const struct pmqdump_recovered *what);
    void *ctx;
};

static void tell(const struct recovery *rc, const struct pmq_unfinished *u, const char *what,
                 const char *detail)
{
    const struct pmqdump_recovered told = {.name = u->name, .what = what, .detail = detail};

    if (rc->tell)
        rc->tell(rc->ctx, &told);
}

/* What has the name now, as a path that chmod() takes: its owner cannot open it with mode 0000. */
static int find_now(const char *name, char path[64 + PMQ_NAME_MAX], int *fd, struct stat *st)
{
    struct statfs fs;

    *fd = mq_open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (*fd >= 0) {
        snprintf(path, 64, "/proc/self/fd/%d", *fd);
        return fstat(*fd, st) < 0 ? -errno : 0;
    }
    if (errno != EACCES)
        return -errno;
    snprintf(path, 64 + PMQ_NAME_MAX, "/dev/mqueue%s", name);
    if (statfs(path, &fs) < 0 || fs.f_type != MQUEUE_MAGIC || stat(path, st) < 0)
        return -EACCES;
    return 0;
}

/* Whether it is what the restore made: by identity, or before that was noted by its lack of mode.
 */
static bool is_ours(const struct pmq_unfinished *u, const struct stat *st)
{
    if (u->ino)
        return st->st_ino == u->ino && st->st_dev == u->dev;
    return (st->st_mode & 07777) == 0;
}

static void finish(const struct recovery *rc, const struct pmq_unfinished *u)
{
    char path[64 + PMQ_NAME_MAX];
    _cleanup_(closep) int fd = -1;
    struct stat st;
    int r = find_now(u->name, path, &fd, &st);

    if (r == -ENOENT || (r == 0 && (!is_ours(u, &st) || (st.st_mode & 07777) != 0)))
        return;
    if (r == 0 && chmod(path, u->mode) < 0)
        r = -errno;
    tell(rc, u, r < 0 ? "not finished" : "finished", r < 0 ? strerrordesc_np(-r) : "");
}

static void put_back(const struct recovery *rc, const struct pmq_unfinished *u)
{
    struct err e = ERR_INIT;
    int r = pmqdump_put_back(u->replaces, &e);

    tell(rc, u, r < 0 ? "not put back" : "put back", r < 0 ? err_text(&e, r) : "");
}

static void remove_made(const struct recovery *rc, const struct pmq_unfinished *u)
{
    char path[64 + PMQ_NAME_MAX];
    _cleanup_(closep) int fd = -1;
    struct stat st;
    int r = find_now(u->name, path, &fd, &st);
    /* Not to be opened and not to be seen: only a queue without a mode is both, to its owner. */
    bool ours = r == 0 ? is_ours(u, &st) : r == -EACCES && geteuid() != 0;

    if (ours) {
        r = mq_unlink(u->name) < 0 ? -errno : -ENOENT;
        tell(rc, u, r == -ENOENT ? "removed" : "not removed",
             r == -ENOENT ? "" : strerrordesc_np(-r));
    }
    if (u->replaces && r == -ENOENT)
        put_back(rc, u);
}

static void tell_append(const struct recovery *rc, const struct pmq_unfinished *u)
{
    char detail[128];

    if (u->appended == u->append)
        return;
    snprintf(detail, sizeof(detail), "%" PRIu64 " or %" PRIu64 " of %" PRIu64 " messages came in",
             u->appended, u->appended + 1, u->append);
    tell(rc, u, "append interrupted", detail);
}

int pmqdump_recover(void (*told)(void *ctx, const struct pmqdump_recovered *what), void *ctx,
                    struct err *e)
{
    const struct recovery rc = {.tell = told, .ctx = ctx};
    uint64_t ipc_ns = pmq_own_ipc_ns();
    struct pmq_unfinished_set set;
    size_t last = SIZE_MAX;
    int r = pmq_unfinished_read(true, &set, e);

    if (r < 0)
        return r;
    for (size_t i = 0; i < set.n; i++) {
        const struct pmq_unfinished *u = &set.v[i];

        if (u->running || u->ipc_ns != ipc_ns)
            continue;
        if (last != u->journal && last != SIZE_MAX)
            pmq_unfinished_forget(&set, last);
        last = u->journal;
        if (u->append)
            tell_append(&rc, u);
        else if (u->filled)
            finish(&rc, u);
        else
            remove_made(&rc, u);
    }
    if (last != SIZE_MAX)
        pmq_unfinished_forget(&set, last);
    pmq_unfinished_done(&set);
    return 0;
}
