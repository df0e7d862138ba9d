/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The names of queues: those of the caller's IPC namespace from the mount at /dev/mqueue if that
 * shows it, which is proven and not assumed, else, and for other namespaces, from a mount of our
 * own that appears nowhere.
 */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cleanup.h"
#include "fileio.h"
#include "ipcns.h"
#include "pmq_attr.h"
#include "proc.h"
#include "queuedir.h"
#include "scan.h"
#include "timefmt.h"

enum {
    PROOFS_MAX = 64, /* names by which a mount is recognised */
    OPEN_FLAGS = O_RDONLY | O_NONBLOCK | O_CLOEXEC,
};

/* The first IPC namespace: PROC_IPC_INIT_INO of the kernel. */
#define INITIAL_IPC_NS UINT64_C(0xEFFFFFFF)

static int add_space(struct scan *s, const struct space *space)
{
    struct space *v = reallocarray(s->spaces, s->n_spaces + 1, sizeof(*v));

    if (!v)
        return -ENOMEM;
    s->spaces = v;
    v[s->n_spaces++] = *space;
    return 0;
}

const struct space *scan_space_of(const struct scan *s, uint64_t dev)
{
    for (size_t i = 0; i < s->n_spaces; i++)
        if (s->spaces[i].dev == dev)
            return &s->spaces[i];
    return NULL;
}

static bool is_known(const struct scan *s, uint64_t ino)
{
    for (size_t i = 0; i < s->n_spaces; i++)
        if (s->spaces[i].ino == ino)
            return true;
    return false;
}

/* ---- names ---- */

static void attr_from_stat(const struct stat *st, struct pmq_attr *out)
{
    *out = (struct pmq_attr){
        .dev = st->st_dev,
        .ino = st->st_ino,
        .unlinked = !st->st_nlink,
        .curmsgs = PMQ_UNKNOWN,
        .maxmsg = PMQ_UNKNOWN,
        .msgsize = PMQ_UNKNOWN,
        .bytes = PMQ_UNKNOWN,
        .uid = st->st_uid,
        .gid = st->st_gid,
        .mode = st->st_mode & 07777,
        .changed = timefmt_from_timespec(&st->st_mtim),
        .notify = PMQ_NOTIFY_UNKNOWN,
    };
}

int scan_look_at(int dir, const char *name, struct pmq_info *q)
{
    _cleanup_(closep) int fd = openat(dir, name, OPEN_FLAGS);
    struct stat st;

    q->known = fd >= 0;
    if (fd >= 0)
        return pmq_fd_attr(fd, &q->attr);
    if (errno != EACCES && errno != EPERM)
        return -errno;
    if (fstatat(dir, name, &st, 0) < 0)
        return -errno;
    attr_from_stat(&st, &q->attr);
    return 0;
}

static int add_named(struct scan *s, int dir, const char *name, const struct space *space)
{
    struct pmq_info q = {.ipc_ns = space->ino, .ns_pid = space->pid, .ns_path = space->path};
    int r = scan_look_at(dir, name, &q);

    if (r == -ENOENT)
        return 0; /* unlinked meanwhile */
    if (r < 0)
        return r;
    snprintf(q.attr.name, sizeof(q.attr.name), "/%s", name);
    return set_find(&s->b, q.attr.dev, q.attr.ino) ? 0 : set_add(&s->b, &q);
}

/* Takes over @dir. */
static int list_names(struct scan *s, int dir, struct space *space)
{
    _cleanup_(closedirp) DIR *d = fdopendir(dir);
    const char *name;
    struct stat st;
    int r = 0;

    if (!d || fstat(dir, &st) < 0) {
        r = -errno;
        if (!d)
            close(dir);
        return r;
    }
    space->dev = st.st_dev;
    rewinddir(d);
    while (r == 0 && (name = dir_next(d, &r)))
        r = add_named(s, dirfd(d), name, space);
    return r;
}

enum verdict { OWN, FOREIGN, UNPROVEN };

bool scan_is_own(const char *name, uint64_t dev, uint64_t ino)
{
    _cleanup_(closep) int fd = mq_open(name, OPEN_FLAGS);
    struct stat st;

    return fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

/*
 * Whose queues a mount shows: mq_open() goes by the caller's namespace, so a name of the mount must
 * lead it to the same file system. Where none may be opened, that all exist must do. A mount
 * without queues proves nothing.
 */
static enum verdict whose(int dir)
{
    _cleanup_(closedirp) DIR *d = fdopendir(dup(dir));
    struct stat here, there;
    const char *name;
    int tried = 0, r = 0;

    if (!d || fstat(dir, &here) < 0)
        return UNPROVEN;
    for (; tried < PROOFS_MAX && (name = dir_next(d, &r)); tried++) {
        _cleanup_(closep) int fd = -1;
        char path[PMQ_NAME_MAX + 2];

        snprintf(path, sizeof(path), "/%s", name);
        fd = mq_open(path, OPEN_FLAGS);
        if (fd >= 0)
            return fstat(fd, &there) == 0 && there.st_dev == here.st_dev ? OWN : FOREIGN;
        if (errno == ENOENT && fstatat(dir, name, &there, 0) == 0)
            return FOREIGN;
    }
    return r == 0 && tried ? OWN : UNPROVEN;
}

/* Not to be listed by us, or no queues at all; any other error would hide what is there. */
static bool denied(int r)
{
    return r == -EPERM || r == -EACCES || r == -ENOSYS || r == -ENODEV;
}

/* The directory of the caller's own queues. */
static int open_own(struct scan *s)
{
    _cleanup_(closep) int fd = open("/dev/mqueue", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum verdict v = FOREIGN;
    struct statfs fs;
    int dir;

    if (fd >= 0 && fstatfs(fd, &fs) == 0 && fs.f_type == PMQ_FS_MAGIC)
        v = whose(fd);
    s->own_proven = v == OWN;
    if (v == OWN)
        return TAKE_FD(fd);
    dir = pmq_queuedir_open(-1);
    s->own_proven = dir >= 0;
    return dir >= 0 || v == FOREIGN ? dir : TAKE_FD(fd);
}

int scan_own_names(struct scan *s)
{
    struct space own = {0};
    int dir, r = proc_ns(s->proc, PROC_SELF, "ipc", &own.ino);

    if (r == 0)
        r = add_space(s, &own);
    if (r < 0)
        return r;
    dir = open_own(s);
    /* In the machine's first namespace /dev/mqueue shows it, as nearly everywhere. */
    s->b.set->names_complete = s->own_proven || (dir >= 0 && s->spaces->ino == INITIAL_IPC_NS);
    if (dir < 0)
        return denied(dir) ? 0 : dir;
    return list_names(s, dir, s->spaces);
}

/* ---- other namespaces ---- */

/* Lists a namespace that is not known yet. Takes over @ns. */
static int add_other(struct scan *s, const struct space *space, int ns)
{
    int dir = pmq_queuedir_open(ns);
    int r = add_space(s, space);

    close(ns);
    if (r < 0) {
        if (dir >= 0)
            close(dir);
        return r;
    }
    if (dir >= 0)
        return list_names(s, dir, &s->spaces[s->n_spaces - 1]);
    if (!denied(dir))
        return dir;
    s->denied_spaces++;
    return 0;
}

/* Of a process, or of a thread that has gone to another namespace alone. */
static int see_namespace(pid_t tid, void *ctx)
{
    struct space space = {.pid = tid};
    struct scan *s = ctx;
    int r, ns;

    r = proc_ns(s->proc, tid, "ipc", &space.ino);
    s->hidden_spaces += r == -EACCES || r == -EPERM;
    if (r < 0)
        return 0; /* or it has gone */
    if (is_known(s, space.ino))
        return 0;
    ns = proc_ns_open(s->proc, tid, "ipc");
    return ns < 0 ? 0 : add_other(s, &space, ns);
}

static int see_namespaces(pid_t pid, void *ctx)
{
    struct scan *s = ctx;
    int r = see_namespace(pid, s);

    if (r == 0 && proc_has_threads(s->proc, pid))
        r = proc_visit_tids(s->proc, pid, see_namespace, s);
    return r == -ESRCH || r == -EACCES || r == -EPERM ? 0 : r;
}

int scan_kept_names(struct scan *s, const char *link, const char *path)
{
    struct space space = {.pid = PMQ_NS_NO_PROCESS};
    int r, ns;

    if (proc_parse_ns(link, "ipc", &space.ino) < 0 || is_known(s, space.ino))
        return 0;
    ns = strlen(path) > PMQ_NS_PATH_MAX ? -ENAMETOOLONG : ipcns_open_path(path);
    if (ns < 0) {
        s->denied_spaces += ns != -ENOENT;
        return 0;
    }
    r = set_add_path(s->b.set, path, &space.path);
    if (r < 0) {
        close(ns);
        return r;
    }
    return add_other(s, &space, ns);
}

int scan_other_names(struct scan *s)
{
    return proc_visit_pids(s->proc, see_namespaces, s);
}
