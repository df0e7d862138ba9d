/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqpeek list: every queue. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
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
    bool posix;
    bool sysv;
    const char *sort;
};

static const struct cli_opt list_opts[] = {
    CLI_FLAG(
        struct list_args, all_namespaces, 'A', "all-namespaces",
        "queues of every IPC namespace that a process is in or keeps, or that is bound to a file"),
    CLI_PID(struct list_args, pid, 'p', "pid", "PID", "only queues that this process has open"),
    CLI_FLAG(struct list_args, orphans, 0, "orphans", "only queues that no process has open"),
    CLI_FLAG(struct list_args, nonempty, 0, "nonempty", "only queues with messages"),
    CLI_FLAG(struct list_args, posix, 0, "posix", "only POSIX queues"),
    CLI_FLAG(struct list_args, sysv, 0, "sysv", "only System V queues"),
    CLI_STR(struct list_args, sort, 's', "sort", "COLUMN",
            "by this column: texts from a to z, numbers from the largest",
            .complete = CLI_COMPLETE_COLUMN),
    CLI_END,
};

/* ---- sorting ---- */

static int compare_numbers(uint64_t x, uint64_t y)
{
    /* Unknown values are sorted last. */
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
    /* The rows are sorted by name already: rows that compare equal keep that order. */
    return r ? r : (x > y) - (x < y);
}

static int no_column(struct cli_ctx *ctx, const char *key)
{
    _cleanup_(buf_done) struct buf why = BUF_INIT;

    cli_no_column(&why, queue_row_cols, key);
    return cli_usage(ctx, "--sort: %s", buf_str(&why));
}

/* ---- the verb ---- */

static bool wanted(const struct list_args *args, const struct pmq_info *q)
{
    if (args->nonempty && (q->attr.curmsgs == 0 || q->attr.curmsgs == PMQ_UNKNOWN))
        return false;
    return !args->orphans || !q->n_holders;
}

/* System V queues are not opened by processes, so none of them can be an orphan. */
static bool wanted_sysv(const struct list_args *args, const struct sysv_info *q)
{
    bool blocks = args->pid == 0;

    for (size_t i = 0; i < q->n_waiters && !blocks; i++)
        blocks = q->waiters[i].pid == args->pid;
    return blocks && !args->orphans && (!args->nonempty || q->attr.depth > 0);
}

struct lists {
    struct pmq_set *posix; /* NULL: not to be listed */
    struct sysv_set *sysv;
};

/* Fills in the rows. Return: their number. */
static size_t fill(const struct list_args *args, const struct lists *l, struct queue_row *rows)
{
    uint64_t now = timefmt_now(CLOCK_REALTIME);
    struct sysv_limits limits;
    size_t n = 0;

    for (size_t i = 0; l->posix && i < l->posix->n; i++)
        if (wanted(args, &l->posix->v[i]))
            queue_row_fill(&rows[n++], l->posix, &l->posix->v[i], now);
    if (l->sysv)
        sysv_limits_read(&limits);
    for (size_t i = 0; l->sysv && i < l->sysv->n; i++)
        if (wanted_sysv(args, &l->sysv->v[i]))
            queue_row_fill_sysv(&rows[n++], l->sysv, &l->sysv->v[i], limits.msgmax, now);
    return n;
}

/*
 * On a terminal an empty table would look like a failure, so this is said in words; in a pipe,
 * nothing is written.
 */
static void tell_none(struct cli_ctx *ctx, const struct list_args *args)
{
    bool chosen = args->orphans || args->nonempty || args->pid;

    if (out_get_mode(ctx->out) == OUT_MODE_TABLE && isatty(STDOUT_FILENO))
        cli_note(ctx, "there are no %squeues%s",
                 args->posix  ? "POSIX "
                 : args->sysv ? "System V "
                              : "",
                 chosen ? " like that" : "");
}

static int show(struct cli_ctx *ctx, const struct list_args *args, const struct lists *l,
                const struct out_col *sort)
{
    size_t all = (l->posix ? l->posix->n : 0) + (l->sysv ? l->sysv->n : 0);
    _cleanup_(freep) struct queue_row *rows = calloc(all + 1, sizeof(*rows));
    _cleanup_(freep) struct queue_row **order = calloc(all + 1, sizeof(*order));
    struct set_state state = {true, true, true, NULL};
    size_t n;

    if (!rows || !order)
        return cli_fail(ctx, -ENOMEM, NULL, "cannot list queues");
    if (l->posix)
        state = set_state_of(l->posix);
    n = fill(args, l, rows);
    for (size_t i = 0; i < n; i++)
        order[i] = &rows[i];
    for (size_t i = 0; l->sysv && i < l->sysv->n; i++)
        state.waiters_complete &= l->sysv->v[i].waiters_complete;
    if (sort)
        qsort_r(order, n, sizeof(*order), by_column, (void *)(uintptr_t)sort);
    out_fields(ctx->out, set_state_cols, &state);
    out_list_begin(ctx->out, "queues", queue_row_cols, OUT_RECORDS);
    for (size_t i = 0; i < n; i++)
        out_row(ctx->out, order[i]);
    out_list_end(ctx->out);
    if (!n && state.names_complete)
        tell_none(ctx, args);
    for (size_t i = 0; i < n; i++)
        if (order[i]->incomplete)
            cli_note(ctx,
                     "%s is incomplete: a restore is at work on it, or was killed (mqdump "
                     "restore --recover)",
                     order[i]->reference);
    return CLI_OK;
}

/*
 * On a kernel without System V queues the list is empty: that is an error only if the user asked
 * for them.
 */
static int list_sysv(struct cli_ctx *ctx, const struct list_args *args, struct sysv_set **ret)
{
    struct err e = ERR_INIT;
    int r = sysv_list(true, ret, &e);

    if (r == 0 || (r == -ENOSYS && !args->sysv)) /* without support, *@ret stays NULL */
        return CLI_OK;
    return cli_fail(ctx, r, &e, "cannot list System V queues");
}

/*
 * Fails when processes are hidden: a queue that only a hidden process has open would look like an
 * orphan, and might be removed.
 */
static int refuse_orphans(struct cli_ctx *ctx, const struct pmq_set *set)
{
    struct err e = ERR_INIT;

    err_set(&e, -EPERM, set->holders_remedy, "%s",
            set->note[0] ? set->note : "not every process can be looked at");
    return cli_fail(ctx, -EPERM, &e, "cannot tell which queues nobody has open");
}

static int list_run(struct cli_ctx *ctx, const void *argp)
{
    const struct list_args *args = argp;
    unsigned int flags = PMQ_SCAN_HOLDERS | PMQ_SCAN_WAITERS | PMQ_SCAN_UNLINKED | PMQ_SCAN_KERNEL;
    const struct out_col *sort = args->sort ? out_column(queue_row_cols, args->sort) : NULL;
    _cleanup_(sysv_set_freep) struct sysv_set *sysv = NULL;
    _cleanup_(pmq_set_freep) struct pmq_set *set = NULL;
    struct err e = ERR_INIT;
    int r = CLI_OK;

    if (args->sysv && args->posix)
        return cli_usage(ctx, "--posix and --sysv exclude each other");
    if (args->sysv && args->orphans)
        return cli_usage(ctx, "--orphans is about POSIX queues: no process has a System V queue "
                              "open, so that nobody can tell which of them are forgotten");
    if (args->sort && !sort)
        return no_column(ctx, args->sort);
    if (args->all_namespaces)
        flags |= PMQ_SCAN_ALL_NAMESPACES;
    if (!args->sysv)
        r = pmq_scan(flags, args->pid, &set, &e);
    if (r < 0)
        return cli_fail(ctx, r, &e, "cannot list queues");
    if (args->orphans && set && !set->holders_complete)
        return refuse_orphans(ctx, set);
    if (!args->posix)
        r = list_sysv(ctx, args, &sysv);
    if (r != CLI_OK)
        return r;
    r = show(ctx, args, &(struct lists){set, sysv}, sort);
    if (args->sysv) {
        if (r == CLI_OK && sysv && sysv->n && !sysv->v[0].waiters_complete)
            cli_note(ctx, "blocked threads of processes that you may not look into are not shown");
        return r;
    }
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
    {"mqpeek -J | jq -r '.queues[] | select(.depth == .maxmsg) | .name'", "full queues"},
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
        "Lists the queues of the caller's IPC namespace, of POSIX and of System V, and those "
        "without a name that somebody still has open. It needs no privilege. Where processes are "
        "hidden that may have a queue "
        "open (other users', or those outside of a container), the numbers of holders and blocked "
        "threads are lower bounds, as 0+ and 1+, and a note says what would show the rest. Root of "
        "the machine asks the kernel then, through BPF.\n"
        "\n"
        "--orphans refuses (exit status 5) while a process may be hidden: a queue that it holds "
        "would look like one that nobody has open. Descriptors that are on their way through a "
        "socket, or registered with io_uring, belong to no process and are not seen.\n"
        "\n"
        "A System V queue has no holders. --pid shows those that a thread of the process is "
        "blocked on; "
        "--all-namespaces shows those of the caller's own IPC namespace only.\n"
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
