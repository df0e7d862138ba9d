/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The debug files: one record a line, "kind key=value …". After each peer come its nodes, its
 * handles and its messages. trace/served_bus.h reads these files.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base64.h"
#include "macros.h"
#include "serve_private.h"

/* The data of one peer's messages that exceeds this size is left out, and the file says so. */
#define DATA_MAX (UINT64_C(64) << 20)

struct debug {
    struct b1_serve *s;
    struct buf *out;
    uid_t uid;
};

bool b1_sees_all(const struct b1_serve *s, uid_t uid)
{
    return uid == 0 || uid == s->uid;
}

static bool debug_peer(void *ctx, uint64_t serial, uint32_t uid, void *data, size_t n_messages,
                       size_t n_bytes)
{
    struct debug *d = ctx;
    const struct b1_file *f = data;

    if (!b1_sees_all(d->s, d->uid) && uid != d->uid)
        return false;
    buf_printf(d->out,
               "peer serial=%" PRIu64 " ino=%" PRIu64 " pid=%d uid=%u messages=%zu bytes=%zu\n",
               serial, f->ino, (int)f->pid, uid, n_messages, n_bytes);
    return true;
}

static void debug_node(void *ctx, uint64_t id, size_t n_handles)
{
    struct debug *d = ctx;

    buf_printf(d->out, "node id=%" PRIu64 " handles=%zu\n", id, n_handles);
}

static void debug_handle(void *ctx, uint64_t id, uint64_t owner, uint64_t node, bool in_message)
{
    struct debug *d = ctx;

    buf_printf(d->out, "handle id=%" PRIu64 " owner=%" PRIu64 " node=%" PRIu64 " waiting=%d\n", id,
               owner, node, in_message);
}

int b1_debug_bus(struct b1_serve *s, uid_t uid, struct buf *out)
{
    struct debug d = {.s = s, .out = out, .uid = uid};
    const struct b1_visit visit = {
        .peer = debug_peer, .node = debug_node, .handle = debug_handle, .ctx = &d};
    struct b1_usage use;

    b1_bus_usage(s->bus, &use);
    buf_add_str(out, "bus1-debug version=1\n");
    if (b1_sees_all(s, uid))
        buf_printf(out,
                   "usage peers=%" PRIu64 " nodes=%" PRIu64 " handles=%" PRIu64 " messages=%" PRIu64
                   " bytes=%" PRIu64 "\n",
                   use.peers, use.nodes, use.handles, use.messages, use.bytes);
    b1_bus_visit(s->bus, &visit);
    return buf_error(out);
}

static void message_line(struct buf *out, const struct b1_view *v, uint64_t *budget)
{
    char *at;

    buf_printf(out,
               "message type=%" PRIu64 " id=%" PRIu64 " account=%" PRIu64 " from=%" PRIu64
               " length=%zu transfers=",
               v->type, v->id, v->account, v->from, v->n_data);
    for (size_t i = 0; i < v->n_transfers; i++)
        buf_printf(out, "%s%" PRIu64, i ? "," : "", v->transfers[i]);
    if (v->n_data > *budget) {
        *budget = 0;
        buf_add_str(out, " data-left-out=1\n");
        return;
    }
    *budget -= v->n_data;
    buf_add_str(out, " data=");
    at = buf_extend(out, b64_encoded_size(v->n_data));
    if (at)
        b64_encode(at, v->data, v->n_data);
    buf_add_char(out, '\n');
}

int b1_debug_peer(struct b1_serve *s, uint64_t ino, uid_t uid, struct buf *out)
{
    struct b1_file *f = b1_file_find(s, ino);
    uint64_t budget = DATA_MAX;
    struct b1_view *v;
    size_t n = 0;
    int r;

    if (!f)
        return -ENOENT;
    if (!b1_sees_all(s, uid) && uid != b1_peer_uid(f->peer)) {
        b1_file_unref(s, f);
        return -EACCES;
    }
    r = b1_queue_pin(f->peer, &v, &n);
    if (r == 0) {
        buf_printf(out, "bus1-debug version=1\npeer serial=%" PRIu64 " ino=%" PRIu64 "\n",
                   b1_peer_serial(f->peer), ino);
        for (size_t i = 0; i < n; i++)
            message_line(out, &v[i], &budget);
        b1_queue_unpin(f->peer, v, n);
    }
    b1_file_unref(s, f);
    return r;
}
