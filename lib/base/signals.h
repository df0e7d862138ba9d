/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SIGINT, SIGTERM and SIGHUP: the signals that tell a process to end. */
#pragma once

#include <signal.h>

/**
 * signals_hold() - block them, to be waited for
 * @held: those that are blocked now. One that is ignored is not among them: blocked it would count
 * @before: the mask as it was; or NULL
 */
void signals_hold(sigset_t *held, sigset_t *before);
