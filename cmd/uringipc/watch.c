/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Watching a channel's memory, for monitor and dump --follow. */
#include <errno.h>
#include <stdlib.h>

#include "timefmt.h"
#include "ucmd.h"

static void show_next(struct ucmd_watch *w)
{
    struct ringmap_msg msg;
    struct ucmd_msg row;
    int r = ringmap_read(&w->map, (uint32_t)w->next, w->buf, w->map.max_msg, &msg);

    if (r == 0) {
        ucmd_msg_fill(&row, &msg, w->buf, UINT64_MAX);
        row.position = w->next++;
        row.time = timefmt_now(CLOCK_REALTIME);
        row.lost = w->missed;
        w->missed = 0;
        w->stream.done++;
        w->show(w, &row);
    } else if (r == -ESTALE) {
        /* Overwritten: go on with the oldest message, or a little later, for senders go on, too. */
        uint32_t ahead = ringmap_oldest(&w->map) - (uint32_t)w->next + w->map.entries / 8;

        w->missed += ahead ? ahead : 1;
        w->next += ahead ? ahead : 1;
    } else if (r == -EBADMSG) {
        w->missed++;
        w->next++;
    }
}

/* Whether the next message is lost: later ones are complete, but it is not. */
static bool stuck(const struct ucmd_watch *w)
{
    return ringmap_tail(&w->map) - (uint32_t)w->next > 1 &&
           ringmap_tail(&w->map) - (uint32_t)w->next <= w->map.entries &&
           ringmap_state(&w->map, (uint32_t)w->next + 1) == RINGMAP_READY;
}

/* Return: CLI_OK, or the status of a reported error. */
static int follow(struct ucmd_watch *w)
{
    const uint64_t step = 100 * NSEC_PER_MSEC;

    while (cli_stream_goes_on(&w->stream)) {
        struct uipc_info info;
        int r = ringmap_wait(&w->map, (uint32_t)w->next, cli_stream_left(&w->stream, step),
                             &w->pause);

        if (r == 0)
            show_next(w);
        if (r != -ETIMEDOUT)
            continue;
        if (w->to_stdout && ucmd_reader_gone())
            return CLI_OK;
        if (stuck(w)) {
            w->missed++;
            w->next++;
        }
        r = uipc_get_info(w->u, &info);
        if (r < 0)
            return cli_fail(w->ctx, r, NULL, "%s", w->ctx->operands[0]);
        if (info.c.destroyed) /* a message that is not complete now never will be */
            return CLI_OK;
    }
    return w->stream.ended ? CLI_OK : cli_stream_status(&w->stream);
}

int ucmd_watch(struct ucmd_watch *w)
{
    uint64_t to;
    int r = uipc_look(w->u, &w->map, &w->next, &to);

    if (r < 0)
        return cli_fail(w->ctx, r, NULL, "%s: cannot look", w->ctx->operands[0]);
    w->buf = malloc(w->map.max_msg);
    if (!w->buf)
        return cli_fail(w->ctx, -ENOMEM, NULL, "%s", w->ctx->operands[0]);
    if (!w->backlog)
        w->next = to;
    w->stream = (struct cli_stream){
        .ctx = w->ctx,
        .subject = w->ctx->operands[0],
        .what = "messages",
        .timeout = w->timeout,
        .wanted = w->count,
    };
    r = cli_stream_begin(&w->stream);
    r = r < 0 ? cli_fail(w->ctx, r, NULL, "cannot catch signals") : follow(w);
    free(w->buf);
    return r;
}
