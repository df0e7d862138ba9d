/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqdump verify: whether dumps are whole. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "mqdump_verbs.h"
#include "msgdump.h"
#include "qcmd.h"

struct verify_row {
    const char *file;
    bool whole;
    const char *problem;
    const char *kind;
    const char *tool;
    const char *host;
    uint64_t time;
    uint64_t records;
    uint64_t bytes;
    char crc[sizeof("0x00000000")];
};

static const struct out_col verify_cols[] = {
    OUT_STR(struct verify_row, file, "file", "the dump"),
    OUT_BOOL(struct verify_row, whole, "whole", "every line, payload, count and checksum is right"),
    OUT_STR(struct verify_row, problem, "problem", "what is wrong with it; null if it is whole",
            .flags = OUT_HIDDEN),
    OUT_STR(struct verify_row, kind, "kind", "queues, traffic, bus1 or channel"),
    OUT_STR(struct verify_row, tool, "tool", "who wrote it"),
    OUT_STR(struct verify_row, host, "host", "where"),
    OUT_TIME(struct verify_row, time, "time", "when", .flags = OUT_DATE),
    OUT_U64(struct verify_row, records, "record_count", "between header and end record",
            .heading = "RECORDS"),
    OUT_SIZE(struct verify_row, bytes, "bytes", "size"),
    OUT_CHARS(struct verify_row, crc, "crc32", "of all lines before the end record",
              .flags = OUT_HIDDEN),
    OUT_END,
};

/* Any kind: every line and every payload. Queues: also what a restore needs. */
static int check(struct dump_reader *reader, struct err *e)
{
    static const struct msgdump_visitor nothing = {0};
    struct dump_record *rec;
    int r;

    if (strcmp(dump_reader_header(reader)->kind, MSGDUMP_KIND) == 0)
        return msgdump_walk(reader, &nothing, NULL, e);
    while ((r = dump_reader_next(reader, &rec, e)) > 0)
        ;
    return r;
}

static void show_whole(struct cli_ctx *ctx, const char *path, const struct dump_reader *reader)
{
    const struct dump_header *h = dump_reader_header(reader);
    struct verify_row row = {.file = path, .whole = true, .kind = h->kind};
    struct dump_totals totals;

    dump_reader_totals(reader, &totals);
    row.tool = h->tool[0] ? h->tool : NULL;
    row.host = h->host[0] ? h->host : NULL;
    row.time = h->time ? h->time : OUT_UNKNOWN_U64;
    row.records = totals.records;
    row.bytes = totals.bytes;
    snprintf(row.crc, sizeof(row.crc), "0x%08" PRIx32, totals.crc);
    out_row(ctx->out, &row);
}

static void verify_file(struct cli_ctx *ctx, const char *path)
{
    _cleanup_(dump_reader_freep) struct dump_reader *reader = NULL;
    _cleanup_(cli_progress_end) struct cli_progress progress = {.ctx = NULL};
    struct err e = ERR_INIT;
    int r = dump_reader_open(path, DUMP_DEEP, &reader, &e);

    if (r == 0) {
        cli_progress_begin(ctx, "records", false, &progress);
        dump_reader_watch(reader, cli_progress_at, &progress);
        r = check(reader, &e);
        cli_progress_end(&progress);
    }
    if (r == 0) {
        show_whole(ctx, path, reader);
        return;
    }
    out_row(ctx->out, &(const struct verify_row){
                          .file = path,
                          .problem = err_text(&e, r),
                          .time = OUT_UNKNOWN_U64,
                          .records = OUT_UNKNOWN_U64,
                          .bytes = OUT_UNKNOWN_U64,
                      });
    cli_fail(ctx, r, &e, "%s", path);
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
    {"mqdump verify *.dump", "which are whole, and what is wrong with the others"},
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
