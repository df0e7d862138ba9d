/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqdump verify: whether dumps are whole. */
#include <errno.h>
#include <string.h>

#include "mqdump_verbs.h"
#include "pmqdump.h"
#include "qcmd.h"

struct verify_row {
    const char *file;
    const char *kind;
    const char *tool;
    const char *host;
    uint64_t time;
    uint64_t records;
    uint64_t bytes;
    uint64_t crc;
};

static const struct out_col verify_cols[] = {
    OUT_STR(struct verify_row, file, "file", "the dump"),
    OUT_STR(struct verify_row, kind, "kind", "queues, traffic, bus1 or channel"),
    OUT_STR(struct verify_row, tool, "tool", "who wrote it"),
    OUT_STR(struct verify_row, host, "host", "where"),
    OUT_TIME(struct verify_row, time, "time", "when", .flags = OUT_DATE),
    OUT_U64(struct verify_row, records, "records", "between header and end record"),
    OUT_SIZE(struct verify_row, bytes, "bytes", "size"),
    OUT_HEX64(struct verify_row, crc, "crc32", "of all lines before the end record",
              .flags = OUT_HIDDEN),
    OUT_END,
};

/* Any kind: every line and every payload. Queues: also what a restore needs. */
static int check(struct dump_reader *reader, struct err *e)
{
    static const struct pmqdump_visitor nothing = {0};
    struct dump_record *rec;
    int r;

    if (strcmp(dump_reader_header(reader)->kind, PMQDUMP_KIND) == 0)
        return pmqdump_walk(reader, &nothing, NULL, e);
    while ((r = dump_reader_next(reader, &rec, e)) > 0)
        ;
    return r;
}

static void verify_file(struct cli_ctx *ctx, const char *path)
{
    _cleanup_(dump_reader_freep) struct dump_reader *reader = NULL;
    _cleanup_(cli_progress_end) struct cli_progress progress = {.ctx = NULL};
    const struct dump_header *h;
    struct dump_totals totals;
    struct err e = ERR_INIT;
    int r = dump_reader_open(path, DUMP_DEEP, &reader, &e);

    if (r == 0) {
        cli_progress_begin(ctx, "records", false, &progress);
        dump_reader_watch(reader, cli_progress_at, &progress);
        r = check(reader, &e);
        cli_progress_end(&progress);
    }
    if (r < 0) {
        cli_fail(ctx, r, &e, "%s", path);
        return;
    }
    h = dump_reader_header(reader);
    dump_reader_totals(reader, &totals);
    out_row(ctx->out, &(const struct verify_row){
                          .file = path,
                          .kind = h->kind,
                          .tool = h->tool[0] ? h->tool : NULL,
                          .host = h->host[0] ? h->host : NULL,
                          .time = h->time ? h->time : OUT_UNKNOWN_U64,
                          .records = totals.records,
                          .bytes = totals.bytes,
                          .crc = totals.crc,
                      });
}

static int verify_run(struct cli_ctx *ctx, const void *argp)
{
    (void)argp;
    out_list_begin(ctx->out, "dumps", verify_cols, OUT_RECORDS);
    for (size_t i = 0; i < ctx->n_operands; i++)
        verify_file(ctx, ctx->operands[i]);
    out_list_end(ctx->out);
    return ctx->status;
}

static const struct cli_example verify_examples[] = {
    {"mqdump verify *.dump", "list those that are whole, and say what is wrong with the others"},
    {NULL, NULL},
};

const struct cli_verb mqdump_verify_verb = {
    .name = "verify",
    .operands = "FILE…",
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .complete = CLI_COMPLETE_FILE,
    .summary = "check that dumps are whole",
    .description = "Checks every line, every payload, the counts and the checksum of dumps of any "
                   "applet. A FILE of - is standard input.",
    .examples = verify_examples,
    .args_size = sizeof(struct qcmd_common),
    .cols = verify_cols,
    .run = verify_run,
};
