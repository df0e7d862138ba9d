/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Following System V queues: all but what makes a follower is in msgq_follow.h. Its events have
 * .sysv and .type, and tell of removals and changes, too; 32-bit callers are decoded.
 */
#pragma once

#include "msgq_follow.h"
#include "sysv.h"

/* See pmq_follow_new(). With .all those queues are followed that the user may read, by their mode
 * at each call. */
int sysv_follow_new(const struct msgq_follow_opts *opts, struct msgq_follow **ret, struct err *e);

/* Whether following can work here and now. Return: 0, or -errno with a reason and a remedy. */
int sysv_follow_probe(const char *backend, struct err *e);

/**
 * sysv_follow_add() - follow a queue
 * @q: of sysv_open(), before sysv_leave(): that is the caller's right to see its traffic, which is
 *   looked at again with each call
 * @cookie: given back in each of its events
 *
 * Not together with .all.
 *
 * Return: 0; -ENOSPC when there are too many (4096); -EEXIST; ...
 */
int sysv_follow_add(struct msgq_follow *f, const struct sysv_queue *q, void *cookie, struct err *e);
