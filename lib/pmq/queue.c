/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An open queue: always opened for reading by this process, with its user's own rights, so that it
 * is the kernel that says who may look. Everything else works on that descriptor.
 */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cleanup.h"
#include "ipcns.h"
#include "pmq.h"
#include "pmq_attr.h"
#include "proc.h"
#include "realuser.h"
#include "timefmt.h"

struct pmq_queue {
    int fd;
    char label[PMQ_REF_SIZE];
};

static int open_flags(unsigned int flags)
{
    int access = flags & PMQ_OPEN_SEND ? O_WRONLY : flags & PMQ_OPEN_WRITE ? O_RDWR : O_RDONLY;

    return access | (flags & PMQ_OPEN_BLOCK ? 0 : O_NONBLOCK) | O_CLOEXEC;
}

int pmq_no_queues(struct err *e)
{
    return err_set(e, -ENOSYS, "use a kernel built with CONFIG_POSIX_MQUEUE",
                   "this kernel has no POSIX message queues");
}

static int explain_open(int r, unsigned int flags, struct err *e)
{
    switch (r) {
    case -ENOENT:
        return err_set(e, r, "mqpeek list shows the queues there are", "no such queue");
    case -EACCES:
        return err_set(e, r, "only its owner, and whom its mode lets in, may",
                       "not permitted to %s",
                       flags & PMQ_OPEN_SEND    ? "write it"
                       : flags & PMQ_OPEN_WRITE ? "read and write it"
                                                : "read it");
    case -ENOSYS:
        return pmq_no_queues(e);
    case -EMFILE:
    case -ENFILE:
        return err_set(e, r, "raise ulimit -n", "too many open files");
    default:
        return err_set(e, r, NULL, "%s", err_text(NULL, r));
    }
}

static int open_name(const char *name, unsigned int flags)
{
    mqd_t fd = mq_open(name, open_flags(flags));

    return fd < 0 ? -errno : (int)fd;
}

/* ---- a queue in another IPC namespace ---- */

struct name_open {
    const char *name;
    unsigned int flags;
};

static int open_name_inside(const void *ctx)
{
    const struct name_open *n = ctx;

    return open_name(n->name, n->flags);
}

static int open_pid_name(const struct pmq_ref *ref, unsigned int flags, struct err *e)
{
    const struct name_open open = {ref->name, flags};
    _cleanup_(closep) int ns = -1;
    int fd = ipcns_open(ref->pid, &ns, e);

    if (fd < 0)
        return fd;
    fd = ns < 0 ? open_name_inside(&open) : ipcns_call(ns, open_name_inside, &open);
    if (fd == -EPERM)
        return ipcns_denied(ref->pid, e);
    return fd < 0 ? explain_open(fd, flags, e) : fd;
}

static int open_ns_name(const struct pmq_ref *ref, unsigned int flags, struct err *e)
{
    const struct name_open open = {ref->name, flags};
    _cleanup_(closep) int ns = ipcns_open_path(ref->path);
    const char *remedy = geteuid() ? "run as root" : NULL;
    int fd;

    if (ns == -EINVAL)
        return err_set(e, ns, "mqpeek list -A -o +reference shows those there are",
                       "%s is not an IPC namespace", ref->path);
    if (ns < 0)
        return err_set(e, ns, ns == -ENOENT ? NULL : remedy, "%s: %s", ref->path,
                       err_text(NULL, ns));
    fd = ipcns_call(ns, open_name_inside, &open);
    if (fd == -EPERM)
        return err_set(e, fd, remedy, "not permitted to enter that IPC namespace");
    return fd < 0 ? explain_open(fd, flags, e) : fd;
}

/* ---- a descriptor of a process ---- */

int pmq_fd_is_queue(int fd)
{
    struct statfs fs;
    struct stat st;

    if (fstatfs(fd, &fs) < 0 || fstat(fd, &st) < 0)
        return -errno;
    return fs.f_type == PMQ_FS_MAGIC && S_ISREG(st.st_mode) ? 0 : -EBADF;
}

static int open_pid_fd(const struct pmq_ref *ref, unsigned int flags, struct err *e)
{
    _cleanup_(closep) int proc = proc_open(NULL);
    _cleanup_(closep) int at = -1;
    char path[64];
    int fd, r;

    if (proc < 0)
        return proc_missing(proc, e);
    /* Looked at before it is opened: to open a pipe or a device is to act on it. */
    at = proc_fd_open(proc, ref->pid, ref->fd, O_PATH);
    if (at == -ENOENT)
        return err_set(e, at, NULL, "process %d has no descriptor %d", (int)ref->pid, ref->fd);
    if (at < 0)
        return proc_refused(ref->pid, at, e);
    r = pmq_fd_is_queue(at);
    if (r == -EBADF)
        return err_set(e, -ENOENT, NULL, "descriptor %d of process %d is not a message queue",
                       ref->fd, (int)ref->pid);
    if (r < 0)
        return proc_refused(ref->pid, r, e);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", at);
    fd = open(path, open_flags(flags));
    return fd < 0 ? explain_open(-errno, flags, e) : fd;
}

/* ---- the queue ---- */

int pmq_queue_open(const struct pmq_ref *ref, unsigned int flags, struct pmq_queue **ret,
                   struct err *e)
{
    struct realuser rights;
    struct pmq_queue *q;
    int fd = -EINVAL;
    int r = realuser_enter(&rights);

    if (r < 0)
        return err_set(e, r, NULL, "cannot lay down privileges: %s", err_text(NULL, r));
    switch (ref->kind) {
    case PMQ_REF_NAME:
        fd = open_name(ref->name, flags);
        if (fd < 0)
            fd = explain_open(fd, flags, e);
        break;
    case PMQ_REF_PID_FD:
        fd = open_pid_fd(ref, flags, e);
        break;
    case PMQ_REF_PID_NAME:
        fd = open_pid_name(ref, flags, e);
        break;
    case PMQ_REF_NS_NAME:
        fd = open_ns_name(ref, flags, e);
        break;
    }
    realuser_leave(&rights);
    if (fd < 0)
        return fd;
    q = calloc(1, sizeof(*q));
    if (!q) {
        close(fd);
        return -ENOMEM;
    }
    q->fd = fd;
    pmq_ref_format(ref, q->label);
    *ret = q;
    return 0;
}

int pmq_queue_adopt(int fd, const char *label, struct pmq_queue **ret)
{
    _cleanup_(closep) int own = fd;
    struct pmq_queue *q;
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || (flags & O_ACCMODE) == O_WRONLY || pmq_fd_is_queue(fd) < 0)
        return -EBADF;
    q = calloc(1, sizeof(*q));
    if (!q)
        return -ENOMEM;
    q->fd = TAKE_FD(own);
    snprintf(q->label, sizeof(q->label), "%s", label);
    *ret = q;
    return 0;
}

int pmq_queue_reopen(const struct pmq_queue *from, unsigned int flags, struct pmq_queue **ret,
                     struct err *e)
{
    const struct pmq_ref ref = {.kind = PMQ_REF_PID_FD, .pid = getpid(), .fd = from->fd};
    int r = pmq_queue_open(&ref, flags, ret, e);

    if (r == 0)
        memcpy((*ret)->label, from->label, sizeof(from->label));
    return r;
}

void pmq_queue_close(struct pmq_queue *q)
{
    if (!q)
        return;
    close(q->fd);
    free(q);
}

void pmq_queue_closep(struct pmq_queue **q)
{
    pmq_queue_close(*q);
}

int pmq_queue_fd(const struct pmq_queue *q)
{
    return q->fd;
}

const char *pmq_queue_label(const struct pmq_queue *q)
{
    return q->label;
}

/* ---- attributes ---- */

void pmq_name_from_link(const char *link, bool unlinked, char out[PMQ_NAME_MAX + 2])
{
    static const char deleted[] = " (deleted)";
    const char *slash = strrchr(link, '/');
    size_t n = slash ? strlen(slash) : 0, tail = strlen(deleted);

    out[0] = '\0';
    if (unlinked && n > tail + 1 && !strcmp(slash + n - tail, deleted))
        n -= tail;
    if (n < 2 || n > PMQ_NAME_MAX + 1)
        return;
    memcpy(out, slash, n);
    out[n] = '\0';
}

static void read_name(int fd, bool unlinked, char out[PMQ_NAME_MAX + 2])
{
    char path[64], target[4096 + PMQ_NAME_MAX];
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    n = readlink(path, target, sizeof(target) - 1);
    target[MAX(n, 0)] = '\0';
    pmq_name_from_link(target, unlinked, out);
}

int pmq_attr_parse_line(const char *line, struct pmq_attr *out)
{
    unsigned long long bytes;
    int method, signo, pid;

    /* The kernel's own format (ipc/mqueue.c, mqueue_read_file()), from the kernel: trusted. */
    if (sscanf(line, "QSIZE:%llu NOTIFY:%d SIGNO:%d NOTIFY_PID:%d", &bytes, &method, &signo,
               &pid) != 4)
        return -EBADMSG;
    out->bytes = bytes;
    out->notify_pid = pid;
    out->notify_signo = signo;
    /* Nobody, and a SIGEV_SIGNAL (0) with signal 0 from another pid namespace, look the same. */
    if (method == SIGEV_SIGNAL)
        out->notify = pid || signo ? PMQ_NOTIFY_SIGNAL : PMQ_NOTIFY_NONE;
    else if (method == SIGEV_NONE)
        out->notify = PMQ_NOTIFY_SILENT;
    else if (method == SIGEV_THREAD)
        out->notify = PMQ_NOTIFY_THREAD;
    else
        out->notify = PMQ_NOTIFY_UNKNOWN;
    return 0;
}

int pmq_fd_attr_basic(int fd, struct pmq_attr *out)
{
    struct pmq_attr a = {.bytes = PMQ_UNKNOWN, .notify = PMQ_NOTIFY_UNKNOWN};
    struct mq_attr attr;
    struct stat st;

    if (fstat(fd, &st) < 0 || mq_getattr(fd, &attr) < 0)
        return -errno;
    a.dev = st.st_dev;
    a.ino = st.st_ino;
    a.unlinked = st.st_nlink == 0;
    a.curmsgs = (uint64_t)attr.mq_curmsgs;
    a.maxmsg = (uint64_t)attr.mq_maxmsg;
    a.msgsize = (uint64_t)attr.mq_msgsize;
    a.uid = st.st_uid;
    a.gid = st.st_gid;
    a.mode = st.st_mode & 07777;
    a.changed = timefmt_from_timespec(&st.st_mtim);
    *out = a;
    return 0;
}

int pmq_fd_attr(int fd, struct pmq_attr *out)
{
    struct pmq_attr a;
    char line[256];
    ssize_t n;
    int r = pmq_fd_attr_basic(fd, &a);

    if (r < 0)
        return r;
    n = pread(fd, line, sizeof(line) - 1, 0);
    if (n < 0)
        return -errno;
    line[n] = '\0';
    r = pmq_attr_parse_line(line, &a);
    if (r == 0)
        *out = a;
    return r;
}

int pmq_queue_attr_basic(const struct pmq_queue *q, struct pmq_attr *out)
{
    int r = pmq_fd_attr_basic(q->fd, out);

    if (r == 0)
        read_name(q->fd, out->unlinked, out->name);
    return r;
}

int pmq_queue_attr(const struct pmq_queue *q, struct pmq_attr *out)
{
    int r = pmq_fd_attr(q->fd, out);

    if (r == 0)
        read_name(q->fd, out->unlinked, out->name);
    return r;
}
