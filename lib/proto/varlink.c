/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A Varlink call or reply: one JSON object with members of its own kind. */
#include <errno.h>
#include <string.h>

#include "dump_json.h"
#include "escape.h"
#include "proto.h"

enum { MEMBERS_MAX = 16 };

static const struct known {
    const char *name;
    enum json_type type;
    bool tells; /* that it is Varlink at all */
} known[] = {
    {"method", JSON_STRING, true}, {"parameters", JSON_OBJECT, true},
    {"error", JSON_STRING, true},  {"continues", JSON_BOOL, false},
    {"more", JSON_BOOL, false},    {"oneway", JSON_BOOL, false},
    {"upgrade", JSON_BOOL, false}, {NULL, JSON_NULL, false},
};

static const struct known *find(const struct json_member *m)
{
    for (const struct known *k = known; k->name; k++)
        if (strlen(k->name) == m->key_len && !memcmp(k->name, m->key, m->key_len))
            return k;
    return NULL;
}

/* The text without the white space between its parts; strings stay as they are. */
static void compact(const char *s, size_t n, struct buf *out)
{
    bool string = false;

    for (size_t i = 0; i < n; i++) {
        if (!string && strchr(" \t\r\n", s[i]))
            continue;
        if (s[i] == '"')
            string = !string;
        buf_add_char(out, s[i]);
        if (string && s[i] == '\\' && i + 1 < n)
            buf_add_char(out, s[++i]);
    }
}

int proto_varlink_parse(char *data, size_t n, struct buf *json)
{
    struct json_member members[MEMBERS_MAX];
    const char *why;
    bool tells = false;
    ssize_t count;

    if (!n || data[0] != '{' || !esc_is_utf8(data, n))
        return -EBADMSG;
    count = json_scan_object(data, n, members, MEMBERS_MAX, &why);
    for (ssize_t i = 0; i < count; i++) {
        const struct known *k = find(&members[i]);

        if (!k || (members[i].type != k->type && members[i].type != JSON_NULL))
            return -EBADMSG;
        tells = tells || k->tells;
    }
    if (count < 0 || !tells)
        return -EBADMSG;
    compact(data, n, json);
    return buf_error(json) ? -ENOMEM : 0;
}
