/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* b1ctl list: who has peers open. */
#include <inttypes.h>
#include <unistd.h>

#include "b1ctl_verbs.h"
#include "buf.h"
#include "bus_view.h"
#include "cleanup.h"

struct list_row {
    const char *bus;
    uint64_t peer;
    uint64_t pid;
    uint64_t uid;
    uint64_t nodes;
    uint64_t handles;
    uint64_t messages;
    uint64_t bytes;
    const char *holders;
};

#define ROW struct list_row

static const struct out_col list_cols[] = {
    OUT_U64(ROW, peer, "peer", "its file's inode number; - on a kernel's bus, which does not tell"),
    OUT_U64(ROW, pid, "pid", "process that opened it"),
    OUT_U64(ROW, uid, "uid", "user that is charged"),
    OUT_U64(ROW, nodes, "node_count", "nodes that it has", .heading = "NODES"),
    OUT_U64(ROW, handles, "handle_count", "handles that it has, also in waiting messages",
            .heading = "HANDLES"),
    OUT_U64(ROW, messages, "depth", "messages waiting", .heading = "MSGS"),
    OUT_SIZE(ROW, bytes, "bytes", "of data in them"),
    OUT_STR(ROW, bus, "bus", "directory of a served bus, or the device"),
    OUT_STR(ROW, holders, "holders", "who has it open: PID:FD NAME, …; in JSON a list",
            .flags = OUT_WIDE | OUT_TEXT),
    OUT_END,
};

static const struct out_col holder_cols[] = {
    OUT_U32(struct view_holder, pid, "pid", "process that has it open"),
    OUT_U32(struct view_holder, fd, "fd", "descriptor"),
    OUT_CHARS(struct view_holder, comm, "comm", "the process's name"),
    OUT_END,
};

/* The text of the holders stands in the table only, the list in JSON only. */
static void show(struct out *o, const struct view_peer *p, struct list_row *row)
{
    _cleanup_(buf_done) struct buf text = BUF_INIT;

    if (out_get_mode(o) != OUT_MODE_TABLE) {
        out_item_begin(o, list_cols, row);
        out_list_begin(o, "holders", holder_cols, 0);
        for (size_t i = 0; i < p->n_holders; i++)
            out_row(o, &p->holders[i]);
        out_list_end(o);
        out_item_end(o);
        return;
    }
    for (size_t i = 0; i < p->n_holders; i++)
        buf_printf(&text, "%s%" PRIu32 ":%" PRIu32 " %s", i ? ", " : "", p->holders[i].pid,
                   p->holders[i].fd, p->holders[i].comm);
    row->holders = text.len ? buf_str(&text) : NULL;
    out_row(o, row);
}

/* Says what the caller may not see. */
void b1ctl_view_notes(struct cli_ctx *ctx, const struct view *v)
{
    if (v->hidden_processes)
        cli_note(ctx,
                 "%zu process(es) may not be looked at: which peers they have open is not "
                 "shown%s",
                 v->hidden_processes, geteuid() ? " (root sees all)" : "");
    if (v->hidden_buses)
        cli_note(ctx, "%zu served bus(es) belong to other users and are not shown (root sees all)",
                 v->hidden_buses);
    if (v->partial_buses)
        cli_note(ctx,
                 "%zu served bus(es) show only your own peers (root and the server's user see all)",
                 v->partial_buses);
    if (v->cannot_compare)
        cli_note(ctx, "this kernel lacks kcmp(2): a peer that several descriptors share is shown "
                      "once for each");
}

static int list_run(struct cli_ctx *ctx, const void *args _unused_)
{
    _cleanup_(view_done) struct view v = {0};
    struct err e = ERR_INIT;
    int r = view_read(&v, &e);

    if (r < 0)
        return cli_fail(ctx, r, &e, "cannot list peers");
    out_list_begin(ctx->out, "peers", list_cols, OUT_RECORDS);
    for (size_t i = 0; i < v.n; i++) {
        const struct view_peer *p = &v.peers[i];
        struct list_row row = {
            .bus = p->bus,
            .peer = p->known ? p->ino : OUT_UNKNOWN_U64,
            .pid = p->known ? p->pid : OUT_UNKNOWN_U64,
            .uid = p->known ? p->uid : OUT_UNKNOWN_U64,
            .nodes = p->known ? p->n_nodes : OUT_UNKNOWN_U64,
            .handles = p->known ? p->n_handles : OUT_UNKNOWN_U64,
            .messages = p->known ? p->messages : OUT_UNKNOWN_U64,
            .bytes = p->known ? p->bytes : OUT_UNKNOWN_U64,
        };

        show(ctx->out, p, &row);
    }
    out_list_end(ctx->out);
    b1ctl_view_notes(ctx, &v);
    return ctx->status;
}

static const struct cli_table list_tables[] = {{"holders", holder_cols}, {NULL, NULL}};

const struct cli_verb b1ctl_list_verb = {
    .name = "list",
    .summary = "who has peers open, and what they hold",
    .description = "Nodes, handles and messages are known on a bus of b1ctl serve only: root and "
                   "the server's user see all of them, others their own peers.",
    .cols = list_cols,
    .more_cols = list_tables,
    .run = list_run,
};
