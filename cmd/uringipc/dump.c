/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* uringipc dump: a channel's messages into a dump, as they are or as they come; replay: out of it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "dump.h"
#include "pace.h"
#include "parse.h"
#include "timefmt.h"
#include "ucmd.h"

#define CHANNEL_DUMP_KIND "channel"

struct dump_args {
    const char *file;
    bool follow;
    uint64_t count;
    uint64_t timeout;
};

static const struct dump_args dump_defaults = {.timeout = CHAN_FOREVER};

static const struct cli_opt dump_opts[] = {
    CLI_STR(struct dump_args, file, 'O', "output-file", "FILE",
            "write there, whole or not at all, instead of standard output",
            .complete = CLI_COMPLETE_FILE),
    CLI_FLAG(struct dump_args, follow, 'f', "follow", "go on with what is sent, until interrupted"),
    CLI_U64(struct dump_args, count, 'N', "count", "COUNT", "with --follow: until so many"),
    CLI_SPAN(struct dump_args, timeout, 't', "timeout", "SEC",
             "with --follow: no longer than that"),
    CLI_END,
};

struct dumping {
    struct dump_writer *w;
    uint64_t missed;
};

static void put_channel(struct dump_writer *w, const struct uipc_info *info)
{
    const struct chan_info *c = &info->c;

    dump_begin(w, "channel");
    if (info->id)
        dump_put_u64(w, "id", info->id);
    if (info->known && c->key)
        dump_put_hex64(w, "key", c->key);
    if (info->known && c->name[0])
        dump_put_str(w, "name", c->name);
    if (ucmd_delivery(info->delivery))
        dump_put_str(w, "delivery", ucmd_delivery(info->delivery));
    dump_put_u64(w, "entries", c->entries);
    dump_put_u64(w, "size", c->max_msg);
    if (info->known) {
        dump_put_u64(w, "uid", c->uid);
        dump_put_mode(w, "mode", c->mode);
    }
    dump_end(w);
}

static void put_message(struct dump_writer *w, const struct ucmd_msg *m)
{
    dump_begin(w, "message");
    if (m->time != OUT_UNKNOWN_U64)
        dump_put_time(w, "time", m->time);
    dump_put_u64(w, "position", m->position);
    dump_put_u64(w, "msg_id", m->msg_id);
    dump_put_u64(w, "target", m->target);
    dump_put_hex64(w, "user_data", m->user_data);
    if (m->lost)
        dump_put_u64(w, "missed", m->lost);
    dump_put_payload(w, m->content.data, m->content.len, m->length);
    dump_end(w);
}

static void record(struct ucmd_watch *watch, const struct ucmd_msg *m)
{
    struct dumping *d = watch->data;

    d->missed += m->lost;
    put_message(d->w, m);
    watch->stream.ended = dump_writer_flush(d->w) < 0;
}

/* Writes the messages that wait in the channel now. */
static int dump_waiting(struct cli_ctx *ctx, struct uipc *u, struct dumping *d)
{
    _cleanup_(freep) char *buf = NULL;
    struct ringmap map;
    uint64_t from, to;
    int r = uipc_look(u, &map, &from, &to);

    buf = r == 0 ? malloc(map.max_msg) : NULL;
    if (r < 0 || !buf)
        return cli_fail(ctx, r < 0 ? r : -ENOMEM, NULL, "%s: cannot look", ctx->operands[0]);
    for (; from < to; from++) {
        struct ringmap_msg msg;
        struct ucmd_msg m;

        if (ringmap_read(&map, (uint32_t)from, buf, map.max_msg, &msg) < 0) {
            d->missed++;
            continue;
        }
        ucmd_msg_fill(&m, &msg, buf, UINT64_MAX);
        m.position = from;
        put_message(d->w, &m);
    }
    return CLI_OK;
}

struct dump_job {
    struct cli_ctx *ctx;
    const struct dump_args *args;
    struct uipc *u;
};

static int dump_to(FILE *f, void *arg, bool *whole)
{
    const struct dump_job *job = arg;
    _cleanup_(dump_writer_freep) struct dump_writer *w = NULL;
    struct cli_ctx *ctx = job->ctx;
    struct dumping d = {0};
    struct ucmd_watch watch = {
        .ctx = ctx,
        .u = job->u,
        .show = record,
        .data = &d,
        .backlog = true,
        .to_stdout = f == stdout,
        .count = job->args->count,
        .timeout = job->args->timeout,
    };
    struct uipc_info info;
    int status, r = uipc_get_info(job->u, &info);

    if (r == 0)
        r = dump_writer_new(f, CHANNEL_DUMP_KIND, ctx->applet->name, job->u->ops->name, &w);
    if (r < 0)
        return cli_fail(ctx, r, NULL, "%s: cannot dump", ctx->operands[0]);
    d.w = w;
    put_channel(w, &info);
    (void)dump_writer_flush(w); /* its error is kept for the end */
    status = job->args->follow ? ucmd_watch(&watch) : dump_waiting(ctx, job->u, &d);
    r = dump_writer_finish(w);
    *whole = (status == CLI_OK || cli_interrupted()) && r == 0;
    if (r == -EPIPE)
        return status;
    if (r < 0)
        return cli_fail(ctx, r, NULL, "cannot write the dump");
    if (d.missed)
        cli_note(ctx,
                 "%s: %" PRIu64 " messages are not in the dump: they were overwritten before "
                 "they were seen, or lost with their sender",
                 ctx->operands[0], d.missed);
    return status;
}

static int dump_run(struct cli_ctx *ctx, const void *argp)
{
    const struct dump_args *args = argp;
    _cleanup_(uipc_closep) struct uipc *u = NULL;
    int r;

    if (!args->follow && (args->count || args->timeout != CHAN_FOREVER))
        return cli_usage(ctx, "--count and --timeout are for --follow");
    r = ucmd_open(ctx, CHAN_LOOK, &u);
    if (r != CLI_OK)
        return r;
    return cli_write_file(ctx, args->file, 0600, dump_to, &(struct dump_job){ctx, args, u});
}

static const struct cli_example dump_examples[] = {
    {"uringipc dump jobs -O jobs.dump", "what waits in the channel"},
    {"uringipc dump jobs --follow >traffic.dump", "what is sent, until interrupted"},
    {NULL, NULL},
};

const struct cli_verb uringipc_dump_verb = {
    .name = "dump",
    .operands = "CH",
    .min_operands = 1,
    .max_operands = 1,
    .complete = CLI_COMPLETE_CHANNEL,
    .summary = "write messages to a dump, receive nothing",
    .description = "Writes what waits in the channel, or with --follow also what is sent from now "
                   "on, each message with its time, in the format of mqdump, which can verify it. "
                   "Nothing is received.",
    .examples = dump_examples,
    .opts = dump_opts,
    .args_size = sizeof(struct dump_args),
    .defaults = &dump_defaults,
    .flags = CLI_OWN_OUTPUT,
    .run = dump_run,
};

/* ---- replay ---------------------------------------------------------------------------------- */

struct replay_args {
    const char *to;
    const char *speed;
    uint64_t timeout;
    bool dry_run;
};

static const struct replay_args replay_defaults = {.timeout = CHAN_FOREVER};

static const struct cli_opt replay_opts[] = {
    CLI_STR(struct replay_args, to, 0, "to", "CH", "the channel to send to"),
    CLI_STR(struct replay_args, speed, 0, "speed", "X",
            "so many times as fast as recorded (1), or max for no pauses"),
    CLI_SPAN(struct replay_args, timeout, 't', "timeout", "SEC",
             "give up when the channel stays full so long; 0: at once"),
    CLI_FLAG(struct replay_args, dry_run, 0, "dry-run", "check the dump, send nothing"),
    CLI_END,
};

struct replay_row {
    uint64_t messages;
    uint64_t bytes;
    uint64_t late;
};

static const struct out_col replay_cols[] = {
    OUT_U64(struct replay_row, messages, "message_count", "sent", .heading = "MESSAGES"),
    OUT_SIZE(struct replay_row, bytes, "bytes", "in them"),
    OUT_SPAN(struct replay_row, late, "late", "how late the latest was"),
    OUT_END,
};

struct replaying {
    struct cli_ctx *ctx;
    const struct replay_args *args;
    struct uipc *u;
    uint32_t max_msg;
    struct pace pace;
    struct replay_row done;
    struct cli_progress progress;
};

/* Return: 0 or -errno with a reason. */
static int replay_message(struct replaying *p, struct dump_record *rec, bool send, struct err *e)
{
    struct dump_payload data;
    uint64_t user_data = 0, time = 0;
    int r = dump_get_payload(rec, &data, e);

    if (r < 0)
        return r;
    if (data.captured != data.length)
        return dump_bad(rec, e, "the message was cut when it was recorded");
    if (data.length > p->max_msg)
        return dump_bad(rec, e, "its %" PRIu64 " bytes are more than the %u that the channel takes",
                        data.length, p->max_msg);
    if (dump_has(rec, "user_data"))
        r = dump_get_u64(rec, "user_data", UINT64_MAX, &user_data, e);
    if (r == 0 && dump_has(rec, "time"))
        r = dump_get_time(rec, "time", &time, e);
    if (r < 0 || !send)
        return r;
    pace_wait(&p->pace, time);
    r = uipc_send(p->u, data.data, data.captured, user_data, 0, p->args->timeout, e);
    if (r == 0) {
        p->done.messages++;
        p->done.bytes += data.captured;
        cli_progress_at(&p->progress, p->done.messages, p->done.bytes);
    }
    return r;
}

static int replay_pass(struct replaying *p, struct dump_reader *reader, bool send, struct err *e)
{
    struct dump_record *rec;
    int r;

    while ((r = dump_reader_next(reader, &rec, e)) == 1) {
        if (strcmp(rec->type, "message") != 0)
            continue;
        r = replay_message(p, rec, send, e);
        if (r < 0)
            return r;
    }
    return r;
}

static int replay_open(struct cli_ctx *ctx, struct replaying *p)
{
    struct uipc_info info;
    int r;

    if (!p->args->to)
        return cli_usage(ctx, "replay needs --to CH");
    r = ucmd_open_name(ctx, p->args->to, p->args->dry_run ? CHAN_LOOK : CHAN_SEND, &p->u);
    if (r != CLI_OK)
        return r;
    r = uipc_get_info(p->u, &info);
    if (r < 0)
        return cli_fail(ctx, r, NULL, "%s", p->args->to);
    p->max_msg = info.c.max_msg;
    return CLI_OK;
}

static int replay_dump(struct cli_ctx *ctx, struct replaying *p)
{
    _cleanup_(dump_reader_freep) struct dump_reader *reader = NULL;
    const char *file = ctx->operands[0];
    struct err e = ERR_INIT;
    int r = dump_reader_open(file, DUMP_REWIND, &reader, &e);

    if (r == 0 && strcmp(dump_reader_header(reader)->kind, CHANNEL_DUMP_KIND) != 0)
        r = err_set(&e, -EBADMSG, NULL, "it is a dump of another kind: \"%s\"",
                    dump_reader_header(reader)->kind);
    if (r == 0)
        r = replay_pass(p, reader, false, &e); /* the whole dump, before the first message */
    if (r == 0 && !p->args->dry_run)
        r = dump_reader_rewind(reader, &e);
    if (r < 0)
        return cli_fail(ctx, r, &e, "%s: nothing was sent", file);
    if (p->args->dry_run)
        return CLI_OK;
    cli_progress_begin(ctx, "messages", false, &p->progress);
    r = replay_pass(p, reader, true, &e);
    cli_progress_end(&p->progress);
    return r < 0 ? cli_fail(ctx, r, &e, "%s: stopped after %" PRIu64 " messages", file,
                            p->done.messages)
                 : CLI_OK;
}

static int replay_run(struct cli_ctx *ctx, const void *argp)
{
    struct replaying p = {.ctx = ctx, .args = argp};
    int r;

    if (pace_parse(p.args->speed, &p.pace.speed) < 0)
        return cli_usage(ctx, "--speed: \"%s\" is neither a number above 0 nor max", p.args->speed);
    r = replay_open(ctx, &p);
    if (r == CLI_OK) {
        r = replay_dump(ctx, &p);
        p.done.late = p.pace.late;
        out_fields(ctx->out, replay_cols, &p.done);
    }
    uipc_close(p.u);
    return r;
}

static const struct cli_example replay_examples[] = {
    {"uringipc replay traffic.dump --to jobs", "with the pauses that were recorded"},
    {"uringipc replay jobs.dump --to jobs --speed max", "as fast as it goes"},
    {NULL, NULL},
};

const struct cli_verb uringipc_replay_verb = {
    .name = "replay",
    .operands = "FILE",
    .min_operands = 1,
    .max_operands = 1,
    .complete = CLI_COMPLETE_FILE,
    .summary = "send the messages of a dump again",
    .description = "Checks the whole dump first, then sends its messages in their order, with the "
                   "pauses that were recorded. What was addressed to one subscriber is sent to "
                   "all: subscribers have other ids now.",
    .examples = replay_examples,
    .opts = replay_opts,
    .args_size = sizeof(struct replay_args),
    .defaults = &replay_defaults,
    .cols = replay_cols,
    .run = replay_run,
};
