/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the verbs of mqpeek and mqdump share: their common options, and opening a QUEUE operand. */
#pragma once

#include "cli.h"
#include "pmq.h"
#include "sysv.h"

/**
 * struct qcmd_common - options of all verbs; first in each verb's structure
 * @mq_syscall: number of mq_timedreceive2, 0 for the default
 * @max_snapshot: bytes that a snapshot may hold
 */
struct qcmd_common {
    uint64_t mq_syscall;
    uint64_t max_snapshot;
};

extern const struct cli_opt qcmd_common_opts[];
extern const struct qcmd_common qcmd_common_defaults;

/* Names for --backend, ended by NULL. */
extern const char *const qcmd_backends[];

/* Offers a shell the names of queues. */
void qcmd_offer(struct cli_offers *o, enum cli_complete what);

/**
 * qcmd_open() - open a QUEUE operand
 * @ctx: the verb
 * @operand: /name, pid:PID:FD, pid:PID:/name; a name without a slash is taken, with a note
 * @flags: enum pmq_open_flags
 * @ret: the queue
 *
 * Says so when an interrupted drain has left messages of this queue in a journal.
 *
 * Return: CLI_OK, or the status of an error that has been reported.
 */
int qcmd_open(struct cli_ctx *ctx, const char *operand, unsigned int flags, struct pmq_queue **ret);

/**
 * qcmd_tell_journals() - say which queues have messages in the journal of an interrupted drain
 * @ctx: a verb that is about many queues, or about ones that it does not open with qcmd_open()
 * @set: names queues whose journal the caller may not read; may be NULL
 */
void qcmd_tell_journals(const struct cli_ctx *ctx, const struct pmq_set *set);

/**
 * qcmd_tell_restores() - say what an interrupted restore has left to be done
 * @all: otherwise only of queues that it was to replace, which may be there no more
 *
 * Return: of how many queues.
 */
uint64_t qcmd_tell_restores(const struct cli_ctx *ctx, bool all);

/**
 * qcmd_peeker() - choose a backend as the options say
 * @ctx: the verb
 * @common: its options
 * @sample: the first queue
 * @opts: what else is wanted; filled from @common, and must outlive the peeker
 * @ret: the peeker
 *
 * Return: CLI_OK, or the status of an error that has been reported.
 */
int qcmd_peeker(struct cli_ctx *ctx, const struct qcmd_common *common,
                const struct pmq_queue *sample, struct msgq_peek_opts *opts,
                struct msgq_peeker **ret);

/* Opens a System V queue operand: see sysv_open(). The thread is in its namespace until
 * sysv_leave(). */
int qcmd_open_sysv(struct cli_ctx *ctx, const char *operand, struct sysv_queue *q,
                   struct sysv_there *there);

/* As qcmd_peeker(), for System V queues; @opts may be shared with that. */
int qcmd_peeker_sysv(struct cli_ctx *ctx, const struct qcmd_common *common,
                     struct msgq_peek_opts *opts, struct msgq_peeker **ret);
