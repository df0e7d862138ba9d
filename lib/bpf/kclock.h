/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The wall clock's time of what a BPF program saw. Its own clock, bpf_ktime_get_ns(), is the
 * CLOCK_MONOTONIC of the whole machine, also for whoever lives in a time namespace.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/**
 * struct kclock - how far the wall clock is ahead; all zero before the first look
 * @lead: to be added to a BPF program's time, ns, modulo 2^64
 * @doubt: how much @lead may be wrong, ns
 * @ns_lead: how far this time namespace's CLOCK_MONOTONIC is ahead of the machine's, ns
 * @known: after the first look
 *
 * The two clocks are slewed alike: @lead is kept until the wall clock is set, so that later times
 * stay later.
 */
struct kclock {
    uint64_t lead;
    uint64_t doubt;
    uint64_t ns_lead;
    bool known;
};

/* Before times are asked for, again and again: notices that the wall clock was set. */
void kclock_look(struct kclock *k);

/* A BPF program's time as ns since 1970. */
static inline uint64_t kclock_realtime(const struct kclock *k, uint64_t ktime)
{
    return ktime + k->lead;
}
