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
    struct b1_observer *observer;
    uint64_t visited;
};

static int on_call(const struct b1_monitor_event *ev, void *ctx)
{
    struct calls *c = ctx;

    c->visited++;
    return b1_observer_call(c->observer, ev);
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

/* What is left is to put the file in its place. */
static int keep_privileges(const struct dumping *d)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    return privileges_keep(d->args->file ? PRIVILEGE(CAP_DAC_OVERRIDE) | PRIVILEGE(CAP_FOWNER) : 0,
                           0);
}

static void calls_end(struct dumping *d)
{
    struct calls *c = d->state;

    if (!c)
        return;
    b1_monitor_free(c->monitor);
    b1_observer_free(c->observer);
    free(c);
}

/* Which of the two kinds of bus it is, and that it is one. */
static int probe(struct dumping *d, bool *rfc, uint64_t *dev)
{
    struct b1_device bus;
    struct stat st;
    int r;

    b1_device_file(&bus, d->bus);
    r = b1_probe(&bus, rfc);
    if (r == -ENOTTY)
        return cli_fail_status(d->ctx, CLI_UNSUPPORTED, "%s is no bus1", d->bus);
    if (r == 0 && stat(d->bus, &st) < 0)
        r = -errno;
    if (r < 0)
        return cli_fail(d->ctx, r, NULL, "%s", d->bus);
    *dev = S_ISCHR(st.st_mode) ? st.st_rdev : st.st_dev;
    if (*rfc)
        cli_note(d->ctx, "%s: %s", d->bus, BUS_RFC_NOTE);
    return CLI_OK;
}

static int calls_begin(struct dumping *d)
{
    struct b1_observer_opts watch = {.event = on_event, .oldest = oldest};
    struct b1_monitor_opts opts = {.capture = UINT64_MAX};
    struct calls *c = d->state = calloc(1, sizeof(*c));
    struct err e = ERR_INIT;
    int r = c ? probe(d, &watch.rfc, &opts.dev) : CLI_OK;

    if (r != CLI_OK)
        return r;
    watch.ctx = c;
    if (c)
        c->d = d;
    r = c ? b1_observer_new(&watch, &c->observer) : -ENOMEM;
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

    return b1_monitor_read(c->monitor, on_call, c, e);
}

/* A reading ends early when there is much. */
static int calls_finish(struct dumping *d, struct err *e)
{
    struct calls *c = d->state;
    uint64_t before;
    int r;

    b1_monitor_stop(c->monitor);
    do {
        before = c->visited;
        r = b1_monitor_read(c->monitor, on_call, c, e);
    } while (r == 0 && c->visited != before);
    if (r == 0)
        r = b1_monitor_unfinished(c->monitor, on_call, c);
    return r == 0 ? b1_observer_end(c->observer) : r;
}

static void calls_note(const struct dumping *d)
{
    static const enum b1_unseen reasons[] = {B1_UNSEEN_ID, B1_UNSEEN_CAUSE, B1_UNSEEN_ORDER,
                                             B1_UNSEEN_MEMORY, B1_UNSEEN_END};
    const struct calls *c = d->state;

    for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
        uint64_t n = b1_observer_unseen(c->observer, reasons[i]);

        if (n)
            cli_note(d->ctx, "%llu events cannot be replayed, or not wholly: %s",
                     (unsigned long long)n, b1_unseen_words[reasons[i]]);
    }
}

const struct dump_source dump_source_calls = {
    .name = "calls",
    .begin = calls_begin,
    .start = calls_start,
    .fd = calls_fd,
    .read = calls_read,
    .finish = calls_finish,
    .note = calls_note,
    .end = calls_end,
};
