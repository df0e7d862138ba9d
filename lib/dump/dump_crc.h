/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the end record says: counts by type and the CRC, kept by writer, reader and seal alike. */
#pragma once

#include "buf.h"
#include "dump.h"

struct dump_tally {
    struct {
        char name[DUMP_TYPE_MAX + 1];
        uint64_t n;
    } types[DUMP_TYPES_MAX];
    size_t n_types;
    uint64_t records;
    uint32_t crc;
};

/* Continues a CRC-32 over more bytes; a first @crc is 0. */
uint32_t dump_crc(uint32_t crc, const void *data, size_t n);

/* The index of a type, added if new. Return: 0; -EINVAL: malformed; -E2BIG: too many types. */
int dump_tally_type(struct dump_tally *t, const char *name, size_t n, size_t *index);
void dump_tally_add(struct dump_tally *t, size_t type);

/* Appends the counts by type, in the order in which the types came first: {"queue":1,"message":7}
 */
void dump_tally_counts(const struct dump_tally *t, struct buf *b);

/* Appends the end record with its newline. */
void dump_tally_end_line(const struct dump_tally *t, struct buf *b);
