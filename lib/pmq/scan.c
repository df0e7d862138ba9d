/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Listing without BPF and without privilege: the names from the namespace's own file system, and
 * from one pass over /proc who uses the queues, and which have no name any more.
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

#include "cleanup.h"
#include "pmq_attr.h"
#include "privileges.h"
#include "proc.h"
#include "realuser.h"
#include "scan.h"

/* ---- processes ---- */

struct mounts_of {
    struct scan *s;
    pid_t pid;
};

/* An IPC namespace that is bound to a file, as container engines keep it. */
static int see_bound(struct scan *s, pid_t pid, const struct proc_mount *m)
{
    char path[PMQ_NS_PATH_MAX + 64];

    if (pid == PROC_SELF)
        snprintf(path, sizeof(path), "%s", m->point);
    else
        snprintf(path, sizeof(path), "/proc/%d/root%s", (int)pid, m->point);
    return scan_kept_names(s, m->root, path);
}

static int see_mount(const struct proc_mount *m, void *ctx)
{
    const struct mounts_of *of = ctx;

    if (!strcmp(m->type, "mqueue"))
        buf_add(&of->s->mounts, m->point, strlen(m->point) + 1);
    if (of->s->flags & PMQ_SCAN_ALL_NAMESPACES && !strcmp(m->type, "nsfs"))
        return see_bound(of->s, of->pid, m);
    return 0;
}

/*
 * Looks at the mounts of a process's mount namespace: at mqueue file systems, since the link of a
 * descriptor tells the path that a queue has there, which may be none that the caller sees; and at
 * namespaces.
 */
static int see_mounts(struct scan *s, pid_t pid)
{
    const uint64_t *known = (const void *)s->mount_spaces.data;
    struct mounts_of of = {s, pid};
    uint64_t ns;
    int r;

    if (proc_ns(s->proc, pid, "mnt", &ns) < 0)
        return 0;
    for (size_t i = 0; i < s->mount_spaces.len / sizeof(ns); i++)
        if (known[i] == ns)
            return 0;
    buf_add(&s->mount_spaces, &ns, sizeof(ns));
    r = proc_visit_mounts(s->proc, pid, see_mount, &of);
    return r == -ENOMEM ? r : 0;
}

/* Whether a folder is such a mount. A process with a root directory of its own (chroot) knows it by
 * the end of that path. */
static bool is_mount(const struct scan *s, const char *path, size_t n)
{
    const char *end = buf_str(&s->mounts) + s->mounts.len;

    for (const char *m = buf_str(&s->mounts); m < end; m += strlen(m) + 1) {
        size_t k = strlen(m);

        if (k <= n && !memcmp(path + n - k, m, k))
            return true;
    }
    return false;
}

/*
 * Most descriptors are not asked what they are: asking costs, and can hang on a dead network file
 * system. The link of a queue that mq_open() gave is "/NAME"; one that was opened as a file lies in
 * a mount. Where the mounts of its process cannot be read, it is looked for by the usual name.
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

    return fd >= 0 && pmq_fd_is_queue(fd) == 0;
}

/*
 * The namespace of a queue that no directory showed. Where the own one could not be listed for
 * certain, a queue that its name leads to, or that a process of this namespace has open, is of this
 * namespace.
 */
static const struct space *space_of(struct scan *s, const struct proc_fd *f, const struct stat *st,
                                    struct pmq_info *q)
{
    const struct space *own = s->spaces, *space = scan_space_of(s, st->st_dev);
    char name[PMQ_NAME_MAX + 2];

    if (space || s->own_proven)
        return space;
    if (proc_ns(s->proc, f->pid, "ipc", &q->ipc_ns) < 0 || q->ipc_ns != own->ino)
        return NULL;
    pmq_name_from_link(f->link, !st->st_nlink, name);
    if (own->dev && st->st_nlink && scan_is_own(name, st->st_dev, st->st_ino))
        s->b.set->names_complete = false; /* what was listed is another namespace's */
    else if (own->dev && st->st_nlink)
        return NULL;
    return own;
}

/*
 * A queue that no directory showed: it has lost its name, or lies in a namespace that was not, or
 * could not be, listed. Return: 1 when it belongs into the listing and was added, 0, -errno.
 */
static int add_unlisted(struct scan *s, const struct proc_fd *f, const struct stat *st)
{
    struct pmq_info q = {.ns_pid = f->pid};
    const struct space *space;
    int r;

    if (!is_queue(f))
        return 0;
    space = space_of(s, f, st, &q);
    if (space) {
        q.ns_pid = space->pid;
        q.ns_path = space->path;
        q.ipc_ns = space->ino;
    } else if (!(s->flags & PMQ_SCAN_ALL_NAMESPACES) && s->pid != f->pid) {
        return 0;
    }
    if (!st->st_nlink && !(s->flags & PMQ_SCAN_UNLINKED))
        return 0;
    r = scan_look_at(f->dir, f->entry, &q);
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
    struct stat st;
    char path[64];
    int r, flags;

    if (s->flags & PMQ_SCAN_ALL_NAMESPACES && !strncmp(f->link, "ipc:[", 5)) {
        snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)f->tid, f->fd);
        return scan_kept_names(s, f->link, path);
    }
    if (!may_be_queue(s, f->link) || fstatat(f->dir, f->entry, &st, 0) < 0 || !S_ISREG(st.st_mode))
        return 0;
    if (!set_find(&s->b, st.st_dev, st.st_ino)) {
        r = add_unlisted(s, f, &st);
        if (r <= 0)
            return r;
    }
    q = set_find(&s->b, st.st_dev, st.st_ino);
    if (proc_fd_flags(s->proc, f->tid, f->fd, &flags) < 0)
        return 0; /* closed meanwhile */
    if (s->holder.pid != f->pid) {
        s->holder = (struct pmq_holder){.pid = f->pid};
        (void)proc_comm(s->proc, f->pid, f->pid, s->holder.comm);
    }
    s->holder.tid = f->tid;
    s->holder.fd = f->fd;
    s->holder.access = flags & (O_ACCMODE | O_PATH);
    s->holder.nonblock = flags & O_NONBLOCK;
    s->n_matches++;
    return s->flags & PMQ_SCAN_HOLDERS || s->pid ? set_add_holder(q, &s->holder) : 0;
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
    struct proc_call c;
    struct pmq_info *q;
    struct stat st;
    char path[64];
    int r = proc_thread_call(s->proc, w.pid, tid, &c);

    if (r == -EPERM || r == -EACCES)
        s->denied_threads++;
    if (r < 0 || c.state != PROC_CALL_BLOCKED || !direction_of(c.nr, &w.direction))
        return 0;
    snprintf(path, sizeof(path), "%d/fd/%d", (int)tid, (int)c.args[0]);
    if (fstatat(s->proc, path, &st, 0) < 0) {
        /* Another thread has closed the descriptor, and this one waits on. */
        s->denied_threads++;
        return 0;
    }
    q = set_find(&s->b, st.st_dev, st.st_ino);
    if (!q)
        return 0;
    (void)proc_comm(s->proc, w.pid, tid, w.comm);
    return set_add_waiter(q, &w);
}

static int see_process(pid_t pid, void *ctx)
{
    struct scan *s = ctx;
    int r;

    s->n_matches = 0;
    r = see_mounts(s, pid);
    if (r < 0)
        return r;
    r = proc_visit_fds(s->proc, pid, see_fd, s);
    if (r < 0 && pid == s->pid)
        return r;
    if (r == -EACCES || r == -EPERM)
        s->denied++;
    else if (r < 0 && r != -ESRCH)
        return r;
    if (!s->n_matches || !(s->flags & PMQ_SCAN_WAITERS))
        return 0;
    r = proc_visit_tids(s->proc, pid, see_thread, s);
    if (r == -EACCES || r == -EPERM)
        s->denied_threads++;
    else if (r < 0 && r != -ESRCH)
        return r;
    return 0;
}

/* ---- all of it ---- */

/* What root can do where a capability is missing, or does not suffice. */
static const char *remedy(int cap, char out[96], size_t size)
{
    static const char *const names[] = {
        [CAP_SYS_PTRACE] = "SYS_PTRACE",
        [CAP_SYS_ADMIN] = "SYS_ADMIN",
    };

    if (geteuid() != 0)
        return "run as root";
    if (privileges_of_machine() && privileges_can_have(PRIVILEGE(cap)))
        return "";
    snprintf(out, size, "look from the host, or start the container with --cap-add %s", names[cap]);
    return privileges_of_machine() ? out : "look from the host";
}

static void note(struct pmq_set *set, const char *remedy, const char *what)
{
    set_note(set, "%s%s%s", what, remedy[0] ? ": " : "", remedy);
}

static void note_names(struct scan *s)
{
    struct pmq_set *set = s->b.set;
    char buf[96], what[128];

    if (!set->names_complete && s->spaces->dev)
        set_note(set,
                 "the /dev/mqueue that is mounted may be that of another IPC namespace: run as "
                 "root, or: mount -t mqueue none /dev/mqueue");
    else if (!set->names_complete)
        set_note(set,
                 "only queues that processes visible to you have open are listed: mount -t "
                 "mqueue none /dev/mqueue, or %s",
                 geteuid() == 0 ? "look from the host" : "run as root");
    if (s->denied_spaces) {
        snprintf(what, sizeof(what), "%zu IPC namespaces could not be entered", s->denied_spaces);
        note(set, remedy(CAP_SYS_ADMIN, buf, sizeof(buf)), what);
    }
    if (s->hidden_spaces) {
        snprintf(what, sizeof(what),
                 "which IPC namespace %zu process(es) are in is hidden from you", s->hidden_spaces);
        note(set, remedy(CAP_SYS_PTRACE, buf, sizeof(buf)), what);
    }
}

/* @outside: processes in no pid namespace of this /proc; @hidden: ones of other users. */
static void note_holders(struct scan *s, bool outside, bool hidden, const struct err *bpf)
{
    struct pmq_set *set = s->b.set;
    char buf[96], what[128];
    const char *help = remedy(CAP_SYS_PTRACE, buf, sizeof(buf));

    /* Root has been told by BPF what it takes. */
    if (geteuid() == 0 && !help[0] && bpf->remedy[0])
        help = bpf->remedy;
    if (geteuid() != 0 && (s->denied || hidden)) {
        note(set, help, "holders and blocked threads in other users' processes are not shown");
    } else if (s->denied || hidden) {
        snprintf(what, sizeof(what),
                 "%zu process(es) could not be looked into: holders and blocked threads there are "
                 "not shown",
                 s->denied);
        note(set, help,
             s->denied ? what : "some processes are hidden: their holders are not shown");
    }
    if (outside) {
        help = geteuid() == 0 && bpf->remedy[0] ? bpf->remedy : "look from the host, as root";
        note(set, help,
             "processes outside of this pid namespace may have queues open, and are not shown");
    }
    if (outside || s->denied || hidden)
        snprintf(set->holders_remedy, sizeof(set->holders_remedy), "%s", help);
    else if (s->denied_threads)
        note(set, help, "which threads are blocked is not shown");
}

static void judge(struct scan *s, bool processes)
{
    struct pmq_set *set = s->b.set;
    struct proc_view view = {0};
    struct err bpf = ERR_INIT;
    bool all;

    set->flags = s->flags;
    set->spaces_complete = !s->denied_spaces && !s->hidden_spaces;
    note_names(s);
    if (!processes)
        return;
    all = proc_view(s->proc, &view) == 0 && view.users && view.namespaces;
    if (s->flags & PMQ_SCAN_ALL_NAMESPACES && !all) {
        set->spaces_complete = false;
        set_note(set, "IPC namespaces of processes that are not visible here are not shown: %s",
                 view.namespaces ? "run as root" : "look from the host");
    }
    all = all && !s->denied;
    set->holders_complete = all;
    set->waiters_complete = all && (s->flags & PMQ_SCAN_WAITERS) && !s->denied_threads;
    if (s->flags & PMQ_SCAN_KERNEL && geteuid() == 0 && (!all || s->denied_threads) &&
        holders_ask(&s->b, s->flags & PMQ_SCAN_WAITERS, s->denied_threads > 0, &bpf) == 0) {
        if (s->flags & PMQ_SCAN_WAITERS && !set->waiters_complete)
            set_note(set, "which threads are blocked is not wholly known");
        return;
    }
    note_holders(s, !view.namespaces, !view.users, &bpf);
}

static int run(struct scan *s, struct err *e)
{
    const unsigned int by_process = PMQ_SCAN_HOLDERS | PMQ_SCAN_WAITERS | PMQ_SCAN_ALL_NAMESPACES |
                                    PMQ_SCAN_UNLINKED;
    char path[32];
    bool processes;
    int r;

    s->proc = proc_open(NULL);
    if (s->proc < 0)
        return err_set(e, s->proc, "mount -t proc proc /proc", "cannot read /proc");
    snprintf(path, sizeof(path), "%d", (int)s->pid);
    if (s->pid && faccessat(s->proc, path, F_OK, 0) < 0)
        return err_set(e, -ESRCH, NULL, "there is no process %d", (int)s->pid);
    r = scan_own_names(s);
    if (r < 0)
        return err_set(e, r, NULL, "cannot list the own IPC namespace: %s", err_text(NULL, r));
    /* No queue has this name: a kernel with queues says so. */
    if (!s->b.set->names_complete && mq_open("/", O_RDONLY) < 0 && errno == ENOSYS)
        return pmq_no_queues(e);
    if (r == 0 && s->flags & PMQ_SCAN_ALL_NAMESPACES)
        r = scan_other_names(s);
    processes = s->flags & by_process || s->pid || !s->b.set->names_complete;
    if (r == 0 && processes) {
        r = see_mounts(s, PROC_SELF);
        if (r == 0)
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
    buf_done(&s.mounts);
    buf_done(&s.mount_spaces);
    return r;
}
