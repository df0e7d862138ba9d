/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Following POSIX queues: all but what makes a follower is in msgq_follow.h. */
#pragma once

#include "msgq_follow.h"
#include "pmq.h"

/**
 * pmq_follow_new() - load what is needed
 * @opts: copied
 * @ret: the follower
 * @e: why not, with what would help
 *
 * Return: 0; -EPERM (privilege missing), -EOPNOTSUPP (kernel or build lacks it), -EINVAL (no such
 * backend), -ENOMEM, …
 */
int pmq_follow_new(const struct msgq_follow_opts *opts, struct msgq_follow **ret, struct err *e);

/* Whether following can work here and now. Return: 0, or -errno with a reason and a remedy. */
int pmq_follow_probe(const char *backend, struct err *e);

/**
 * pmq_follow_add() - follow a queue
 * @q: the queue, open for reading: that is the caller's right to see its traffic. It may be closed
 *   afterwards
 * @cookie: given back in each of its events
 *
 * Not together with .all.
 *
 * Return: 0; -ENOSPC when there are too many (4096); …
 */
int pmq_follow_add(struct msgq_follow *f, const struct pmq_queue *q, void *cookie, struct err *e);
