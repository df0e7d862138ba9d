/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How fast channels are, and what else one could use, between real processes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "errinfo.h"
#include "uipc.h"

enum bench_transport {
    BENCH_CHANNEL,
    BENCH_PIPE,
    BENCH_SEQPACKET,
    BENCH_MQUEUE,
    BENCH_TRANSPORTS,
};

/**
 * struct bench_case - what to measure
 * @receivers: processes that each get every message: one sender writes to a broadcast channel, or
 *   to each of as many pipes, sockets or queues. 0: a round trip between two processes
 * @size: bytes of a message, at least 4
 * @messages: how many
 */
struct bench_case {
    unsigned int receivers;
    size_t size;
    uint32_t messages;
};

enum { BENCH_RECEIVERS_MAX = 32 };

const char *bench_transport_name(enum bench_transport t);

/**
 * bench_run() - measure once
 * @ops: who provides the channels
 * @dir: as chan_create()'s
 * @b: what
 * @t: with what
 * @ns: time of one message (to all its receivers), or of one round trip, in ns
 * @e: why not
 *
 * Every receiver checks length and number of each message; a wrong one fails the run.
 *
 * Return: 0 or -errno, e.g. -EINVAL when a POSIX queue cannot hold messages of this size.
 */
int bench_run(const struct uipc_ops *ops, const char *dir, const struct bench_case *b,
              enum bench_transport t, double *ns, struct err *e);

/**
 * bench_idle() - what receivers cost that wait for messages which do not come
 * @ops, @dir: as above
 * @receivers: how many processes, up to BENCH_RECEIVERS_MAX
 * @for_ns: how long to watch them
 * @percent: of one core, by the one that used most
 * @e: why not
 *
 * Return: 0 or -errno.
 */
int bench_idle(const struct uipc_ops *ops, const char *dir, unsigned int receivers, uint64_t for_ns,
               double *percent, struct err *e);
