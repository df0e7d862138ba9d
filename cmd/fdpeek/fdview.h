/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the verbs of fdpeek share: a queue as a row, its holders, and finding what an operand names.
 */
#pragma once

#include "buf.h"
#include "cli.h"
#include "fdq.h"

enum { FDVIEW_WORDS = 64 };

/**
 * struct fdview_row - a queue as list and info show it
 * @bytes_shown: the number of bytes, "5+" when there may be more, "0+" when nothing is known
 * @reader, @writer: "comm[pid]" of the first, and how many more there are
 * @blocked: how many threads read and write
 * @readers, @writers: JSON arrays
 */
struct fdview_row {
    char target[FDQ_TARGET_SIZE];
    const char *kind;
    uint64_t inode;
    uint64_t bytes;
    bool bytes_complete;
    char bytes_shown[24];
    uint64_t depth;
    uint64_t capacity;
    char reader[FDVIEW_WORDS];
    char writer[FDVIEW_WORDS];
    char blocked[FDVIEW_WORDS];
    uint64_t blocked_readers;
    uint64_t blocked_writers;
    uint64_t peer;
    const char *path;
    bool listening;
    uint64_t pending;
    const char *readers;
    const char *writers;
    struct buf readers_text;
    struct buf writers_text;
};

extern const struct out_col fdview_cols[];

/* Release with fdview_row_done(). */
void fdview_row_fill(struct fdview_row *row, const struct fdq_queue *q);
void fdview_row_done(struct fdview_row *row);

/* Names the kind of file that an inode mode stands for: "file", "socket", "pipe", … */
const char *fdview_type_name(uint32_t mode);

/* How complete what is told of holders is: members of the document. */
struct fdview_state {
    bool holders_complete;
    uint64_t processes_hidden;
};

extern const struct out_col fdview_state_cols[];

/* Puts the state into the document, and on stderr when something may be missing. */
void fdview_tell_state(struct cli_ctx *ctx, const struct fdq_set *set);

/* Whether every operand can be one. Return: CLI_OK, or CLI_USAGE, told. */
int fdview_check(struct cli_ctx *ctx);

/**
 * fdview_find() - the queues that an operand names
 * @found: an array, to be freed
 * @n: how many
 *
 * Return: CLI_OK, or the status of an error that has been reported.
 */
int fdview_find(struct cli_ctx *ctx, const char *operand, const struct fdq_set *set,
                struct fdq_queue ***found, size_t *n);
