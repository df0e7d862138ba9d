/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sends recorded traffic again, with its timing. */
#pragma once

#include "msgdump.h"

/**
 * struct msgdump_replay_opts - how
 * @to: send everything there; NULL: to the queues that were recorded
 * @receive: also receive where the recording did, from the same queue, what is first there
 * @speed: 2 is twice as fast; 0 as fast as it can
 * @timeout: how long to wait for a full (or empty) queue, ns
 * @dry_run: open and send nothing, only check
 * @blocked: called when a queue is full or empty (@on), and when it goes on
 */
struct msgdump_replay_opts {
    const char *to;
    bool receive;
    double speed;
    uint64_t timeout;
    bool dry_run;
    void (*blocked)(void *ctx, const char *queue, bool full, bool on);
    void *ctx;
};

/**
 * struct msgdump_replay_result - totals of a replay
 * @sent, @received, @bytes: messages, and payload sent; in a dry run those that would be
 * @skipped: events that were left out
 * @span: time from the first to the last event, ns
 * @late_median, @late_p99, @late_worst: delay against the recorded times, ns; the first two within
 *   2 %
 */
struct msgdump_replay_result {
    uint64_t sent;
    uint64_t received;
    uint64_t bytes;
    uint64_t skipped;
    uint64_t span;
    uint64_t late_median;
    uint64_t late_p99;
    uint64_t late_worst;
};

struct msgdump_replay;

/**
 * msgdump_replay_new() - check the whole recording, and open the queues
 * @r: opened with DUMP_REWIND; must outlive the replay
 * @opts: must outlive it too
 */
int msgdump_replay_new(struct dump_reader *r, const struct msgdump_replay_opts *opts,
                       struct msgdump_replay **ret, struct err *e);

/**
 * msgdump_replay_run() - send the whole recording once; may be called again
 *
 * Return: 0; -ETIMEDOUT, -EMSGSIZE, …
 */
int msgdump_replay_run(struct msgdump_replay *p, struct err *e);
void msgdump_replay_result(const struct msgdump_replay *p, struct msgdump_replay_result *out);
void msgdump_replay_free(struct msgdump_replay *p);
void msgdump_replay_freep(struct msgdump_replay **p);
