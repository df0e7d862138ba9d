/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A blocking system call that has no time limit of its own is made to return: at a time, or by a
 * signal's handler. A signal that comes just before the call would be missed; this one comes again
 * every 10 ms until it is put off.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Takes SIGALRM for this process, and blocks it in this thread. Return: 0 or -errno. */
int waker_init(void);

/* Around a call that may be made to return: all others, as write(2), are left alone. */
void waker_listen(bool on);

/* The call fails with EINTR from @deadline on, CLOCK_MONOTONIC in ns; UINT64_MAX: never. */
void waker_at(uint64_t deadline);

/* From now on; async-signal-safe. @unused: so that it can be a callback. */
void waker_now(void *unused);
