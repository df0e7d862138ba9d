/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* D-Bus and Varlink in the bytes of a queue, as JSON and as lines for eyes. */
#pragma once

#include "cli.h"
#include "proto.h"

/* Words of --decode, in the order of enum proto_want. */
extern const char *const decode_words[];

/**
 * struct decode_match - which D-Bus messages are wanted
 * @text: of --match, "key=value,key=value"; NULL: all
 */
struct decode_match {
    const char *text;
};

/* Return: CLI_OK, or CLI_USAGE, told. */
int decode_match_check(struct cli_ctx *ctx, const struct decode_match *m);

/**
 * struct decoded - the messages that end in some bytes
 * @kind: of which protocol
 * @n: how many
 * @skipped: bytes in front of the first that belong to no message
 * @json: an array
 * @lines: a line for each, ended by NUL
 */
struct decoded {
    enum proto_kind kind;
    size_t n;
    uint64_t skipped;
    struct buf json;
    struct buf lines;
    const struct decode_match *match;
    void (*raw)(const struct proto_message *m, void *ctx); /* gets each, beside; may be NULL */
    void *raw_ctx;
};

/* Begins anew with these bytes of the stream. Return: 0 or -ENOMEM. */
int decode_feed(struct decoded *d, struct proto_stream *s, const void *data, size_t n);

/* The JSON array; NULL when no message ended there. */
const char *decode_json(struct decoded *d);
void decode_done(struct decoded *d);
