/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Kernel channels: a client of the proposed io_uring opcodes.
 *
 * Looking never attaches: a receiver that attaches holds up a broadcast channel from message 0 on.
 * The mapping is had through a descriptor of a process that has the channel open, which for
 * channels that ipcbox keeps is known (holder.h), and for others must be named (pid:PID:FD).
 *
 * Nothing in the interface blocks and nothing wakes: waiting is watching the mapping.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "chan_handle.h"
#include "cleanup.h"
#include "holder.h"
#include "proc.h"
#include "timefmt.h"
#include "uipc.h"
#include "uringk.h"

/**
 * struct kernel - an open kernel channel
 * @ring: ours, when attached; the subscription ends with it
 * @fd: the channel; @file its mapping
 * @sub: our subscription, or 0
 * @position: what we receive next; not known in a multicast channel
 * @record: what its holder says; its magic is 0 when there is none
 * @pid, @their_fd: where it was taken from when we did not attach
 */
struct kernel {
    struct uipc base;
    struct uringk *ring;
    int fd;
    struct guard *file;
    struct ringmap map;
    uint32_t sub;
    uint32_t position;
    struct holder_record record;
    pid_t pid;
    int their_fd;
};

struct kernel_keep {
    struct uipc_keep base;
    struct uringk *ring;
    char *dir;
    uint32_t id;
    int fd;
    int record_fd;
};

static struct kernel *kernel_of(struct uipc *u)
{
    return container_of(u, struct kernel, base);
}

static int delivery_of(const struct holder_record *rec)
{
    return rec->magic ? (int)rec->delivery : UIPC_DELIVERY_UNKNOWN;
}

/* ---- probing --------------------------------------------------------------------------------- */

static int no_channels(struct err *e)
{
    return err_set(
        e, -EOPNOTSUPP, "use --backend embedded",
        "this kernel has no io_uring IPC channels (a proposed interface that no released "
        "kernel has)");
}

/* Whether the kernel says that it does not know the opcode. */
static bool opcode_missing(struct uringk *ring)
{
    enum { OPS = 256 };
    _cleanup_(freep) struct io_uring_probe *p = calloc(
        1, sizeof(*p) + OPS * sizeof(struct io_uring_probe_op));

    if (!p || uringk_register(ring, IORING_REGISTER_PROBE, p, OPS) < 0)
        return false; /* it cannot tell */
    return p->last_op < URING_IPC_OP_SEND ||
           !(p->ops[URING_IPC_OP_SEND].flags & IO_URING_OP_SUPPORTED);
}

static int kernel_probe(struct err *e)
{
    _cleanup_(uringk_freep) struct uringk *ring = NULL;
    struct uring_ipc_create c;
    int r = uringk_new(&ring, e);

    if (r < 0)
        return r;
    if (opcode_missing(ring))
        return no_channels(e);
    uringk_encode_create(&c, URING_IPC_F_PRIVATE, 1, 1, 0600, 0);
    r = uringk_register(ring, URING_IPC_REGISTER_CREATE, &c, 1);
    if (r == -EINVAL)
        return no_channels(e);
    return r < 0 ? err_set(e, r, NULL, "creating a channel: %s", strerrordesc_np(-r)) : 0;
}

/* ---- finding --------------------------------------------------------------------------------- */

struct holder_search {
    const struct uipc_ref *ref;
    struct holder_record found;
};

static int holder_match(const struct holder_record *rec, void *ctx)
{
    struct holder_search *s = ctx;
    const struct uipc_ref *ref = s->ref;
    bool match = ref->pid  ? rec->pid == ref->pid && rec->fd == ref->fd
                 : ref->id ? rec->id == ref->id
                           : rec->key == ref->key;

    if (match && rec->created_ns >= s->found.created_ns)
        s->found = *rec;
    return 0;
}

static bool holder_find(const char *dir, const struct uipc_ref *ref, struct holder_record *out)
{
    struct holder_search s = {.ref = ref};

    (void)holder_visit(dir, holder_match, &s);
    *out = s.found;
    return s.found.magic != 0;
}

/* Maps a channel's descriptor whose size nobody has told. */
static int map_channel(struct kernel *k, struct err *e)
{
    struct guard *head = NULL;
    const struct uring_ipc_ring *ring;
    size_t size;
    int r = guard_map(&head, k->fd, URING_IPC_DATA_ALIGN, false);

    if (r < 0)
        return err_set(e, r, NULL, "cannot map the channel: %s", strerrordesc_np(-r));
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
        return err_set(e, r, NULL, "cannot map the channel: %s", strerrordesc_np(-r));
    return ringmap_init(&k->map, guard_base(k->file), size, false, e);
}

static bool is_channel(int fd)
{
    char path[48], link[64];
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    n = readlink(path, link, sizeof(link));
    return n == (ssize_t)strlen(URING_IPC_FD_LINK) &&
           memcmp(link, URING_IPC_FD_LINK, (size_t)n) == 0;
}

/* Takes a process's descriptor of a channel and maps it. */
static int take_channel(struct kernel *k, pid_t pid, int fd, struct err *e)
{
    k->fd = proc_fd_take(pid, fd, e);
    if (k->fd < 0)
        return k->fd;
    if (!is_channel(k->fd))
        return err_set(e, -EBADF, "uringipc list shows what there is",
                       "descriptor %d of process %d is no channel", fd, pid);
    k->pid = pid;
    k->their_fd = fd;
    return map_channel(k, e);
}

/* ---- opening --------------------------------------------------------------------------------- */

static void kernel_close(struct uipc *u)
{
    struct kernel *k = kernel_of(u);

    if (k->sub)
        (void)uringk_register(k->ring, URING_IPC_REGISTER_DETACH, NULL, k->sub);
    guard_unmap(k->file);
    if (k->fd >= 0)
        close(k->fd);
    uringk_free(k->ring);
    free(k);
}

static void kernel_closep(struct kernel **k)
{
    if (*k)
        kernel_close(&(*k)->base);
}

static int detach(struct kernel *k)
{
    int r = uringk_register(k->ring, URING_IPC_REGISTER_DETACH, NULL, k->sub);

    k->sub = 0;
    guard_unmap(TAKE_PTR(k->file));
    close(TAKE_FD(k->fd));
    return r;
}

static int attach(struct kernel *k, const struct uipc_ref *ref, uint32_t flags, struct err *e)
{
    struct uring_ipc_attach a;
    int r;

    uringk_encode_attach(&a, ref->id, ref->id ? 0 : ref->key, flags);
    r = uringk_register(k->ring, URING_IPC_REGISTER_ATTACH, &a, 1);
    if (r < 0)
        return uringk_explain(URINGK_ATTACH, r, e);
    k->sub = a.local_id_out;
    k->fd = a.channel_fd;
    return map_channel(k, e);
}

/* A receiver begins at message 0, which may be gone. Multicast has one position for all. */
static bool too_late(const struct kernel *k)
{
    return delivery_of(&k->record) != CHAN_MULTICAST &&
           uringk_overtaken(ringmap_tail(&k->map), 0, k->map.entries);
}

static int attach_receiver(struct kernel *k, const struct uipc_ref *ref, uint32_t flags,
                           struct err *e)
{
    int r = attach(k, ref, URING_IPC_SUB_SEND, NULL);

    /* A sender holds up nobody: look first. Without write permission one must go in at once. */
    if (r == 0 || k->sub) {
        bool late = r == 0 && too_late(k);

        (void)detach(k);
        if (late)
            return uringk_explain(URINGK_RECV, -ESTALE, e);
    }
    r = attach(k, ref, flags, e);
    if (r == 0 && too_late(k)) {
        (void)detach(k);
        return uringk_explain(URINGK_RECV, -ESTALE, e);
    }
    return r;
}

static int open_attached(struct kernel *k, const struct uipc_ref *ref, unsigned int access,
                         struct err *e)
{
    struct uipc_ref by = *ref;
    uint32_t flags = (access & CHAN_SEND ? (uint32_t)URING_IPC_SUB_SEND : 0) |
                     (access & CHAN_RECV ? (uint32_t)URING_IPC_SUB_RECV : 0);
    int r;

    if (ref->pid && !k->record.magic)
        return err_set(e, -EINVAL, "use its id or its key",
                       "a channel's id cannot be told from a descriptor");
    if (ref->pid)
        by = (struct uipc_ref){.id = k->record.id};
    r = uringk_new(&k->ring, e);
    if (r < 0)
        return r;
    return access & CHAN_RECV ? attach_receiver(k, &by, flags, e) : attach(k, &by, flags, e);
}

static int kernel_open(const char *dir, const struct uipc_ref *ref, unsigned int access,
                       struct uipc **ret, struct err *e)
{
    _cleanup_(kernel_closep) struct kernel *k = calloc(1, sizeof(*k));
    bool held;
    int r;

    if (!k)
        return -ENOMEM;
    k->base.ops = &uipc_kernel_ops;
    k->fd = k->their_fd = -1;
    held = holder_find(dir, ref, &k->record);
    if (access)
        r = open_attached(k, ref, access, e);
    else if (ref->pid)
        r = take_channel(k, ref->pid, ref->fd, e);
    else if (held && k->record.fd >= 0)
        r = take_channel(k, k->record.pid, k->record.fd, e);
    else
        r = err_set(e, -ENOENT, "find it with uringipc list and name it as pid:PID:FD",
                    "ipcbox keeps no such channel, and others can only be looked into through a "
                    "process that has them open");
    if (r < 0)
        return r;
    *ret = &TAKE_PTR(k)->base;
    return 0;
}

/* ---- sending and receiving ------------------------------------------------------------------- */

/* What is left of a time that began at @start. */
static uint64_t time_left(uint64_t start, uint64_t timeout)
{
    uint64_t spent;

    if (timeout == CHAN_FOREVER)
        return timeout;
    spent = timefmt_now(CLOCK_MONOTONIC) - start;
    return spent < timeout ? timeout - spent : 0;
}

static int pause_ns(uint64_t ns)
{
    struct timespec ts = timefmt_to_timespec(ns);

    return nanosleep(&ts, NULL) < 0 ? -errno : 0;
}

static int kernel_send(struct uipc *u, const void *data, size_t len, uint64_t user_data,
                       uint32_t target, uint64_t timeout_ns, struct err *e)
{
    const uint64_t longest = 20 * NSEC_PER_MSEC;
    struct kernel *k = kernel_of(u);
    uint64_t start = timeout_ns ? timefmt_now(CLOCK_MONOTONIC) : 0;
    uint64_t wait = 50 * NSEC_PER_USEC;
    enum uringk_op op = target ? URINGK_SEND_TARGET : URINGK_SEND;
    struct io_uring_sqe sqe;

    if (!k->sub)
        return -EACCES;
    if (len > k->map.max_msg)
        return uringk_explain(op, -EMSGSIZE, e);
    uringk_encode_send(&sqe, k->sub, data, (uint32_t)len, target, user_data);
    for (;;) {
        int r = uringk_run(k->ring, &sqe);
        uint64_t left;

        if (r >= 0)
            return 0;
        if (r != -ENOBUFS || !timeout_ns)
            return uringk_explain(op, r, e);
        left = time_left(start, timeout_ns);
        if (!left)
            return -ETIMEDOUT;
        r = pause_ns(MIN(wait, left));
        if (r < 0)
            return r;
        wait = MIN(wait * 2, longest);
    }
}

/* Nothing was there when @tail messages had been sent: waits for another. */
static int wait_for_more(const struct kernel *k, uint32_t tail, uint64_t left)
{
    bool moving = ringmap_tail(&k->map) != tail ||
                  (tail && ringmap_state(&k->map, tail - 1) == RINGMAP_UNPUBLISHED);

    return moving ? pause_ns(MIN(left, 50 * NSEC_PER_USEC)) : ringmap_wait(&k->map, tail, left);
}

static int kernel_recv(struct uipc *u, void *buf, size_t cap, struct chan_got *got,
                       uint64_t timeout_ns, struct err *e)
{
    struct kernel *k = kernel_of(u);
    bool own_position = delivery_of(&k->record) != CHAN_MULTICAST;
    uint64_t start = timeout_ns ? timefmt_now(CLOCK_MONOTONIC) : 0;
    struct io_uring_sqe sqe;

    if (!k->sub)
        return -EACCES;
    if (cap < k->map.max_msg)
        return uringk_explain(URINGK_RECV, -EMSGSIZE, e);
    uringk_encode_recv(&sqe, k->sub, buf, (uint32_t)MIN(cap, (size_t)UINT32_MAX));
    for (;;) {
        uint32_t tail = ringmap_tail(&k->map);
        struct ringmap_msg seen = {0};
        bool known = own_position && ringmap_read(&k->map, k->position, NULL, 0, &seen) == 0;
        int r = uringk_run(k->ring, &sqe);
        uint64_t left;

        if (r >= 0) {
            *got = (struct chan_got){.position = own_position ? k->position : UINT64_MAX};
            got->msg = known && seen.len == (uint32_t)r ? seen : (struct ringmap_msg){0};
            got->msg.len = (uint32_t)r;
            k->position++;
            return 0;
        }
        if (r != -EAGAIN)
            return uringk_explain(URINGK_RECV, r, e);
        if (delivery_of(&k->record) != UIPC_DELIVERY_UNKNOWN && own_position &&
            uringk_overtaken(tail, k->position, k->map.entries))
            return uringk_explain(URINGK_RECV, -ESTALE, e);
        if (!timeout_ns)
            return -EAGAIN;
        left = time_left(start, timeout_ns);
        r = left ? wait_for_more(k, tail, left) : -ETIMEDOUT;
        if (r < 0)
            return r;
    }
}

/* ---- looking --------------------------------------------------------------------------------- */

static int kernel_look(struct uipc *u, struct ringmap *map, uint64_t *from, uint64_t *to)
{
    struct kernel *k = kernel_of(u);

    *map = k->map;
    *from = ringmap_head(&k->map);
    *to = *from + (uint32_t)(ringmap_tail(&k->map) - (uint32_t)*from);
    return 0;
}

static struct uipc_info info_of(const struct holder_record *rec, const struct ringmap *map)
{
    struct uipc_info info = {
        .backend = uipc_kernel_ops.name,
        .id = rec->id,
        .delivery = delivery_of(rec),
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
    if (map) {
        info.c.entries = map->entries;
        info.c.max_msg = map->max_msg;
        info.c.tail = ringmap_tail(map);
        info.c.waiting = (uint32_t)info.c.tail - ringmap_head(map);
    }
    return info;
}

/* The processes that have a channel open. */
struct holders {
    int proc;
    int fd; /* our duplicate */
    struct err *e;
    uipc_peer_fn visit;
    void *ctx;
    uint32_t n;
};

/* Whether two descriptors of ours are of one open file; unknown counts as no. */
static bool same_file(int a, int b)
{
    pid_t self = getpid();

    return syscall(SYS_kcmp, self, self, KCMP_FILE, a, b) == 0;
}

static int peer_fd(const struct proc_fd *f, void *ctx)
{
    struct holders *h = ctx;
    struct chan_peer peer = {.pid = (uint32_t)f->pid};
    _cleanup_(closep) int fd = -1;

    if (strcmp(f->link, URING_IPC_FD_LINK) != 0)
        return 0;
    fd = proc_fd_take(f->pid, f->fd, NULL);
    if (fd < 0 || !same_file(fd, h->fd))
        return 0;
    h->n++;
    return h->visit ? h->visit(&peer, h->ctx) : 0;
}

static int peer_pid(pid_t pid, void *ctx)
{
    struct holders *h = ctx;
    int r = pid == getpid() ? 0 : proc_visit_fds(h->proc, pid, peer_fd, h);

    return r == -ESRCH || r == -EACCES ? 0 : r;
}

static int kernel_peers(struct uipc *u, uipc_peer_fn visit, void *ctx)
{
    _cleanup_(closep) int proc = proc_open(NULL);
    struct holders h = {.proc = proc, .fd = kernel_of(u)->fd, .visit = visit, .ctx = ctx};

    return proc < 0 ? proc : proc_visit_pids(proc, peer_pid, &h);
}

static int kernel_info(struct uipc *u, struct uipc_info *info)
{
    const struct kernel *k = kernel_of(u);

    *info = info_of(&k->record, &k->map);
    info->pid = k->pid;
    info->fd = k->their_fd;
    return 0;
}

static uint32_t kernel_sub_id(struct uipc *u)
{
    return kernel_of(u)->sub;
}

/* ---- listing --------------------------------------------------------------------------------- */

enum { LIST_MAX = 4096 };

/* The channels seen so far, one descriptor of ours for each. */
struct channels {
    const char *dir;
    int proc;
    uipc_info_fn visit;
    void *ctx;
    int fds[LIST_MAX];
    size_t n;
};

static int list_fd(const struct proc_fd *f, void *ctx)
{
    struct channels *l = ctx;
    struct uipc_ref ref = {.pid = f->pid, .fd = f->fd};
    struct kernel k = {.fd = -1};
    struct uipc_info info;
    struct err e = ERR_INIT;
    int r;

    if (strcmp(f->link, URING_IPC_FD_LINK) != 0)
        return 0;
    r = take_channel(&k, f->pid, f->fd, &e);
    for (size_t i = 0; r == 0 && i < l->n; i++)
        if (same_file(l->fds[i], k.fd)) {
            guard_unmap(k.file);
            close(k.fd);
            return 0;
        }
    if (r != -ESRCH && r != -EBADF) {
        (void)holder_find(l->dir, &ref, &k.record);
        info = info_of(&k.record, r == 0 ? &k.map : NULL);
        info.pid = f->pid;
        info.fd = f->fd;
        info.error = r;
        r = l->visit(&info, l->ctx);
    } else {
        r = 0;
    }
    guard_unmap(k.file);
    if (k.fd >= 0 && l->n < LIST_MAX)
        l->fds[l->n++] = k.fd;
    else if (k.fd >= 0)
        close(k.fd);
    return r;
}

static int list_pid(pid_t pid, void *ctx)
{
    struct channels *l = ctx;
    int r = pid == getpid() ? 0 : proc_visit_fds(l->proc, pid, list_fd, l);

    return r == -ESRCH || r == -EACCES ? 0 : r;
}

/* Keepers first, so that a channel is shown with what is known of it. */
static int list_holder(const struct holder_record *rec, void *ctx)
{
    struct channels *l = ctx;
    struct uipc_info info = info_of(rec, NULL);

    if (rec->fd >= 0) {
        struct proc_fd f = {.pid = rec->pid, .fd = rec->fd, .link = URING_IPC_FD_LINK};

        return list_fd(&f, l);
    }
    info.pid = rec->pid;
    info.error = -ENODATA; /* its mode lets not even its owner attach */
    return l->visit(&info, l->ctx);
}

static int kernel_list(const char *dir, uipc_info_fn visit, void *ctx, struct err *e _unused_)
{
    struct channels *l = calloc(1, sizeof(*l));
    int r;

    if (!l)
        return -ENOMEM;
    *l = (struct channels){.dir = dir, .proc = proc_open(NULL), .visit = visit, .ctx = ctx};
    r = l->proc < 0 ? l->proc : holder_visit(dir, list_holder, l);
    if (r == 0)
        r = proc_visit_pids(l->proc, list_pid, l);
    for (size_t i = 0; i < l->n; i++)
        close(l->fds[i]);
    if (l->proc >= 0)
        close(l->proc);
    free(l);
    return r;
}

/* ---- creating and destroying ----------------------------------------------------------------- */

/* The channel ends in either case: its ring goes. */
static void kernel_release(struct uipc_keep *keep, bool destroy _unused_)
{
    struct kernel_keep *k = container_of(keep, struct kernel_keep, base);

    if (k->record_fd >= 0)
        holder_remove(k->dir, k->id, k->record_fd);
    if (k->fd >= 0)
        close(k->fd);
    uringk_free(k->ring); /* with which the channel goes */
    free(k->dir);
    free(k);
}

static uint32_t delivery_flags(enum chan_delivery delivery)
{
    return delivery == CHAN_BROADCAST   ? (uint32_t)URING_IPC_F_BROADCAST
           : delivery == CHAN_MULTICAST ? (uint32_t)URING_IPC_F_MULTICAST
                                        : 0;
}

/* Attaches as a sender, which holds up nobody, so that the channel is to be found in /proc. */
static int keep_descriptor(const struct kernel_keep *k)
{
    struct uring_ipc_attach a;

    uringk_encode_attach(&a, k->id, 0, URING_IPC_SUB_SEND);
    return uringk_register(k->ring, URING_IPC_REGISTER_ATTACH, &a, 1) < 0 ? -1 : a.channel_fd;
}

static int create_on(struct kernel_keep *k, const struct chan_conf *conf, struct err *e)
{
    struct holder_record rec = {
        .magic = HOLDER_MAGIC,
        .key = conf->key,
        .created_ns = timefmt_now(CLOCK_REALTIME),
        .pid = getpid(),
        .delivery = conf->delivery,
        .mode = conf->mode & URING_IPC_MODE_MASK,
        .uid = geteuid(),
        .gid = getegid(),
    };
    struct uring_ipc_create c;
    int r;

    uringk_encode_create(&c, delivery_flags(conf->delivery), conf->entries, conf->max_msg,
                         conf->mode, conf->key);
    r = uringk_register(k->ring, URING_IPC_REGISTER_CREATE, &c, 1);
    if (r < 0)
        return uringk_explain(URINGK_CREATE, r, e);
    k->id = rec.id = c.channel_id_out;
    k->fd = rec.fd = keep_descriptor(k);
    snprintf(rec.name, sizeof(rec.name), "%s", conf->name ? conf->name : "");
    r = holder_write(k->dir, &rec, e);
    k->record_fd = r < 0 ? -1 : r;
    return MIN(r, 0);
}

static int kernel_create(const char *dir, const struct chan_conf *conf, struct uipc_keep **keep,
                         uint32_t *id, struct err *e)
{
    struct kernel_keep *k = calloc(1, sizeof(*k));
    int r;

    if (!k)
        return -ENOMEM;
    *k = (struct kernel_keep){.base.ops = &uipc_kernel_ops, .fd = -1, .record_fd = -1};
    k->dir = dir ? strdup(dir) : NULL;
    r = dir && !k->dir ? -ENOMEM : uringk_new(&k->ring, e);
    if (r == 0)
        r = create_on(k, conf, e);
    if (r < 0) {
        kernel_release(&k->base, true);
        return r;
    }
    *id = k->id;
    *keep = &k->base;
    return 0;
}

/* Has the keeper of a channel end it. */
static int stop_holder(const char *dir, const struct uipc_ref *ref, const struct holder_record *rec,
                       struct err *e)
{
    struct holder_record now;

    if (kill(rec->pid, SIGTERM) < 0)
        return err_set(e, -errno, NULL, "process %d, which keeps the channel: %s", rec->pid,
                       strerrordesc_np(errno));
    for (int i = 0; i < 500; i++) {
        if (!holder_find(dir, ref, &now) || now.pid != rec->pid)
            return 0;
        (void)pause_ns(10 * NSEC_PER_MSEC);
    }
    return err_set(e, -ETIMEDOUT, NULL, "process %d, which keeps the channel, does not end",
                   rec->pid);
}

static int kernel_destroy(const char *dir, const struct uipc_ref *ref, bool force, struct err *e)
{
    _cleanup_(uringk_freep) struct uringk *ring = NULL;
    struct holder_record rec;
    int r;

    if (holder_find(dir, ref, &rec))
        return stop_holder(dir, ref, &rec, e);
    if (!ref->id)
        return err_set(e, -ENOENT, "uringipc list shows what there is",
                       "ipcbox keeps no such channel");
    if (!force)
        return err_set(e, -EPERM,
                       "end the process that made it, or use --force: the kernel asks for no "
                       "permission",
                       "ipcbox does not keep this channel: it may be anybody's");
    r = uringk_new(&ring, e);
    if (r < 0)
        return r;
    r = uringk_register(ring, URING_IPC_REGISTER_DESTROY, NULL, ref->id);
    return r < 0 ? uringk_explain(URINGK_DESTROY, r, e) : 0;
}

const struct uipc_ops uipc_kernel_ops = {
    .name = "kernel",
    .probe = kernel_probe,
    .create = kernel_create,
    .destroy = kernel_destroy,
    .list = kernel_list,
    .open = kernel_open,
    .send = kernel_send,
    .recv = kernel_recv,
    .look = kernel_look,
    .info = kernel_info,
    .peers = kernel_peers,
    .sub_id = kernel_sub_id,
    .close = kernel_close,
    .release = kernel_release,
};
