/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Kernel channels: a client of the proposed io_uring opcodes.
 *
 * Looking never attaches as a receiver, which would hold up a broadcast channel from message 0 on.
 * The mapping comes from a descriptor of a process that has the channel open, which is known of
 * channels that ipcbox keeps (kernel_record.h) or named (pid:PID:FD), or else from attaching for a
 * moment as a sender, which holds up nobody.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "kernel_channel.h"
#include "timefmt.h"

/* ---- probing --------------------------------------------------------------------------------- */

static int no_channels(struct err *e)
{
    return err_set(
        e, -EOPNOTSUPP, "use --backend embedded",
        "this kernel has no io_uring IPC channels (a proposed interface that no released "
        "kernel has)");
}

/*
 * By attaching to an id that no channel has: nothing comes of that. A channel made to try the
 * interface would take id 1 and outlive its ring for a while, and a message that somebody sends to
 * 1 meanwhile would be accepted by it and lost.
 */
static int kernel_probe(struct err *e)
{
    _cleanup_(uringk_freep) struct uringk *ring = NULL;
    const struct uipc_ref nobody = {.id = UINT32_MAX};
    struct uring_ipc_attach a;
    int r = uringk_new(&ring, e);

    if (r < 0)
        return r;
    r = kernel_attach(ring, &nobody, URING_IPC_SUB_SEND, &a);
    if (r == -ENOENT)
        return 0;
    /* EINVAL: no such opcode. A success: some other call has the number. */
    if (r == -EINVAL || r >= 0)
        return no_channels(e);
    return err_set(e, r, NULL, "asking for io_uring channels: %s", strerrordesc_np(-r));
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
    free(k->dir);
    free(k);
}

static void kernel_closep(struct kernel **k)
{
    if (*k)
        kernel_close(&(*k)->base);
}

static void detach(struct kernel *k)
{
    (void)uringk_register(k->ring, URING_IPC_REGISTER_DETACH, NULL, k->sub);
    k->sub = 0;
    guard_unmap(TAKE_PTR(k->file));
    close(TAKE_FD(k->fd));
}

static int attach(struct kernel *k, uint32_t flags, struct err *e)
{
    struct uring_ipc_attach a;
    int r = kernel_attach(k->ring, &k->by, flags, &a);

    if (r < 0)
        return uringk_explain(URINGK_ATTACH, r, e);
    k->sub = a.local_id_out;
    k->fd = a.channel_fd;
    r = kernel_map(k, e);
    if (r < 0)
        detach(k);
    return r;
}

/* Drops a record that is of another channel with the same key, or of one that has vanished. */
static void verify_record(struct kernel *k)
{
    _cleanup_(closep) int fd = -1;
    int same = -EPERM;

    if (!k->record.magic)
        return;
    if (k->record.fd >= 0)
        fd = kernel_take_fd(k->record.pid, k->record.fd, NULL);
    if (fd >= 0)
        same = kernel_same_file(fd, k->fd);
    /* Where we may not compare the files, the same id is good enough, the same key is not. */
    if (same == 0 || (same < 0 && !k->by.id))
        memset(&k->record, 0, sizeof(k->record));
}

/*
 * Whether a new receiver would come too late. It begins at message 0: when that has been
 * overwritten it never gets anything, and holds up the senders of a broadcast channel. The
 * receivers of a multicast channel share one position, which does not lag so far behind; by that a
 * channel whose delivery is not known can be told not to be multicast.
 */
static bool too_late(const struct kernel *k)
{
    uint32_t tail = ringmap_tail(&k->map);

    if (k->delivery == CHAN_MULTICAST || !uringk_overtaken(tail, 0, k->map.entries))
        return false;
    return k->delivery != UIPC_DELIVERY_UNKNOWN ||
           uringk_overtaken(tail, ringmap_consumer(&k->map), k->map.entries);
}

static int attach_and_look(struct kernel *k, uint32_t flags, struct err *e)
{
    int r = attach(k, flags, e);

    if (r < 0)
        return r;
    verify_record(k);
    k->delivery = kernel_delivery(&k->record);
    if (k->record.magic)
        k->by = (struct uipc_ref){.id = k->record.id};
    return 0;
}

/*
 * In a unicast channel a new receiver gets again the messages that the last one has received.
 * Receives and drops those before @consumed.
 */
static int skip_consumed(struct kernel *k, uint32_t consumed)
{
    _cleanup_(freep) char *buf = malloc(k->map.max_msg);
    struct io_uring_sqe sqe;
    int r = 0;

    if (!buf)
        return -ENOMEM;
    uringk_encode_recv(&sqe, k->sub, buf, k->map.max_msg);
    for (; k->position != consumed && r >= 0; k->position += r >= 0)
        r = uringk_run(k->ring, &sqe);
    return 0; /* an error will come again with the first real receive, and be reported there */
}

static int attach_receiver(struct kernel *k, uint32_t flags, struct err *e)
{
    int r = attach_and_look(k, URING_IPC_SUB_SEND, NULL);
    bool late = r == 0 && too_late(k);
    uint32_t consumed;

    /* Look first as a sender, who holds up nobody. Without permission to send that is not possible.
     */
    if (r == 0)
        detach(k);
    if (!late)
        r = attach_and_look(k, flags, e);
    if (r == 0 && !late && too_late(k)) {
        detach(k);
        late = true;
    }
    if (late)
        return uringk_explain(URINGK_RECV, -ESTALE, e);
    if (r == 0 && k->delivery == UIPC_DELIVERY_UNKNOWN &&
        uringk_overtaken(ringmap_tail(&k->map), 0, k->map.entries))
        err_set(e, 0, NULL,
                "more messages have passed than the ring holds: unless this channel, which ipcbox "
                "does not keep, is a multicast one, nothing will come");
    if (r < 0 || k->delivery != CHAN_UNICAST)
        return r;
    consumed = ringmap_consumer(&k->map);
    return consumed <= ringmap_tail(&k->map) ? skip_consumed(k, consumed) : 0;
}

static int open_attached(struct kernel *k, unsigned int access, struct err *e)
{
    uint32_t flags = (access & CHAN_SEND ? (uint32_t)URING_IPC_SUB_SEND : 0) |
                     (access & CHAN_RECV ? (uint32_t)URING_IPC_SUB_RECV : 0);
    int r = uringk_new(&k->ring, e);

    if (r < 0)
        return r;
    return access & CHAN_RECV ? attach_receiver(k, flags, e) : attach_and_look(k, flags, e);
}

/* Copies and maps a process's descriptor. */
static int open_taken(struct kernel *k, pid_t pid, int fd, struct err *e)
{
    k->fd = kernel_take_fd(pid, fd, e);
    if (k->fd < 0)
        return k->fd;
    k->pid = pid;
    k->their_fd = fd;
    return kernel_map(k, e);
}

/* Opens a channel by a process's descriptor, which is enough to look; to attach its id is needed.
 */
static int open_by_fd(struct kernel *k, const struct uipc_ref *ref, unsigned int access,
                      struct err *e)
{
    int r = open_taken(k, ref->pid, ref->fd, e);

    if (r < 0)
        return r;
    (void)kernel_record_of(k->dir, k->fd, &k->record);
    if (!access)
        return 0;
    if (!k->record.magic)
        return err_set(e, -EINVAL, "use its id or its key",
                       "a channel's id cannot be told from a descriptor");
    guard_unmap(TAKE_PTR(k->file));
    close(TAKE_FD(k->fd));
    k->pid = 0;
    k->by = (struct uipc_ref){.id = k->record.id};
    return open_attached(k, access, e);
}

/* Any channel that one may send to can be looked at, whoever made it. */
static int open_borrowed(struct kernel *k, struct err *e)
{
    int r = uringk_new(&k->ring, e);

    if (r < 0)
        return r;
    k->fd = kernel_borrow(k->ring, &k->by);
    if (k->fd == -EACCES)
        return err_set(
            e, -EACCES,
            "name it by a process that has it open, as pid:PID:FD: uringipc list shows "
            "them",
            "its mode does not let you send to it, and a receiver could not look without "
            "holding up others");
    if (k->fd < 0)
        return uringk_explain(URINGK_ATTACH, k->fd, e);
    r = kernel_map(k, e);
    if (r == 0)
        verify_record(k);
    return r;
}

static int open_by_name(struct kernel *k, const struct uipc_ref *ref, unsigned int access,
                        struct err *e)
{
    bool held = kernel_find_record(k->dir, ref, &k->record);

    k->by = *ref;
    if (access)
        return open_attached(k, access, e);
    if (held && k->record.fd >= 0) {
        if (open_taken(k, k->record.pid, k->record.fd, NULL) == 0)
            return 0;
        if (k->fd >= 0)
            close(k->fd);
        k->fd = k->their_fd = -1;
        k->pid = 0;
    }
    return open_borrowed(k, e);
}

static int kernel_open(const char *dir, const struct uipc_ref *ref, unsigned int access,
                       struct uipc **ret, struct err *e)
{
    _cleanup_(kernel_closep) struct kernel *k = calloc(1, sizeof(*k));
    int r;

    if (!k)
        return -ENOMEM;
    k->base.ops = &uipc_kernel_ops;
    k->fd = k->their_fd = -1;
    k->dir = dir ? strdup(dir) : NULL;
    if (dir && !k->dir)
        return -ENOMEM;
    r = ref->pid ? open_by_fd(k, ref, access, e) : open_by_name(k, ref, access, e);
    if (r < 0)
        return r;
    k->delivery = kernel_delivery(&k->record);
    k->looked = timefmt_now(CLOCK_MONOTONIC);
    *ret = &TAKE_PTR(k)->base;
    return 0;
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

static int kernel_info(struct uipc *u, struct uipc_info *info)
{
    struct kernel *k = kernel_of(u);

    *info = kernel_info_of(&k->record, &k->map);
    if (!k->record.magic) { /* all that is known is what it was found by */
        info->id = k->by.id;
        info->c.key = k->by.id ? 0 : k->by.key;
    }
    info->pid = k->pid;
    info->fd = k->their_fd;
    info->c.destroyed = kernel_seems_ended(k);
    return 0;
}

static int kernel_peers(struct uipc *u, uipc_peer_fn visit, void *ctx, uint64_t *hidden)
{
    return kernel_visit_peers(kernel_of(u)->fd, visit, ctx, hidden);
}

static uint32_t kernel_sub_id(struct uipc *u)
{
    return kernel_of(u)->sub;
}

const struct uipc_ops uipc_kernel_ops = {
    .name = "kernel",
    .probe = kernel_probe,
    .create = kernel_create,
    .check = kernel_check,
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
