/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fdpeek list: every unix socket and pipe with something unread or somebody blocked. */
#include <errno.h>
#include <stdlib.h>

#include "array.h"
#include "cleanup.h"
#include "fdpeek_verbs.h"
#include "fdview.h"

struct list_args {
    int32_t pid;
    bool all;
};

static const struct cli_opt list_opts[] = {
    CLI_PID(struct list_args, pid, 'p', "pid", "PID", "only what this process has open"),
    CLI_FLAG(struct list_args, all, 'a', "all", "the empty ones, too"),
    CLI_END,
};

static bool wanted(const struct list_args *args, const struct fdq_queue *q)
{
    if (args->pid && !fdq_held_by(q, args->pid))
        return false;
    if (args->all || q->n_threads)
        return true;
    return (q->bytes != FDQ_UNKNOWN && q->bytes) || (q->depth != FDQ_UNKNOWN && q->depth) ||
           q->pending;
}

/* The fullest first, then those on which most are blocked. */
static int by_fill(const void *a, const void *b)
{
    const struct fdq_queue *x = *(const struct fdq_queue *const *)a;
    const struct fdq_queue *y = *(const struct fdq_queue *const *)b;
    uint64_t nx = x->bytes == FDQ_UNKNOWN ? 0 : x->bytes;
    uint64_t ny = y->bytes == FDQ_UNKNOWN ? 0 : y->bytes;

    if (nx != ny)
        return nx > ny ? -1 : 1;
    if (x->n_threads != y->n_threads)
        return x->n_threads > y->n_threads ? -1 : 1;
    return x < y ? -1 : x > y;
}

static int show(struct cli_ctx *ctx, const struct list_args *args, const struct fdq_set *set)
{
    _cleanup_(freep) const struct fdq_queue **order = calloc(set->n + 1, sizeof(*order));
    size_t n = 0, unknown = 0;

    if (!order)
        return cli_fail(ctx, -ENOMEM, NULL, "cannot list queues");
    for (size_t i = 0; i < set->n; i++) {
        if (wanted(args, &set->v[i]))
            order[n++] = &set->v[i];
        else if (!args->pid || fdq_held_by(&set->v[i], args->pid))
            unknown += set->v[i].bytes == FDQ_UNKNOWN;
    }
    array_sort(order, n, sizeof(*order), by_fill);
    fdview_tell_state(ctx, set);
    out_list_begin(ctx->out, "queues", fdview_cols, OUT_RECORDS);
    for (size_t i = 0; i < n; i++) {
        struct fdview_row row;

        fdview_row_fill(&row, order[i]);
        out_row(ctx->out, &row);
        fdview_row_done(&row);
    }
    out_list_end(ctx->out);
    if (unknown)
        cli_note(ctx, "of %zu pipes it is not known how full they are (-a shows them)", unknown);
    return CLI_OK;
}

static int list_run(struct cli_ctx *ctx, const void *argp)
{
    const struct list_args *args = argp;
    _cleanup_(fdq_set_freep) struct fdq_set *set = NULL;
    struct err e = ERR_INIT;
    int r = fdq_scan(FDQ_SCAN_THREADS | FDQ_SCAN_FILL, 0, &set, &e);

    if (r < 0)
        return cli_fail(ctx, r, &e, "cannot list queues");
    if (args->pid) {
        char text[16];
        struct fdq_queue **found = NULL;
        size_t n;
        int status;

        snprintf(text, sizeof(text), "%d", (int)args->pid);
        status = fdview_find(ctx, text, set, &found, &n);
        free(found);
        if (status != CLI_OK)
            return status;
    }
    return show(ctx, args, set);
}

static const struct cli_example list_examples[] = {
    {"fdpeek", "what waits to be read, and who is blocked"},
    {"fdpeek list -a -p 4711", "every socket and pipe of process 4711"},
    {"fdpeek -J | jq -r '.queues[] | select(.readers[].state == \"T\") | .target'",
     "queues whose reader is stopped"},
    {NULL, NULL},
};

static const struct cli_table list_tables[] = {
    {"", fdview_state_cols},
    {"queues", fdview_cols},
    {NULL, NULL},
};

const struct cli_verb fdpeek_list_verb = {
    .name = "list",
    .summary = "sockets and pipes with something unread or somebody blocked",
    .description =
        "Lists every unix socket, pipe and FIFO in which something waits to be read, or on which a "
        "thread is blocked, the fullest first. Each row is a queue: what its readers have not read "
        "yet. A connected pair of sockets is two queues.\n"
        "\n"
        "A thread counts as blocked when it sleeps in a call that reads, writes or accepts; one "
        "that waits in poll(2) or epoll_wait(2) does not: that is how servers rest.\n"
        "\n"
        "Of datagram sockets the kernel tells only how long the first datagram is; of pipes whose "
        "holders may not be traced, and of what clients have sent that are not accepted yet, "
        "nothing. Where that matters a number is a lower bound, shown as 5+, and bytes_complete is "
        "false in JSON.",
    .examples = list_examples,
    .opts = list_opts,
    .args_size = sizeof(struct list_args),
    .cols = fdview_cols,
    .more_cols = list_tables,
    .run = list_run,
};
