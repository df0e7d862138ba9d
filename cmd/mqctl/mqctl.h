/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the verbs of mqctl share. */
#pragma once

#include "cli.h"
#include "mqio.h"

extern const struct cli_verb mqctl_create_verb, mqctl_send_verb, mqctl_recv_verb, mqctl_wait_verb,
    mqctl_set_verb, mqctl_rm_verb;

#define MQCTL_FOREVER UINT64_MAX

/* Reads a QUEUE operand. Return: CLI_OK, or CLI_USAGE, told. */
int mqctl_ref(struct cli_ctx *ctx, const char *operand, struct mqio_ref *ref);

/* Opens the first operand. Return: CLI_OK, or the status of an error that was told. */
int mqctl_open(struct cli_ctx *ctx, enum mqio_use use, struct mqio_ref *ref, struct mqio **ret);

/**
 * struct mqctl_span - how long a verb may wait in all
 * @deadline: CLOCK_MONOTONIC, ns, or MQCTL_FOREVER
 */
struct mqctl_span {
    uint64_t deadline;
};

/**
 * mqctl_span_begin() - begin to wait
 * @ctx: the verb; signals are caught, and end a blocking call from now on
 * @timeout: ns, or MQCTL_FOREVER
 * @span: the rest
 *
 * Return: CLI_OK, or the status of an error that was told.
 */
int mqctl_span_begin(struct cli_ctx *ctx, uint64_t timeout, struct mqctl_span *span);

bool mqctl_span_over(const struct mqctl_span *span);
