/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is said of a column that no table has: the nearest one, and all that there are. */
#include <ctype.h>
#include <string.h>

#include "cli_internal.h"

enum { NAMES_MAX = 128 };

/* The keys of the columns, then their headings as a user may type them. */
static void gather(const struct out_col *cols, const char *names[NAMES_MAX + 1])
{
    size_t n = 0;

    for (size_t i = 0; cols[i].type != OUT_TYPE_END && n < NAMES_MAX; i++)
        names[n++] = cols[i].key;
    for (size_t i = 0; cols[i].type != OUT_TYPE_END && n < NAMES_MAX; i++)
        if (cols[i].heading)
            names[n++] = cols[i].heading;
    names[n] = NULL;
}

static const char *nearest(const char *name, const char *const *names)
{
    char other[64];
    const char *near = cli_nearest(name, names);

    for (int up = 0; !near && up < 2; up++) { /* a name counts in any case */
        size_t n = 0;

        for (; name[n] && n + 1 < sizeof(other); n++)
            other[n] = (char)(up ? toupper((unsigned char)name[n]) : tolower((unsigned char)name[n]));
        other[n] = '\0';
        near = cli_nearest(other, names);
    }
    return near;
}

void cli_no_column(struct buf *b, const struct out_col *cols, const char *name)
{
    const char *names[NAMES_MAX + 1];
    const char *near;

    gather(cols, names);
    near = nearest(name, names);
    buf_printf(b, "there is no column \"%s\"", name);
    if (near)
        buf_printf(b, "; did you mean \"%s\"?", near);
    buf_add_str(b, " (there are ");
    for (size_t i = 0; cols[i].type != OUT_TYPE_END; i++)
        buf_printf(b, "%s%s", i ? ", " : "", cols[i].key);
    buf_add_char(b, ')');
}
