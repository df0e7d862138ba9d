/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A command that is started in two steps, so that nothing of it is missed. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "errinfo.h"

/**
 * struct traced - a command
 * @pid: its process; 0: there is none
 * @pidfd: readable when it has ended
 * @go: closed when it may begin
 * @failed: from where its failure to begin is read
 */
struct traced {
    pid_t pid;
    int pidfd;
    int go;
    int failed;
};

#define TRACED_INIT                          \
    {                                        \
        .pidfd = -1, .go = -1, .failed = -1, \
    }

/* Makes the process, which waits. Return: 0 or -errno. */
int traced_fork(struct traced *t, char *const argv[]);

/* Lets it begin. Return: 0, or why it could not: -ENOENT, -EACCES, … */
int traced_go(struct traced *t);

/* Tells whether the command has ended, and how: @status as wait(2) has it. */
bool traced_ended(struct traced *t, int *status);

/* One that has not begun is ended; one that runs goes on by itself. */
void traced_done(struct traced *t);
