/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqpeek info of a System V queue. */
#pragma once

#include "cli.h"
#include "sysv.h"

extern const struct out_col info_sysv_cols[];
extern const struct out_col info_sysv_waiter_cols[];

/* Shows the queue as an item of the list that is open. Reports errors. Return: an exit status. */
int info_sysv(struct cli_ctx *ctx, const struct sysv_queue *q);
