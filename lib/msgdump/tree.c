/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The queues of a process tree, saved beside a checkpoint's images. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "cleanup.h"
#include "fileio.h"
#include "ipcns.h"
#include "msgdump_criu.h"
#include "proc.h"
#include "tree_internal.h"

enum {
    FILES_MAX = 65536,
};

/* ---- processes ---- */

struct family {
    int proc;
    struct {
        pid_t pid, parent;
        bool in;
    } * v;
    size_t n;
};

static int parent_of(int proc, pid_t pid, pid_t *parent)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;
    const char *after;
    char path[32];
    int r;

    snprintf(path, sizeof(path), "%d/stat", (int)pid);
    r = file_read(proc, path, 4096, &b);
    if (r < 0)
        return r;
    /* The name before it may contain any byte, but no parenthesis follows it. */
    after = strrchr(buf_str(&b), ')');
    return after && sscanf(after + 1, " %*c %d", parent) == 1 ? 0 : -EBADMSG;
}

static int add_process(pid_t pid, void *ctx)
{
    struct family *f = ctx;
    pid_t parent;
    void *v;

    if (parent_of(f->proc, pid, &parent) < 0)
        return 0;
    v = reallocarray(f->v, f->n + 1, sizeof(*f->v));
    if (!v)
        return -ENOMEM;
    f->v = v;
    f->v[f->n].pid = pid;
    f->v[f->n].parent = parent;
    f->v[f->n++].in = false;
    return 0;
}

/*
 * Marks the descendants. A child may come before its parent, so this is repeated until nothing
 * changes.
 */
static bool mark_tree(struct family *f, pid_t root)
{
    bool found = false, again = true;

    for (size_t i = 0; i < f->n; i++)
        if (f->v[i].pid == root)
            f->v[i].in = found = true;
    while (again) {
        again = false;
        for (size_t i = 0; i < f->n; i++)
            for (size_t k = 0; k < f->n && !f->v[i].in; k++)
                if (f->v[k].in && f->v[k].pid == f->v[i].parent)
                    f->v[i].in = again = true;
    }
    return found;
}

/* ---- descriptors ---- */

struct collect {
    struct msgdump_tree *tree;
    struct err *e;
};

static int read_mnt_id(pid_t pid, int fd, uint64_t *out)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;
    const char *at;
    char path[64];
    int r;

    snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)pid, fd);
    r = file_read(AT_FDCWD, path, 65536, &b);
    if (r < 0)
        return r;
    at = strstr(buf_str(&b), "mnt_id:");
    return at && sscanf(at, "mnt_id: %" SCNu64, out) == 1 ? 0 : -EBADMSG;
}

static bool is_queue(const struct proc_fd *fd, uint64_t *ino)
{
    _cleanup_(closep) int at = openat(fd->dir, fd->entry, O_PATH | O_CLOEXEC);
    struct stat st;

    if (at < 0 || pmq_fd_is_queue(at) < 0 || fstat(at, &st) < 0)
        return false;
    *ino = st.st_ino;
    return true;
}

static int add_file(const struct proc_fd *fd, void *ctx)
{
    const struct collect *c = ctx;
    struct msgdump_tree *t = c->tree;
    struct msgdump_file f = {.pid = fd->pid, .fd = fd->fd};
    size_t at = t->n;
    void *v;
    int r;

    if (!is_queue(fd, &f.ino))
        return 0;
    r = read_mnt_id(fd->tid, fd->fd, &f.mnt_id);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return r;
    for (size_t i = 0; i < t->n; i++) {
        if (t->files[i].ino != f.ino)
            continue;
        if (t->files[i].mnt_id == f.mnt_id)
            return 0;
        at = i + 1;
    }
    if (t->n == FILES_MAX)
        return err_set(c->e, -E2BIG, NULL, "more than %d queues", FILES_MAX);
    v = reallocarray(t->files, t->n + 1, sizeof(*t->files));
    if (!v)
        return -ENOMEM;
    t->files = v;
    memmove(&t->files[at + 1], &t->files[at], (t->n - at) * sizeof(f));
    t->files[at] = f;
    t->n++;
    return 0;
}

static int collect_tree(int proc, const struct family *f, struct msgdump_tree *t, struct err *e)
{
    struct collect c = {.tree = t, .e = e};

    for (size_t i = 0; i < f->n; i++) {
        int r;

        if (!f->v[i].in)
            continue;
        t->user_ns = t->user_ns || msgdump_other_namespace(proc, f->v[i].pid, "user");
        r = proc_visit_fds(proc, f->v[i].pid, add_file, &c);
        if (r == -ESRCH)
            continue;
        if (r < 0)
            return e && e->why[0] ? r
                                  : err_set(e, r, "run as root", "process %d: %s", (int)f->v[i].pid,
                                            err_text(NULL, r));
    }
    return 0;
}

int msgdump_tree_read(pid_t root, struct msgdump_tree *out, struct err *e)
{
    _cleanup_(closep) int proc = proc_open(NULL);
    struct msgdump_tree t = {.root = root};
    struct family f = {.proc = proc};
    uint64_t own;
    int r;

    if (proc < 0)
        return err_set(e, proc, NULL, "/proc cannot be read: %s", err_text(NULL, proc));
    r = proc_visit_pids(proc, add_process, &f);
    if (r == 0 && !mark_tree(&f, root))
        r = err_set(e, -ESRCH, NULL, "there is no process %d", (int)root);
    if (r == 0)
        r = proc_ns(proc, root, "ipc", &t.ipc_ns);
    if (r == 0)
        r = proc_ns(proc, PROC_SELF, "ipc", &own);
    if (r == 0) {
        t.ipc_ns = t.ipc_ns == own ? 0 : t.ipc_ns;
        r = collect_tree(proc, &f, &t, e);
    }
    if (r == 0)
        r = msgdump_tree_mounts(proc, &t, e);
    free(f.v);
    if ((r == -EACCES || r == -EPERM) && e && !e->why[0])
        err_set(e, r, "run as root", "not permitted to look into it");
    if (r < 0)
        msgdump_tree_done(&t);
    else
        *out = t;
    return r;
}

void msgdump_tree_done(struct msgdump_tree *t)
{
    for (size_t i = 0; i < t->n_mounts; i++)
        free(t->mounts[i]);
    free(t->mounts);
    free(t->files);
    *t = (struct msgdump_tree){0};
}

/* ---- saving ---- */

struct tree_save {
    const struct msgdump_tree *tree;
    struct msgq_peek_opts opts;
    const char *tool;
    FILE *stream;
    struct msgq_peeker *peeker;
    struct dump_writer *w;
    void (*tell)(void *ctx, const char *queue, pid_t pid);
    void *ctx;
};

/*
 * In a child that has entered the namespace: reads its limits, returned as the content of a file.
 */
static int limits_inside(const void *ctx)
{
    int fd = memfd_create("limits", MFD_CLOEXEC);
    struct pmq_limits l;
    int r = fd < 0 ? -errno : pmq_limits_read(&l);

    (void)ctx;
    if (r == 0)
        r = file_write_all(fd, &l, sizeof(l));
    return r < 0 ? r : fd;
}

static int read_limits(const struct msgdump_tree *t, struct pmq_limits *out)
{
    _cleanup_(closep) int ns = -1, fd = -1;
    char path[64];

    if (!t->ipc_ns)
        return pmq_limits_read(out);
    snprintf(path, sizeof(path), "/proc/%d/ns/ipc", (int)t->root);
    ns = open(path, O_RDONLY | O_CLOEXEC);
    if (ns < 0)
        return -errno;
    fd = ipcns_call(ns, limits_inside, NULL);
    if (fd < 0)
        return fd;
    return pread(fd, out, sizeof(*out), 0) == sizeof(*out) ? 0 : -EIO;
}

/* Writes msg_max and the other limits of the tree's namespace, which a new one must get. */
static int put_tree(struct tree_save *s, struct err *e)
{
    struct pmq_limits l;
    int r = read_limits(s->tree, &l);

    if (r < 0)
        return err_set(e, r, NULL, "the limits of the tree's IPC namespace cannot be read: %s",
                       err_text(NULL, r));
    dump_begin(s->w, "criu_tree");
    dump_put_bool(s->w, "own_ipc_namespace", s->tree->ipc_ns != 0);
    dump_put_u64(s->w, "queues_max", l.queues_max);
    dump_put_u64(s->w, "msg_max", l.msg_max);
    dump_put_u64(s->w, "msgsize_max", l.msgsize_max);
    dump_end(s->w);
    return 0;
}

/* The first queue decides the backend; a tree without queues needs none. */
static int begin(struct tree_save *s, const struct pmq_queue *q, struct err *e)
{
    int r = 0;

    if (s->w)
        return 0;
    s->opts.sample = q;
    if (q)
        r = pmq_peeker_new(&s->opts, &s->peeker, e);
    if (r == 0)
        r = dump_writer_new(s->stream, MSGDUMP_KIND, s->tool,
                            q ? msgq_peeker_backend(s->peeker) : NULL, &s->w);
    return r == 0 ? put_tree(s, e) : r;
}

static int save_ref(struct tree_save *s, const struct pmq_ref *ref, struct err *e)
{
    _cleanup_(pmq_queue_closep) struct pmq_queue *q = NULL;
    struct msgq_snapshot_info info;
    struct pmq_attr attr;
    int r = pmq_queue_open(ref, PMQ_OPEN_READ, &q, e);

    if (r == 0)
        r = begin(s, q, e);
    if (r == 0)
        r = msgdump_save_queue(s->w, s->peeker, q, 0, &info, e);
    if (r < 0)
        return r;
    if (info.consistency == MSGQ_TORN)
        return err_set(e, -EBUSY, "stop who uses it from outside the tree",
                       "%s: its messages move although the tree is frozen", pmq_queue_label(q));
    if (pmq_queue_attr(q, &attr) == 0 && attr.notify != PMQ_NOTIFY_NONE && s->tell)
        s->tell(s->ctx, attr.name, attr.notify_pid);
    return 0;
}

static int save_open(struct tree_save *s, struct err *e)
{
    for (size_t i = 0; i < s->tree->n; i++) {
        const struct msgdump_file *f = &s->tree->files[i];
        const struct pmq_ref ref = {.kind = PMQ_REF_PID_FD, .pid = f->pid, .fd = f->fd};
        int r = 0;

        if (i == 0 || f[-1].ino != f->ino)
            r = save_ref(s, &ref, e);
        if (r < 0)
            return r;
        dump_begin(s->w, "criu_file");
        dump_put_hex64(s->w, "mnt_id", f->mnt_id);
        dump_put_hex64(s->w, "ino", f->ino);
        dump_end(s->w);
    }
    return 0;
}

/*
 * Saves queues of the tree's own namespace that none of its processes has open: they end with the
 * namespace.
 */
static int save_closed(struct tree_save *s, struct err *e)
{
    _cleanup_(pmq_set_freep) struct pmq_set *set = NULL;
    int r = pmq_scan(PMQ_SCAN_ALL_NAMESPACES, 0, &set, e);

    for (size_t i = 0; r == 0 && i < set->n; i++) {
        const struct pmq_info *info = &set->v[i];
        struct pmq_ref ref = {.kind = PMQ_REF_PID_NAME, .pid = s->tree->root};
        bool open = false;

        if (info->ipc_ns != s->tree->ipc_ns || info->attr.unlinked)
            continue;
        for (size_t k = 0; k < s->tree->n && !open; k++)
            open = s->tree->files[k].ino == info->attr.ino;
        memcpy(ref.name, info->attr.name, sizeof(ref.name));
        if (!open)
            r = save_ref(s, &ref, e);
    }
    return r;
}

int msgdump_tree_save(const struct msgdump_tree *t, const struct msgq_peek_opts *peek,
                      const char *tool, FILE *stream,
                      void (*tell)(void *ctx, const char *queue, pid_t pid), void *ctx,
                      struct err *e)
{
    struct tree_save s = {
        .tree = t, .opts = *peek, .tool = tool, .stream = stream, .tell = tell, .ctx = ctx};
    int r = msgdump_tree_check(t, e);

    if (r == 0)
        r = save_open(&s, e);
    if (r == 0 && t->ipc_ns)
        r = save_closed(&s, e);
    if (r == 0)
        r = begin(&s, NULL, e);
    if (r == 0)
        r = dump_writer_finish(s.w);
    dump_writer_free(s.w);
    msgq_peeker_free(s.peeker);
    return r;
}

/* ---- reading back ---- */

static int take_tree(struct msgdump_checkpoint *c, const struct dump_record *rec, struct err *e)
{
    /* Earlier releases wrote another name. */
    const char *own = dump_has(rec, "own_ipc_ns") ? "own_ipc_ns" : "own_ipc_namespace";
    int r = dump_get_bool(rec, own, &c->own_ipc_ns, e);

    if (r == 0)
        r = dump_get_u64(rec, "queues_max", UINT64_MAX, &c->limits.queues_max, e);
    if (r == 0)
        r = dump_get_u64(rec, "msg_max", UINT64_MAX, &c->limits.msg_max, e);
    if (r == 0)
        r = dump_get_u64(rec, "msgsize_max", UINT64_MAX, &c->limits.msgsize_max, e);
    return r;
}

static int take_file(struct msgdump_checkpoint *c, const struct dump_record *rec, struct err *e)
{
    struct msgdump_file f = {.queue = c->n_queues - 1};
    void *v;
    int r;

    if (!c->n_queues)
        return dump_bad(rec, e, "a descriptor before the first queue");
    if (c->n == FILES_MAX)
        return dump_bad(rec, e, "more than %d descriptors", FILES_MAX);
    r = dump_get_hex64(rec, "mnt_id", &f.mnt_id, e);
    if (r == 0)
        r = dump_get_hex64(rec, "ino", &f.ino, e);
    if (r < 0)
        return r;
    v = reallocarray(c->files, c->n + 1, sizeof(f));
    if (!v)
        return -ENOMEM;
    c->files = v;
    c->files[c->n++] = f;
    return 0;
}

int msgdump_checkpoint_read(struct dump_reader *reader, struct msgdump_checkpoint *out,
                            struct err *e)
{
    struct msgdump_checkpoint c = {0};
    struct dump_record *rec;
    bool tree = false;
    int r;

    while ((r = dump_reader_next(reader, &rec, e)) > 0) {
        r = 0;
        if (strcmp(rec->type, "queue") == 0)
            c.n_queues++;
        else if (strcmp(rec->type, "criu_tree") == 0)
            r = take_tree(&c, rec, e);
        else if (strcmp(rec->type, "criu_file") == 0)
            r = take_file(&c, rec, e);
        tree = tree || strcmp(rec->type, "criu_tree") == 0;
        if (r < 0)
            break;
    }
    if (r == 0 && !tree)
        r = err_set(e, -EBADMSG, NULL, "it was not written by mqdump criu action");
    if (r == 0)
        r = dump_reader_rewind(reader, e);
    if (r < 0)
        msgdump_checkpoint_done(&c);
    else
        *out = c;
    return r == -ENOENT ? -EBADMSG : r;
}

void msgdump_checkpoint_done(struct msgdump_checkpoint *c)
{
    free(c->files);
    *c = (struct msgdump_checkpoint){0};
}
