/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The backends that can peek at a POSIX queue. */
#pragma once

#include "msgq_backend.h"
#include "pmq.h"

extern const struct msgq_ops pmq_syscall_ops;
extern const struct msgq_ops pmq_fcntl_ops;
extern const struct msgq_ops pmq_ioctl_ops;
extern const struct msgq_ops pmq_bpf_ops;
extern const struct msgq_ops pmq_drain_ops;

/* Those of this build in order of preference, ended by NULL. */
extern const struct msgq_ops *const pmq_backends[];

/*
 * The number of mq_timedreceive2: of the options, of IPCBOX_MQ_SYSCALL, or the default. Return: 0,
 * or -EINVAL for what cannot be it.
 */
int pmq_syscall_number(const struct msgq_peek_opts *opts, long *out, struct err *e);

/**
 * pmq_sample() - a queue to try a call on
 * @opts: its sample is taken
 * @own: receives a descriptor that the caller closes, when there was no sample; else -1
 * @e: why there is none
 *
 * Return: the descriptor to use, or -errno.
 */
int pmq_sample(const struct msgq_peek_opts *opts, int *own, struct err *e);

/* The part of a backend that reads by index which all of them share: see indexed.h. */
struct msgq_collection;
struct msgq_indexed;

int pmq_indexed_open(const struct msgq_peek_opts *opts,
                     int (*fetch)(struct msgq_indexed *x, uint64_t index, struct msgq_collection *c,
                                  struct err *e),
                     struct msgq_indexed **ret);

/* As msgq_collection_add(); -EPROTO for a priority that no message can have. */
int pmq_collection_add(struct msgq_collection *c, uint32_t priority);
