/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqctl wait: until a queue has a message, or room, or is empty. It only looks. */
#include <errno.h>
#include <poll.h>
#include <time.h>

#include "cleanup.h"
#include "mqctl.h"
#include "timefmt.h"
#include "waker.h"

struct wait_args {
    bool message;
    bool room;
    bool empty;
    uint64_t timeout;
};

static const struct wait_args wait_defaults = {.timeout = CLI_FOREVER};

static const struct cli_opt wait_opts[] = {
    CLI_FLAG(struct wait_args, message, 0, "message", "until a message waits (the default)"),
    CLI_FLAG(struct wait_args, room, 0, "room", "until there is room for one more message"),
    CLI_FLAG(struct wait_args, empty, 0, "empty", "until no message waits"),
    CLI_SPAN(struct wait_args, timeout, 't', "timeout", "SEC",
             "wait no longer than that; 0: only look"),
    CLI_END,
};

struct wait_row {
    const char *queue;
    uint64_t depth;
};

static const struct out_col wait_cols[] = {
    OUT_STR(struct wait_row, queue, "queue", "as it was asked for", .flags = OUT_JSON),
    OUT_U64(struct wait_row, depth, "depth", "messages waiting", .flags = OUT_JSON),
    OUT_END,
};

static bool reached(const struct wait_args *args, const struct mqio_state *s)
{
    if (args->empty)
        return s->depth == 0;
    if (args->room)
        return s->depth < s->max_depth && (s->limit == UINT64_MAX || s->bytes < s->limit);
    return s->depth > 0;
}

/*
 * Nothing tells when a POSIX queue has become empty, nor anything of a System V queue: those are
 * looked at again, at first every millisecond, later every 20.
 */
static void pause_for(const struct wait_args *args, const struct mqio *io, uint64_t *pause)
{
    struct pollfd p = {
        .fd = args->empty ? -1 : mqio_fd(io),
        .events = args->room ? POLLOUT : POLLIN,
    };
    struct timespec ts;

    *pause = MIN(*pause + NSEC_PER_MSEC, 20 * NSEC_PER_MSEC);
    ts = timefmt_to_timespec(*pause);
    waker_listen(true);
    (void)ppoll(&p, 1, p.fd < 0 ? &ts : NULL, NULL);
    waker_listen(false);
}

static int wait_run(struct cli_ctx *ctx, const void *argp)
{
    const struct wait_args *args = argp;
    const char *queue = ctx->operands[0];
    _cleanup_(mqio_closep) struct mqio *io = NULL;
    struct mqio_state state;
    struct cli_stream stream = {.ctx = ctx, .timeout = args->timeout};
    struct mqio_ref ref;
    struct err e = ERR_INIT;
    uint64_t pause = 0;
    int r;

    if (args->message + args->room + args->empty > 1)
        return cli_usage(ctx, "--message, --room and --empty exclude each other");
    r = mqctl_open(ctx, MQIO_LOOK, &ref, &io);
    if (r == CLI_OK)
        r = mqctl_wait_begin(&stream);
    if (r != CLI_OK)
        return r;
    for (;;) {
        r = mqio_get_state(io, &state, &e);
        if (r < 0)
            return cli_fail(ctx, r, &e, "%s: cannot wait", queue);
        if (reached(args, &state))
            break;
        if (cli_interrupted()) {
            cli_fail_status(ctx, CLI_FAILED, "%s: interrupted", queue);
            return cli_interrupted_status();
        }
        if (cli_stream_is_late(&stream))
            return cli_fail_status(ctx, CLI_FAILED, "%s: %s", queue,
                                   args->empty  ? "it did not become empty in time"
                                   : args->room ? "it stayed full"
                                                : "no message came in time");
        pause_for(args, io, &pause);
    }
    out_fields(ctx->out, wait_cols, &(struct wait_row){queue, state.depth});
    return CLI_OK;
}

static const struct cli_example wait_examples[] = {
    {"mqctl wait /jobs -t 5 && mqpeek /jobs", "look as soon as there is something to see"},
    {"mqctl wait --empty /jobs", "until the workers have done everything"},
    {NULL, NULL},
};

const struct cli_verb mqctl_wait_verb = {
    .name = "wait",
    .operands = "QUEUE",
    .min_operands = 1,
    .max_operands = 1,
    .complete = CLI_COMPLETE_QUEUE,
    .summary = "wait until a queue has a message, or room, or is empty",
    .description =
        "Changes nothing: it takes no message, and no sender or receiver waits longer because of "
        "it. Somebody else may take the message, or the room, in the next moment. A message that "
        "goes straight to a receiver which was waiting for it is never in the queue, and is not "
        "seen. A System V queue has room while both its bytes and its messages are below its "
        "limit; a longer message may not fit yet.\n"
        "\n"
        "It ends with 0 when the queue is so, with 1 when --timeout ends before, with 3 when the "
        "queue is removed (a POSIX queue that is unlinked is still there for those who have it "
        "open), and with 128 and the signal's number when it is interrupted.",
    .examples = wait_examples,
    .opts = wait_opts,
    .args_size = sizeof(struct wait_args),
    .defaults = &wait_defaults,
    .cols = wait_cols,
    .run = wait_run,
};
