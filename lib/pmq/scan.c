/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Listing without BPF and without privilege: the names from the namespace's own file system, who
 * uses the queues (and which have no name any more) from one pass over /proc.
 */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "buf.h"
#include "cleanup.h"
#include "fileio.h"
#include "ipcns.h"
#include "pmq.h"
#include "pmq_attr.h"
#include "pmq_set.h"
#include "proc.h"
#include "realuser.h"
#include "timefmt.h"

enum {
    PROOFS_MAX = 64, /* names by which a mount is recognised */
    OPEN_FLAGS = O_RDONLY | O_NONBLOCK | O_CLOEXEC,
};

/* The first IPC namespace: PROC_IPC_INIT_INO of the kernel. */
#define INITIAL_IPC_NS UINT64_C(0xEFFFFFFF)

/* An IPC namespace that has been looked at; @dev is 0 when its queues could not be listed. */
struct space {
    uint64_t ino;
    uint64_t dev;
    pid_t pid;
};

/* A queue's descriptor in the process that is being looked at. */
struct match {
    int fd;
    uint64_t dev;
    uint64_t ino;
};

struct scan {
    unsigned int flags;
    pid_t pid;
    int proc;
    struct set_builder b;
    struct space *spaces; /* the caller's own first */
    size_t n_spaces;
    struct buf matches; /* of struct match */
    struct buf mounts;  /* where mqueue file systems are mounted: paths, each ended by a newline */
    struct pmq_holder holder;
    size_t denied;
    size_t denied_threads;
    size_t denied_spaces;
    size_t hidden_spaces;
    bool unproven;
};

static int add_space(struct scan *s, const struct space *space)
{
    struct space *v = reallocarray(s->spaces, s->n_spaces + 1, sizeof(*v));

    if (!v)
        return -ENOMEM;
    s->spaces = v;
    v[s->n_spaces++] = *space;
    return 0;
}

static const struct space *find_space(const struct scan *s, bool by_dev, uint64_t key)
{
    for (size_t i = 0; i < s->n_spaces; i++)
        if ((by_dev ? s->spaces[i].dev : s->spaces[i].ino) == key)
            return &s->spaces[i];
    return NULL;
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

/* All of a queue that the caller may read, else what stat() tells anybody. */
static int look_at(int dir, const char *name, struct pmq_info *q)
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
    struct pmq_info q = {.ipc_ns = space->ino, .ns_pid = space->pid};
    int r = look_at(dir, name, &q);

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

/*
 * Whose queues a mount shows: mq_open() goes by the caller's namespace, so a name of the mount must
 * lead it to the same file system. Where none may be opened, that all exist must do.
 */
static enum verdict whose(int dir, bool initial)
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
    return r == 0 && (tried || initial) ? OWN : UNPROVEN;
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
        v = whose(fd, s->spaces->ino == INITIAL_IPC_NS);
    if (v == OWN)
        return TAKE_FD(fd);
    dir = ipcns_list(-1);
    if (dir >= 0 || v == FOREIGN)
        return dir;
    s->unproven = true;
    return TAKE_FD(fd);
}

static int list_own(struct scan *s)
{
    int dir = open_own(s);

    s->b.set->names_complete = dir >= 0;
    if (dir < 0)
        return denied(dir) ? 0 : dir;
    return list_names(s, dir, s->spaces);
}

/* ---- other namespaces ---- */

static int see_namespace(pid_t pid, void *ctx)
{
    struct space space = {.pid = pid};
    struct scan *s = ctx;
    char path[64];
    int r, ns, dir;

    r = proc_ns(s->proc, pid, "ipc", &space.ino);
    s->hidden_spaces += r == -EACCES || r == -EPERM;
    if (r < 0)
        return 0; /* or it has gone */
    if (find_space(s, false, space.ino))
        return 0;
    snprintf(path, sizeof(path), "%d/ns/ipc", (int)pid);
    ns = openat(s->proc, path, O_RDONLY | O_CLOEXEC);
    if (ns < 0)
        return 0;
    dir = ipcns_list(ns);
    close(ns);
    if (add_space(s, &space) < 0) {
        if (dir >= 0)
            close(dir);
        return -ENOMEM;
    }
    if (dir >= 0)
        return list_names(s, dir, &s->spaces[s->n_spaces - 1]);
    if (!denied(dir))
        return dir;
    s->denied_spaces++;
    return 0;
}

/* ---- processes ---- */

/* Where the caller sees mqueue file systems mounted; only names in them can be such links. */
static void read_mounts(struct scan *s)
{
    _cleanup_(buf_done) struct buf text = BUF_INIT;
    char *line, *rest = NULL;

    if (file_read(s->proc, "self/mountinfo", 64 << 20, &text) < 0 || !text.len)
        return;
    for (line = strtok_r(text.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *word = line, *end;

        if (!strstr(line, " - mqueue "))
            continue;
        for (int i = 0; i < 4 && word; i++)
            word = strchr(word + 1, ' ');
        end = word ? strchr(word + 1, ' ') : NULL;
        if (end)
            buf_printf(&s->mounts, "%.*s\n", (int)(end - word - 1), word + 1);
    }
}

static bool is_mount(const struct scan *s, const char *path, size_t n)
{
    for (const char *m = buf_str(&s->mounts), *end; (end = strchr(m, '\n')); m = end + 1)
        if ((size_t)(end - m) == n && !memcmp(m, path, n))
            return true;
    return false;
}

/*
 * Most descriptors are not asked what they are: asking costs, and can hang on a dead network file
 * system. What mq_open() gives is called "/NAME"; what was opened as a file lies in a mount, which
 * is called mqueue also where the caller does not see it.
 */
static bool may_be_queue(const struct scan *s, const char *link)
{
    static const char usual[] = "/mqueue";
    const char *slash = link[0] == '/' ? strrchr(link, '/') : NULL;
    size_t n, k = sizeof(usual) - 1;

    if (!slash)
        return false;
    n = (size_t)(slash - link);
    return n == 0 || (n >= k && !memcmp(slash - k, usual, k)) || is_mount(s, link, n);
}

static bool is_queue(const struct proc_fd *f)
{
    _cleanup_(closep) int fd = openat(f->dir, f->entry, O_PATH | O_CLOEXEC);
    struct statfs fs;

    return fd >= 0 && fstatfs(fd, &fs) == 0 && fs.f_type == PMQ_FS_MAGIC;
}

/*
 * A queue that no directory showed: it has lost its name, or lies in a namespace that was not, or
 * could not be, listed. Return: 1 when it belongs into the listing and was added, 0, -errno.
 */
static int add_unlisted(struct scan *s, const struct proc_fd *f, const struct stat *st)
{
    const struct space *own = s->spaces, *space = find_space(s, true, st->st_dev);
    struct pmq_info q = {.ns_pid = f->pid};
    int r;

    if (!is_queue(f))
        return 0;
    if (space)
        q.ns_pid = space->pid;
    if (!space && proc_ns(s->proc, f->pid, "ipc", &q.ipc_ns) == 0 && q.ipc_ns == own->ino &&
        !own->dev)
        space = own;
    if (space == own)
        q.ns_pid = 0;
    if (space)
        q.ipc_ns = space->ino;
    else if (!(s->flags & PMQ_SCAN_ALL_NAMESPACES) && s->pid != f->pid)
        return 0;
    if (!st->st_nlink && !(s->flags & PMQ_SCAN_UNLINKED))
        return 0;
    r = look_at(f->dir, f->entry, &q);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    pmq_name_from_link(f->link, q.attr.unlinked, q.attr.name);
    r = set_add(&s->b, &q);
    return r < 0 ? r : 1;
}

static int see_fd(const struct proc_fd *f, void *ctx)
{
    struct scan *s = ctx;
    struct pmq_info *q;
    struct match m = {.fd = f->fd};
    struct stat st;
    int r, flags;

    if (!may_be_queue(s, f->link) || fstatat(f->dir, f->entry, &st, 0) < 0 || !S_ISREG(st.st_mode))
        return 0;
    if (!set_find(&s->b, st.st_dev, st.st_ino)) {
        r = add_unlisted(s, f, &st);
        if (r <= 0)
            return r;
    }
    q = set_find(&s->b, st.st_dev, st.st_ino);
    if (proc_fd_flags(s->proc, f->pid, f->fd, &flags) < 0)
        return 0; /* closed meanwhile */
    if (s->holder.pid != f->pid) {
        s->holder = (struct pmq_holder){.pid = f->pid};
        (void)proc_comm(s->proc, f->pid, f->pid, s->holder.comm);
    }
    s->holder.fd = f->fd;
    s->holder.access = flags & O_ACCMODE;
    s->holder.nonblock = flags & O_NONBLOCK;
    m.dev = st.st_dev;
    m.ino = st.st_ino;
    buf_add(&s->matches, &m, sizeof(m));
    if (buf_error(&s->matches) < 0)
        return -ENOMEM;
    return s->flags & PMQ_SCAN_HOLDERS || s->pid ? set_add_holder(q, &s->holder) : 0;
}

static int by_fd(const void *a, const void *b)
{
    int x = ((const struct match *)a)->fd, y = ((const struct match *)b)->fd;

    return (x > y) - (x < y);
}

static bool direction_of(long nr, enum pmq_direction *out)
{
    *out = nr == SYS_mq_timedsend ? PMQ_SEND : PMQ_RECEIVE;
    return nr == SYS_mq_timedsend || nr == SYS_mq_timedreceive;
}

static int see_thread(pid_t tid, void *ctx)
{
    struct scan *s = ctx;
    struct pmq_waiter w = {.tid = tid, .pid = s->holder.pid, .since = PMQ_UNKNOWN};
    const struct match *m;
    struct match key;
    struct proc_call c;
    struct pmq_info *q;
    int r = proc_thread_call(s->proc, w.pid, tid, &c);

    if (r == -EPERM || r == -EACCES)
        s->denied_threads++;
    if (r < 0 || c.state != PROC_CALL_BLOCKED || !direction_of(c.nr, &w.direction))
        return 0;
    key.fd = (int)c.args[0];
    m = bsearch(&key, s->matches.data, s->matches.len / sizeof(*m), sizeof(*m), by_fd);
    q = m ? set_find(&s->b, m->dev, m->ino) : NULL;
    if (!q)
        return 0;
    (void)proc_comm(s->proc, w.pid, tid, w.comm);
    return set_add_waiter(q, &w);
}

static int see_process(pid_t pid, void *ctx)
{
    struct scan *s = ctx;
    int r;

    buf_clear(&s->matches);
    r = proc_visit_fds(s->proc, pid, see_fd, s);
    if (r < 0 && pid == s->pid)
        return r;
    if (r == -EACCES || r == -EPERM)
        s->denied++;
    else if (r < 0 && r != -ESRCH)
        return r;
    if (!s->matches.len || !(s->flags & PMQ_SCAN_WAITERS))
        return 0;
    qsort(s->matches.data, s->matches.len / sizeof(struct match), sizeof(struct match), by_fd);
    r = proc_visit_tids(s->proc, pid, see_thread, s);
    if (r == -EACCES || r == -EPERM)
        s->denied_threads++;
    else if (r < 0 && r != -ESRCH)
        return r;
    return 0;
}

/* ---- all of it ---- */

static void judge(struct scan *s, bool processes)
{
    struct pmq_set *set = s->b.set;
    /* Where other people's processes are hidden (hidepid=2), the first one is. */
    bool hidden = faccessat(s->proc, "1", F_OK, 0) < 0;

    set->spaces_complete = !s->denied_spaces && !s->hidden_spaces;
    set->holders_complete = processes && !s->denied && !hidden;
    set->waiters_complete = set->holders_complete && (s->flags & PMQ_SCAN_WAITERS) &&
                            !s->denied_threads;
    if (!set->names_complete)
        set_note(set, "only queues that processes visible to you have open are listed: mount -t "
                      "mqueue none /dev/mqueue, or run as root");
    if (s->unproven)
        set_note(set, "whether /dev/mqueue belongs to this IPC namespace could not be proven");
    if (s->denied_spaces)
        set_note(set, "%zu IPC namespaces could not be entered: run as root", s->denied_spaces);
    if (s->hidden_spaces)
        set_note(set, "which IPC namespace %zu process(es) are in is hidden from you%s",
                 s->hidden_spaces, geteuid() == 0 ? "" : ": run as root");
    if (s->denied && geteuid() == 0)
        set_note(set,
                 "%zu process(es) with capabilities that you lack could not be looked into: "
                 "holders and blocked threads there are not shown",
                 s->denied);
    else if (processes && !set->holders_complete)
        set_note(set, "holders and blocked threads in other users' processes are not shown: run as "
                      "root");
    else if (s->denied_threads)
        set_note(set, "which threads are blocked is not shown: run as root");
}

static int run(struct scan *s, struct err *e)
{
    const unsigned int by_process = PMQ_SCAN_HOLDERS | PMQ_SCAN_WAITERS | PMQ_SCAN_ALL_NAMESPACES |
                                    PMQ_SCAN_UNLINKED;
    struct space own = {0};
    char path[32];
    bool processes;
    int r;

    s->proc = proc_open(NULL);
    if (s->proc < 0)
        return err_set(e, s->proc, "mount -t proc proc /proc", "cannot read /proc");
    snprintf(path, sizeof(path), "%d", (int)s->pid);
    if (s->pid && faccessat(s->proc, path, F_OK, 0) < 0)
        return err_set(e, -ESRCH, NULL, "there is no process %d", (int)s->pid);
    r = proc_ns(s->proc, getpid(), "ipc", &own.ino);
    if (r < 0)
        return err_set(e, r, NULL, "cannot tell the own IPC namespace: %s", err_text(NULL, r));
    r = add_space(s, &own);
    if (r == 0)
        r = list_own(s);
    /* No queue has this name: a kernel with queues says so. */
    if (r == 0 && !s->b.set->names_complete && mq_open("/", OPEN_FLAGS) < 0 && errno == ENOSYS)
        return pmq_no_queues(e);
    if (r == 0 && s->flags & PMQ_SCAN_ALL_NAMESPACES)
        r = proc_visit_pids(s->proc, see_namespace, s);
    processes = s->flags & by_process || s->pid || !s->b.set->names_complete;
    if (r == 0 && processes) {
        read_mounts(s);
        r = proc_visit_pids(s->proc, see_process, s);
        if (r == -EACCES || r == -EPERM)
            return err_set(e, r, "run as root", "not permitted to look into process %d",
                           (int)s->pid);
        if (r == -ESRCH)
            return err_set(e, r, NULL, "process %d has ended", (int)s->pid);
    }
    if (r == 0)
        judge(s, processes);
    return r;
}

int pmq_scan(unsigned int flags, pid_t pid, struct pmq_set **ret, struct err *e)
{
    struct scan s = {.flags = flags, .pid = pid, .proc = -1};
    struct realuser rights;
    int r = set_builder_init(&s.b);

    if (r == 0)
        r = realuser_enter(&rights);
    if (r == 0) {
        r = run(&s, e);
        realuser_leave(&rights);
    }
    if (r == 0) {
        set_finish(&s.b, pid);
        *ret = TAKE_PTR(s.b.set);
    }
    if (s.proc >= 0)
        close(s.proc);
    set_builder_done(&s.b);
    free(s.spaces);
    buf_done(&s.matches);
    buf_done(&s.mounts);
    return r;
}
