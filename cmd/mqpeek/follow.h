/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parts of mqpeek follow: the messages (follow.c), and other events (follow_notices.c). */
#pragma once

#include "cli.h"
#include "pmq_follow.h"

/*
 * Finds out about processes and names of POSIX queues. It is NULL where only System V queues are
 * followed, which processes do not open.
 */
struct follow_notices;

/**
 * struct follow_notice - an event that is not a message
 * @time: when this process noticed it, ns since 1970
 * @event: "exit", "create" or "unlink"
 * @queue: name of the queue
 * @pid, @comm: for an exit
 * @status: for an exit, as wait(2) returns it
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
 * @ctx: where notes are shown on what cannot be watched
 * @f: the follower; a queue that is created again is added to it
 * @all: for every queue; else for those of follow_notices_add()
 * @ret: release with follow_notices_free()
 */
int follow_notices_new(struct cli_ctx *ctx, struct msgq_follow *f, bool all,
                       struct follow_notices **ret);
void follow_notices_free(struct follow_notices *n);

/* Adds a queue that the user named. Return: 0 or -errno. */
int follow_notices_add(struct follow_notices *n, const struct pmq_queue *q);

/* Returns descriptors to poll for reading, at most two. Return: how many. */
size_t follow_notices_fds(const struct follow_notices *n, int fds[2]);

/*
 * Reads the events since the last call, and periodically looks which processes have the queues
 * open.
 */
int follow_notices_read(struct follow_notices *n, struct err *e);

/*
 * Notes from the event of a message which process uses a queue, and queues that are new. Return: 0
 * or -errno.
 */
int follow_notices_learn(struct follow_notices *n, const struct msgq_event *ev);

/* Takes the first notice from before @time that has not been taken yet; NULL when there is none. */
const struct follow_notice *follow_notices_take(struct follow_notices *n, uint64_t time);
