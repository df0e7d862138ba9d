/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The loop of all verbs that go on, and how they end. */
#include "cli_stream.h"

#include <errno.h>
#include <inttypes.h>

#include "cli_internal.h"
#include "timefmt.h"

static void set_deadline(struct cli_stream *s)
{
    if (__builtin_add_overflow(timefmt_now(CLOCK_MONOTONIC), s->timeout, &s->deadline))
        s->deadline = CLI_FOREVER;
}

int cli_stream_begin(struct cli_stream *s)
{
    set_deadline(s);
    cli_at_interrupt(s->ops ? s->ops->cut : NULL, s->verb);
    s->wake_fd = cli_catch_signals();
    return MIN(s->wake_fd, 0);
}

void cli_stream_end(void)
{
    cli_at_interrupt(NULL, NULL);
}

uint64_t cli_stream_left(const struct cli_stream *s, uint64_t most)
{
    uint64_t now = timefmt_now(CLOCK_MONOTONIC);

    return MIN(most, s->deadline > now ? s->deadline - now : 0);
}

bool cli_stream_is_late(const struct cli_stream *s)
{
    return s->deadline != CLI_FOREVER && timefmt_now(CLOCK_MONOTONIC) >= s->deadline;
}

bool cli_stream_is_done(const struct cli_stream *s)
{
    return s->wanted && s->done >= s->wanted;
}

/* Whether what comes is still wanted. */
static bool takes_more(const struct cli_stream *s)
{
    return !cli_stream_is_done(s) && out_error(s->ctx->out) == 0;
}

bool cli_stream_goes_on(const struct cli_stream *s)
{
    return !s->ended && !cli_interrupted() && takes_more(s) && !cli_stream_is_late(s);
}

static int wait_any(const struct cli_stream *s, struct pollfd *p)
{
    size_t n = s->ops->sources ? s->ops->sources(s->verb, p) : 0;
    uint64_t now = timefmt_now(CLOCK_MONOTONIC), wait = s->period;
    struct timespec ts;

    p[n] = (struct pollfd){.fd = s->wake_fd, .events = POLLIN};
    if (s->next)
        wait = MIN(wait, s->next > now ? s->next - now : 0);
    ts = timefmt_to_timespec(cli_stream_left(s, wait));
    if (ppoll(p, n + 1, &ts, NULL) >= 0)
        return 0;
    for (size_t i = 0; i < n; i++)
        p[i].revents = 0;
    return errno == EINTR ? 0 : -errno;
}

/* What had come before the stop; one reading may end before it has all of it. */
static int read_rest(struct cli_stream *s, struct err *e)
{
    uint64_t before;
    int r;

    do {
        before = s->seen;
        r = s->ops->read(s->verb, NULL, e);
    } while (r == 0 && s->seen != before && takes_more(s));
    if (r == 0 && takes_more(s) && s->ops->finish)
        r = s->ops->finish(s->verb, e);
    return r;
}

int cli_stream_run(struct cli_stream *s, struct err *e)
{
    struct pollfd p[CLI_STREAM_SOURCES + 1];
    int r = 0;

    set_deadline(s);
    while (r == 0 && cli_stream_goes_on(s)) {
        r = wait_any(s, p);
        if (r == 0 && !cli_interrupted())
            r = s->ops->read(s->verb, p, e);
    }
    if (s->ops->stop)
        s->ops->stop(s->verb);
    if (r == 0 && takes_more(s))
        r = read_rest(s, e);
    return MIN(r, 0);
}

int cli_stream_status(const struct cli_stream *s)
{
    const char *subject = s->subject ? s->subject : "", *colon = s->subject ? ": " : "";

    if (!s->wanted || !takes_more(s))
        return CLI_OK;
    if (cli_interrupted())
        cli_fail_status(s->ctx, CLI_FAILED, "%s%sinterrupted: %" PRIu64 " of %" PRIu64 " %s",
                        subject, colon, s->done, s->wanted, s->what);
    else if (cli_stream_is_late(s))
        cli_fail_status(s->ctx, CLI_FAILED, "%s%s%" PRIu64 " of %" PRIu64 " %s came in time",
                        subject, colon, s->done, s->wanted, s->what);
    return cli_interrupted() ? cli_interrupted_status() : CLI_FAILED;
}
