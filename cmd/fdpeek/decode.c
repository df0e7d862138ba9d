/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the messages of a stream to what is shown of them. */
#include "decode.h"

#include <errno.h>
#include <string.h>

const char *const decode_words[] = {
    [PROTO_WANT_AUTO] = "auto",
    [PROTO_WANT_DBUS] = "dbus",
    [PROTO_WANT_VARLINK] = "varlink",
    [PROTO_WANT_NONE] = "none",
    NULL,
};

/* ---- --match ---- */

static const char *const keys[] = {"type",      "sender", "destination", "path",
                                   "interface", "member", "error_name",  NULL};

static struct proto_text field(const struct proto_dbus *m, size_t key)
{
    const char *type = proto_dbus_type_name(m->type);
    const struct proto_text texts[] = {
        {type, strlen(type)}, m->sender, m->destination, m->path,
        m->interface,         m->member, m->error_name,
    };

    return texts[key];
}

/* The next "key=value" of @at. Return: the key's index; -1 for none such; -2 at the end. */
static int next_rule(const char **at, struct proto_text *value)
{
    const char *rule = *at, *equals;
    size_t n = strcspn(rule, ",");

    if (!*rule)
        return -2;
    *at = rule + n + (rule[n] == ',');
    equals = memchr(rule, '=', n);
    for (int i = 0; equals && keys[i]; i++)
        if (strlen(keys[i]) == (size_t)(equals - rule) &&
            !strncmp(keys[i], rule, (size_t)(equals - rule))) {
            *value = (struct proto_text){equals + 1, (size_t)(rule + n - equals - 1)};
            return i;
        }
    return -1;
}

int decode_match_check(struct cli_ctx *ctx, const struct decode_match *m)
{
    struct proto_text value;
    const char *at = m->text;
    int key;

    if (!m->text)
        return CLI_OK;
    if (!*at)
        return cli_usage(ctx, "--match: there is no rule in it");
    while ((key = next_rule(&at, &value)) >= 0)
        ;
    if (key == -1)
        return cli_usage(ctx, "--match takes key=value,key=value with the keys type, sender, "
                              "destination, path, interface, member and error_name");
    return CLI_OK;
}

static bool matches(const struct decode_match *match, const struct proto_message *m)
{
    const char *at = match ? match->text : NULL;
    struct proto_text value;
    int key;

    if (!at)
        return true;
    if (m->kind != PROTO_DBUS)
        return false;
    while ((key = next_rule(&at, &value)) >= 0) {
        struct proto_text got = field(m->dbus, (size_t)key);

        if (!got.s || got.n != value.n || memcmp(got.s, value.s, got.n))
            return false;
    }
    return true;
}

/* ---- messages ---- */

static int on_message(const struct proto_message *m, void *ctx)
{
    struct decoded *d = ctx;

    if (!d->n)
        d->skipped = m->skipped;
    d->kind = m->kind;
    if (!matches(d->match, m))
        return 0;
    if (d->raw)
        d->raw(m, d->raw_ctx);
    buf_add_char(&d->json, d->n ? ',' : '[');
    d->n++;
    if (m->kind == PROTO_DBUS) {
        proto_dbus_json(m->dbus, &d->json);
        proto_dbus_line(m->dbus, &d->lines);
    } else {
        buf_add_str(&d->json, m->json);
        buf_add_str(&d->lines, m->json);
    }
    buf_add_char(&d->lines, '\0');
    return 0;
}

int decode_feed(struct decoded *d, struct proto_stream *s, const void *data, size_t n)
{
    int r;

    d->n = 0;
    d->skipped = 0;
    d->kind = PROTO_NONE;
    buf_clear(&d->json);
    buf_clear(&d->lines);
    r = proto_stream_feed(s, data, n, on_message, d);
    if (d->n)
        buf_add_char(&d->json, ']');
    return r < 0 ? r : buf_error(&d->json) ? -ENOMEM : buf_error(&d->lines);
}

const char *decode_json(struct decoded *d)
{
    return d->n ? buf_str(&d->json) : NULL;
}

void decode_done(struct decoded *d)
{
    buf_done(&d->json);
    buf_done(&d->lines);
}
