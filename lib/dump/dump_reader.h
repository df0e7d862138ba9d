/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside the reader: what reading, members and sealing share. */
#pragma once

#include <sys/types.h>

#include "dump.h"
#include "dump_crc.h"
#include "dump_json.h"

struct dump_line {
    struct dump_record pub;
    struct dump_reader *reader;
    struct json_member members[DUMP_MEMBERS_MAX];
    size_t n;
    bool decoded; /* the payload was decoded in place */
    struct dump_payload payload;
};

struct dump_reader {
    int fd;
    unsigned int flags;
    off_t origin; /* where the dump begins in a file that was handed over open */
    char *data;   /* a window of the file; start..stop is not yet used */
    size_t cap, start, stop;
    bool eof, torn, truncated, done;
    char *text; /* the line, without its newline */
    size_t len;
    uint64_t line, bytes;
    struct dump_header header;
    struct dump_tally tally;
    struct dump_line rec;
    dump_watch_fn watch;
    void *watch_ctx;
};

/* NULL for a member that is missing or null. */
const struct json_member *dump_member(const struct dump_line *l, const char *key);

int dump_bad_line(uint64_t line, struct err *e, const char *fmt, ...) _printf_(3, 4);
