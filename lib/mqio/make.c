/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Making, changing and removing a queue: whole, or not at all. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <mqueue.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "ipcns.h"
#include "mqio.h"
#include "mqio_ops.h"

/* ---- POSIX ---- */

static int explain_make(int r, const struct mqio_make *m, struct err *e)
{
    struct pmq_limits l = {0};

    (void)pmq_limits_read(&l);
    switch (r) {
    case -EEXIST:
        return err_set(e, r, "--exist-ok takes it as it is", "it exists already");
    case -EMFILE:
        return err_set(e, r,
                       "raise ulimit -q, or remove queues; mqpeek limits shows what they cost",
                       "RLIMIT_MSGQUEUE is used up");
    case -ENOSPC:
        return err_set(e, r, "raise /proc/sys/fs/mqueue/queues_max, or remove queues",
                       "there are as many queues as queues_max allows: %" PRIu64, l.queues_max);
    case -EINVAL:
        if (m->maxmsg > l.msg_max)
            return err_set(e, r, "raise /proc/sys/fs/mqueue/msg_max",
                           "--maxmsg is above msg_max, which is %" PRIu64, l.msg_max);
        if (m->msgsize > l.msgsize_max)
            return err_set(e, r, "raise /proc/sys/fs/mqueue/msgsize_max",
                           "--msgsize is above msgsize_max, which is %" PRIu64, l.msgsize_max);
        return r;
    default:
        return r;
    }
}

static int make_posix(const struct mqio_make *m, struct err *e)
{
    struct pmq_limits l = {0};
    struct mq_attr attr;
    mode_t mask;
    mqd_t fd;

    (void)pmq_limits_read(&l);
    attr = (struct mq_attr){
        .mq_maxmsg = (long)(m->maxmsg ? m->maxmsg : MIN(l.msg_default, l.msg_max)),
        .mq_msgsize = (long)(m->msgsize ? m->msgsize : MIN(l.msgsize_default, l.msgsize_max)),
    };
    mask = umask(0);
    fd = mq_open(m->ref.posix.name, O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC, m->mode, &attr);
    umask(mask);
    if (fd >= 0) {
        mq_close(fd);
        return 0;
    }
    return errno == EEXIST && m->exist_ok ? 1 : explain_make(-errno, m, e);
}

/* Who may only write it, opens it for that. */
static int set_posix(const struct pmq_ref *ref, const struct mqio_change *c, struct err *e)
{
    _cleanup_(pmq_queue_closep) struct pmq_queue *q = NULL;
    int r = pmq_queue_open(ref, PMQ_OPEN_READ, &q, e), fd;
    struct stat st;

    if (r == -EACCES && pmq_queue_open(ref, PMQ_OPEN_SEND, &q, NULL) == 0)
        r = 0;
    if (r < 0)
        return r;
    fd = pmq_queue_fd(q);
    if (fstat(fd, &st) < 0)
        return -errno;
    /* The mode last: who gives a queue away may change it no more, but an owner that stays can. */
    if (c->mode != UINT32_MAX && fchmod(fd, c->mode) < 0)
        return err_set(e, -errno, "run as its owner, or as root", "only its owner may");
    if ((c->uid != UINT32_MAX || c->gid != UINT32_MAX) && fchown(fd, c->uid, c->gid) < 0) {
        r = -errno;
        (void)fchmod(fd, st.st_mode & 07777);
        return err_set(e, r, "run as root", "not permitted to give it to them");
    }
    return 0;
}

static int unlink_inside(void *name)
{
    return mq_unlink(name) < 0 ? -errno : 0;
}

static int remove_posix(const struct pmq_ref *ref, struct err *e)
{
    _cleanup_(closep) int ns = -1;
    char name[PMQ_NAME_MAX + 2];
    int r = ref->kind == PMQ_REF_PID_NAME ? ipcns_open(ref->pid, &ns, e) : 0;

    if (ref->kind == PMQ_REF_PID_FD)
        return err_set(e, -EINVAL, NULL, "a queue can only be removed by its name");
    if (r < 0)
        return r;
    memcpy(name, ref->name, sizeof(name));
    r = ns < 0 ? unlink_inside(name) : ipcns_run(ns, unlink_inside, name);
    if (r == -ENOENT)
        return err_set(e, r, "mqpeek list shows the queues there are", "no such queue");
    if (r == -EACCES || r == -EPERM)
        return err_set(e, r, "run as its owner, or as root", "only its owner may");
    return r;
}

/* ---- System V ---- */

static int explain_get(int r, struct err *e)
{
    struct sysv_limits l;

    switch (r) {
    case -EEXIST:
        return err_set(e, r, "--exist-ok takes it as it is",
                       "a queue with this key exists already");
    case -ENOSPC:
        sysv_limits_read(&l);
        return err_set(e, r, "raise /proc/sys/kernel/msgmni, or remove queues",
                       "there are as many queues as msgmni allows: %" PRIu64, l.msgmni);
    default:
        return sysv_explain(r, e);
    }
}

static int apply(int id, const struct mqio_change *c, struct err *e)
{
    struct sysv_limits l;
    struct msqid_ds ds;

    if (msgctl(id, IPC_STAT, &ds) < 0)
        return sysv_explain(-errno, e);
    if (c->uid != UINT32_MAX)
        ds.msg_perm.uid = c->uid;
    if (c->gid != UINT32_MAX)
        ds.msg_perm.gid = c->gid;
    if (c->mode != UINT32_MAX)
        ds.msg_perm.mode = (__typeof__(ds.msg_perm.mode))c->mode;
    if (c->limit != UINT64_MAX)
        ds.msg_qbytes = c->limit;
    if (msgctl(id, IPC_SET, &ds) == 0)
        return 0;
    sysv_limits_read(&l);
    if (errno == EPERM && c->limit != UINT64_MAX && c->limit > l.msgmnb)
        return err_set(e, -EPERM, "run with CAP_SYS_RESOURCE, or raise /proc/sys/kernel/msgmnb",
                       "a limit above msgmnb, which is %" PRIu64 ", takes privilege", l.msgmnb);
    return sysv_explain(-errno, e);
}

static int make_sysv(const struct mqio_make *m, int *ret, struct err *e)
{
    const struct mqio_change change = {UINT32_MAX, UINT32_MAX, m->mode, m->limit};
    key_t key = m->private ? IPC_PRIVATE : (key_t)m->ref.sysv.key;
    bool limited = m->limit != UINT64_MAX;
    /* Who gives it its limit must be able to read it. */
    int id = msgget(key, IPC_CREAT | IPC_EXCL | (int)m->mode | (limited ? 0400 : 0));
    int r;

    if (id < 0 && errno == EEXIST && m->exist_ok) {
        id = msgget(key, 0);
        if (id >= 0) {
            *ret = id;
            return 1;
        }
    }
    if (id < 0)
        return explain_get(-errno, e);
    r = limited ? apply(id, &change, e) : 0;
    if (r < 0)
        (void)msgctl(id, IPC_RMID, NULL);
    else
        *ret = id;
    return r;
}

struct on_sysv {
    const struct sysv_ref *ref;
    const struct mqio_change *change; /* NULL: remove it */
    struct err *e;
};

static int do_sysv(void *argp)
{
    const struct on_sysv *a = argp;
    int id = sysv_find(a->ref, a->e);

    if (id < 0)
        return id;
    if (a->change)
        return apply(id, a->change, a->e);
    return msgctl(id, IPC_RMID, NULL) < 0 ? sysv_explain(-errno, a->e) : 0;
}

static int on_sysv(const struct sysv_ref *ref, const struct mqio_change *change, struct err *e)
{
    struct on_sysv a = {ref, change, e};
    _cleanup_(closep) int ns = -1;
    int r = ref->pid ? ipcns_open(ref->pid, &ns, e) : 0;

    if (r < 0)
        return r;
    if (ns < 0)
        return do_sysv(&a);
    r = ipcns_run(ns, do_sysv, &a);
    return r < 0 ? sysv_explain(r, e)
                 : 0; /* the child's reason does not come back, its errno does */
}

/* ---- either ---- */

int mqio_make(const struct mqio_make *make, int *id, struct err *e)
{
    int r = mqio_as_real_user(e);

    if (r < 0)
        return r;
    return make->ref.is_sysv ? make_sysv(make, id, e) : make_posix(make, e);
}

int mqio_set(const struct mqio_ref *ref, const struct mqio_change *change, struct err *e)
{
    int r = mqio_as_real_user(e);

    if (r < 0)
        return r;
    return ref->is_sysv ? on_sysv(&ref->sysv, change, e) : set_posix(&ref->posix, change, e);
}

int mqio_remove(const struct mqio_ref *ref, struct err *e)
{
    int r = mqio_as_real_user(e);

    if (r < 0)
        return r;
    return ref->is_sysv ? on_sysv(&ref->sysv, NULL, e) : remove_posix(&ref->posix, e);
}
