/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqdump restore: all queues of a dump, or none. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "cleanup.h"
#include "mqdump_verbs.h"
#include "msgdump.h"
#include "qcmd.h"
#include "sysvdump.h"
#include "sysvjournal.h"

struct restore_args {
    struct qcmd_common common;
    struct cli_strv renames;
    uint64_t ipc_ns;
    uint64_t timeout;
    bool replace;
    bool append;
    bool dry_run;
    bool partial;
    bool recover;
};

static const struct restore_args restore_defaults = {
    .common = {.max_snapshot = 64 * 1024 * 1024},
    .timeout = 10 * UINT64_C(1000000000),
};

static const struct cli_opt restore_opts[] = {
    CLI_STRV(struct restore_args, renames, 0, "rename", "/OLD=/NEW", "give a queue another name"),
    CLI_FLAG(struct restore_args, replace, 0, "replace",
             "save queues that exist, and make them anew"),
    CLI_FLAG(struct restore_args, append, 0, "append",
             "send the messages to queues that exist, behind those they have"),
    CLI_FLAG(struct restore_args, dry_run, 0, "dry-run",
             "check everything, say what would be done"),
    CLI_FLAG(struct restore_args, partial, 0, "partial", "take what is there of a truncated dump"),
    CLI_U64(struct restore_args, ipc_ns, 0, "namespace", "N",
            "only queues that were in IPC namespace N", .min = 1, .max = UINT64_MAX),
    CLI_SPAN(struct restore_args, timeout, 0, "timeout", "SEC",
             "how long --append waits for room (10)"),
    CLI_FLAG(struct restore_args, recover, 0, "recover",
             "only finish or undo restores that were killed"),
    CLI_END,
};

struct restore_row {
    const char *name;
    const char *action;
    uint64_t messages;
    uint64_t bytes;
    const char *saved;
    const char *from;
};

static const struct out_col restore_cols[] = {
    OUT_STR(struct restore_row, name, "name", "queue name"),
    OUT_STR(struct restore_row, action, "action", "create, replace, append or skip"),
    OUT_U64(struct restore_row, messages, "message_count", "messages of the dump",
            .heading = "MESSAGES"),
    OUT_SIZE(struct restore_row, bytes, "bytes", "their content"),
    OUT_STR(struct restore_row, saved, "saved", "where the queue that was replaced is"),
    OUT_STR(struct restore_row, from, "from", "its name in the dump", .flags = OUT_HIDDEN),
    OUT_END,
};

static void show_plan(struct cli_ctx *ctx, const struct msgdump_plan *plan,
                      const struct sysvdump_plan *sysv)
{
    size_t n;
    const struct msgdump_item *items = msgdump_plan_items(plan, &n);

    out_list_begin(ctx->out, "queues", restore_cols, OUT_RECORDS);
    for (size_t i = 0; i < n; i++)
        out_row(ctx->out, &(const struct restore_row){
                              .name = items[i].name,
                              .action = msgdump_action_name(items[i].action),
                              .messages = items[i].messages,
                              .bytes = items[i].bytes,
                              .saved = items[i].saved,
                              .from = items[i].queue.name,
                          });
    for (size_t i = 0; i < sysv->n; i++) {
        const struct sysv_attr *a = &sysv->v[i].attr;
        char name[SYSV_REF_SIZE];

        sysv_ref_format(&(struct sysv_ref){.id = a->id}, name);
        out_row(ctx->out, &(const struct restore_row){
                              .name = name,
                              .action = sysv->v[i].wanted ? "create" : "skip",
                              .messages = a->depth,
                              .bytes = a->bytes,
                              .from = name,
                          });
    }
    out_list_end(ctx->out);
}

static void tell_notes(struct cli_ctx *ctx, const struct msgdump_plan *plan, bool done)
{
    size_t n;
    const struct msgdump_item *items = msgdump_plan_items(plan, &n);

    for (size_t i = 0; i < n; i++) {
        const struct msgdump_item *item = &items[i];

        if (item->queue.torn && item->action != MSGDUMP_SKIP)
            cli_note(ctx, "%s: messages were moving when it was saved: it may mix several moments",
                     item->name);
        if (done && item->foreign_owner)
            cli_note(ctx, "%s: it is yours now: only root can give it back to %u:%u", item->name,
                     item->queue.uid, item->queue.gid);
    }
}

static void tell_recovered(void *ctxp, const struct msgdump_recovered *what)
{
    struct cli_ctx *ctx = ctxp;

    /* What another namespace has to see to is of interest to who asks for it. */
    if (what->elsewhere && ctx->n_operands)
        return;
    cli_note(ctx, "%s: left by an interrupted restore: %s%s%s", what->name, what->what,
             what->detail[0] ? ": " : "", what->detail);
}

/* The operands behind FILE, those of each kind; @v has room for all. Return: how many of POSIX. */
static size_t sort_operands(const struct cli_ctx *ctx, char **v)
{
    size_t n = 0, at = 0;

    for (size_t i = 1; i < ctx->n_operands; i++)
        if (!sysv_ref_is(ctx->operands[i]))
            v[n++] = ctx->operands[i];
    at = n;
    for (size_t i = 1; i < ctx->n_operands; i++)
        if (sysv_ref_is(ctx->operands[i]))
            v[at++] = ctx->operands[i];
    return n;
}

/* The System V part is only there in dumps that say so; without, there is nothing to do. */
static int plan_both(struct dump_reader *reader, const struct msgdump_opts *opts, char *const *only,
                     size_t n_only, struct msgdump_plan **plan, struct sysvdump_plan **sysv,
                     struct err *e)
{
    bool all = !n_only && !opts->n_only && !opts->ipc_ns;
    int r;

    if (n_only || dump_reader_header(reader)->version == DUMP_VERSION_SYSV) {
        r = sysvdump_plan_new(reader, only, n_only, all, sysv, e);
    } else {
        *sysv = calloc(1, sizeof(**sysv));
        r = *sysv ? 0 : -ENOMEM;
    }
    return r < 0 ? r : msgdump_plan_new(reader, opts, plan, e);
}

/* Both kinds, or none. Signals wait meanwhile: the POSIX part looks whether one came. */
static int run_plans(struct msgdump_plan *plan, struct sysvdump_plan *sysv,
                     struct dump_reader *reader, struct err *e)
{
    struct sysvjournal *journal = NULL;
    sigset_t ending, before;
    int r = 0;

    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGHUP);
    sigprocmask(SIG_BLOCK, &ending, &before);
    if (sysv->n)
        r = sysvjournal_new(sysv, plan, &journal, e);
    if (r == 0 && journal)
        r = sysvdump_make(sysv, reader, e);
    if (r == 0 && journal)
        r = sysvjournal_filled(journal);
    if (r == 0)
        r = msgdump_plan_run(plan, e);
    if (r == 0)
        r = sysvdump_publish(sysv, e);
    if (r < 0)
        sysvdump_undo(sysv);
    sysvjournal_end(journal);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return r;
}

static int restore_file(struct cli_ctx *ctx, const struct restore_args *args, const char *path)
{
    _cleanup_(freep) char **only = calloc(ctx->n_operands, sizeof(*only));
    size_t n_posix = only ? sort_operands(ctx, only) : 0, n_only = ctx->n_operands - 1;
    const struct msgq_peek_opts peek = {
        .backend = ctx->backend,
        .max_snapshot = args->common.max_snapshot,
        .mq_syscall = (long)args->common.mq_syscall,
    };
    const struct msgdump_opts opts = {
        .only = (const char *const *)only,
        .n_only = n_posix,
        .renames = args->renames.v,
        .n_renames = args->renames.n,
        .replace = args->replace,
        .append = args->append,
        /* Where only System V queues are asked for, no POSIX queue is of that namespace. */
        .ipc_ns = n_only && !n_posix ? UINT64_MAX : args->ipc_ns,
        .timeout = args->timeout,
        .peek = &peek,
        .tool = ctx->applet->name,
    };
    _cleanup_(dump_reader_freep) struct dump_reader *reader = NULL;
    _cleanup_(msgdump_plan_freep) struct msgdump_plan *plan = NULL;
    _cleanup_(sysvdump_plan_freep) struct sysvdump_plan *sysv = NULL;
    _cleanup_(cli_progress_end) struct cli_progress progress = {.ctx = NULL};
    unsigned int flags = DUMP_REWIND | (args->partial ? DUMP_PARTIAL : 0);
    struct err e = ERR_INIT;
    int r = only ? dump_reader_open(path, flags, &reader, &e) : -ENOMEM;

    if (r == 0) {
        cli_progress_begin(ctx, "records", false, &progress);
        dump_reader_watch(reader, cli_progress_at, &progress);
        r = plan_both(reader, &opts, only + n_posix, n_only - n_posix, &plan, &sysv, &e);
    }
    if (r < 0) {
        if (r == -ENODATA && reader && !args->partial)
            snprintf(e.remedy, sizeof(e.remedy), "--partial takes what is there");
        return cli_fail(ctx, r, &e, "%s: %s", path,
                        args->dry_run ? "nothing would be restored" : "nothing was restored");
    }
    if (!args->dry_run) {
        r = run_plans(plan, sysv, reader, &e);
        if (r < 0)
            return cli_fail(ctx, r, &e, "%s: %s was restored", path,
                            args->append ? "not all" : "nothing");
    }
    cli_progress_end(&progress);
    if (!args->dry_run)
        ctx->done = args->replace ? "all was restored, and what was replaced is kept"
                                  : "all was restored";
    show_plan(ctx, plan, sysv);
    tell_notes(ctx, plan, !args->dry_run);
    for (size_t i = 0; i < sysv->n; i++)
        if (sysv->v[i].wanted && sysv->v[i].torn)
            cli_note(ctx,
                     "sysv:%d: messages were moving when it was saved: it may mix several moments",
                     sysv->v[i].attr.id);
    return CLI_OK;
}

static int restore_run(struct cli_ctx *ctx, const void *argp)
{
    const struct restore_args *args = argp;
    struct err e = ERR_INIT;
    int r;

    if (args->recover ? ctx->n_operands > 0 : ctx->n_operands == 0)
        return cli_usage(ctx, args->recover ? "--recover takes no FILE" : "restore needs FILE");
    if (args->append && args->replace)
        return cli_usage(ctx, "--append and --replace exclude each other");
    qcmd_tell_journals(ctx, NULL);
    if (!args->dry_run) {
        r = msgdump_recover(tell_recovered, ctx, &e);
        if (r == 0)
            r = sysvjournal_recover(tell_recovered, ctx, &e);
        if (r < 0)
            return cli_fail(ctx, r, &e, "cannot look for interrupted restores");
    }
    return args->recover ? CLI_OK : restore_file(ctx, args, ctx->operands[0]);
}

static const struct cli_example restore_examples[] = {
    {"mqdump restore jobs.dump --dry-run", "whether it can be done, and what would be"},
    {"mqdump restore jobs.dump --rename /jobs=/jobs.old", "under another name"},
    {"jq -c 'select(.type != \"message\" or .priority >= 5)' jobs.dump | mqdump seal | mqdump "
     "restore -",
     "only the urgent messages"},
    {NULL, NULL},
};

const struct cli_verb mqdump_restore_verb = {
    .name = "restore",
    .operands = "FILE [QUEUE…]",
    .max_operands = SIZE_MAX,
    .complete = CLI_COMPLETE_FILE,
    .summary = "make the queues of a dump, all or none",
    .description =
        "First the whole dump is checked, then the limits of the kernel, then what exists; only "
        "then is a queue made. It has mode 0000 until all queues are full, so that nobody without "
        "privilege uses half of a restore. When something fails on the way, what was made is "
        "removed, and what was replaced is put back.\n"
        "\n"
        "As root a queue gets its owner and group, and is charged to that owner. For others it "
        "belongs to the caller, which is said.\n"
        "\n"
        "--replace saves a queue that exists to a file, which is named in the output, and makes it "
        "anew; processes that have the old one open keep that. --append cannot be undone: it fails "
        "before the first message when there is no room, and says how many came in when the queue "
        "filled up on the way.\n"
        "\n"
        "A System V queue gets back its id, key, owner, creator, mode, limit and messages; its "
        "times and "
        "last pids are lost. It is made only where its id and key are free; choosing the id takes "
        "root or CAP_CHECKPOINT_RESTORE. --replace, --append and --rename are for POSIX queues.\n"
        "\n"
        "After a kill the next restore, or --recover, finishes what was complete and removes what "
        "was not.",
    .examples = restore_examples,
    .opts = restore_opts,
    .args_size = sizeof(struct restore_args),
    .defaults = &restore_defaults,
    .cols = restore_cols,
    .run = restore_run,
};
