/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the end record says. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#include "dump_crc.h"

uint32_t dump_crc(uint32_t crc, const void *data, size_t n)
{
    return (uint32_t)crc32_z(crc, data, n);
}

static bool is_type(const char *name, size_t n)
{
    if (!n || n > DUMP_TYPE_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!((name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9') ||
              name[i] == '_'))
            return false;
    return true;
}

int dump_tally_type(struct dump_tally *t, const char *name, size_t n, size_t *index)
{
    for (size_t i = 0; i < t->n_types; i++) {
        if (strncmp(t->types[i].name, name, n) == 0 && n <= DUMP_TYPE_MAX && !t->types[i].name[n]) {
            *index = i;
            return 0;
        }
    }
    if (!is_type(name, n))
        return -EINVAL;
    if (t->n_types == DUMP_TYPES_MAX)
        return -E2BIG;
    *index = t->n_types++;
    memcpy(t->types[*index].name, name, n);
    return 0;
}

void dump_tally_add(struct dump_tally *t, size_t type)
{
    t->types[type].n++;
    t->records++;
}

void dump_tally_counts(const struct dump_tally *t, struct buf *b)
{
    buf_add_char(b, '{');
    for (size_t i = 0, first = 1; i < t->n_types; i++) {
        if (!t->types[i].n)
            continue;
        buf_printf(b, first ? "\"%s\":%" PRIu64 : ",\"%s\":%" PRIu64, t->types[i].name,
                   t->types[i].n);
        first = 0;
    }
    buf_add_char(b, '}');
}

void dump_tally_end_line(const struct dump_tally *t, struct buf *b)
{
    buf_printf(b, "{\"type\":\"end\",\"records\":%" PRIu64 ",\"counts\":", t->records);
    dump_tally_counts(t, b);
    buf_printf(b, ",\"crc32\":\"0x%08" PRIx32 "\"}\n", t->crc);
}
