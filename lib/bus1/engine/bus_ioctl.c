/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The four ioctls, decoded. */
#include "bus_ioctl.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "bus1_abi.h"
#include "bus_defects.h"
#include "cleanup.h"
#include "macros.h"

/* A client's iovec: two 64-bit words, whatever the word size of this process is. */
struct vec {
    uint64_t base;
    uint64_t len;
};

enum { FEW = 16, MAX_VECS = UIO_MAXIOV };

struct call {
    struct b1_peer *peer;
    const struct b1_client_ops *ops;
    void *ctx;
};

/* Tells whether the bus has a defect. */
static bool has(const struct call *c, unsigned int defect)
{
    return b1_bus_has(b1_peer_bus(c->peer), defect);
}

static int client_read(const struct call *c, uint64_t from, void *to, size_t n)
{
    return n ? c->ops->read(c->ctx, &(struct vm_range){from, to, n}, 1) : 0;
}

static int client_write(const struct call *c, uint64_t to, void *from, size_t n)
{
    return n ? c->ops->write(c->ctx, &(struct vm_range){to, from, n}, 1) : 0;
}

static int commit(const struct call *c)
{
    return c->ops->commit ? c->ops->commit(c->ctx) : 0;
}

/* Reads an array of @n elements of @size bytes. */
static int read_array(const struct call *c, uint64_t from, void *to, size_t n, size_t size)
{
    _cleanup_(freep) char *raw = NULL;
    int r;

    if (!has(c, B1_DEFECT_STRIDE) || n < 2)
        return client_read(c, from, to, n * size);
    raw = malloc(n - 1 + size);
    if (!raw)
        return -ENOMEM;
    r = client_read(c, from, raw, n - 1 + size);
    for (size_t i = 0; r == 0 && i < n; i++)
        memcpy((char *)to + i * size, raw + i, size);
    return r;
}

static int write_array(const struct call *c, uint64_t to, void *from, size_t n, size_t size)
{
    int r = 0;

    if (!has(c, B1_DEFECT_STRIDE))
        return client_write(c, to, from, n * size);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = client_write(c, to + i, (char *)from + i * size, size);
    return r;
}

/* Returns @few if that is large enough, else memory that the caller frees through @heap. */
static void *array_room(void *few, size_t n, size_t size, void *heap)
{
    void *p = few;

    if (n > FEW) {
        p = calloc(n, size);
        *(void **)heap = p;
    }
    return p;
}

static int do_release(const struct call *c, const struct bus1_cmd_release *cmd)
{
    _cleanup_(freep) void *heap = NULL;
    uint64_t few[FEW], *ids;
    int r;

    if (cmd->flags)
        return -EINVAL;
    if (!cmd->n_ids)
        return 0;
    if (cmd->n_ids > b1_bus_limits(b1_peer_bus(c->peer))->batch)
        return -EDQUOT;
    ids = array_room(few, cmd->n_ids, sizeof(*ids), &heap);
    if (!ids)
        return -ENOMEM;
    r = read_array(c, cmd->ptr_ids, ids, cmd->n_ids, sizeof(*ids));
    if (r == -EFAULT && has(c, B1_DEFECT_RELEASE_ZERO))
        return 0;
    if (r == 0)
        r = commit(c);
    return r < 0 ? r : b1_release(c->peer, ids, cmd->n_ids);
}

static int transfer_decode(const struct bus1_transfer *src, struct b1_transfer *t, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool create = src[i].flags == BUS1_TRANSFER_FLAG_CREATE;

        if (src[i].flags & ~BUS1_TRANSFER_FLAG_CREATE || (create && src[i].id != BUS1_INVALID))
            return -EINVAL;
        t[i] = (struct b1_transfer){.create = create, .src = src[i].id};
    }
    return 0;
}

static int do_transfer_to(const struct call *c, const struct bus1_cmd_transfer *cmd,
                          struct b1_peer *to)
{
    _cleanup_(freep) struct bus1_transfer *src = NULL;
    _cleanup_(freep) struct b1_transfer *t = NULL;
    struct b1_transfer_op *op;
    bool creates = false;
    size_t n = cmd->n_transfers;
    int r;

    src = calloc(n, sizeof(*src));
    t = calloc(n, sizeof(*t));
    if (!src || !t)
        return -ENOMEM;
    r = read_array(c, cmd->ptr_src, src, n, sizeof(*src));
    if (r == 0)
        r = transfer_decode(src, t, n);
    if (r == 0)
        r = b1_transfer_begin(c->peer, to, t, n, &op);
    if (r < 0)
        return r;
    for (size_t i = 0; i < n; i++) {
        creates |= t[i].create;
        src[i] = (struct bus1_transfer){.id = t[i].src};
    }
    /*
     * The ids are written before anything exists, so that nothing has to be undone if that fails.
     */
    if (creates)
        r = write_array(c, cmd->ptr_src, src, n, sizeof(*src));
    for (size_t i = 0; i < n; i++)
        src[i].id = t[i].dst;
    if (r == 0)
        r = write_array(c, cmd->ptr_dst, src, n, sizeof(*src));
    if (r == 0)
        r = commit(c);
    if (r < 0) {
        b1_transfer_abort(op);
        return r;
    }
    return b1_transfer_commit(op);
}

static int do_transfer(const struct call *c, const struct bus1_cmd_transfer *cmd)
{
    struct b1_peer *to = NULL;
    int r;

    if (cmd->flags)
        return -EINVAL;
    if (!cmd->n_transfers)
        return 0;
    if (cmd->n_transfers > b1_bus_limits(b1_peer_bus(c->peer))->batch)
        return -EDQUOT;
    if (cmd->to == BUS1_INVALID)
        return do_transfer_to(c, cmd, c->peer);
    if (cmd->to > INT_MAX)
        return -EBADF;
    r = c->ops->peer(c->ctx, cmd->to, &to);
    if (r < 0)
        return r;
    r = do_transfer_to(c, cmd, to);
    b1_peer_unref(to);
    return r == -EXDEV ? -EOPNOTSUPP : r;
}

/* A message that a client described, with room on the stack for most messages. */
struct send {
    struct bus1_message msg;
    uint64_t *destinations;
    uint64_t *transfers;
    struct b1_packet *packet;
    void *heap[3];
    uint64_t few_destinations[FEW];
    uint64_t few_transfers[FEW];
};

static void send_done(struct send *s)
{
    for (size_t i = 0; i < ARRAY_SIZE(s->heap); i++)
        free(s->heap[i]);
    b1_packet_free(s->packet);
}

static int send_read_transfers(const struct call *c, struct send *s)
{
    _cleanup_(freep) void *heap = NULL;
    size_t n = s->msg.n_transfers;
    struct bus1_transfer few[FEW], *t;
    int r;

    if (!n)
        return 0;
    if (n > b1_bus_limits(b1_peer_bus(c->peer))->batch)
        return -EDQUOT;
    t = array_room(few, n, sizeof(*t), &heap);
    s->transfers = array_room(s->few_transfers, n, sizeof(uint64_t), &s->heap[1]);
    if (!t || !s->transfers)
        return -ENOMEM;
    r = read_array(c, s->msg.ptr_transfers, t, n, sizeof(*t));
    for (size_t i = 0; r == 0 && i < n; i++) {
        if (t[i].flags)
            return -EINVAL;
        s->transfers[i] = t[i].id;
    }
    return r;
}

/* Reads an array of @n iovecs. */
static int vecs_read(const struct call *c, uint64_t from, size_t n, struct vec *few, void *heap,
                     struct vec **ret)
{
    if (n > MAX_VECS)
        return -EINVAL;
    *ret = array_room(few, n, sizeof(**ret), heap);
    if (!*ret)
        return -ENOMEM;
    return client_read(c, from, *ret, n * sizeof(**ret));
}

/* The sum of their lengths, or UINT64_MAX if it overflows. */
static uint64_t vecs_total(const struct vec *v, size_t n)
{
    uint64_t total = 0;

    for (size_t i = 0; i < n; i++)
        if (__builtin_add_overflow(total, v[i].len, &total))
            return UINT64_MAX;
    return total;
}

/* Splits @data into ranges for the first @n bytes of the iovecs. Return: number of ranges. */
static size_t vecs_ranges(const struct vec *v, size_t n_vecs, void *data, size_t n,
                          struct vm_range *out)
{
    char *at = data;
    size_t k = 0;

    for (size_t i = 0; i < n_vecs && n; i++) {
        size_t take = (size_t)MIN(v[i].len, (uint64_t)n);

        if (!take)
            continue;
        out[k++] = (struct vm_range){v[i].base, at, take};
        at += take;
        n -= take;
    }
    return k;
}

static int send_read_data(const struct call *c, struct send *s, size_t n_destinations)
{
    const struct b1_limits *limits = b1_bus_limits(b1_peer_bus(c->peer));
    _cleanup_(freep) void *heap = NULL, *heap_ranges = NULL;
    struct vec few[FEW], *v;
    struct vm_range few_ranges[FEW], *ranges;
    uint64_t n_data = s->msg.n_data, total;
    size_t k;
    int r = vecs_read(c, s->msg.ptr_data_vecs, s->msg.n_data_vecs, few, &heap, &v);

    if (r < 0)
        return r;
    total = vecs_total(v, s->msg.n_data_vecs);
    if (total < n_data)
        return -EMSGSIZE;
    if (has(c, B1_DEFECT_WHOLE_VECS))
        n_data = total;
    if (n_data > limits->message_bytes)
        return -EDQUOT;
    ranges = array_room(few_ranges, s->msg.n_data_vecs, sizeof(*ranges), &heap_ranges);
    if (!ranges)
        return -ENOMEM;
    r = b1_packet_new(n_data, n_destinations, s->msg.n_transfers, &s->packet);
    if (r < 0)
        return r;
    k = vecs_ranges(v, s->msg.n_data_vecs, b1_packet_data(s->packet), n_data, ranges);
    return k ? c->ops->read(c->ctx, ranges, k) : 0;
}

static int send_read_message(const struct call *c, struct send *s, size_t n_destinations)
{
    int r;

    if (s->msg.flags || s->msg.type != BUS1_MESSAGE_TYPE_USER)
        return -EINVAL;
    r = send_read_transfers(c, s);
    return r < 0 ? r : send_read_data(c, s, n_destinations);
}

static int send_write_errors(const struct call *c, uint64_t to, const int32_t *errors, size_t n)
{
    bool wide = has(c, B1_DEFECT_ERRORS_U64);
    size_t size = wide ? sizeof(uint64_t) : sizeof(int32_t);
    _cleanup_(freep) void *heap = NULL;
    uint64_t few[FEW], *v = array_room(few, n, sizeof(*v), &heap);

    if (!v)
        return -ENOMEM;
    memset(v, 0, n * sizeof(*v));
    for (size_t i = 0; errors && i < n; i++) {
        if (wide)
            v[i] = (uint64_t)(int64_t)errors[i];
        else
            memcpy((char *)v + i * size, &errors[i], size);
    }
    return write_array(c, to, v, n, size);
}

/* With this defect the kernel crashes when a SEND fails before its destination was looked up. */
static int send_defect(const struct call *c, const struct send *s, int r)
{
    for (size_t i = 0; r == 0 && has(c, B1_DEFECT_SEND_OOPS) && i < s->msg.n_transfers; i++)
        if (!b1_peer_has_handle(c->peer, s->transfers[i]))
            r = -EBADRQC;
    if (r < 0 && has(c, B1_DEFECT_SEND_OOPS))
        return c->ops->oops ? c->ops->oops(c->ctx) : -EIO;
    return r;
}

/* Sends the message. If a destination made it fail, the client is told which one. */
static int send_commit(const struct call *c, const struct bus1_cmd_send *cmd, struct send *s)
{
    size_t n = cmd->n_destinations;
    _cleanup_(freep) void *heap = NULL;
    int32_t few[FEW] = {0}, *errors = array_room(few, n, sizeof(*errors), &heap);
    int r;

    if (!errors)
        return -ENOMEM;
    r = commit(c);
    if (r < 0)
        return r;
    r = b1_send(c->peer, s->packet, s->destinations, s->transfers, errors);
    if (r == 0)
        TAKE_PTR(s->packet);
    if (r == -EBADRQC)
        (void)send_write_errors(c, cmd->ptr_errors, errors, n); /* the call has failed already */
    return r;
}

static int do_send(const struct call *c, const struct bus1_cmd_send *cmd)
{
    _cleanup_(send_done) struct send s;
    size_t n = cmd->n_destinations;
    bool whole = false;
    int r = 0;

    s.packet = NULL;
    s.transfers = NULL;
    memset(s.heap, 0, sizeof(s.heap));
    if (cmd->flags)
        return -EINVAL;
    if (!n)
        return 0;
    if (n > b1_bus_limits(b1_peer_bus(c->peer))->batch)
        return -EDQUOT;
    s.destinations = array_room(s.few_destinations, n, sizeof(uint64_t), &s.heap[0]);
    if (!s.destinations)
        return -ENOMEM;
    if (!has(c, B1_DEFECT_STRIDE)) /* usually both can be read in one go */
        whole = c->ops->read(c->ctx,
                             (struct vm_range[]){
                                 {cmd->ptr_destinations, s.destinations, n * sizeof(uint64_t)},
                                 {cmd->ptr_message, &s.msg, sizeof(s.msg)},
                             },
                             2) == 0;
    if (r == 0 && !whole)
        r = read_array(c, cmd->ptr_destinations, s.destinations, n, sizeof(uint64_t));
    if (r == 0)
        r = send_write_errors(c, cmd->ptr_errors, NULL, n);
    if (r < 0)
        return r;
    if (!whole)
        r = client_read(c, cmd->ptr_message, &s.msg, sizeof(s.msg));
    if (r == 0)
        r = send_read_message(c, &s, n);
    r = send_defect(c, &s, r);
    return r < 0 ? r : send_commit(c, cmd, &s);
}

struct recv {
    struct bus1_message msg;
    struct vec *vecs;
    uint64_t room;
    void *heap[1];
    struct vec few[FEW];
};

static void recv_done(struct recv *rc)
{
    free(rc->heap[0]);
}

/* Reports the sizes of a message for which the client's buffers are too small. */
static int recv_too_small(const struct call *c, const struct bus1_cmd_recv *cmd, struct recv *rc,
                          const struct b1_view *v)
{
    int r;

    if (has(c, B1_DEFECT_NO_SIZES))
        return -EMSGSIZE;
    rc->msg.n_data = v->n_data;
    rc->msg.n_transfers = v->n_transfers;
    r = client_write(c, cmd->ptr_message, &rc->msg, sizeof(rc->msg));
    return r < 0 ? r : -EMSGSIZE;
}

static int recv_copy_out(const struct call *c, const struct bus1_cmd_recv *cmd, struct recv *rc,
                         const struct b1_view *v)
{
    _cleanup_(freep) void *heap_transfers = NULL, *heap_ranges = NULL;
    struct bus1_metadata meta = {.id = v->id, .account = v->account};
    struct bus1_transfer few[FEW], *t;
    struct vm_range few_ranges[FEW + 2], *ranges = few_ranges;
    size_t k;
    int r;

    t = array_room(few, v->n_transfers, sizeof(*t), &heap_transfers);
    if (rc->msg.n_data_vecs > FEW) {
        heap_ranges = calloc(rc->msg.n_data_vecs + 2, sizeof(*ranges));
        ranges = heap_ranges;
    }
    if (!t || !ranges)
        return -ENOMEM;
    for (size_t i = 0; i < v->n_transfers; i++)
        t[i] = (struct bus1_transfer){.id = v->transfers[i]};
    r = v->n_transfers ? write_array(c, rc->msg.ptr_transfers, t, v->n_transfers, sizeof(*t)) : 0;
    if (r < 0)
        return r;
    rc->msg.type = v->type;
    rc->msg.n_data = v->n_data;
    rc->msg.n_transfers = v->n_transfers;
    k = vecs_ranges(rc->vecs, rc->msg.n_data_vecs, (void *)(uintptr_t)v->data, v->n_data, ranges);
    ranges[k++] = (struct vm_range){cmd->ptr_metadata, &meta, sizeof(meta)};
    ranges[k++] = (struct vm_range){cmd->ptr_message, &rc->msg, sizeof(rc->msg)};
    return c->ops->write(c->ctx, ranges, k);
}

/*
 * Receives once. Return: -EAGAIN, with @taken set, when another receiver of this peer was faster.
 */
static int recv_once(const struct call *c, const struct bus1_cmd_recv *cmd, const struct recv *in,
                     bool *taken)
{
    struct recv rc = *in;
    struct b1_view v;
    bool fits;
    int r = b1_recv_begin(c->peer, &v);

    if (r < 0)
        return r;
    fits = v.n_data <= rc.room &&
           (v.n_transfers <= rc.msg.n_transfers || has(c, B1_DEFECT_ALL_TRANSFERS));
    r = fits ? recv_copy_out(c, cmd, &rc, &v) : recv_too_small(c, cmd, &rc, &v);
    if (r == 0)
        r = commit(c);
    if (r < 0) {
        b1_recv_abort(c->peer, &v);
        return r;
    }
    r = b1_recv_commit(c->peer, &v);
    *taken = r == -EAGAIN;
    return r;
}

static int do_recv(const struct call *c, const struct bus1_cmd_recv *cmd)
{
    _cleanup_(recv_done) struct recv rc;
    bool taken;
    int r;

    rc.heap[0] = NULL;
    if (cmd->flags)
        return -EINVAL;
    r = client_read(c, cmd->ptr_message, &rc.msg, sizeof(rc.msg));
    if (r < 0)
        return r;
    if (rc.msg.flags || rc.msg.type != BUS1_INVALID)
        return -EINVAL;
    if (!b1_peer_waiting(c->peer))
        return -EAGAIN;
    r = vecs_read(c, rc.msg.ptr_data_vecs, rc.msg.n_data_vecs, rc.few, &rc.heap[0], &rc.vecs);
    if (r < 0)
        return r;
    rc.room = vecs_total(rc.vecs, rc.msg.n_data_vecs);
    do {
        taken = false;
        r = recv_once(c, cmd, &rc, &taken);
    } while (taken);
    return r == 0 && has(c, B1_DEFECT_RECV_ONE) ? 1 : r;
}

int b1_ioctl(struct b1_peer *peer, unsigned int cmd, const void *arg,
             const struct b1_client_ops *ops, void *ctx)
{
    const struct call c = {peer, ops, ctx};

    if (!arg)
        return -ENOTTY;
    switch (cmd) {
    case BUS1_CMD_TRANSFER:
        return do_transfer(&c, arg);
    case BUS1_CMD_RELEASE:
        return do_release(&c, arg);
    case BUS1_CMD_SEND:
        return do_send(&c, arg);
    case BUS1_CMD_RECV:
        return do_recv(&c, arg);
    default:
        return -ENOTTY;
    }
}
