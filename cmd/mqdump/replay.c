/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqdump replay: send recorded traffic again. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "mqdump_verbs.h"
#include "msgdump_replay.h"
#include "qcmd.h"
#include "timefmt.h"

struct replay_args {
    struct qcmd_common common;
    const char *to;
    const char *speed;
    int only;
    uint64_t loop;
    uint64_t timeout;
    bool dry_run;
};

static const struct replay_args replay_defaults = {
    .common = {.max_snapshot = 64 * 1024 * 1024},
    .speed = "1",
    .loop = 1,
    .timeout = UINT64_MAX,
};

static const char *const only_words[] = {"send", "all", NULL};

static const struct cli_opt replay_opts[] = {
    CLI_STR(struct replay_args, to, 0, "to", "QUEUE", "send everything there",
            .complete = CLI_COMPLETE_QUEUE),
    CLI_STR(struct replay_args, speed, 0, "speed", "X",
            "2: twice as fast; max: as fast as it can (1)"),
    CLI_ENUM(struct replay_args, only, 0, "only", "WHAT",
             "send; all: also receive where the recording did (send)", only_words),
    CLI_U64(struct replay_args, loop, 0, "loop", "N", "send it N times (1)", .min = 1,
            .max = UINT64_MAX),
    CLI_SPAN(struct replay_args, timeout, 0, "timeout", "SEC",
             "give up when a queue stays full that long"),
    CLI_FLAG(struct replay_args, dry_run, 0, "dry-run",
             "only check the recording, and count what would be sent"),
    CLI_END,
};

static const struct out_col replay_cols[] = {
    OUT_U64(struct msgdump_replay_result, sent, "sent", "messages"),
    OUT_U64(struct msgdump_replay_result, received, "received", "messages"),
    OUT_SIZE(struct msgdump_replay_result, bytes, "bytes", "content sent"),
    OUT_U64(struct msgdump_replay_result, skipped, "skipped", "records that were left out"),
    OUT_SPAN(struct msgdump_replay_result, span, "span", "time it took"),
    OUT_SPAN(struct msgdump_replay_result, late_median, "late_median", "behind the recorded times"),
    OUT_SPAN(struct msgdump_replay_result, late_p99, "late_p99", "99th percentile"),
    OUT_SPAN(struct msgdump_replay_result, late_worst, "late_worst", "worst"),
    OUT_END,
};

static void tell_blocked(void *ctxp, const char *queue, bool full, bool on)
{
    if (on)
        cli_note(ctxp, "%s is %s: waiting", queue, full ? "full" : "empty");
    else
        cli_note(ctxp, "%s: going on", queue);
}

/* Return: factor, 0 for "max", negative for neither. */
static double parse_speed(const char *text)
{
    char *end;
    double v;

    if (strcmp(text, "max") == 0)
        return 0;
    v = strtod(text, &end);
    return *text && !*end && v > 0 && v <= 1e9 ? v : -1;
}

static int replay_run(struct cli_ctx *ctx, const void *argp)
{
    const struct replay_args *args = argp;
    const char *path = ctx->operands[0];
    struct msgdump_replay_opts opts = {
        .to = args->to,
        .receive = args->only == 1,
        .speed = parse_speed(args->speed),
        .timeout = args->timeout,
        .dry_run = args->dry_run,
        .blocked = tell_blocked,
        .ctx = ctx,
    };
    _cleanup_(dump_reader_freep) struct dump_reader *reader = NULL;
    _cleanup_(msgdump_replay_freep) struct msgdump_replay *replay = NULL;
    _cleanup_(cli_progress_end) struct cli_progress progress = {.ctx = NULL};
    struct msgdump_replay_result result;
    struct err e = ERR_INIT;
    int r;

    if (opts.speed < 0)
        return cli_usage(ctx, "--speed takes a number above 0, or max");
    /* At full speed a full queue is what is expected. */
    if (opts.speed == 0)
        opts.blocked = NULL;
    qcmd_tell_journals(ctx, NULL);
    r = dump_reader_open(path, DUMP_REWIND, &reader, &e);
    if (r == 0) {
        cli_progress_begin(ctx, "records", false, &progress);
        dump_reader_watch(reader, cli_progress_at, &progress);
        r = msgdump_replay_new(reader, &opts, &replay, &e);
    }
    if (r < 0)
        return cli_fail(ctx, r, &e, "%s: nothing was sent", path);
    for (uint64_t i = 0; i < args->loop && r == 0; i++)
        r = msgdump_replay_run(replay, &e);
    cli_progress_end(&progress);
    msgdump_replay_result(replay, &result);
    if (args->dry_run)
        result.span = OUT_UNKNOWN_U64;
    if (opts.speed == 0 || args->dry_run)
        result.late_median = result.late_p99 = result.late_worst = OUT_UNKNOWN_U64;
    out_fields(ctx->out, replay_cols, &result);
    return r < 0 ? cli_fail(ctx, r, &e, "%s: stopped after %" PRIu64 " messages", path, result.sent)
                 : CLI_OK;
}

static const struct cli_example replay_examples[] = {
    {"mqdump replay jobs.traffic --to /test", "the same messages at the same pace to /test"},
    {"mqdump replay jobs.traffic --speed max --loop 100", "load"},
    {NULL, NULL},
};

static const struct cli_table replay_tables[] = {
    {"", replay_cols},
    {NULL, NULL},
};

const struct cli_verb mqdump_replay_verb = {
    .name = "replay",
    .operands = "FILE",
    .min_operands = 1,
    .max_operands = 1,
    .complete = CLI_COMPLETE_FILE,
    .summary = "send recorded traffic again, with its timing",
    .description =
        "Checks the whole recording, then sends each message when it is due, and tells how late "
        "the sends were. A full queue makes it wait, which it says; what is due meanwhile is sent "
        "as soon as there is room.\n"
        "\n"
        "With --only all it also receives where the recording did: whatever message is first then "
        "is taken out of the queue; of a System V queue, the first of the recorded type.\n"
        "\n"
        "--to may name a queue of the other kind: then each message has priority 0, or type 1.",

    .examples = replay_examples,
    .opts = replay_opts,
    .args_size = sizeof(struct replay_args),
    .defaults = &replay_defaults,
    .more_cols = replay_tables,
    .run = replay_run,
};
