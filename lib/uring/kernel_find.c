/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finding kernel channels. The kernel has no list of them. They are found by their ids, which can
 * be tried one after the other, and through the processes that have them open: all descriptors of
 * one channel are of one file, by which the same channel is known again. What neither tells (key,
 * owner, delivery) stands in the records of those channels that ipcbox keeps.
 */
#include <errno.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "kernel_channel.h"
#include "proc.h"
#include "realuser.h"

int kernel_same_file(int a, int b)
{
    pid_t self = getpid();
    long r = syscall(SYS_kcmp, self, self, KCMP_FILE, a, b);

    return r < 0 ? -errno : r == 0;
}

/* ---- records --------------------------------------------------------------------------------- */

struct record_search {
    const struct uipc_ref *ref; /* id or key; NULL to search by @fd */
    int fd;
    struct kernel_record found;
};

static bool record_matches(const struct record_search *s, const struct kernel_record *rec)
{
    _cleanup_(closep) int fd = -1;

    if (s->ref)
        return s->ref->id ? rec->id == s->ref->id : rec->key == s->ref->key;
    if (rec->fd < 0)
        return false;
    fd = kernel_take_fd(rec->pid, rec->fd, NULL);
    return fd >= 0 && kernel_same_file(fd, s->fd) == 1;
}

static int record_visit(const struct kernel_record *rec, void *ctx)
{
    struct record_search *s = ctx;

    if (rec->created_ns >= s->found.created_ns && record_matches(s, rec))
        s->found = *rec;
    return 0;
}

static bool record_search(const char *dir, struct record_search *s, struct kernel_record *out)
{
    (void)kernel_record_visit(dir, record_visit, s);
    *out = s->found;
    return s->found.magic != 0;
}

bool kernel_find_record(const char *dir, const struct uipc_ref *ref, struct kernel_record *out)
{
    struct record_search s = {.ref = ref};

    return record_search(dir, &s, out);
}

bool kernel_record_of(const char *dir, int fd, struct kernel_record *out)
{
    struct record_search s = {.fd = fd};

    return record_search(dir, &s, out);
}

/* ---- descriptors ----------------------------------------------------------------------------- */

static bool is_channel_link(const char *link)
{
    return strcmp(link, uringk_calls.fd_link) == 0;
}

static bool is_channel(int fd)
{
    char path[48], link[64];
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    n = readlink(path, link, sizeof(link) - 1);
    link[MAX(n, 0)] = '\0';
    return is_channel_link(link);
}

int kernel_take_fd(pid_t pid, int fd, struct err *e)
{
    _cleanup_(closep) int got = -1;
    struct realuser saved = REALUSER_INIT;
    int r = realuser_enter(&saved); /* the file's capabilities must not help here */

    if (r < 0)
        return r;
    r = got = proc_fd_take(pid, fd, e);
    realuser_leave(&saved);
    if (r < 0)
        return r;
    if (!is_channel(got))
        return err_set(e, -EBADF, "uringipc list shows what there is",
                       "descriptor %d of process %d is no channel", fd, pid);
    return TAKE_FD(got);
}

/* A channel that has been destroyed cannot be mapped any more, by whatever descriptor. */
static int map_failed(int r, struct err *e)
{
    if (r == -EINVAL)
        return err_set(e, -EIDRM, NULL, "the channel has been destroyed");
    return err_set(e, r, NULL, "cannot map the channel: %s", strerrordesc_np(-r));
}

bool kernel_destroyed(int fd)
{
    struct guard *head;
    int r = guard_map(&head, fd, URING_IPC_DATA_ALIGN, false);

    if (r == 0)
        guard_unmap(head);
    return r == -EINVAL;
}

int kernel_map(struct kernel *k, struct err *e)
{
    const struct uring_ipc_ring *ring;
    struct guard *head = NULL;
    size_t size;
    int r = guard_map(&head, k->fd, URING_IPC_DATA_ALIGN, false);

    if (r < 0)
        return map_failed(r, e);
    ring = guard_base(head);
    size = ringmap_size(__atomic_load_n(&ring->ring_entries, __ATOMIC_RELAXED),
                        __atomic_load_n(&ring->max_msg_size, __ATOMIC_RELAXED));
    if (!size)
        r = ringmap_init(&k->map, ring, URING_IPC_DATA_ALIGN, false, e);
    guard_unmap(head);
    if (r < 0)
        return r;
    r = guard_map(&k->file, k->fd, size, false);
    if (r < 0)
        return map_failed(r, e);
    return ringmap_init(&k->map, guard_base(k->file), size, false, e);
}

int kernel_attach(struct uringk *ring, const struct uipc_ref *ref, uint32_t flags,
                  struct uring_ipc_attach *a)
{
    uringk_encode_attach(a, ref->id, ref->id ? 0 : ref->key, flags);
    return uringk_register(ring, URING_IPC_REGISTER_ATTACH, a, 1);
}

int kernel_borrow(struct uringk *ring, const struct uipc_ref *ref)
{
    struct uring_ipc_attach a;
    int r = kernel_attach(ring, ref, URING_IPC_SUB_SEND, &a);

    if (r < 0)
        return r;
    (void)uringk_register(ring, URING_IPC_REGISTER_DETACH, NULL, a.local_id_out);
    return a.channel_fd;
}

int kernel_exists(struct uringk *ring, const struct uipc_ref *ref, int fd)
{
    _cleanup_(closep) int found = kernel_borrow(ring, ref);

    if (found == -ENOENT)
        return 0;
    if (found < 0)
        return found == -EACCES ? 1 : found; /* the mode forbids it, so the channel exists */
    return fd >= 0 && kernel_same_file(found, fd) == 0 ? -EEXIST : 1;
}

/* What the mapping tells of a channel. */
static void kernel_info_measure(struct uipc_info *info, const struct ringmap *map)
{
    info->c.entries = map->entries;
    info->c.max_msg = map->max_msg;
    info->c.tail = ringmap_tail(map);
    info->c.waiting = (uint32_t)info->c.tail - ringmap_head(map);
}

struct uipc_info kernel_info_of(const struct kernel_record *rec, const struct ringmap *map)
{
    struct uipc_info info = {
        .backend = uipc_kernel_ops.name,
        .id = rec->id,
        .delivery = kernel_delivery(rec),
        .known = rec->magic != 0,
        .fd = -1,
        .c = {.id = rec->id,
              .key = rec->key,
              .mode = rec->mode,
              .uid = rec->uid,
              .gid = rec->gid,
              .creator = (uint32_t)rec->pid,
              .created_ns = rec->created_ns},
    };

    memcpy(info.c.name, rec->name, sizeof(info.c.name));
    if (map)
        kernel_info_measure(&info, map);
    return info;
}

/* ---- who has them open ----------------------------------------------------------------------- */

struct scan {
    int proc;
    int (*visit)(const struct proc_fd *f, void *ctx);
    void *ctx;
    uint64_t hidden; /* processes whose descriptors may not be seen */
};

static int scan_fd(const struct proc_fd *f, void *ctx)
{
    const struct scan *s = ctx;

    return is_channel_link(f->link) ? s->visit(f, s->ctx) : 0;
}

static int scan_pid(pid_t pid, void *ctx)
{
    struct scan *s = ctx;
    int r = pid == getpid() ? 0 : proc_visit_fds(s->proc, pid, scan_fd, s);

    if (r == -EACCES || r == -EPERM)
        s->hidden++;
    return r == -ESRCH || r == -EACCES || r == -EPERM ? 0 : r;
}

/*
 * Calls back for each descriptor of a channel, but our own. @hidden: processes that may not be
 * looked at. Return: 0, what @visit returned, or -errno.
 */
static int scan_all(int (*visit)(const struct proc_fd *f, void *ctx), void *ctx, uint64_t *hidden)
{
    _cleanup_(closep) int proc = proc_open(NULL);
    struct scan s = {.proc = proc, .visit = visit, .ctx = ctx};
    int r = proc < 0 ? proc : proc_visit_pids(proc, scan_pid, &s);

    if (r == 0)
        *hidden = s.hidden;
    return r;
}

struct peers {
    int fd;
    uipc_peer_fn visit;
    void *ctx;
};

static int peer_fd(const struct proc_fd *f, void *ctx)
{
    const struct peers *p = ctx;
    struct chan_peer peer = {.pid = (uint32_t)f->pid, .fd = f->fd};
    _cleanup_(closep) int fd = kernel_take_fd(f->pid, f->fd, NULL);

    return fd >= 0 && kernel_same_file(fd, p->fd) == 1 ? p->visit(&peer, p->ctx) : 0;
}

int kernel_visit_peers(int fd, uipc_peer_fn visit, void *ctx, uint64_t *hidden)
{
    struct peers p = {fd, visit, ctx};

    return scan_all(peer_fd, &p, hidden);
}

/* ---- listing --------------------------------------------------------------------------------- */

/* A channel that was found: @fd is a descriptor of ours, or -1 when we may not have one. */
struct seen {
    int fd;
    pid_t last_pid; /* the process that was counted last */
    struct uipc_info info;
};

struct listing {
    struct seen *v;
    size_t n;
};

static struct seen *listing_find(struct listing *l, int fd, pid_t pid, int their_fd)
{
    for (size_t i = 0; i < l->n; i++) {
        struct seen *s = &l->v[i];

        if (fd >= 0 ? s->fd >= 0 && kernel_same_file(s->fd, fd) == 1
                    : s->info.pid == pid && s->info.fd == their_fd)
            return s;
    }
    return NULL;
}

static int listing_put(struct listing *l, const struct seen *seen, struct seen **ret)
{
    struct seen *v = realloc(l->v, (l->n + 1) * sizeof(*v));

    if (!v)
        return -ENOMEM;
    l->v = v;
    v[l->n] = *seen;
    *ret = &v[l->n++];
    return 0;
}

/* Adds a channel. @fd is our descriptor of it; it belongs to the listing from now on, or is closed.
 */
static int listing_take(struct listing *l, int fd, const struct uipc_info *known, struct seen **ret)
{
    struct kernel k = {.fd = fd};
    struct seen new = {.fd = fd, .info = *known};
    int r = kernel_map(&k, NULL);

    if (r == 0)
        kernel_info_measure(&new.info, &k.map);
    new.info.error = r;
    guard_unmap(k.file);
    r = listing_put(l, &new, ret);
    if (r < 0)
        close(fd);
    return r;
}

/* Adds a channel that cannot be looked into, with the reason. */
static int listing_closed(struct listing *l, struct uipc_info *info, int why)
{
    struct seen *s;

    info->error = why;
    return listing_put(l, &(struct seen){.fd = -1, .info = *info}, &s);
}

/* Records come first, so that a channel is shown with what is known of it. */
static int listing_record(const struct kernel_record *rec, void *ctx)
{
    struct listing *l = ctx;
    struct uipc_info info = kernel_info_of(rec, NULL);
    struct seen *s;
    int fd;

    info.pid = rec->pid;
    info.fd = rec->fd;
    if (rec->fd < 0)
        return listing_closed(l, &info, -EACCES); /* its mode does not let its owner send, either */
    fd = kernel_take_fd(rec->pid, rec->fd, NULL);
    if (fd == -ESRCH || fd == -EBADF)
        return 0;
    return fd < 0 ? listing_closed(l, &info, fd) : listing_take(l, fd, &info, &s);
}

/* Adds the channel with an id. @fd: our descriptor of it, or the error with which it refused us. */
static int listing_id(struct listing *l, uint32_t id, int fd)
{
    static const struct kernel_record none;
    struct uipc_info info = kernel_info_of(&none, NULL);
    struct seen *s = NULL;

    for (size_t i = 0; i < l->n && !s; i++)
        if (fd >= 0 && l->v[i].fd >= 0 ? kernel_same_file(l->v[i].fd, fd) == 1
                                       : l->v[i].info.id == id)
            s = &l->v[i];
    info.id = info.c.id = id;
    if (fd < 0)
        return s ? 0 : listing_closed(l, &info, fd);
    if (!s)
        return listing_take(l, fd, &info, &s);
    if (s->fd >= 0) {
        close(fd);
        return 0;
    }
    /* Its record names a process whose descriptor we may not copy, but we may send to it. */
    info = s->info;
    *s = l->v[--l->n];
    return listing_take(l, fd, &info, &s);
}

/* Ids are given lowest first, so that the last one is followed by none for long. */
enum { ID_GAP = 256 };

/* Finds channels by trying to attach to each id, for a moment, as a sender. */
static int listing_ids(struct listing *l)
{
    _cleanup_(uringk_freep) struct uringk *ring = NULL;
    int r = uringk_new(&ring, NULL);

    for (uint32_t id = 1, gap = 0; r == 0 && gap < ID_GAP && id; id++) {
        int fd = kernel_borrow(ring, &(struct uipc_ref){.id = id});

        if (fd == -ENOENT || fd == -EINVAL) { /* none, or it is going away */
            gap++;
        } else if (fd >= 0 || fd == -EACCES) {
            gap = 0;
            r = listing_id(l, id, fd);
        } else {
            r = fd;
        }
    }
    return r;
}

static int listing_fd(const struct proc_fd *f, void *ctx)
{
    static const struct kernel_record none;
    struct uipc_info info = kernel_info_of(&none, NULL);
    struct listing *l = ctx;
    int r = 0, fd = kernel_take_fd(f->pid, f->fd, NULL);
    struct seen *s;

    if (fd == -ESRCH || fd == -EBADF)
        return 0;
    s = listing_find(l, fd, f->pid, f->fd);
    info.pid = f->pid;
    info.fd = f->fd;
    if (s && fd >= 0)
        close(fd);
    else if (!s && fd < 0)
        return listing_closed(l, &info, fd);
    else if (!s)
        r = listing_take(l, fd, &info, &s);
    if (r == 0 && !s->info.pid) {
        s->info.pid = f->pid;
        s->info.fd = f->fd;
    }
    if (r == 0 && s->last_pid != f->pid) {
        s->last_pid = f->pid;
        s->info.c.processes++;
    }
    return r;
}

int kernel_list(const char *dir, uipc_info_fn visit, void *ctx, uint64_t *hidden,
                struct err *e _unused_)
{
    struct listing l = {0};
    int r = kernel_record_visit(dir, listing_record, &l);

    if (r == 0)
        r = listing_ids(&l);
    if (r == 0)
        r = scan_all(listing_fd, &l, hidden);
    for (size_t i = 0; i < l.n && r == 0; i++) {
        /* The process that left a record is one, also where its descriptors may not be seen. */
        if (l.v[i].info.known)
            l.v[i].info.c.processes = MAX(l.v[i].info.c.processes, 1U);
        r = visit(&l.v[i].info, ctx);
    }
    for (size_t i = 0; i < l.n; i++)
        if (l.v[i].fd >= 0)
            close(l.v[i].fd);
    free(l.v);
    return r;
}
