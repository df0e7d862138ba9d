/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The calls on a bus that does not tell of itself, for a dump: as b1ctl monitor sees them. */
#include <errno.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "bus_pick.h"
#include "bus_recorder.h"
#include "dump_source.h"
#include "privileges.h"
#include "timefmt.h"

struct calls {
    struct dumping *d;
    struct b1_monitor *monitor;
    struct b1_recorder *recorder;
    uint64_t looked; /* when closed peers were looked for, CLOCK_MONOTONIC */
};

/* A peer's close is no call: it is noticed so much later at most. */
#define LOOK_NS (NSEC_PER_SEC / 10)

static int on_call(const struct b1_monitor_event *ev, void *ctx)
{
    const struct calls *c = ctx;

    return b1_recorder_call(c->recorder, ev);
}

static int on_event(void *ctx, const struct b1_event *ev)
{
    const struct calls *c = ctx;

    return dump_event(ev, c->d);
}

static uint64_t oldest(void *ctx)
{
    const struct calls *c = ctx;

    return b1_monitor_oldest(c->monitor);
}

static bool is_open(void *ctx, const struct b1_monitor_file *file)
{
    const struct calls *c = ctx;

    return b1_monitor_is_open(c->monitor, file);
}

static uint64_t now(void *ctx _unused_)
{
    return timefmt_now(CLOCK_MONOTONIC);
}

/*
 * What is left is to ask whether files are still open, and to put the dump's file in its place.
 */
static int keep_privileges(const struct dumping *d)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    return privileges_keep(
        PRIVILEGE(CAP_BPF) |
            (d->args->file ? PRIVILEGE(CAP_DAC_OVERRIDE) | PRIVILEGE(CAP_FOWNER) : 0),
        0);
}

static void calls_end(struct dumping *d)
{
    struct calls *c = d->state;

    if (!c)
        return;
    b1_monitor_free(c->monitor);
    b1_recorder_free(c->recorder);
    free(c);
}

/* That it is a bus, and what must be known of it where it is like the RFC's. */
static int probe(struct dumping *d, uint64_t *dev)
{
    struct b1_device bus;
    bool rfc = false;
    struct stat st;
    int r;

    b1_device_file(&bus, d->bus);
    r = b1_probe(&bus, &rfc);
    if (r == -ENOTTY)
        return cli_fail_status(d->ctx, CLI_UNSUPPORTED, "%s is not a bus1", d->bus);
    if (r == 0 && stat(d->bus, &st) < 0)
        r = -errno;
    if (r < 0)
        return cli_fail(d->ctx, r, NULL, "%s", d->bus);
    *dev = S_ISCHR(st.st_mode) ? st.st_rdev : st.st_dev;
    if (rfc)
        cli_note(d->ctx, "%s: %s", d->bus, BUS_RFC_NOTE);
    return CLI_OK;
}

static int calls_begin(struct dumping *d)
{
    struct b1_recorder_opts record = {
        .event = on_event, .oldest = oldest, .is_open = is_open, .now = now};
    struct b1_monitor_opts opts = {.capture = UINT64_MAX};
    struct calls *c = d->state = calloc(1, sizeof(*c));
    struct err e = ERR_INIT;
    int r = c ? probe(d, &opts.dev) : CLI_OK;

    if (r != CLI_OK)
        return r;
    record.ctx = c;
    if (c)
        c->d = d;
    r = c ? b1_recorder_new(&record, &c->recorder) : -ENOMEM;
    if (r == 0)
        r = b1_monitor_new(&opts, &c->monitor, &e);
    if (r == 0)
        r = b1_monitor_start(c->monitor, &e);
    return r < 0 ? cli_fail(d->ctx, r, &e, "%s: cannot record the calls", d->bus) : CLI_OK;
}

/* There is no past: it begins now. */
static int calls_start(struct dumping *d)
{
    bus_dump_put(d->w, &(struct b1_event){.kind = B1_EVENT_BEGIN,
                                          .time = timefmt_now(CLOCK_REALTIME),
                                          .outside = true});
    return keep_privileges(d);
}

static int calls_fd(const struct dumping *d)
{
    const struct calls *c = d->state;

    return b1_monitor_fd(c->monitor);
}

static int calls_read(struct dumping *d, struct err *e)
{
    struct calls *c = d->state;
    uint64_t begun = now(c);
    bool whole = false;
    int r = b1_monitor_read(c->monitor, on_call, c, &whole, e);

    if (r == 0 && whole && begun - c->looked >= LOOK_NS) {
        r = b1_recorder_look(c->recorder);
        c->looked = begun;
    }
    return r == 0 ? b1_recorder_settle(c->recorder, whole ? begun : 0) : r;
}

/* A reading ends early when there is much. */
static int calls_finish(struct dumping *d, struct err *e)
{
    struct calls *c = d->state;
    bool whole = false;
    int r = 0;

    b1_monitor_stop(c->monitor);
    while (r == 0 && !whole)
        r = b1_monitor_read(c->monitor, on_call, c, &whole, e);
    if (r == 0)
        r = b1_monitor_unfinished(c->monitor, on_call, c);
    /* All peers are known when all calls are told; then those that are gone can be found. */
    if (r == 0)
        r = b1_recorder_end(c->recorder);
    if (r == 0)
        r = b1_recorder_look(c->recorder);
    return r == 0 ? b1_recorder_end(c->recorder) : r;
}

static void calls_note(const struct dumping *d)
{
    const struct calls *c = d->state;

    for (enum b1_unseen why = B1_UNSEEN_ID; why < B1_UNSEENS; why++) {
        uint64_t n = b1_recorder_unseen(c->recorder, why);

        if (n)
            cli_note(d->ctx, "%llu events cannot be replayed, or not wholly: %s",
                     (unsigned long long)n, b1_unseen_words[why]);
    }
}

const struct dump_source dump_source_calls = {
    .name = "calls",
    .begin = calls_begin,
    .start = calls_start,
    .period_ns = LOOK_NS,
    .fd = calls_fd,
    .read = calls_read,
    .finish = calls_finish,
    .note = calls_note,
    .end = calls_end,
};
