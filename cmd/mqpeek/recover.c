/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqpeek recover: puts back the messages that an interrupted drain took. */
#include <string.h>

#include "mqpeek_verbs.h"
#include "pmq_journal.h"
#include "qcmd.h"

struct recover_args {
    struct qcmd_common common;
    bool force;
};

static const struct recover_args recover_defaults = {
    .common = {.max_snapshot = 64 * 1024 * 1024},
};

static const struct cli_opt recover_opts[] = {
    CLI_FLAG(struct recover_args, force, 0, "force",
             "although others use the queue, or it is another of that name"),
    CLI_END,
};

struct recover_row {
    const char *queue;
    uint64_t sent;
    bool complete;
    bool uncertain;
    bool guessed;
    const char *journal;
};

static const struct out_col recover_cols[] = {
    OUT_STR(struct recover_row, queue, "queue", "where the messages belong"),
    OUT_U64(struct recover_row, sent, "sent", "messages put back"),
    OUT_BOOL(struct recover_row, complete, "complete", "nothing is left to put back"),
    OUT_BOOL(struct recover_row, uncertain, "uncertain",
             "others used the queue meanwhile: one message may be there twice, the order differ",
             .flags = OUT_HIDDEN),
    OUT_BOOL(struct recover_row, guessed, "guessed",
             "the length of one message was found from its bytes: trailing ones may lack",
             .flags = OUT_HIDDEN),
    OUT_STR(struct recover_row, journal, "journal", "where the rest lies; null for none",
            .flags = OUT_HIDDEN),
    OUT_END,
};

static void recover_one(struct cli_ctx *ctx, const struct recover_args *args, const char *label,
                        const struct pmq_queue *q, const char *path)
{
    struct err e = ERR_INIT;
    struct pmq_recovered done;
    int r = pmq_recover(q, path, args->force, &done, &e);
    const struct recover_row row = {
        .queue = label,
        .sent = done.sent,
        .complete = r == 0,
        .uncertain = done.uncertain,
        .guessed = done.guessed,
        .journal = done.journal[0] ? done.journal : NULL,
    };

    if (r < 0)
        cli_fail(ctx, r, &e, "%s: cannot recover", label);
    if (r == 0 || done.sent > 0)
        out_row(ctx->out, &row);
    if (done.uncertain)
        cli_note(ctx,
                 "%s: others have used it since: one message may be there twice, and the order "
                 "may differ",
                 label);
    if (done.guessed)
        cli_note(ctx,
                 "%s: the length of one message was found from its bytes: trailing ones may "
                 "lack",
                 label);
}

struct recover_walk {
    struct cli_ctx *ctx;
    const struct recover_args *args;
    const char *name; /* only journals of the queue of this name; NULL: all */
    const struct pmq_queue *queue;
    uint64_t found;
};

static bool is_its_queue(const struct pmq_queue *q, const struct pmq_journal_info *j)
{
    struct pmq_attr a;

    return pmq_queue_attr_basic(q, &a) == 0 && a.dev == j->dev && a.ino == j->ino && j->this_boot;
}

/* Without an operand: recovers each journal, whose queue is looked up by the name that it had. */
static int visit_all(const struct pmq_journal_info *j, void *argp)
{
    struct recover_walk *w = argp;
    _cleanup_(pmq_queue_closep) struct pmq_queue *q = NULL;
    struct pmq_ref ref;

    w->found++;
    if (j->busy) {
        cli_note(w->ctx, "%s: a drain is at work, nothing to recover", j->path);
        return 0;
    }
    if (!j->readable) {
        cli_fail_status(w->ctx, CLI_FAILED, "%s: damaged, or not permitted to read it", j->path);
        return 0;
    }
    if (pmq_ref_parse(j->label, &ref, NULL) < 0 ||
        pmq_queue_open(&ref, PMQ_OPEN_READ, &q, NULL) < 0 || !is_its_queue(q, j)) {
        cli_fail_status(w->ctx, CLI_NOT_FOUND,
                        "%s: its queue is not there any more under that name; the messages are "
                        "kept in %s (put them into a queue: mqpeek recover --force QUEUE)",
                        j->label, j->path);
        return 0;
    }
    recover_one(w->ctx, w->args, j->label, q, j->path);
    return 0;
}

/* With --force: recovers the journals that were made under the queue's name. */
static int visit_named(const struct pmq_journal_info *j, void *argp)
{
    struct recover_walk *w = argp;

    if (j->busy || !j->readable || strcmp(j->label, w->name) != 0)
        return 0;
    w->found++;
    recover_one(w->ctx, w->args, w->name, w->queue, j->path);
    return 0;
}

static void recover_operand(struct cli_ctx *ctx, const struct recover_args *args, const char *text)
{
    _cleanup_(pmq_queue_closep) struct pmq_queue *q = NULL;
    struct recover_walk w = {.ctx = ctx, .args = args};
    struct pmq_journal_info j;
    struct err e = ERR_INIT;
    struct pmq_attr attr;
    struct pmq_ref ref;
    int r = pmq_ref_parse(text, &ref, &e);

    if (r < 0) {
        cli_bad_operand(ctx, text, "queue", r, &e);
        return;
    }
    r = pmq_queue_open(&ref, PMQ_OPEN_READ, &q, &e);
    if (r == 0)
        r = pmq_queue_attr_basic(q, &attr);
    if (r == 0)
        r = pmq_journal_pending(&attr, &j);
    if (r < 0) {
        cli_fail(ctx, r, &e, "%s", text);
        return;
    }
    w.name = pmq_queue_label(q);
    w.queue = q;
    if (r == 1) {
        w.found++;
        recover_one(ctx, args, w.name, q, j.path);
    } else if (args->force) {
        r = pmq_journal_list(false, visit_named, &w, &e);
        if (r < 0)
            cli_fail(ctx, r, &e, "%s", text);
    }
    if (w.found == 0)
        cli_note(ctx, "%s: nothing to recover", text);
}

static int recover_run(struct cli_ctx *ctx, const void *argp)
{
    const struct recover_args *args = argp;
    struct recover_walk w = {.ctx = ctx, .args = args};
    struct err e = ERR_INIT;
    int r = 0;

    if (args->force && ctx->n_operands == 0)
        return cli_usage(ctx, "--force needs a QUEUE");
    out_list_begin(ctx->out, "recovered", recover_cols, OUT_RECORDS);
    for (size_t i = 0; i < ctx->n_operands; i++)
        recover_operand(ctx, args, ctx->operands[i]);
    if (ctx->n_operands == 0)
        r = pmq_journal_list(false, visit_all, &w, &e);
    if (r < 0)
        cli_fail(ctx, r, &e, "cannot look for journals");
    out_list_end(ctx->out);
    if (ctx->n_operands == 0 && qcmd_tell_restores(ctx, true) == 0 && w.found == 0 && r == 0)
        cli_note(ctx, "nothing to recover");
    return ctx->status;
}

const struct cli_verb mqpeek_recover_verb = {
    .name = "recover",
    .operands = "[QUEUE…]",
    .max_operands = SIZE_MAX,
    .complete = CLI_COMPLETE_QUEUE,
    .summary = "put back what an interrupted drain took",
    .description =
        "A peek with --backend drain that was killed leaves the messages which it had received in "
        "a journal. This sends them to their queue again, so that everything is there in its old "
        "order. Without QUEUE: all journals of the caller.\n"
        "\n"
        "It refuses a queue that others have open, as drain does: --force does it all the same. "
        "With --force it also takes a queue that was made anew under the old name.",
    .opts = recover_opts,
    .args_size = sizeof(struct recover_args),
    .defaults = &recover_defaults,
    .cols = recover_cols,
    .run = recover_run,
};
