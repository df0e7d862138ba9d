/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A line of JSON that stands alone, read as a record of a dump is, but for its type. */
#include <errno.h>
#include <stdlib.h>

#include "dump_reader.h"

struct dump_object {
    struct dump_line line;
};

int dump_object_new(struct dump_object **ret)
{
    *ret = calloc(1, sizeof(**ret));
    return *ret ? 0 : -ENOMEM;
}

void dump_object_free(struct dump_object *o)
{
    free(o);
}

void dump_object_freep(struct dump_object **o)
{
    dump_object_free(*o);
}

int dump_object_parse(struct dump_object *o, char *text, size_t n, struct dump_record **rec,
                      struct err *e)
{
    const char *why = NULL;
    ssize_t members = json_scan_object(text, n, o->line.members, DUMP_MEMBERS_MAX, &why);

    o->line.pub.line++;
    o->line.n = members < 0 ? 0 : (size_t)members;
    o->line.decoded = false;
    if (members < 0)
        return dump_bad_line(o->line.pub.line, e, "not one JSON object a line: %s", why);
    *rec = &o->line.pub;
    return 0;
}
