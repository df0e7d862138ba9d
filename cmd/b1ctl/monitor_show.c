/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The events of monitor as rows: in a table as words, in JSON as objects whose shape depends on the
 * kind. */
#include "monitor_show.h"

#include <inttypes.h>
#include <string.h>

#include "escape.h"
#include "macros.h"
#include "monitor_words.h"
#include "out.h"

struct row {
    uint64_t time;
    const char *event;
    int32_t pid;
    int32_t tid;
    const char *comm;
    const char *bus;
    uint64_t peer;
    uint32_t fd;
    int64_t result;
    const char *error;
    uint64_t duration;
    const char *unreadable;
    struct out_bytes words;
    /* By kind. */
    uint64_t cmd;
    uint64_t flags;
    uint64_t count;
    uint64_t from;
    uint64_t from_pid;
    uint64_t to;
    uint64_t to_pid;
    uint64_t to_peer;
    uint64_t message_flags;
    uint64_t message_type;
    const char *type;
    uint64_t id;
    uint64_t account;
    uint64_t vecs;
    uint64_t room_transfers;
    uint64_t room_bytes;
    uint64_t n_transfers;
    uint64_t length;
    struct out_bytes content;
};

#define ROW struct row

const struct out_col monitor_cols[] = {
    OUT_TIME(ROW, time, "time", "when the call began", .width = 15),
    OUT_STR(ROW, event, "event", "transfer, release, send, recv, ioctl; else see below",
            .width = 8),
    OUT_I32(ROW, pid, "pid", "process that called; null when it is not visible", .width = 7),
    OUT_I32(ROW, tid, "tid", "its thread", .flags = OUT_HIDDEN, .width = 7),
    OUT_STR(ROW, comm, "comm", "the thread's name", .width = 15),
    OUT_STR(ROW, bus, "bus", "directory of a served bus, or the device", .flags = OUT_HIDDEN,
            .width = 12),
    OUT_U64(ROW, peer, "peer", "which; null on a kernel's bus, which does not tell", .width = 5),
    OUT_U32(ROW, fd, "fd", "its descriptor", .width = 3),
    OUT_I64(ROW, result, "result", "of the call: 0 or more, or a negative errno; null: none came",
            .flags = OUT_HIDDEN, .width = 6),
    OUT_STR(ROW, error, "error",
            "name of the errno; died: the thread ended in the call; unfinished", .width = 10),
    OUT_SPAN(ROW, duration, "duration", "of the call", .width = 8),
    OUT_BYTES(ROW, words, "content", "what was asked for, and what came of it", .flags = OUT_WIDE),
    OUT_END,
};

/* clang-format off */
#define COMMON \
    OUT_TIME(ROW, time, "time", "when the call began"), \
    OUT_STR(ROW, event, "event", "the call"), \
    OUT_I32(ROW, pid, "pid", "process that called; null when it is not visible"), \
    OUT_I32(ROW, tid, "tid", "its thread"), \
    OUT_STR(ROW, comm, "comm", "the thread's name"), \
    OUT_STR(ROW, bus, "bus", "directory of a served bus, or the device"), \
    OUT_U64(ROW, peer, "peer", "which; null on a kernel's bus, which does not tell"), \
    OUT_U32(ROW, fd, "fd", "its descriptor"), \
    OUT_I64(ROW, result, "result", "0 or more, or a negative errno; null: none came"), \
    OUT_STR(ROW, error, "error", "name of the errno, or died, or unfinished; null: none"), \
    OUT_SPAN(ROW, duration, "duration", "of the call; null when it has not ended"), \
    OUT_STR(ROW, unreadable, "unreadable", "what could not be read of the caller's memory", \
            .flags = OUT_OPTIONAL)
/* clang-format on */

static const struct out_col transfer_cols[] = {
    COMMON,
    OUT_U64(ROW, flags, "flags", "of the call"),
    OUT_U64(ROW, to, "to", "descriptor of the other peer; null: the same peer"),
    OUT_U64(ROW, to_peer, "to_peer", "that peer"),
    OUT_U64(ROW, count, "count", "elements; the list \"transfers\" has them"),
    OUT_END,
};

static const struct out_col release_cols[] = {
    COMMON,
    OUT_U64(ROW, flags, "flags", "of the call"),
    OUT_U64(ROW, count, "count", "ids; the list \"ids\" has them"),
    OUT_END,
};

static const struct out_col send_cols[] = {
    COMMON,
    OUT_U64(ROW, flags, "flags", "of the call"),
    OUT_U64(ROW, count, "count", "destinations; the list \"destinations\" has them"),
    OUT_U64(ROW, message_flags, "message_flags", "of the message"),
    OUT_U64(ROW, message_type, "message_type", "of the message: 0"),
    OUT_U64(ROW, n_transfers, "transfer_count", "handles along; the list \"transfers\" has them"),
    OUT_U64(ROW, vecs, "vec_count", "iovecs"),
    OUT_U64(ROW, length, "length", "bytes of data"),
    OUT_BYTES(ROW, content, "content", "data_base64 and text"),
    OUT_END,
};

static const struct out_col recv_cols[] = {
    COMMON,
    OUT_U64(ROW, flags, "flags", "of the call"),
    OUT_U64(ROW, message_flags, "message_flags", "of the message, before"),
    OUT_U64(ROW, message_type, "message_type", "of the message, before; null: as it must be"),
    OUT_U64(ROW, room_transfers, "room_transfers", "handles for which there was room"),
    OUT_U64(ROW, room_bytes, "room_bytes", "bytes for which there was room"),
    OUT_U64(ROW, vecs, "vec_count", "iovecs"),
    OUT_STR(ROW, type, "type", "message, node-release or handle-release"),
    OUT_U64(ROW, id, "id", "the node it came to; of a node-release the handle"),
    OUT_U64(ROW, account, "account", "user that is charged for it; null: the bus does not say"),
    OUT_U64(ROW, n_transfers, "transfer_count",
            "handles that came along; the list \"transfers\" has them"),
    OUT_U64(ROW, length, "length", "bytes of data; with EMSGSIZE those that wait"),
    OUT_BYTES(ROW, content, "content", "data_base64 and text"),
    OUT_END,
};

static const struct out_col ioctl_cols[] = {
    COMMON,
    OUT_HEX64(ROW, cmd, "cmd", "number of a call that bus1 does not have"),
    OUT_END,
};

static const struct out_col lost_cols[] = {
    OUT_TIME(ROW, time, "time", "when it was noticed"),
    OUT_STR(ROW, event, "event", "lost"),
    OUT_STR(ROW, bus, "bus", "where messages were lost; null: calls"),
    OUT_U64(ROW, count, "count", "calls, or messages, that are not shown"),
    OUT_END,
};

static const struct out_col message_cols[] = {
    OUT_TIME(ROW, time, "time", "when it joined the queue"),
    OUT_STR(ROW, event, "event", "message: what a served bus itself says"),
    OUT_STR(ROW, bus, "bus", "directory of the served bus"),
    OUT_U64(ROW, from, "from", "peer that sent it, or caused the notification"),
    OUT_U64(ROW, from_pid, "from_pid", "process that opened that peer"),
    OUT_U64(ROW, to, "to", "peer that gets it"),
    OUT_U64(ROW, to_pid, "to_pid", "process that opened that peer"),
    OUT_STR(ROW, type, "type", "message, node-release or handle-release"),
    OUT_U64(ROW, id, "id", "the node it came to; of a node-release the handle"),
    OUT_U64(ROW, account, "account", "user that is charged for it; null: the bus does not say"),
    OUT_U64(ROW, n_transfers, "transfer_count", "handles along; the list \"handles\" has them"),
    OUT_U64(ROW, length, "length", "bytes of data"),
    OUT_END,
};

struct element {
    uint64_t id;
    uint64_t flags;
    uint64_t id_after;
    uint64_t flags_after;
    uint64_t handle;
    int64_t error;
    const char *error_name;
};

#define EL struct element

static const struct out_col transfers_cols[] = {
    OUT_U64(EL, flags, "flags", "before: 1 makes a node"),
    OUT_U64(EL, id, "id", "before: the handle to copy; null with flags 1"),
    OUT_U64(EL, flags_after, "flags_after", "after"),
    OUT_U64(EL, id_after, "id_after", "after: also that of a new node"),
    OUT_U64(EL, handle, "handle", "the new handle, in the other peer"),
    OUT_END,
};

static const struct out_col carried_cols[] = {
    OUT_U64(EL, flags, "flags", "0"),
    OUT_U64(EL, id, "id", "the handle"),
    OUT_END,
};

static const struct out_col ids_cols[] = {
    OUT_U64(EL, id, "id", "a node or handle"),
    OUT_END,
};

static const struct out_col destinations_cols[] = {
    OUT_U64(EL, id, "id", "the handle"),
    OUT_I64(EL, error, "error", "0, or a negative errno"),
    OUT_END,
};

const struct cli_table monitor_tables[] = {
    {"transfer", transfer_cols},
    {"transfer: transfers", transfers_cols},
    {"release", release_cols},
    {"release: ids", ids_cols},
    {"send", send_cols},
    {"send: destinations", destinations_cols},
    {"send, recv: transfers", carried_cols},
    {"recv", recv_cols},
    {"ioctl", ioctl_cols},
    {"message", message_cols},
    {"message: handles", ids_cols},
    {"lost", lost_cols},
    {NULL, NULL},
};

/* ---- objects ---- */

static const char *const part_names[B1_PARTS] = {
    [B1_PART_IDS] = "ids",
    [B1_PART_MESSAGE] = "message",
    [B1_PART_TRANSFERS] = "transfers",
    [B1_PART_DATA] = "data",
    [B1_PART_NEW_HANDLES] = "new handles",
    [B1_PART_ERRORS] = "errors",
    [B1_PART_METADATA] = "metadata",
    [B1_PART_MESSAGE_AFTER] = "message after",
    [B1_PART_TRANSFERS_AFTER] = "transfers after",
    [B1_PART_DATA_AFTER] = "data after",
};

static void name_unreadable(const struct b1_monitor_event *ev, struct buf *b)
{
    if (!ev->arg_read && (ev->cmd == BUS1_CMD_TRANSFER || ev->cmd == BUS1_CMD_RELEASE ||
                          ev->cmd == BUS1_CMD_SEND || ev->cmd == BUS1_CMD_RECV))
        buf_add_str(b, "argument");
    for (size_t i = 0; i < B1_PARTS; i++)
        if (ev->part[i].failed)
            buf_printf(b, "%s%s", b->len ? "," : "", part_names[i]);
}

static const struct out_col *columns(uint32_t cmd, const char **event)
{
    switch (cmd) {
    case BUS1_CMD_TRANSFER:
        *event = "transfer";
        return transfer_cols;
    case BUS1_CMD_RELEASE:
        *event = "release";
        return release_cols;
    case BUS1_CMD_SEND:
        *event = "send";
        return send_cols;
    case BUS1_CMD_RECV:
        *event = "recv";
        return recv_cols;
    default:
        *event = "ioctl";
        return ioctl_cols;
    }
}

static void fill_message(const struct b1_monitor_event *ev, struct row *row)
{
    bool recv = ev->cmd == BUS1_CMD_RECV;
    struct bus1_metadata meta;
    struct bus1_message m;

    if (monitor_message_of(&ev->part[B1_PART_MESSAGE], &m)) {
        row->message_flags = m.flags;
        row->message_type = m.type;
        row->vecs = m.n_data_vecs;
        if (recv) {
            row->room_transfers = m.n_transfers;
            row->room_bytes = m.n_data;
        } else {
            row->n_transfers = m.n_transfers;
            row->length = m.n_data;
        }
    }
    if (recv && monitor_message_of(&ev->part[B1_PART_MESSAGE_AFTER], &m)) {
        row->n_transfers = m.n_transfers;
        row->length = m.n_data;
        if (ev->result >= 0)
            row->type = b1_message_type(m.type);
    }
    if (monitor_element(&ev->part[B1_PART_METADATA], 0, &meta, sizeof(meta))) {
        row->id = meta.id;
        row->account = meta.account;
    }
}

static void fill(const struct b1_monitor_event *ev, const char *bus, struct row *row)
{
    const struct b1_memory *data =
        &ev->part[ev->cmd == BUS1_CMD_RECV ? B1_PART_DATA_AFTER : B1_PART_DATA];

    *row = (struct row){
        .time = ev->time,
        .pid = ev->pid > 0 ? ev->pid : OUT_UNKNOWN_I32,
        .tid = ev->tid > 0 ? ev->tid : OUT_UNKNOWN_I32,
        .comm = ev->comm,
        .bus = bus,
        .peer = ev->file.is_device ? OUT_UNKNOWN_U64 : ev->file.ino,
        .fd = ev->fd,
        .result = ev->ended && !ev->died ? ev->result : OUT_UNKNOWN_I64,
        .duration = ev->duration,
        .cmd = ev->cmd,
        .flags = ev->arg_read ? ev->arg.words[0] : OUT_UNKNOWN_U64,
        .count = OUT_UNKNOWN_U64,
        .to = OUT_UNKNOWN_U64,
        .to_peer = ev->to.dev && !ev->to.is_device ? ev->to.ino : OUT_UNKNOWN_U64,
        .message_flags = OUT_UNKNOWN_U64,
        .message_type = OUT_UNKNOWN_U64,
        .id = OUT_UNKNOWN_U64,
        .account = OUT_UNKNOWN_U64,
        .vecs = OUT_UNKNOWN_U64,
        .room_transfers = OUT_UNKNOWN_U64,
        .room_bytes = OUT_UNKNOWN_U64,
        .n_transfers = OUT_UNKNOWN_U64,
        .length = OUT_UNKNOWN_U64,
    };
    if (!ev->ended)
        row->error = "unfinished";
    else if (ev->died)
        row->error = "died";
    else if (ev->result < 0)
        row->error = strerrorname_np((int)-ev->result);
    if (!ev->arg_read)
        return;
    if (ev->cmd == BUS1_CMD_TRANSFER) {
        row->count = ev->arg.transfer.n_transfers;
        row->to = ev->arg.transfer.to;
    } else if (ev->cmd == BUS1_CMD_RELEASE || ev->cmd == BUS1_CMD_SEND) {
        row->count = ev->arg.release.n_ids; /* n_destinations is in the same place */
    }
    fill_message(ev, row);
    if (row->length != OUT_UNKNOWN_U64 && (ev->cmd == BUS1_CMD_SEND || ev->result >= 0))
        row->content = (struct out_bytes){.data = data->data, .len = data->len};
}

static void list_transfers(struct out *o, const struct b1_monitor_event *ev)
{
    struct bus1_transfer before, after, new;

    out_list_begin(o, "transfers", transfers_cols, 0);
    for (size_t i = 0; monitor_element(&ev->part[B1_PART_TRANSFERS], i, &before, sizeof(before));
         i++) {
        struct element row = {.flags = before.flags,
                              .id = before.id,
                              .flags_after = OUT_UNKNOWN_U64,
                              .id_after = OUT_UNKNOWN_U64,
                              .handle = OUT_UNKNOWN_U64};

        if (monitor_element(&ev->part[B1_PART_TRANSFERS_AFTER], i, &after, sizeof(after))) {
            row.flags_after = after.flags;
            row.id_after = after.id;
        }
        if (monitor_element(&ev->part[B1_PART_NEW_HANDLES], i, &new, sizeof(new)))
            row.handle = new.id;
        out_row(o, &row);
    }
    out_list_end(o);
}

static void list_ids(struct out *o, const char *key, const struct out_col *cols,
                     const struct b1_monitor_event *ev)
{
    struct element row;
    int32_t error;

    out_list_begin(o, key, cols, 0);
    for (size_t i = 0; monitor_element(&ev->part[B1_PART_IDS], i, &row.id, sizeof(row.id)); i++) {
        row.error = OUT_UNKNOWN_I64;
        if (monitor_element(&ev->part[B1_PART_ERRORS], i, &error, sizeof(error)))
            row.error = error;
        out_row(o, &row);
    }
    out_list_end(o);
}

static void list_carried(struct out *o, const struct b1_memory *m)
{
    struct bus1_transfer t;

    out_list_begin(o, "transfers", carried_cols, 0);
    for (size_t i = 0; monitor_element(m, i, &t, sizeof(t)); i++)
        out_row(o, &(struct element){.flags = t.flags, .id = t.id});
    out_list_end(o);
}

static void lists(struct out *o, const struct b1_monitor_event *ev)
{
    switch (ev->cmd) {
    case BUS1_CMD_TRANSFER:
        list_transfers(o, ev);
        break;
    case BUS1_CMD_RELEASE:
        list_ids(o, "ids", ids_cols, ev);
        break;
    case BUS1_CMD_SEND:
        list_ids(o, "destinations", destinations_cols, ev);
        list_carried(o, &ev->part[B1_PART_TRANSFERS]);
        break;
    case BUS1_CMD_RECV:
        list_carried(o, &ev->part[B1_PART_TRANSFERS_AFTER]);
        break;
    }
}

void monitor_show_call(struct cli_ctx *ctx, const struct b1_monitor_event *ev, const char *bus)
{
    _cleanup_(buf_done) struct buf unreadable = BUF_INIT, text = BUF_INIT;
    const struct out_col *cols;
    struct row row;
    size_t skip;

    fill(ev, bus, &row);
    cols = columns(ev->cmd, &row.event);
    name_unreadable(ev, &unreadable);
    if (unreadable.len)
        row.unreadable = buf_str(&unreadable);
    if (out_get_mode(ctx->out) == OUT_MODE_TABLE) {
        monitor_words(ev, &text);
        skip = text.len && text.data[0] == ' ';
        if (unreadable.len)
            buf_printf(&text, " (unreadable: %s)", buf_str(&unreadable));
        row.words = (struct out_bytes){.data = buf_str(&text) + skip, .len = text.len - skip};
        out_row(ctx->out, &row);
        return;
    }
    out_item_begin(ctx->out, cols, &row);
    lists(ctx->out, ev);
    out_item_end(ctx->out);
}

void monitor_show_message(struct cli_ctx *ctx, const struct b1_delivery *m)
{
    _cleanup_(buf_done) struct buf text = BUF_INIT;
    struct row row = {
        .time = m->time,
        .event = "message",
        .bus = m->bus,
        .pid = m->from_pid == OUT_UNKNOWN_U64 ? OUT_UNKNOWN_I32 : (int32_t)m->from_pid,
        .tid = OUT_UNKNOWN_I32,
        .peer = m->from,
        .fd = OUT_UNKNOWN_U32,
        .result = OUT_UNKNOWN_I64,
        .duration = OUT_UNKNOWN_U64,
        .from = m->from,
        .from_pid = m->from_pid,
        .to = m->to,
        .to_pid = m->to_pid,
        .type = b1_message_type(m->type),
        .id = m->id,
        .account = m->account,
        .n_transfers = m->n_handles,
        .length = m->length,
    };

    if (out_get_mode(ctx->out) == OUT_MODE_TABLE) {
        monitor_words_of_message(m, &text);
        row.words = (struct out_bytes){.data = buf_str(&text), .len = text.len};
        out_row(ctx->out, &row);
        return;
    }
    out_item_begin(ctx->out, message_cols, &row);
    out_list_begin(ctx->out, "handles", ids_cols, 0);
    for (size_t i = 0; i < m->n_handles; i++)
        out_row(ctx->out, &(struct element){.id = m->handles[i]});
    out_list_end(ctx->out);
    out_item_end(ctx->out);
}

void monitor_show_lost(struct cli_ctx *ctx, uint64_t time, uint64_t count, const char *bus)
{
    _cleanup_(buf_done) struct buf text = BUF_INIT;
    struct row row = {
        .time = time,
        .event = "lost",
        .bus = bus,
        .count = count,
        .pid = OUT_UNKNOWN_I32,
        .tid = OUT_UNKNOWN_I32,
        .peer = OUT_UNKNOWN_U64,
        .fd = OUT_UNKNOWN_U32,
        .result = OUT_UNKNOWN_I64,
        .duration = OUT_UNKNOWN_U64,
    };

    if (out_get_mode(ctx->out) != OUT_MODE_TABLE) {
        out_item_begin(ctx->out, lost_cols, &row);
        out_item_end(ctx->out);
        return;
    }
    buf_printf(&text, "%" PRIu64 " %s are not shown", count, bus ? "messages" : "calls");
    row.words = (struct out_bytes){.data = buf_str(&text), .len = text.len};
    out_row(ctx->out, &row);
}
