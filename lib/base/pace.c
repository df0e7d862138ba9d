/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "macros.h"
#include "timefmt.h"

int pace_parse(const char *text, double *speed)
{
    char *end;

    *speed = 1;
    if (!text)
        return 0;
    if (strcmp(text, "max") == 0) {
        *speed = 0;
        return 0;
    }
    *speed = strtod(text, &end);
    return end == text || *end || !(*speed > 0) || *speed > 1e9 ? -EINVAL : 0;
}

void pace_wait(struct pace *p, uint64_t time)
{
    uint64_t now = timefmt_now(CLOCK_MONOTONIC), due;
    struct timespec ts;

    if (p->speed <= 0 || !time)
        return;
    if (!p->first) {
        p->first = time;
        p->begun = now;
    }
    if (time <= p->first)
        return; /* the clock was set back in the recording */
    due = p->begun + (uint64_t)((double)(time - p->first) / p->speed);
    if (due <= now) {
        p->late = MAX(p->late, now - due);
        return;
    }
    ts = timefmt_to_timespec(due);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
        ;
}
