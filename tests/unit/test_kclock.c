/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The wall clock's time of what a BPF program saw, by clocks that stop for a while when they are
 * read. */
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "kclock.h"
#include "timefmt.h"

static const uint64_t WALL = UINT64_C(1795386802) * NSEC_PER_SEC;
static uint64_t now = 5 * NSEC_PER_SEC, lead = WALL;
static unsigned int pauses; /* so many reads from now on are followed by one */

/* Instead of the C library's. */
int clock_gettime(clockid_t id, struct timespec *ts)
{
    if (id != CLOCK_MONOTONIC && id != CLOCK_REALTIME)
        return (int)syscall(SYS_clock_gettime, id, ts);
    *ts = timefmt_to_timespec(id == CLOCK_REALTIME ? now + lead : now);
    now += 30;
    if (pauses) {
        pauses--;
        now += 7 * NSEC_PER_MSEC;
    }
    return 0;
}

/* How wrong a time is. */
static uint64_t error_of(const struct kclock *k)
{
    uint64_t is = kclock_realtime(k, now), should = now + lead;

    return is > should ? is - should : should - is;
}

/* A processor that is taken away between two reads does not move what was seen. */
static void test_pauses(void)
{
    struct kclock k = {0}, before;

    pauses = 4;
    kclock_look(&k);
    CHECK(error_of(&k) < 100);
    before = k;
    for (int i = 0; i < 1000; i++) {
        now += NSEC_PER_MSEC;
        pauses = (unsigned int)i % 60; /* also in all tries */
        kclock_look(&k);
        CHECK(k.lead == before.lead);
    }
}

/* The wall clock is set, forwards and backwards, by much and by little. */
static void test_set(void)
{
    static const int64_t by[] = {3600 * (int64_t)NSEC_PER_SEC, -86400 * (int64_t)NSEC_PER_SEC, 5000,
                                 -5000};
    struct kclock k = {0};

    kclock_look(&k);
    for (size_t i = 0; i < sizeof(by) / sizeof(by[0]); i++) {
        lead += (uint64_t)by[i];
        kclock_look(&k);
        CHECK(error_of(&k) < 100);
    }
}

/* What was first seen through a pause is seen better later. */
static void test_better(void)
{
    struct kclock k = {0};

    pauses = 1000;
    kclock_look(&k);
    CHECK(error_of(&k) <= k.doubt);
    pauses = 0;
    lead += 50 * NSEC_PER_MSEC;
    kclock_look(&k);
    CHECK(error_of(&k) < 100);
}

int main(void)
{
    test_pauses();
    test_set();
    test_better();
    return check_done();
}
