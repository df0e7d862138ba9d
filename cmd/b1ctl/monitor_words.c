/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The events of monitor in words: the last column of its table. */
#include "monitor_words.h"

#include <inttypes.h>
#include <string.h>

#include "escape.h"
#include "out.h"

/* ---- the caller's memory ---- */

static size_t elements(const struct b1_memory *m, size_t size)
{
    return m->len / size;
}

/* The @i-th element, or false. */
bool monitor_element(const struct b1_memory *m, size_t i, void *to, size_t size)
{
    if (i >= elements(m, size))
        return false;
    memcpy(to, (const char *)m->data + i * size, size);
    return true;
}

bool monitor_message_of(const struct b1_memory *m, struct bus1_message *msg)
{
    return monitor_element(m, 0, msg, sizeof(*msg));
}

/* ---- calls ---- */

static void add_id(struct buf *b, const char *before, uint64_t id)
{
    if (id == BUS1_INVALID)
        buf_printf(b, "%snone", before);
    else
        buf_printf(b, "%s%" PRIu64, before, id);
}

static void add_data(struct buf *b, const struct b1_memory *m, uint64_t length)
{
    buf_printf(b, ": %" PRIu64 " bytes", length);
    if (!m->len)
        return;
    if (esc_is_text(m->data, m->len)) {
        buf_add_str(b, " \"");
        buf_add(b, m->data, m->len);
        buf_add_char(b, '"');
    } else {
        buf_add_str(b, " <");
        esc_hex(b, m->data, m->len, m->len);
        buf_add_char(b, '>');
    }
}

static void add_ids(struct buf *b, const char *what, const struct b1_memory *m)
{
    uint64_t id;

    for (size_t i = 0; monitor_element(m, i, &id, sizeof(id)); i++)
        add_id(b, i ? "," : what, id);
}

static void add_handles(struct buf *b, const struct b1_memory *m)
{
    struct bus1_transfer t;

    for (size_t i = 0; monitor_element(m, i, &t, sizeof(t)); i++) {
        add_id(b, i ? "," : " with ", t.id);
        if (t.flags)
            buf_printf(b, "(flags %" PRIu64 ")", t.flags);
    }
}

/* Adds values that are not allowed. */
static void add_kind(struct buf *b, const struct bus1_message *m)
{
    buf_printf(b, " message flags %" PRIu64, m->flags);
    add_id(b, " type ", m->type);
}

static void words_transfer(const struct b1_monitor_event *ev, struct buf *b)
{
    struct bus1_transfer t, after, new;

    if (ev->arg.transfer.to == BUS1_INVALID)
        buf_add_str(b, "to itself");
    else
        buf_printf(b, "to fd %" PRIu64, ev->arg.transfer.to);
    if (ev->to.dev && !ev->to.is_device)
        buf_printf(b, " (peer %" PRIu64 ")", ev->to.ino);
    for (size_t i = 0; monitor_element(&ev->part[B1_PART_TRANSFERS], i, &t, sizeof(t)); i++) {
        if (t.flags == BUS1_TRANSFER_FLAG_CREATE && t.id == BUS1_INVALID)
            buf_printf(b, "%snew node", i ? ", " : ": ");
        else
            add_id(b, i ? ", handle " : ": handle ", t.id);
        if (t.flags > BUS1_TRANSFER_FLAG_CREATE)
            buf_printf(b, "(flags %" PRIu64 ")", t.flags);
        if (monitor_element(&ev->part[B1_PART_TRANSFERS_AFTER], i, &after, sizeof(after)) &&
            after.id != t.id)
            add_id(b, " ", after.id);
        if (monitor_element(&ev->part[B1_PART_NEW_HANDLES], i, &new, sizeof(new)))
            add_id(b, " -> handle ", new.id);
    }
}

static void words_send(const struct b1_monitor_event *ev, struct buf *b)
{
    const struct b1_memory *errors = &ev->part[B1_PART_ERRORS];
    struct bus1_message m;
    const char *name;
    int32_t error;
    uint64_t id;

    if (!ev->arg.send.n_destinations)
        buf_add_str(b, "to nobody");
    add_ids(b, "to ", &ev->part[B1_PART_IDS]);
    add_handles(b, &ev->part[B1_PART_TRANSFERS]);
    if (monitor_message_of(&ev->part[B1_PART_MESSAGE], &m)) {
        if (m.flags || m.type != BUS1_MESSAGE_TYPE_USER)
            add_kind(b, &m);
        add_data(b, &ev->part[B1_PART_DATA], m.n_data);
    }
    for (size_t i = 0; monitor_element(&ev->part[B1_PART_IDS], i, &id, sizeof(id)); i++) {
        if (ev->result >= 0 || !monitor_element(errors, i, &error, sizeof(error)) || error >= 0)
            continue;
        name = strerrorname_np(-error);
        add_id(b, " -> ", id);
        buf_printf(b, ": %s", name ? name : "unknown error");
    }
}

static void words_recv(const struct b1_monitor_event *ev, struct buf *b)
{
    struct bus1_metadata meta;
    struct bus1_message before = {0}, m;
    bool known = monitor_message_of(&ev->part[B1_PART_MESSAGE], &before);

    if (known && (before.flags || before.type != BUS1_INVALID))
        add_kind(b, &before);
    if (!monitor_message_of(&ev->part[B1_PART_MESSAGE_AFTER], &m)) {
        buf_printf(b, " room for %" PRIu64 " bytes, %" PRIu64 " handles", before.n_data,
                   before.n_transfers);
        return;
    }
    if (ev->result < 0) {
        buf_printf(b, "%" PRIu64 " bytes, %" PRIu64 " handles wait; room for %" PRIu64 ", %" PRIu64,
                   m.n_data, m.n_transfers, before.n_data, before.n_transfers);
        return;
    }
    buf_add_str(b, b1_message_type(m.type));
    if (monitor_element(&ev->part[B1_PART_METADATA], 0, &meta, sizeof(meta))) {
        add_id(b, m.type == BUS1_MESSAGE_TYPE_NODE_RELEASE ? " of handle " : " at node ", meta.id);
        if (meta.account != BUS1_INVALID)
            buf_printf(b, " from uid %" PRIu64, meta.account);
    }
    add_handles(b, &ev->part[B1_PART_TRANSFERS_AFTER]);
    if (m.type == BUS1_MESSAGE_TYPE_USER)
        add_data(b, &ev->part[B1_PART_DATA_AFTER], m.n_data);
}

void monitor_words(const struct b1_monitor_event *ev, struct buf *b)
{
    if (ev->arg_read && ev->arg.words[0])
        buf_printf(b, "flags %" PRIu64 " ", ev->arg.words[0]);
    switch (ev->cmd) {
    case BUS1_CMD_TRANSFER:
        words_transfer(ev, b);
        break;
    case BUS1_CMD_RELEASE:
        add_ids(b, "", &ev->part[B1_PART_IDS]);
        break;
    case BUS1_CMD_SEND:
        words_send(ev, b);
        break;
    case BUS1_CMD_RECV:
        words_recv(ev, b);
        break;
    default:
        buf_printf(b, "no call of bus1: 0x%x", ev->cmd);
    }
}

/* ---- what a bus itself says ---- */

void monitor_words_of_message(const struct b1_delivery *m, struct buf *b)
{
    add_id(b, "peer ", m->from);
    add_id(b, " -> peer ", m->to);
    if (m->to_pid != OUT_UNKNOWN_U64)
        buf_printf(b, " (pid %" PRIu64 ")", m->to_pid);
    buf_printf(b, ": %s", b1_message_type(m->type));
    add_id(b, m->type == BUS1_MESSAGE_TYPE_NODE_RELEASE ? " of handle " : " at node ", m->id);
    for (size_t i = 0; i < m->n_handles; i++)
        add_id(b, i ? "," : " with ", m->handles[i]);
    if (m->type == BUS1_MESSAGE_TYPE_USER)
        buf_printf(b, ": %" PRIu64 " bytes", m->length);
}
