/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A System V queue as the kernel tells it to those who may read it. */
#include <errno.h>
#include <sys/ipc.h>
#include <sys/msg.h>

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

int sysv_stat(int id, struct sysv_attr *out, struct err *e)
{
    struct msqid_ds ds;

    if (msgctl(id, IPC_STAT, &ds) < 0)
        return sysv_explain(-errno, e);
    sysv_attr_from(id, &ds, out);
    return 0;
}
