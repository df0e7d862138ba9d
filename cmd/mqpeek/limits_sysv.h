/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqpeek limits sysv. */
#pragma once

#include "cli.h"

extern const struct out_col limits_sysv_cols[];
extern const struct out_col limits_sysv_error_cols[];

/* Reports errors. Return: an exit status. RLIMIT_MSGQUEUE does not apply to these queues. */
int limits_sysv(struct cli_ctx *ctx);
