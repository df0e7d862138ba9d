/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Receiving all of a queue into a journal and sending it again: the steps. */
#include "drain.h"

#include <errno.h>
#include <inttypes.h>
#include <mqueue.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "proc.h"

/* ---- who else ---- */

struct holder_search {
    int proc;
    const struct pmq_attr *queue;
    pid_t found;
    pid_t closed; /* a process that may not be looked at; 0 for none */
};

static int match_fd(const struct proc_fd *fd, void *ctx)
{
    const struct holder_search *s = ctx;
    struct stat st;

    /* A queue's link ends with its name, and " (deleted)" perhaps: most need no second look. */
    if (fd->link[0] != '/' || !strstr(fd->link, s->queue->name))
        return 0;
    return fstatat(fd->dir, fd->entry, &st, 0) == 0 && st.st_dev == s->queue->dev &&
           st.st_ino == s->queue->ino;
}

static int match_process(pid_t pid, void *ctx)
{
    struct holder_search *s = ctx;
    int r;

    if (pid == getpid())
        return 0;
    r = proc_visit_fds(s->proc, pid, match_fd, s);
    if (r > 0)
        s->found = pid;
    else if (r < 0 && r != -ESRCH && r != -ENOENT)
        s->closed = pid;
    return r > 0;
}

/* @pid: 0 for a process that is not visible here */
static int in_use(pid_t pid, const char *comm, struct err *e)
{
    static const char remedy[] = "stop it first; --force does it all the same";

    if (!pid)
        return err_set(e, -EBUSY, remedy,
                       "a process of another pid namespace (%s) has it open", comm);
    return err_set(e, -EBUSY, remedy, "process %d (%s) has it open", (int)pid, comm);
}

int drain_others(int proc, const struct pmq_attr *a, struct err *e)
{
    struct holder_search s = {.proc = proc, .queue = a};
    int r = proc_visit_pids(proc, match_process, &s);
    char comm[PROC_COMM_SIZE] = "";

    if (r < 0)
        return err_set(e, -EPERM, "--force does it all the same",
                       "cannot know whether others have it open: %s", err_text(NULL, r));
    if (s.found) {
        (void)proc_comm(proc, s.found, s.found, comm);
        return in_use(s.found, comm, e);
    }
    if (s.closed)
        return err_set(e, -EPERM, "--force does it all the same",
                       "cannot know whether others have it open: not permitted to look into "
                       "process %d",
                       (int)s.closed);
    return 0;
}

/*
 * Root of the machine asks the kernel, through BPF, where processes are hidden. Return: 0 when
 * nobody else has it open, -EBUSY when somebody has, -EPERM when the kernel cannot be asked.
 */
static int ask_kernel(const struct pmq_attr *a, struct err *e)
{
    _cleanup_(pmq_set_freep) struct pmq_set *set = NULL;

    if (pmq_scan(PMQ_SCAN_HOLDERS | PMQ_SCAN_UNLINKED | PMQ_SCAN_KERNEL, 0, &set, NULL) < 0 ||
        !set->holders_complete)
        return -EPERM;
    for (size_t i = 0; i < set->n; i++) {
        const struct pmq_info *q = &set->v[i];

        if (q->attr.dev != a->dev || q->attr.ino != a->ino)
            continue;
        for (size_t k = 0; k < q->n_holders; k++)
            if (q->holders[k].pid != getpid())
                return in_use(q->holders[k].pid, q->holders[k].comm, e);
        return 0;
    }
    return -EPERM;
}

int drain_allowed(const struct pmq_attr *a, struct err *e)
{
    _cleanup_(closep) int proc = -1;
    struct proc_view view;
    int r;

    if (a->notify != PMQ_NOTIFY_NONE)
        return err_set(e, -EBUSY, "--force does it all the same, and uses up the notification",
                       "process %d is registered to be notified of its next message",
                       (int)a->notify_pid);
    proc = proc_open(NULL);
    if (proc < 0 || proc_view(proc, &view) < 0 || !view.users || !view.namespaces)
        r = err_set(e, -EPERM, "--force does it all the same",
                    "cannot know whether others have it open: not all processes can be seen");
    else
        r = drain_others(proc, a, e);
    if (r == -EPERM) {
        int asked = ask_kernel(a, e);

        r = asked == -EPERM ? r : asked;
    }
    return r;
}

/* ---- there and back ---- */

int drain_receive(struct journal *j, int queue)
{
    const size_t msgsize = (size_t)journal_head(j)->msgsize;

    while (journal_has_room(j)) {
        struct journal_record *r = journal_at(j, j->end);
        ssize_t n;

        journal_touch(j);
        /* From here on the message is in the journal alone. */
        n = mq_receive(queue, j->map + j->end + JOURNAL_RECORD, msgsize, &r->priority);
        if (n < 0)
            return errno == EAGAIN ? 0 : -errno;
        journal_commit(j, (size_t)n);
    }
    return 0;
}

int drain_send(struct journal *j, int queue, struct err *e)
{
    size_t at = JOURNAL_HEAD;

    for (uint64_t i = 0; i < j->n; i++) {
        struct journal_record *r = journal_at(j, at);
        size_t length = r->commit - 1;

        at += journal_space(length);
        if (r->sent)
            continue;
        if (mq_send(queue, (const char *)(r + 1), length, r->priority) < 0) {
            int code = errno == EAGAIN ? -EAGAIN : -errno;

            return err_set(e, code, "make room and run: mqpeek recover",
                           "%" PRIu64 " messages cannot be put back: %s; they are kept in %s",
                           j->n - j->n_sent, code == -EAGAIN ? "it is full" : err_text(NULL, code),
                           j->path);
        }
        __atomic_store_n(&r->sent, 1, __ATOMIC_SEQ_CST);
        j->n_sent++;
        j->bytes_sent += length;
    }
    journal_remove(j);
    return 0;
}
