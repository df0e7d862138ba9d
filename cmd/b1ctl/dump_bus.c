/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The events that a served bus tells of, as the source of a dump. */
#include "bus_traffic.h"
#include "dump_source.h"
#include "timefmt.h"

static int bus_begin(struct dumping *d)
{
    struct b1_traffic *t;
    int r = b1_traffic_open(d->bus, true, &t);

    if (r < 0)
        return cli_fail(d->ctx, r, NULL, "%s/record", d->bus);
    d->state = t;
    return CLI_OK;
}

static int bus_fd(const struct dumping *d)
{
    return b1_traffic_fd(d->state);
}

static int bus_read(struct dumping *d, struct err *e _unused_)
{
    return b1_traffic_read(d->state, dump_event, d);
}

static void bus_end(struct dumping *d)
{
    b1_traffic_close(d->state);
}

const struct dump_source dump_source_bus = {
    .name = "bus",
    .begin = bus_begin,
    .period_ns = 3600 * NSEC_PER_SEC,
    .fd = bus_fd,
    .read = bus_read,
    .end = bus_end,
};
