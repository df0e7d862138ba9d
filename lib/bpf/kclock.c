// SPDX-License-Identifier: LGPL-2.1-or-later
/* The wall clock's time of what a BPF program saw. */
#include "kclock.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "cleanup.h"
#include "fileio.h"
#include "timefmt.h"

enum {
    TRIES = 16,    /* for two clocks to be read without a pause in between */
    GOOD = 2000,   /* ns: as near as is asked for */
    FILE_MAX = 512 /* bytes of /proc/self/timens_offsets */
};

/* 0 where there are no time namespaces, see time_namespaces(7). */
static uint64_t namespace_lead(void)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;
    int64_t seconds, ns;

    if (file_read(AT_FDCWD, "/proc/self/timens_offsets", FILE_MAX, &b) < 0 || !b.data ||
        sscanf(b.data, "monotonic %" SCNd64 " %" SCNd64, &seconds, &ns) != 2)
        return 0;
    return (uint64_t)seconds * NSEC_PER_SEC + (uint64_t)ns;
}

static void measure(struct kclock *k)
{
    k->doubt = UINT64_MAX;
    for (int i = 0; i < TRIES && k->doubt > GOOD; i++) {
        uint64_t before = timefmt_now(CLOCK_MONOTONIC), wall = timefmt_now(CLOCK_REALTIME);
        uint64_t span = timefmt_now(CLOCK_MONOTONIC) - before;

        if (span < k->doubt) {
            k->lead = wall - (before + span / 2) + k->ns_lead;
            k->doubt = span;
        }
    }
}

void kclock_look(struct kclock *k)
{
    struct kclock now = {.ns_lead = k->known ? k->ns_lead : namespace_lead(), .known = true};
    int64_t apart;

    measure(&now);
    apart = (int64_t)(now.lead - k->lead);
    if (!k->known || (uint64_t)(apart < 0 ? -apart : apart) > now.doubt + k->doubt)
        *k = now;
}
