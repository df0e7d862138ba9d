/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A System V queue as the kernel tells it to those who may read it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <unistd.h>

#include "cleanup.h"
#include "ipcns.h"
#include "realuser.h"
#include "sysv.h"
#include "sysv_attr.h"
#include "timefmt.h"

int sysv_explain(int r, struct err *e)
{
    switch (r) {
    case -ENOENT:
    case -EINVAL:
        return err_set(e, -ENOENT, "ipcs -q shows those there are", "no such queue");
    case -EIDRM:
        return err_set(e, -ENOENT, NULL, "the queue was removed");
    case -EACCES:
        return err_set(e, r, "only its owner, and whom its mode lets in, may",
                       "its mode does not permit it");
    case -EPERM:
        return err_set(e, r, "run as one of them, or as root",
                       "only the queue's owner and its creator may");
    case -ENOSYS:
        return err_set(e, r, "use a kernel built with CONFIG_SYSVIPC",
                       "this kernel has no System V message queues");
    default:
        return err_set(e, r, NULL, "%s", err_text(NULL, r));
    }
}

int sysv_find(const struct sysv_ref *ref, struct err *e)
{
    int id;

    if (!ref->by_key)
        return ref->id;
    id = msgget((key_t)ref->key, 0);
    return id < 0 ? sysv_explain(-errno, e) : id;
}

void sysv_attr_from(int id, const struct msqid_ds *ds, struct sysv_attr *out)
{
    *out = (struct sysv_attr){
        .id = id,
        .key = (uint32_t)ds->msg_perm.__key,
        .uid = ds->msg_perm.uid,
        .gid = ds->msg_perm.gid,
        .cuid = ds->msg_perm.cuid,
        .cgid = ds->msg_perm.cgid,
        .mode = ds->msg_perm.mode & 0777,
        .depth = ds->msg_qnum,
        .bytes = ds->__msg_cbytes,
        .limit = ds->msg_qbytes,
        .lspid = ds->msg_lspid,
        .lrpid = ds->msg_lrpid,
        .stime = (uint64_t)ds->msg_stime * NSEC_PER_SEC,
        .rtime = (uint64_t)ds->msg_rtime * NSEC_PER_SEC,
        .ctime = (uint64_t)ds->msg_ctime * NSEC_PER_SEC,
    };
}

int sysv_may_read(int id, struct err *e)
{
    struct realuser rights;
    struct msqid_ds ds;
    struct msgbuf none;
    int r = realuser_enter(&rights);

    if (r < 0)
        return r;
    if (msgctl(id, IPC_STAT, &ds) < 0)
        r = -errno;
    /* Behind the last message, which is told only to those who may read the others. */
    else if (msgrcv(id, &none, 0, LONG_MAX, MSG_COPY | IPC_NOWAIT) < 0 && errno != ENOMSG &&
             errno != ENOSYS)
        r = -errno;
    realuser_leave(&rights);
    return r < 0 ? sysv_explain(r, e) : 0;
}

static int go_there(pid_t pid, struct sysv_there *there, struct err *e)
{
    _cleanup_(closep) int ns = -1;
    struct realuser rights;
    int r = ipcns_open(pid, &ns, e);

    if (r < 0 || ns < 0)
        return r;
    there->home = open("/proc/thread-self/ns/ipc", O_RDONLY | O_CLOEXEC);
    if (there->home < 0)
        return -errno;
    r = realuser_enter(&rights);
    if (r == 0)
        r = ipcns_enter(ns);
    realuser_leave(&rights);
    return r == -EPERM ? ipcns_denied(pid, e) : r;
}

int sysv_open(const struct sysv_ref *ref, struct sysv_queue *q, struct sysv_there *there,
              struct err *e)
{
    int r = 0, id;

    there->home = -1;
    if (ref->pid)
        r = go_there(ref->pid, there, e);
    id = r < 0 ? r : sysv_find(ref, e);
    r = id < 0 ? id : sysv_may_read(id, e);
    if (r < 0) {
        sysv_leave(there);
        return r;
    }
    q->id = id;
    sysv_ref_format(ref, q->label);
    return 0;
}

void sysv_leave(struct sysv_there *there)
{
    if (there->home < 0)
        return;
    /* Who could go there as owner of a user namespace cannot come back, but then it ends here. */
    (void)setns(there->home, CLONE_NEWIPC);
    close(there->home);
    there->home = -1;
}

int sysv_stat(int id, struct sysv_attr *out, struct err *e)
{
    struct msqid_ds ds;

    if (msgctl(id, IPC_STAT, &ds) < 0)
        return sysv_explain(-errno, e);
    sysv_attr_from(id, &ds, out);
    return 0;
}
