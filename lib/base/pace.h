/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Doing recorded things again with their pauses, faster, slower, or without. */
#pragma once

#include <stdint.h>

/**
 * struct pace - how fast
 * @speed: times as fast as recorded; 0: without pauses
 * @first: the first recorded time
 * @begun: when that was done again, CLOCK_MONOTONIC
 * @late: how late the latest was, ns
 */
struct pace {
    double speed;
    uint64_t first;
    uint64_t begun;
    uint64_t late;
};

/* "2", "0.5", "max"; NULL: 1. Return: 0 or -EINVAL. */
int pace_parse(const char *text, double *speed);

/* Waits until it is time for what was recorded at @time; 0: it was not recorded. */
void pace_wait(struct pace *p, uint64_t time);
