/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqpeek list: every queue. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mqpeek_verbs.h"
#include "qcmd.h"
#include "queue_row.h"
#include "timefmt.h"

struct list_args {
    struct qcmd_common common;
    bool all_namespaces;
    int32_t pid;
    bool orphans;
    bool nonempty;
    const char *sort;
};

static const struct cli_opt list_opts[] = {
    CLI_FLAG(struct list_args, all_namespaces, 'A', "all-namespaces",
             "queues of every IPC namespace that a process is in"),
    CLI_PID(struct list_args, pid, 'p', "pid", "PID", "only queues that this process has open"),
    CLI_FLAG(struct list_args, orphans, 0, "orphans", "only queues that nobody has open"),
    CLI_FLAG(struct list_args, nonempty, 0, "nonempty", "only queues with messages"),
    CLI_STR(struct list_args, sort, 's', "sort", "COLUMN",
            "by this column: texts from a to z, numbers from the largest"),
    CLI_END,
};

/* ---- sorting ---- */

static int compare_numbers(uint64_t x, uint64_t y)
{
    /* What is not known comes last. */
    x = x == OUT_UNKNOWN_U64 ? 0 : x + 1;
    y = y == OUT_UNKNOWN_U64 ? 0 : y + 1;
    return (x < y) - (x > y);
}

static uint64_t number_at(const struct out_col *col, const void *row)
{
    const void *at = (const char *)row + col->offset;

    switch (col->type) {
    case OUT_TYPE_U32:
    case OUT_TYPE_MODE: {
        uint32_t v = *(const uint32_t *)at;

        return v == OUT_UNKNOWN_U32 ? OUT_UNKNOWN_U64 : v;
    }
    case OUT_TYPE_BOOL:
        return *(const bool *)at;
    default:
        return *(const uint64_t *)at;
    }
}

static const char *text_at(const struct out_col *col, const void *row)
{
    const void *at = (const char *)row + col->offset;
    const char *s = col->type == OUT_TYPE_CHARS ? at : *(const char *const *)at;

    return s ? s : "";
}

static int by_column(const void *a, const void *b, void *colp)
{
    const struct queue_row *x = *(const struct queue_row *const *)a;
    const struct queue_row *y = *(const struct queue_row *const *)b;
    const struct out_col *col = colp;
    int r;

    if (col->type == OUT_TYPE_STR || col->type == OUT_TYPE_CHARS)
        r = strcmp(text_at(col, x), text_at(col, y));
    else
        r = compare_numbers(number_at(col, x), number_at(col, y));
    /* The rows lie in order of name: equals stay in it. */
    return r ? r : (x > y) - (x < y);
}

static const struct out_col *find_column(const char *key)
{
    for (const struct out_col *c = queue_row_cols; c->type != OUT_TYPE_END; c++)
        if (!strcmp(c->key, key))
            return c;
    return NULL;
}

static int no_column(struct cli_ctx *ctx, const char *key)
{
    const char *keys[64] = {NULL};
    const char *near;

    for (size_t i = 0; i + 1 < ARRAY_SIZE(keys) && queue_row_cols[i].type != OUT_TYPE_END; i++)
        keys[i] = queue_row_cols[i].key;
    near = cli_nearest(key, keys);
    if (near)
        return cli_usage(ctx, "--sort: there is no column \"%s\", did you mean \"%s\"?", key, near);
    return cli_usage(ctx, "--sort: there is no column \"%s\"", key);
}

/* ---- the verb ---- */

static bool wanted(const struct list_args *args, const struct pmq_info *q)
{
    if (args->nonempty && (q->attr.curmsgs == 0 || q->attr.curmsgs == PMQ_UNKNOWN))
        return false;
    return !args->orphans || !q->n_holders;
}

static int show(struct cli_ctx *ctx, const struct list_args *args, const struct pmq_set *set,
                const struct out_col *sort)
{
    struct queue_row *rows = calloc(set->n + 1, sizeof(*rows));
    struct queue_row **order = calloc(set->n + 1, sizeof(*order));
    struct set_state state = set_state_of(set);
    uint64_t now = timefmt_now(CLOCK_REALTIME);
    size_t n = 0;

    if (!rows || !order) {
        free(rows);
        free(order);
        return cli_fail(ctx, -ENOMEM, NULL, "cannot list queues");
    }
    for (size_t i = 0; i < set->n; i++) {
        if (!wanted(args, &set->v[i]))
            continue;
        queue_row_fill(&rows[n], set, &set->v[i], now);
        order[n] = &rows[n];
        n++;
    }
    if (sort)
        qsort_r(order, n, sizeof(*order), by_column, (void *)(uintptr_t)sort);
    out_fields(ctx->out, set_state_cols, &state);
    out_list_begin(ctx->out, "queues", queue_row_cols, OUT_RECORDS);
    for (size_t i = 0; i < n; i++)
        out_row(ctx->out, order[i]);
    out_list_end(ctx->out);
    for (size_t i = 0; i < n; i++)
        if (order[i]->incomplete)
            cli_note(ctx,
                     "%s is incomplete: a restore is at work on it, or was killed (mqdump "
                     "restore --recover)",
                     order[i]->reference);
    free(rows);
    free(order);
    return CLI_OK;
}

static int list_run(struct cli_ctx *ctx, const void *argp)
{
    const struct list_args *args = argp;
    unsigned int flags = PMQ_SCAN_HOLDERS | PMQ_SCAN_WAITERS | PMQ_SCAN_UNLINKED;
    const struct out_col *sort = args->sort ? find_column(args->sort) : NULL;
    _cleanup_(pmq_set_freep) struct pmq_set *set = NULL;
    struct err e = ERR_INIT;
    int r;

    if (args->sort && !sort)
        return no_column(ctx, args->sort);
    if (args->all_namespaces)
        flags |= PMQ_SCAN_ALL_NAMESPACES;
    r = pmq_scan(flags, args->pid, &set, &e);
    if (r < 0)
        return cli_fail(ctx, r, &e, "cannot list queues");
    r = show(ctx, args, set, sort);
    qcmd_tell_journals(ctx, set);
    qcmd_tell_restores(ctx, false);
    if (r == CLI_OK && set->note[0])
        cli_note(ctx, "%s", set->note);
    return r;
}

static const struct cli_example list_examples[] = {
    {"mqpeek", "every queue"},
    {"mqpeek list --sort messages", "the fullest first"},
    {"mqpeek list -o +charged,reference", "two more columns"},
    {"mqpeek -J | jq -r '.queues[] | select(.messages == .maxmsg) | .name'", "full queues"},
    {NULL, NULL},
};

static const struct cli_table list_tables[] = {
    {"", set_state_cols},
    {"queues", queue_row_cols},
    {NULL, NULL},
};

const struct cli_verb mqpeek_list_verb = {
    .name = "list",
    .summary = "list queues, with who holds them and who is blocked",
    .description =
        "Lists the queues of the caller's IPC namespace, and those without a name that somebody "
        "still has open. It loads no BPF and needs no privilege: what cannot be known without is "
        "shown as - (null in JSON), and a note says what would show it.\n"
        "\n"
        "Where no mqueue file system of the namespace is mounted it is read through a mount that "
        "appears nowhere, which takes root; without, the queues that visible processes have open "
        "are listed.\n"
        "\n"
        "Reading the number of bytes that wait makes the kernel set the queue's access and change "
        "times, which nothing that sends or receives looks at; the modification time (changed) "
        "stays.",
    .examples = list_examples,
    .opts = list_opts,
    .args_size = sizeof(struct list_args),
    .cols = queue_row_cols,
    .more_cols = list_tables,
    .run = list_run,
};
