/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A command that is started in two steps: its process exists, and can be watched, before it runs.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "errinfo.h"

/**
 * struct traced - a command
 * @pid: its process; 0: none was made
 * @pidfd: readable when it has ended
 * @go: the pipe whose closing lets it run
 * @failed: the pipe from which the error of its execve() is read
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

/* Makes the process, which waits to be let go. Return: 0 or -errno. */
int traced_fork(struct traced *t, char *const argv[]);

/* Lets the command run. Return: 0, or why it could not: -ENOENT, -EACCES, … */
int traced_go(struct traced *t);

/* Tells whether the command has ended, and how: @status as wait(2) has it. */
bool traced_ended(struct traced *t, int *status);

/*
 * Releases the structure. A process that has not been let go is ended; a running command continues.
 */
void traced_done(struct traced *t);
