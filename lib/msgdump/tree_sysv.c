/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * System V queues in an IPC namespace that is checkpointed with its processes. criu itself restores
 * them: as root, with the limit of a new queue, and with messages of 8192 bytes at most. Queues
 * that would not be restored as they were are refused here.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <unistd.h>

#include "cleanup.h"
#include "ipcns.h"
#include "msgdump_criu.h"
#include "proc.h"
#include "sysv.h"

enum { MESSAGE_MAX = 8192 }; /* MSGMAX of criu's ipc_ns.c */

/* Results of the child that enters the namespace, in shared memory. */
struct seen {
    struct msgdump_tree_sysv sysv;
    struct err e;
};

/* Reads copies of the messages (MSG_COPY): a message that does not fit is not copied. */
static int check_messages(const struct sysv_attr *a, struct err *e)
{
    struct {
        long type;
        char data[MESSAGE_MAX];
    } *m = malloc(sizeof(*m));
    int r = m ? 0 : -ENOMEM;

    for (long i = 0; r == 0 && a->bytes > MESSAGE_MAX; i++) {
        if (msgrcv(a->id, m, MESSAGE_MAX, i, MSG_COPY | IPC_NOWAIT) >= 0)
            continue;
        if (errno == ENOMSG)
            break;
        r = errno == E2BIG
                ? err_set(e, -EOPNOTSUPP, "have it received before",
                          "sysv:%d has a message of more than %d bytes, which criu cannot restore",
                          a->id, MESSAGE_MAX)
                : err_set(e, -errno, NULL, "sysv:%d: its messages cannot be seen: %s", a->id,
                          strerrordesc_np(errno));
    }
    free(m);
    return r;
}

static int check_queue(const struct sysv_attr *a, uint64_t msgmnb, struct err *e)
{
    char remedy[96];

    snprintf(remedy, sizeof(remedy), "in its IPC namespace: mqctl set sysv:%d --limit %" PRIu64,
             a->id, msgmnb);
    if (a->limit != msgmnb)
        return err_set(e, -EOPNOTSUPP, remedy,
                       "sysv:%d has a limit of %" PRIu64 " bytes, and criu would give it %" PRIu64,
                       a->id, a->limit, msgmnb);
    if (MAX(a->bytes, a->depth) > a->limit)
        return err_set(e, -EOPNOTSUPP, "have some received before",
                       "sysv:%d holds more than its limit, which criu cannot restore", a->id);
    if ((a->cuid && a->cuid != a->uid) || (a->cgid && a->cgid != a->gid))
        return err_set(e, -EOPNOTSUPP, NULL,
                       "sysv:%d was created by %u:%u and belongs to %u:%u: criu would take the "
                       "creator's rights away",
                       a->id, a->cuid, a->cgid, a->uid, a->gid);
    return check_messages(a, e);
}

static int look_inside(void *ctx)
{
    struct seen *seen = ctx;
    _cleanup_(sysv_set_freep) struct sysv_set *set = NULL;
    struct sysv_limits l;
    int r = sysv_supported() ? sysv_list(false, &set, &seen->e) : 0;

    sysv_limits_read(&l);
    for (size_t i = 0; set && i < set->n && r == 0; i++) {
        const struct sysv_attr *a = &set->v[i].attr;

        seen->sysv.n++;
        seen->sysv.creators += a->cuid || a->cgid;
        r = check_queue(a, l.msgmnb, &seen->e);
    }
    return r;
}

int msgdump_tree_sysv(const struct msgdump_tree *t, struct msgdump_tree_sysv *out, struct err *e)
{
    _cleanup_(closep) int proc = -1, ns = -1;
    struct seen *seen;
    int r;

    *out = (struct msgdump_tree_sysv){0};
    if (!t->ipc_ns)
        return 0;
    proc = proc_open(NULL);
    ns = proc < 0 ? proc : proc_ns_open(proc, t->root, "ipc");
    if (ns < 0)
        return err_set(e, ns, NULL, "its IPC namespace cannot be opened: %s", strerrordesc_np(-ns));
    seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (seen == MAP_FAILED)
        return -errno;
    r = ipcns_run(ns, look_inside, seen);
    *out = seen->sysv;
    if (r < 0 && e)
        *e = seen->e;
    munmap(seen, sizeof(*seen));
    return r;
}
