// SPDX-License-Identifier: LGPL-2.1-or-later
#include "signals.h"

#include "macros.h"

void signals_hold(sigset_t *held, sigset_t *before)
{
    static const int ending[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action;

    sigemptyset(held);
    for (size_t i = 0; i < ARRAY_SIZE(ending); i++)
        if (sigaction(ending[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            sigaddset(held, ending[i]);
    sigprocmask(SIG_BLOCK, held, before);
}
