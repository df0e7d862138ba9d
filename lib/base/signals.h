/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SIGINT, SIGTERM and SIGHUP: the signals that tell a process to end. */
#pragma once

#include <signal.h>

/**
 * signals_hold() - block them, so that they can be waited for
 * @held: set to the signals that are now blocked. An ignored signal is left out: if it were
 *   blocked, it would be received
 * @before: set to the previous mask; may be NULL
 */
void signals_hold(sigset_t *held, sigset_t *before);
