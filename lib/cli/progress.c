/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How far a long job is: one line on the terminal, written over and over, and gone at the end. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli_internal.h"
#include "fileio.h"
#include "timefmt.h"

/* A job that is over sooner needs none. */
static const uint64_t PATIENCE_NS = 500 * NSEC_PER_MSEC, EVERY_NS = 200 * NSEC_PER_MSEC;

enum { LINE_SIZE = 160 };

static void put(const char *text)
{
    (void)file_write_all(STDERR_FILENO, text, strlen(text));
}

/* "12.3 MiB" */
static void bytes_text(char out[24], double v)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t i = 0;

    for (; v >= 1024 && i + 1 < ARRAY_SIZE(units); i++)
        v /= 1024;
    snprintf(out, 24, i ? "%.1f %s" : "%.0f %s", v, units[i]);
}

void cli_progress_begin(struct cli_ctx *ctx, const char *unit, bool rows, struct cli_progress *p)
{
    *p = (struct cli_progress){.ctx = ctx, .unit = unit};
    if (ctx->quiet || !isatty(STDERR_FILENO) || (rows && isatty(STDOUT_FILENO)))
        return;
    p->begun = timefmt_now(CLOCK_MONOTONIC);
    p->next = p->begun + PATIENCE_NS;
    ctx->progress = p;
}

void cli_progress_at(void *ctx, uint64_t count, uint64_t bytes)
{
    struct cli_progress *p = ctx;
    char line[LINE_SIZE], size[24], rate[24];
    uint64_t now;

    if (!p->begun)
        return;
    now = timefmt_now(CLOCK_MONOTONIC);
    if (now < p->next)
        return;
    bytes_text(size, (double)bytes);
    bytes_text(rate, (double)bytes * 1e9 / (double)(now - p->begun));
    snprintf(line, sizeof(line), "\r%s: %" PRIu64 " %s, %s, %s/s\033[K", p->ctx->applet->name,
             count, p->unit, size, rate);
    put(line);
    p->shown = true;
    p->next = now + EVERY_NS;
}

void cli_progress_clear(const struct cli_ctx *ctx)
{
    if (!ctx->progress || !ctx->progress->shown)
        return;
    put("\r\033[K");
    ctx->progress->shown = false;
}

void cli_progress_end(struct cli_progress *p)
{
    if (!p->ctx)
        return;
    cli_progress_clear(p->ctx);
    p->ctx->progress = NULL;
    *p = (struct cli_progress){.ctx = NULL};
}
