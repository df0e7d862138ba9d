/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqdump seal: a new end record for an edited dump. */
#include <errno.h>
#include <stdio.h>

#include "dump.h"
#include "fileio.h"
#include "mqdump_verbs.h"
#include "qcmd.h"

struct seal_args {
    struct qcmd_common common;
    const char *file;
    bool partial;
};

static const struct cli_opt seal_opts[] = {
    CLI_STR(struct seal_args, file, 'O', "output-file", "FILE",
            "write there, whole or not at all; it may be the input", .complete = CLI_COMPLETE_FILE),
    CLI_FLAG(struct seal_args, partial, 0, "partial", "drop a last line that was cut"),
    CLI_END,
};

static int seal_run(struct cli_ctx *ctx, const void *argp)
{
    const struct seal_args *args = argp;
    const char *path = ctx->n_operands ? ctx->operands[0] : "-";
    _cleanup_(dump_reader_freep) struct dump_reader *reader = NULL;
    _cleanup_(file_out_closep) struct file_out *out = NULL;
    struct err e = ERR_INIT;
    int r = dump_reader_open(path, DUMP_LOOSE | (args->partial ? DUMP_PARTIAL : 0), &reader, &e);

    if (r < 0)
        return cli_fail(ctx, r, &e, "%s: cannot seal", path);
    if (args->file) {
        r = file_out_open(args->file, 0600, &out);
        if (r < 0)
            return cli_fail_write(ctx, r, args->file);
    }
    r = dump_seal(reader, out ? file_out_stream(out) : stdout, &e);
    if (r < 0 && r != -EPIPE)
        return cli_fail(ctx, r, &e, "%s: cannot seal", path);
    if (r == 0 && out)
        r = file_out_commit(out);
    if (r == -EPIPE)
        return ctx->status;
    return r < 0 ? cli_fail_write(ctx, r, args->file) : CLI_OK;
}

static const struct cli_example seal_examples[] = {
    {"jq -c 'select(.type != \"message\" or .priority >= 5)' jobs.dump | mqdump seal >urgent.dump",
     "filter: only messages of priority 5 and more"},
    {"jq -c '(.name, .queue | select(. == \"/jobs\")) = \"/work\"' jobs.dump | mqdump seal "
     ">work.dump",
     "rename a queue"},
    {"cat jobs.dump mail.dump | mqdump seal >both.dump", "merge two dumps"},
    {"jq -rs 'map(select(.type == \"message\")) | group_by(.queue)[] | \"\\(length) "
     "\\(.[0].queue)\"' both.dump",
     "count the messages of each queue"},
    {"jq -r 'select(.type == \"message\").data_base64' jobs.dump | base64 -d >payloads",
     "extract the payloads, one behind the other"},
    {"diff <(jq -c 'select(.type == \"message\")' jobs.dump) <(jq -c 'select(.type == "
     "\"message\")' later.dump)",
     "what has changed between two dumps"},
    {NULL, NULL},
};

const struct cli_verb mqdump_seal_verb = {
    .name = "seal",
    .operands = "[FILE]",
    .max_operands = 1,
    .complete = CLI_COMPLETE_FILE,
    .summary = "make an edited dump whole again",
    .description = "Copies the dump with a new end record. The dump must have one JSON object a "
                   "line, as jq -c writes it; every line is checked. Dumps that were concatenated "
                   "become one. A dump that was cut off, as by "
                   "a kill while it was written to a pipe, becomes one of what is there.",
    .examples = seal_examples,
    .opts = seal_opts,
    .args_size = sizeof(struct seal_args),
    .flags = CLI_OWN_OUTPUT,
    .run = seal_run,
};
