/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a verb sends: the operand DATA, all of a file or of standard input as one message, a message
 * a line, or a message a JSON object.
 */
#pragma once

#include "cli.h"
#include "dump.h"

/**
 * struct feed - where messages come from, and who sends them
 * @ctx: the verb; its operands are the target and perhaps DATA
 * @file: --file, or NULL
 * @lines: --lines
 * @max: bytes of the longest message that the target takes
 * @send: sends one; @rec is its JSON object, or NULL. Return: CLI_OK, or the status of an error
 * that was told; then nothing more is sent
 * @sent, @bytes: so far
 */
struct feed {
    struct cli_ctx *ctx;
    const char *file;
    bool lines;
    uint64_t max;
    int (*send)(struct feed *f, const void *data, size_t len, struct dump_record *rec);
    uint64_t sent;
    uint64_t bytes;
};

/* Whether the options fit together. Return: CLI_OK, or CLI_USAGE, told. */
int feed_check(const struct feed *f);

/* Whether more messages than one may come: an error tells then at which line. */
bool feed_is_stream(const struct feed *f);

/* Sends everything. Return: CLI_OK, or the status of an error that was told. */
int feed_run(struct feed *f);
