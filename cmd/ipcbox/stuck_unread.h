/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds data that was sent to the processes of a report and that they have not read. */
#pragma once

#include "cli.h"
#include "fdq.h"
#include "wait.h"

/**
 * struct stuck_unread - one queue whose reader does not read
 * @target: PID:FD, for fdpeek
 * @pid, @comm, @state: the reader
 * @bytes: number of unread bytes
 * @message: the first message, if its protocol is recognised, else NULL; hostile bytes
 */
struct stuck_unread {
    char target[FDQ_TARGET_SIZE];
    int32_t pid;
    const char *comm;
    char comm_text[PROC_COMM_SIZE];
    char state[2];
    uint64_t bytes;
    const char *message;
    char *message_text;
};

struct stuck_unread_list {
    struct stuck_unread *v;
    size_t n, room;
};

extern const struct out_col stuck_unread_cols[];

/*
 * Finds the queues between processes of the findings, and those that the end of the chain has
 * filled for a process that is stopped. Queues that may not be inspected are left out. Return: 0 or
 * -errno.
 */
int stuck_unread_find(const struct wait_report *r, struct stuck_unread_list *out);
void stuck_unread_done(struct stuck_unread_list *l);
