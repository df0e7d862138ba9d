/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Recovers after a kill: a restore whose queues were all full is finished, any other is undone. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "cleanup.h"
#include "fileio.h"
#include "plan_internal.h"
#include "privileges.h"
#include "proc.h"

enum {
    DONE = 1 << 0, /* at least one queue of the journal was handled */
    KEPT = 1 << 1, /* a queue has to be tried again later */
};

struct recovery {
    void (*tell)(void *ctx, const struct msgdump_recovered *what);
    void *ctx;
    struct pmq_unfinished_set set;
};

static void tell(const struct recovery *rc, const struct pmq_unfinished *u, const char *what,
                 const char *detail)
{
    const struct msgdump_recovered told = {.name = u->name, .what = what, .detail = detail};

    if (rc->tell)
        rc->tell(rc->ctx, &told);
}

/*
 * Finds the queue that has the name now, as a path for chmod(): with mode 0000 even its owner
 * cannot open it.
 */
static int find_now(const char *name, char path[64 + PMQ_NAME_MAX], int *fd, struct stat *st)
{
    _cleanup_(closep) int at = -1;

    *fd = mq_open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (*fd >= 0) {
        snprintf(path, 64, "/proc/self/fd/%d", *fd);
        return fstat(*fd, st) < 0 ? -errno : 0;
    }
    if (errno != EACCES)
        return -errno;
    snprintf(path, 64 + PMQ_NAME_MAX, "/dev/mqueue%s", name);
    at = open(path, O_PATH | O_CLOEXEC);
    return at >= 0 && pmq_fd_is_queue(at) == 0 && fstat(at, st) == 0 ? 0 : -EACCES;
}

/* Tells whether another restore has it: as its own, or possibly while that restore is running. */
static bool is_of_another(const struct recovery *rc, const struct pmq_unfinished *u,
                          const struct stat *st)
{
    for (size_t i = 0; i < rc->set.n; i++) {
        const struct pmq_unfinished *v = &rc->set.v[i];

        if (v->journal == u->journal || !v->planned || v->ipc_ns != u->ipc_ns)
            continue;
        if (v->ino ? v->ino == st->st_ino && v->dev == st->st_dev
                   : v->running && strcmp(v->name, u->name) == 0)
            return true;
    }
    return false;
}

/*
 * Tells whether the restore created it: by its identity, or, if that was not noted yet, because it
 * has no mode.
 */
static bool is_ours(const struct recovery *rc, const struct pmq_unfinished *u,
                    const struct stat *st)
{
    if (u->ino)
        return st->st_ino == u->ino && st->st_dev == u->dev;
    return u->planned && (st->st_mode & 07777) == 0 && !is_of_another(rc, u, st);
}

/*
 * Reports the result for a queue, and the file of the queue that it replaced; @why: the reason if
 * it failed.
 */
static void tell_with_saved(const struct recovery *rc, const struct pmq_unfinished *u,
                            const char *what, const char *why)
{
    _cleanup_(freep) char *detail = NULL;

    if (asprintf(&detail, "%s%swhat it replaced is in %s", why, why[0] ? "; " : "", u->replaces) <
        0)
        detail = NULL;
    tell(rc, u, what, detail ? detail : u->replaces);
}

/* Return: whether nothing is left to be done. */
static bool finish(const struct recovery *rc, const struct pmq_unfinished *u)
{
    char path[64 + PMQ_NAME_MAX];
    _cleanup_(closep) int fd = -1;
    struct stat st;
    int r = find_now(u->name, path, &fd, &st);
    bool ready = r == 0 && (!is_ours(rc, u, &st) || (st.st_mode & 07777) != 0);

    if (r == 0 && !ready && chmod(path, u->mode) < 0)
        r = -errno;
    if (r == -ENOENT)
        return true;
    if (r < 0)
        tell(rc, u, "not finished", strerrordesc_np(-r));
    else if (u->replaces)
        tell_with_saved(rc, u, "finished", "");
    else if (!ready)
        tell(rc, u, "finished", "");
    return r == 0;
}

/* Return: whether nothing is left to be done. */
static bool put_back(const struct recovery *rc, const struct pmq_unfinished *u)
{
    struct err e = ERR_INIT;
    int r = msgdump_put_back(u->replaces, &e);

    if (r < 0)
        tell_with_saved(rc, u, "not put back", err_text(&e, r));
    else
        tell(rc, u, "put back", "");
    return r == 0;
}

/*
 * Tells whether it is the queue that @u replaced, put back by a restore that was killed at its very
 * end.
 */
static bool is_put_back(const struct recovery *rc, const struct pmq_unfinished *u,
                        const struct stat *st)
{
    for (size_t i = 0; i < rc->set.n; i++) {
        const struct pmq_unfinished *v = &rc->set.v[i];

        if (v->filled && v->from && strcmp(v->from, u->replaces) == 0 && v->ino == st->st_ino &&
            v->dev == st->st_dev)
            return true;
    }
    return false;
}

/*
 * @r is the reason why the name is not free, @st describes the queue that has it. Return: whether
 * nothing is left to be done.
 */
static bool leave_saved(const struct recovery *rc, const struct pmq_unfinished *u, int r,
                        const struct stat *st)
{
    bool is_old = u->old_ino && st->st_ino == u->old_ino && st->st_dev == u->old_dev;

    /*
     * The restore was killed before the old queue was unlinked, or after it was put back: the saved
     * file is a superfluous copy.
     */
    if (r == 0 && (is_old || is_put_back(rc, u, st))) {
        unlink(u->replaces);
        return true;
    }
    tell_with_saved(rc, u, "not put back",
                    r < 0 ? strerrordesc_np(-r) : "another queue has its name");
    return false;
}

/* Return: whether nothing is left to be done. */
static bool remove_made(const struct recovery *rc, const struct pmq_unfinished *u)
{
    char path[64 + PMQ_NAME_MAX];
    _cleanup_(closep) int fd = -1;
    struct stat st = {0};
    bool ours;
    int r;

    /* An earlier recovery came this far: the queue with this name is the one that was replaced. */
    if (u->replaces && access(u->replaces, F_OK) < 0 && errno == ENOENT)
        return true;
    r = find_now(u->name, path, &fd, &st);
    /* A queue that can be neither opened nor inspected by its owner has mode 0000. */
    ours = r == 0 ? is_ours(rc, u, &st) : u->planned && r == -EACCES && geteuid() != 0;

    if (ours) {
        r = mq_unlink(u->name) < 0 ? -errno : -ENOENT;
        tell(rc, u, r == -ENOENT ? "removed" : "not removed",
             r == -ENOENT ? "" : strerrordesc_np(-r));
        if (r != -ENOENT)
            return false;
    }
    if (u->replaces)
        return r == -ENOENT ? put_back(rc, u) : leave_saved(rc, u, r, &st);
    if (r == 0 || r == -ENOENT)
        return true;
    tell(rc, u, "not removed", strerrordesc_np(-r));
    return false;
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

static bool recover_one(const struct recovery *rc, const struct pmq_unfinished *u)
{
    if (u->append)
        tell_append(rc, u);
    else if (u->filled)
        return finish(rc, u);
    else
        return remove_made(rc, u);
    return true;
}

/* ---- namespaces that are gone ---- */

struct search {
    uint64_t ipc_ns;
    bool found; /* it is there, or may be: some process cannot be inspected */
};

static int look_at_process(pid_t pid, void *ctx)
{
    struct search *s = ctx;
    char path[64];
    struct stat st;

    snprintf(path, sizeof(path), "/proc/%d/ns/ipc", (int)pid);
    if (stat(path, &st) == 0)
        s->found |= st.st_ino == s->ipc_ns;
    else
        s->found |= errno != ENOENT && errno != ESRCH;
    return s->found;
}

/*
 * Tells whether no process is in the namespace, and no mount keeps it. Only a caller that sees
 * every process can know: root in the first user namespace and the first pid namespace, which has a
 * fixed number.
 */
static bool is_gone(uint64_t ipc_ns)
{
    static const ino_t first_pid_namespace = 0xeffffffc;
    _cleanup_(buf_done) struct buf mounts = BUF_INIT;
    _cleanup_(closep) int proc = proc_open(NULL);
    struct search s = {.ipc_ns = ipc_ns};
    char name[40];
    struct stat st;

    if (geteuid() != 0 || !privileges_of_machine() || proc < 0 ||
        stat("/proc/self/ns/pid", &st) < 0 || st.st_ino != first_pid_namespace ||
        file_read(AT_FDCWD, "/proc/self/mountinfo", 64 << 20, &mounts) < 0)
        return false;
    snprintf(name, sizeof(name), " ipc:[%" PRIu64 "] ", ipc_ns);
    return !strstr(buf_str(&mounts), name) && proc_visit_pids(proc, look_at_process, &s) == 0 &&
           !s.found;
}

/*
 * The queues ended with their namespace. A saved queue that was replaced belongs to the user and
 * stays.
 */
static void give_up(const struct recovery *rc, const struct pmq_unfinished *u)
{
    if (u->replaces)
        tell_with_saved(rc, u, "no process is in its IPC namespace any more", "");
}

static void tell_elsewhere(const struct recovery *rc, const struct pmq_unfinished *u)
{
    char what[64];
    const struct msgdump_recovered told = {
        .name = u->name,
        .what = what,
        .detail = "it is recovered there (nsenter -t PID -i mqdump restore --recover)",
        .elsewhere = true,
    };

    snprintf(what, sizeof(what), "in IPC namespace %" PRIu64, u->ipc_ns);
    if (rc->tell)
        rc->tell(rc->ctx, &told);
}

int msgdump_recover(void (*told)(void *ctx, const struct msgdump_recovered *what), void *ctx,
                    struct err *e)
{
    struct recovery rc = {.tell = told, .ctx = ctx};
    uint64_t ipc_ns = pmq_own_ipc_ns();
    unsigned char *state;
    int r = pmq_unfinished_read(true, &rc.set, e);

    if (r < 0)
        return r;
    state = calloc(rc.set.n_journals + 1, sizeof(*state));
    /*
     * Restores that replaced a queue are handled last: if putting that queue back was killed too,
     * its incomplete copy, which is in another journal, must be removed first.
     */
    for (int replaced = 0; state && replaced < 2; replaced++) {
        for (size_t i = 0; i < rc.set.n; i++) {
            const struct pmq_unfinished *u = &rc.set.v[i];

            if (u->running || (u->replaces != NULL) != replaced)
                continue;
            if (u->ipc_ns == ipc_ns) {
                state[u->journal] |= recover_one(&rc, u) ? DONE : KEPT;
            } else if (is_gone(u->ipc_ns)) {
                give_up(&rc, u);
                state[u->journal] |= DONE;
            } else {
                tell_elsewhere(&rc, u);
            }
        }
    }
    for (size_t i = 0; state && i < rc.set.n_journals; i++)
        if (state[i] == DONE)
            pmq_unfinished_forget(&rc.set, i);
    r = state ? 0 : -ENOMEM;
    free(state);
    pmq_unfinished_done(&rc.set);
    return r;
}
