/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* b1ctl replay: a recording, done again on a fresh bus. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "b1_message_row.h"
#include "b1ctl_verbs.h"
#include "bus1_abi.h"
#include "bus_dump.h"
#include "bus_pick.h"
#include "bus_replay.h"
#include "descriptors.h"
#include "pace.h"

struct replay_args {
    const char *device;
    const char *speed;
    bool dry_run;
};

static const struct cli_opt replay_opts[] = {
    CLI_STR(struct replay_args, device, 0, "device", "FILE",
            "the bus to use: /dev/bus1, or what b1ctl serve made", .complete = CLI_COMPLETE_FILE),
    CLI_STR(struct replay_args, speed, 0, "speed", "X",
            "so many times as fast as recorded (1), or max for no pauses"),
    CLI_FLAG(struct replay_args, dry_run, 0, "dry-run", "check the dump, do nothing"),
    CLI_END,
};

struct replay_row {
    uint64_t peer;
    const char *type;
    uint64_t id;
    uint64_t length;
    const char *handles;
    bool waited;
    struct out_bytes content;
};

#define ROW struct replay_row

static const struct out_col replay_cols[] = {
    OUT_U64(ROW, peer, "peer", "who received it, by its number in the dump"),
    OUT_STR(ROW, type, "type", "message, node-release or handle-release", .width = 14),
    OUT_U64(ROW, id, "id",
            "the node it came to, by its id in the dump; of a node-release the handle"),
    OUT_SIZE(ROW, length, "length", "bytes"),
    OUT_STR(ROW, handles, "handles",
            "that came along, by their ids in the dump, joined by commas; ? where nobody had "
            "received them",
            .width = 10),
    OUT_BOOL(ROW, waited, "waited", "nobody had received it when the dump ended"),
    OUT_BYTES(ROW, content, "content",
              "text if it is text, else <hex>; in JSON data_base64 and text", .flags = OUT_WIDE),
    OUT_END,
};

struct replaying {
    struct cli_ctx *ctx;
    const struct replay_args *args;
    struct pace pace;
    struct b1_event_lists lists;
    struct b1_replay *replay;
    struct b1_replay_account account;
    uint64_t received;
    uint64_t sent;
    bool failed;
};

static void show_message(void *ctx, const struct b1_replayed *m)
{
    _cleanup_(buf_done) struct buf handles = BUF_INIT;
    struct replaying *p = ctx;

    for (size_t i = 0; i < m->n_handles; i++)
        if (m->handles[i] == BUS1_INVALID)
            buf_printf(&handles, "%s?", i ? "," : "");
        else
            buf_printf(&handles, "%s%" PRIu64, i ? "," : "", m->handles[i]);
    p->received++;
    out_row(p->ctx->out, &(struct replay_row){
                             .peer = m->peer,
                             .type = b1_message_type(m->type),
                             .id = m->id,
                             .length = m->len,
                             .handles = handles.len ? buf_str(&handles) : NULL,
                             .waited = m->waited,
                             .content = {.data = m->data ? m->data : "", .len = m->len},
                         });
}

/* The first tells most: others follow from it. */
static int note_failed(struct replaying *p, uint64_t line, struct err *e)
{
    if (!p->failed)
        cli_note(p->ctx, "line %" PRIu64 " of the dump cannot be done again: %s", line,
                 err_text(e, 0));
    p->failed = true;
    *e = (struct err)ERR_INIT;
    return 0;
}

/* Goes through all records: checks them, or with @replay replays them. */
static int pass(struct replaying *p, struct dump_reader *reader, struct b1_replay *replay,
                struct err *e)
{
    struct dump_record *rec;
    struct b1_event ev;
    int r;

    while ((r = dump_reader_next(reader, &rec, e)) == 1) {
        uint64_t line = rec->line;

        r = bus_dump_get(rec, &p->lists, &ev, e);
        if (r > 0)
            continue;
        if (r == 0 && !replay && ev.kind == B1_EVENT_LOST)
            r = dump_bad(rec, e, "%" PRIu64 " events are missing here", ev.count);
        if (r == 0 && replay) {
            pace_wait(&p->pace, ev.time);
            r = b1_replay_event(replay, &ev, e);
            if (r == 1)
                r = note_failed(p, line, e);
            else
                p->sent += r == 0 && ev.kind == B1_EVENT_SEND && !ev.unseen;
        }
        if (r < 0 && replay)
            cli_note(p->ctx, "line %" PRIu64 " of the dump cannot be done again", line);
        if (r < 0 || out_error(p->ctx->out) < 0)
            return r;
    }
    return r;
}

static int replay_do(struct replaying *p, struct dump_reader *reader, struct err *e)
{
    _cleanup_(bus_pick_done) struct bus_pick bus = {0};
    int r = bus_pick_open(p->ctx, p->args->device, &bus, e);

    if (r == 0)
        r = b1_replay_new(&bus.dev, bus.single, show_message, p, &p->replay);
    if (r < 0)
        return r;
    if (bus.single)
        cli_note(p->ctx, "%s", BUS_RFC_NOTE);
    descriptors_raise_limit(); /* a peer is one */
    out_list_begin(p->ctx->out, "messages", replay_cols, OUT_RECORDS | OUT_STREAM);
    r = pass(p, reader, p->replay, e);
    if (r == 0 && out_error(p->ctx->out) == 0)
        r = b1_replay_end(p->replay, e);
    out_list_end(p->ctx->out);
    b1_replay_account(p->replay, &p->account);
    b1_replay_free(p->replay);
    return r;
}

/* Says how the replay went. */
static int tell(const struct replaying *p, bool done)
{
    const struct b1_replay_account *a = &p->account;

    cli_note(p->ctx, "%" PRIu64 " messages sent, %" PRIu64 " received%s", p->sent, p->received,
             done && !a->unseen && !a->failed ? ", all as recorded" : "");
    if (a->reordered)
        cli_note(p->ctx,
                 "%" PRIu64 " messages came in another order than recorded: their sends had "
                 "overlapped",
                 a->reordered);
    if (a->refused)
        cli_note(p->ctx,
                 "%" PRIu64
                 " sends or releases were refused, for what they name is gone: the RFC's "
                 "kernel code lets them succeed without effect",
                 a->refused);
    if (a->failed)
        cli_note(p->ctx, "%" PRIu64 " events came out otherwise than recorded", a->failed);
    if (!a->unseen)
        return a->failed ? CLI_FAILED : CLI_OK;
    cli_note(p->ctx,
             "%" PRIu64 " events could not be done again, or not wholly: the recording was made "
             "from outside, and has not seen what they build on (unseen, in the dump)",
             a->unseen);
    return CLI_FAILED;
}

static int replay_run(struct cli_ctx *ctx, const void *argp)
{
    struct replaying p = {.ctx = ctx, .args = argp};
    _cleanup_(dump_reader_freep) struct dump_reader *reader = NULL;
    const char *file = ctx->operands[0];
    struct err e = ERR_INIT;
    int r, status;

    if (pace_parse(p.args->speed, &p.pace.speed) < 0)
        return cli_usage(ctx, "--speed: \"%s\" is neither a number above 0 nor max", p.args->speed);
    r = dump_reader_open(file, DUMP_REWIND, &reader, &e);
    if (r == 0 && strcmp(dump_reader_header(reader)->kind, BUS_DUMP_KIND) != 0)
        r = err_set(&e, -EBADMSG, NULL, "it is a dump of another kind: \"%s\"",
                    dump_reader_header(reader)->kind);
    if (r == 0)
        r = pass(&p, reader, NULL, &e); /* the whole dump, before the first message */
    if (r == 0 && !p.args->dry_run)
        r = dump_reader_rewind(reader, &e);
    if (r < 0)
        r = cli_fail(ctx, r, &e, "%s: nothing was sent", file);
    else if (!p.args->dry_run) {
        r = replay_do(&p, reader, &e);
        status = tell(&p, r == 0);
        r = r < 0 ? cli_fail(ctx, r, &e, "%s", file) : status;
    }
    b1_event_lists_done(&p.lists);
    return r;
}

static const struct cli_example replay_examples[] = {
    {"b1ctl replay bus.dump", "on a bus of its own, with the pauses that were recorded"},
    {"b1ctl replay bus.dump --device /tmp/bus --speed max", "on a served bus, as fast as it goes"},
    {NULL, NULL},
};

const struct cli_verb b1ctl_replay_verb = {
    .name = "replay",
    .operands = "FILE",
    .min_operands = 1,
    .max_operands = 1,
    .complete = CLI_COMPLETE_FILE,
    .summary = "do what a dump recorded again, on a fresh bus",
    .description =
        "Checks the whole dump first. Then it makes its peers, nodes and handles anew and sends "
        "its messages, with the ids that the new bus gives; each message that somebody had "
        "received is received again at that point, those that were waiting at the end after it. "
        "They are shown with the ids of the dump. Each must be the one that was recorded: the "
        "first that differs ends the replay with status 1.\n"
        "\n"
        "A dump of calls (b1ctl dump --backend calls, see there) allows less: messages that come "
        "in another order than recorded are counted, and what is left out or comes otherwise is "
        "counted, too, with status 1 at the end.",
    .examples = replay_examples,
    .opts = replay_opts,
    .args_size = sizeof(struct replay_args),
    .cols = replay_cols,
    .run = replay_run,
};
