/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages from the command line, a file or standard input. */
#include "feed.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

/* The operand, unless it stands for standard input. */
static const char *operand(const struct feed *f)
{
    const char *data = f->ctx->n_operands > 1 ? f->ctx->operands[1] : NULL;

    return data && strcmp(data, "-") != 0 ? data : NULL;
}

static bool from_objects(const struct feed *f)
{
    return !f->lines && !operand(f) && out_get_mode(f->ctx->out) == OUT_MODE_JSONL;
}

bool feed_is_stream(const struct feed *f)
{
    return f->lines || from_objects(f);
}

int feed_check(const struct feed *f)
{
    if (f->file && f->ctx->n_operands > 1)
        return cli_usage(f->ctx, "DATA and --file exclude each other");
    if (operand(f) && f->lines)
        return cli_usage(f->ctx, "--lines is for --file and standard input");
    return CLI_OK;
}

static int send_counted(struct feed *f, const void *data, size_t len, struct dump_record *rec)
{
    int r = f->send(f, data, len, rec);

    if (r == CLI_OK) {
        f->sent++;
        f->bytes += len;
    }
    return r;
}

/* One object, as recv --jsonl writes it. That of an empty queue has no message. */
static int send_object(struct feed *f, struct dump_object *object, char *line, size_t n)
{
    struct dump_payload data;
    struct dump_record *rec;
    struct err e = ERR_INIT;
    int r = dump_object_parse(object, line, n, &rec, &e);

    if (r == 0 && dump_has(rec, "queue") && !dump_has(rec, "length") &&
        !dump_has(rec, "data_base64") && !dump_has(rec, "text"))
        return CLI_OK;
    if (r == 0)
        r = dump_get_payload(rec, &data, &e);
    if (r == 0 && data.captured != data.length)
        r = dump_bad(rec, &e, "the message was cut");
    if (r < 0) /* what a line lacks is no missing queue */
        return cli_fail(f->ctx, r == -ENOENT ? -EBADMSG : r, &e,
                        "%s: stopped after %" PRIu64 " messages", f->ctx->operands[0], f->sent);
    return send_counted(f, data.data, data.captured, rec);
}

static int send_lines(struct feed *f, FILE *in, const char *name)
{
    _cleanup_(dump_object_freep) struct dump_object *object = NULL;
    _cleanup_(freep) char *line = NULL;
    struct cli_progress progress;
    size_t cap = 0;
    int r = CLI_OK;

    if (!f->lines && dump_object_new(&object) < 0)
        return cli_fail(f->ctx, -ENOMEM, NULL, "%s", name);
    cli_progress_begin(f->ctx, "messages", false, &progress);
    while (r == CLI_OK) {
        ssize_t n = getline(&line, &cap, in);

        if (n < 0)
            break;
        if (n > 0 && line[n - 1] == '\n')
            n--;
        r = object ? send_object(f, object, line, (size_t)n)
                   : send_counted(f, line, (size_t)n, NULL);
        cli_progress_at(&progress, f->sent, f->bytes);
    }
    cli_progress_end(&progress);
    if (r == CLI_OK && ferror(in))
        return cli_fail(f->ctx, -errno, NULL, "%s", name);
    return r;
}

static int send_whole(struct feed *f, FILE *in, const char *name)
{
    size_t cap = (size_t)f->max + 1;
    _cleanup_(freep) char *data = malloc(cap);
    size_t n;

    if (!data)
        return cli_fail(f->ctx, -ENOMEM, NULL, "%s", name);
    n = fread(data, 1, cap, in);
    if (ferror(in))
        return cli_fail(f->ctx, -errno, NULL, "%s", name);
    if (n == cap)
        return cli_fail_status(f->ctx, CLI_FAILED,
                               "%s: not sent: %s is longer than the %" PRIu64
                               " bytes that a message may have",
                               f->ctx->operands[0], name, f->max);
    return send_counted(f, data, n, NULL);
}

int feed_run(struct feed *f)
{
    const char *data = operand(f);
    const char *path = f->file ? f->file : "-";
    bool standard = strcmp(path, "-") == 0;
    const char *name = standard ? "standard input" : path;
    _cleanup_(fclosep) FILE *file = data || standard ? NULL : fopen(path, "re");
    FILE *in = standard ? stdin : file;

    if (data)
        return send_counted(f, data, strlen(data), NULL);
    if (!in) /* exit status 3 would say that the queue is missing */
        return cli_fail_status(f->ctx, CLI_FAILED, "%s: %s", path, err_text(NULL, -errno));
    return feed_is_stream(f) ? send_lines(f, in, name) : send_whole(f, in, name);
}
