/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* b1ctl graph: which peer can send to which, through which handle and node. */
#include <inttypes.h>

#include "b1ctl_verbs.h"
#include "bus_view.h"

struct graph_args {
    bool dot;
};

static const struct cli_opt graph_opts[] = {
    CLI_FLAG(struct graph_args, dot, 0, "dot", "in the language of Graphviz"),
    CLI_END,
};

struct edge_row {
    const char *bus;
    uint64_t from;
    uint64_t handle;
    uint64_t to;
    uint64_t node;
    bool waiting;
};

#define ROW struct edge_row

static const struct out_col edge_cols[] = {
    OUT_U64(ROW, from, "from", "peer that has the handle"),
    OUT_U64(ROW, handle, "handle", "its id there"),
    OUT_U64(ROW, to, "to", "peer that has the node; - when the node is gone or not to be seen"),
    OUT_U64(ROW, node, "node", "its id there"),
    OUT_BOOL(ROW, waiting, "waiting", "the handle is still in a message"),
    OUT_STR(ROW, bus, "bus", "directory of the bus"),
    OUT_END,
};

typedef void (*edge_fn)(struct cli_ctx *ctx, const struct view *v, const struct view_peer *p,
                        const struct view_handle *h);

static void each_edge(struct cli_ctx *ctx, const struct view *v, edge_fn fn)
{
    for (size_t i = 0; i < v->n; i++)
        for (size_t k = 0; k < v->peers[i].n_handles; k++)
            fn(ctx, v, &v->peers[i], &v->peers[i].handles[k]);
}

static void edge_row(struct cli_ctx *ctx, const struct view *v, const struct view_peer *p,
                     const struct view_handle *h)
{
    bool known = h->to >= 0;
    const struct edge_row row = {
        .bus = p->bus,
        .from = p->ino,
        .handle = h->id,
        .to = known ? v->peers[h->to].ino : OUT_UNKNOWN_U64,
        .node = h->node ? h->node : OUT_UNKNOWN_U64,
        .waiting = h->waiting,
    };

    out_row(ctx->out, &row);
}

static void edge_dot(struct cli_ctx *ctx, const struct view *v, const struct view_peer *p,
                     const struct view_handle *h)
{
    if (h->to < 0)
        return;
    out_text(ctx->out,
             "  \"p%llx_%" PRIu64 "\" -> \"n%llx_%" PRIu64 "_%" PRIu64 "\" [label=\"%" PRIu64
             "\"%s];",
             (unsigned long long)p->dev, p->ino, (unsigned long long)p->dev, v->peers[h->to].ino,
             h->node, h->id, h->waiting ? ", style=dashed" : "");
}

/* Names of processes are not put in: numbers need no quoting. */
static void peer_dot(struct cli_ctx *ctx, const struct view_peer *p)
{
    unsigned long long dev = p->dev;

    out_text(ctx->out, "  subgraph \"cluster_%llx_%" PRIu64 "\" {", dev, p->ino);
    out_text(ctx->out,
             "    label=\"peer %" PRIu64 " (pid %" PRIu64 ", uid %" PRIu64 ", %" PRIu64
             " waiting)\";",
             p->ino, p->pid, p->uid, p->messages);
    out_text(ctx->out, "    \"p%llx_%" PRIu64 "\" [label=\"peer %" PRIu64 "\", shape=box];", dev,
             p->ino, p->ino);
    for (size_t i = 0; i < p->n_nodes; i++)
        out_text(ctx->out, "    \"n%llx_%" PRIu64 "_%" PRIu64 "\" [label=\"node %" PRIu64 "\"];",
                 dev, p->ino, p->nodes[i], p->nodes[i]);
    out_text(ctx->out, "  }");
}

static void show_dot(struct cli_ctx *ctx, const struct view *v)
{
    out_text(ctx->out, "digraph bus1 {");
    for (size_t i = 0; i < v->n; i++)
        if (v->peers[i].known)
            peer_dot(ctx, &v->peers[i]);
    each_edge(ctx, v, edge_dot);
    out_text(ctx->out, "}");
}

static int graph_run(struct cli_ctx *ctx, const void *argp)
{
    const struct graph_args *args = argp;
    _cleanup_(view_done) struct view v = {0};
    struct err e = ERR_INIT;
    int r;

    if (args->dot && out_get_mode(ctx->out) != OUT_MODE_TABLE)
        return cli_usage(ctx, "--dot is a format of its own");
    r = view_read(&v, &e);
    if (r < 0)
        return cli_fail(ctx, r, &e, "cannot look at the buses");
    b1ctl_view_notes(ctx, &v);
    if (args->dot) {
        show_dot(ctx, &v);
        return 0;
    }
    out_list_begin(ctx->out, "edges", edge_cols, OUT_RECORDS);
    each_edge(ctx, &v, edge_row);
    out_list_end(ctx->out);
    return ctx->status;
}

const struct cli_verb b1ctl_graph_verb = {
    .name = "graph",
    .summary = "which peer can send to which",
    .description = "Every handle on the buses of b1ctl serve: of which peer, to which node of "
                   "which peer. A kernel's bus does not tell.",
    .examples =
        (const struct cli_example[]){
            {"b1ctl graph --dot | dot -Tsvg >bus.svg", "draw it"},
            {NULL, NULL},
        },
    .opts = graph_opts,
    .args_size = sizeof(struct graph_args),
    .cols = edge_cols,
    .run = graph_run,
};
