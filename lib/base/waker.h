/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Interrupts a blocking system call that has no time limit of its own, at a given time or from a
 * signal handler. A signal that arrives just before the call would be missed, so this one is
 * repeated every 10 ms until it is cancelled.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Reserves SIGALRM in this process, and blocks it in this thread. Return: 0 or -errno. */
int waker_init(void);

/* Encloses a call that may be interrupted; other calls, such as write(2), are not interrupted. */
void waker_listen(bool on);

/* The call fails with EINTR from @deadline on, CLOCK_MONOTONIC in ns; UINT64_MAX: never. */
void waker_at(uint64_t deadline);

/* Interrupts from now on; async-signal-safe. @unused lets it be used as a callback. */
void waker_now(void *unused);
