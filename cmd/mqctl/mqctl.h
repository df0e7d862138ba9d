/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the verbs of mqctl share. */
#pragma once

#include "cli_stream.h"
#include "mqio.h"

extern const struct cli_verb mqctl_create_verb, mqctl_send_verb, mqctl_recv_verb, mqctl_wait_verb,
    mqctl_set_verb, mqctl_rm_verb;

/* Reads a QUEUE operand. Return: CLI_OK, or CLI_USAGE, told. */
int mqctl_ref(struct cli_ctx *ctx, const char *operand, struct mqio_ref *ref);

/* Opens the first operand. Return: CLI_OK, or the status of an error that was told. */
int mqctl_open(struct cli_ctx *ctx, enum mqio_use use, struct mqio_ref *ref, struct mqio **ret);

/*
 * Begins to wait: @s is filled in but for its .ops. From now on its signals and the end of its time
 * end a call that blocks. Return: CLI_OK, or the status of an error that was told.
 */
int mqctl_wait_begin(struct cli_stream *s);
