/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parts of mqpeek follow: traffic (follow.c), and what happens around it (follow_notices.c). */
#pragma once

#include "cli.h"
#include "pmq_follow.h"

/* What is learnt of POSIX queues: NULL where only System V queues are followed, which nobody has
 * open. */
struct follow_notices;

/**
 * struct follow_notice - something that happened around the traffic
 * @time: when it was learnt, ns since 1970
 * @event: "exit", "create" or "unlink"
 * @queue: its name
 * @pid, @comm: for an exit
 * @status: for an exit, as wait(2) has it
 */
struct follow_notice {
    uint64_t time;
    const char *event;
    char queue[PMQ_REF_SIZE];
    pid_t pid;
    char comm[16];
    int status;
};

/**
 * follow_notices_new() - begin to watch processes and names
 * @ctx: for notes on what cannot be watched
 * @f: the follower, to which a queue is added that is created again
 * @all: every queue, else those of follow_notices_add()
 * @ret: release with follow_notices_free()
 */
int follow_notices_new(struct cli_ctx *ctx, struct msgq_follow *f, bool all,
                       struct follow_notices **ret);
void follow_notices_free(struct follow_notices *n);

/* A queue that was named. Return: 0 or -errno. */
int follow_notices_add(struct follow_notices *n, const struct pmq_queue *q);

/* Descriptors to poll for reading, at most two. Return: how many. */
size_t follow_notices_fds(const struct follow_notices *n, int fds[2]);

/* Takes in what has happened since, and at times looks who has the queues open. */
int follow_notices_read(struct follow_notices *n, struct err *e);

/* Learns from an event who uses a queue, and of a queue that is new. Return: 0 or -errno. */
int follow_notices_learn(struct follow_notices *n, const struct msgq_event *ev);

/* The first notice from before @time that has not been taken; NULL when there is none. */
const struct follow_notice *follow_notices_take(struct follow_notices *n, uint64_t time);
