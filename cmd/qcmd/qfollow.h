/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Following queues of both kinds as one: a follower for each, whose events come in one order. */
#pragma once

#include "cli.h"
#include "pmq_follow.h"
#include "sysv_follow.h"

enum { QFOLLOW_POSIX = 1 << 0, QFOLLOW_SYSV = 1 << 1 };

/**
 * struct qfollow - the followers; all zero: none
 * @posix, @sysv: NULL where queues of that kind are not followed
 */
struct qfollow {
    struct msgq_follow *posix;
    struct msgq_follow *sysv;
};

/* Which kinds the operands are of. */
unsigned int qfollow_kinds(const struct cli_ctx *ctx);

/* Loads what follows queues of @kinds. Return: as pmq_follow_new(). */
int qfollow_new(unsigned int kinds, const struct msgq_follow_opts *opts, struct qfollow *f,
                struct err *e);
void qfollow_done(struct qfollow *f);

/* The one that is read, and whose descriptor is polled, for both. */
struct msgq_follow *qfollow_reader(const struct qfollow *f);

/* Adds a System V queue operand; one that is followed already is no error. Return: CLI_OK, or the
 * status of an error that has been reported. */
int qfollow_add_sysv(struct cli_ctx *ctx, const struct qfollow *f, const char *operand);

int qfollow_start(const struct qfollow *f, struct err *e);
void qfollow_stop(const struct qfollow *f);
void qfollow_cut(const struct qfollow *f);

/* Adds up the totals of both followers, of POSIX and of System V queues. */
void qfollow_totals(const struct qfollow *f, struct msgq_follow_totals *out);
