/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Uses one timer, whose signal has no other effect than to interrupt. */
#include "waker.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#include "macros.h"
#include "timefmt.h"

static timer_t wake_timer;

static void on_alarm(int sig _unused_)
{
}

void waker_listen(bool on)
{
    sigset_t alarm;

    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    pthread_sigmask(on ? SIG_UNBLOCK : SIG_BLOCK, &alarm, NULL);
}

int waker_init(void)
{
    struct sigaction sa = {.sa_handler = on_alarm}; /* without SA_RESTART */

    if (sigaction(SIGALRM, &sa, NULL) < 0 || timer_create(CLOCK_MONOTONIC, NULL, &wake_timer) < 0)
        return -errno;
    waker_listen(false);
    return 0;
}

void waker_at(uint64_t deadline)
{
    struct itimerspec when = {.it_interval.tv_nsec = 10 * NSEC_PER_MSEC};

    if (deadline == UINT64_MAX)
        when = (struct itimerspec){0};
    else
        when.it_value = (struct timespec){
            .tv_sec = (time_t)(deadline / NSEC_PER_SEC),
            /* all zero would cancel it */
            .tv_nsec = deadline ? (long)(deadline % NSEC_PER_SEC) : 1,
        };
    timer_settime(wake_timer, TIMER_ABSTIME, &when, NULL);
}

void waker_now(void *unused _unused_)
{
    waker_at(0);
}
