/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Repeats recorded events with their pauses: faster, slower, or without any. */
#pragma once

#include <stdint.h>

/**
 * struct pace - the timing of a repetition
 * @speed: factor to the recorded speed; 0: without pauses
 * @first: the first recorded time
 * @begun: when the first event was repeated, CLOCK_MONOTONIC
 * @late: how late the latest event was, ns
 */
struct pace {
    double speed;
    uint64_t first;
    uint64_t begun;
    uint64_t late;
};

/* Parses "2", "0.5", "max"; NULL: 1. Return: 0 or -EINVAL. */
int pace_parse(const char *text, double *speed);

/* Waits until an event that was recorded at @time is due; 0: its time was not recorded. */
void pace_wait(struct pace *p, uint64_t time);
