/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events of a bus as lines of text: "kind key=value …". */
#include "bus_event.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "macros.h"
#include "parse.h"

#define K(kind)  (1U << B1_EVENT_##kind)
#define MESSAGES (K(WAITING) | K(MESSAGE) | K(RECV))
#define F(field, kinds_)                                   \
    {                                                      \
#field, offsetof(struct b1_event, field), (kinds_) \
    }

const struct b1_event_field b1_event_fields[] = {
    F(peer, ~(K(BEGIN) | K(LOST))),
    F(other, K(HANDLE) | K(TRANSFER) | K(MESSAGE) | K(WAITING)),
    F(ino, K(PEER) | K(OPEN)),
    F(pid, K(PEER) | K(OPEN)),
    F(uid, K(PEER) | K(OPEN)),
    F(message_type, MESSAGES),
    F(id, K(NODE) | K(HANDLE) | K(TRANSFER) | MESSAGES),
    F(node, K(HANDLE)),
    F(handle, K(TRANSFER)),
    F(create, K(TRANSFER)),
    F(waiting, K(HANDLE)),
    F(account, MESSAGES),
    F(count, K(LOST)),
    {NULL, 0, 0},
};

const char *const b1_event_names[B1_EVENT_KINDS] = {
    [B1_EVENT_PEER] = "peer",       [B1_EVENT_NODE] = "node",
    [B1_EVENT_HANDLE] = "handle",   [B1_EVENT_WAITING] = "waiting",
    [B1_EVENT_BEGIN] = "begin",     [B1_EVENT_OPEN] = "open",
    [B1_EVENT_CLOSE] = "close",     [B1_EVENT_TRANSFER] = "transfer",
    [B1_EVENT_RELEASE] = "release", [B1_EVENT_SEND] = "send",
    [B1_EVENT_MESSAGE] = "message", [B1_EVENT_RECV] = "recv",
    [B1_EVENT_LOST] = "lost",
};

const char *const b1_unseen_words[B1_UNSEENS] = {
    [B1_UNSEEN_ID] = "a node or handle is older than the recording, or of a call that was not seen",
    [B1_UNSEEN_MEMORY] = "not all of the caller's memory could be read",
    [B1_UNSEEN_END] = "the call had no end: whether it took effect is not known",
};

bool b1_event_has_ids(enum b1_event_kind kind)
{
    return (1U << kind) & (K(RELEASE) | K(SEND));
}

bool b1_event_has_handles(enum b1_event_kind kind)
{
    return (1U << kind) & (K(SEND) | MESSAGES);
}

bool b1_event_has_data(enum b1_event_kind kind)
{
    return (1U << kind) & (K(SEND) | K(WAITING));
}

static void write_list(struct buf *out, const char *key, const uint64_t *v, size_t n)
{
    buf_printf(out, " %s=", key);
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "%s%" PRIu64, i ? "," : "", v[i]);
}

void b1_event_write(struct buf *out, const struct b1_event *ev, bool data)
{
    char *at;

    buf_printf(out, "%s time=%" PRIu64, b1_event_names[ev->kind], ev->time);
    for (const struct b1_event_field *f = b1_event_fields; f->key; f++)
        if (f->kinds & (1U << ev->kind)) {
            uint64_t value;

            memcpy(&value, (const char *)ev + f->offset, sizeof(value));
            buf_printf(out, " %s=%" PRIu64, f->key, value);
        }
    if (b1_event_has_ids(ev->kind))
        write_list(out, "ids", ev->ids, ev->n_ids);
    if (b1_event_has_handles(ev->kind)) {
        write_list(out, "handles", ev->handles, ev->n_handles);
        buf_printf(out, " length=%" PRIu64, ev->length);
    }
    if (ev->outside)
        buf_printf(out, " outside=1 unseen=%d", (int)ev->unseen);
    if (data && ev->data && (b1_event_has_data(ev->kind) || ev->kind == B1_EVENT_RECV)) {
        buf_add_str(out, " data=");
        at = buf_extend(out, b64_encoded_size(ev->length));
        if (at)
            b64_encode(at, ev->data, ev->length);
    }
    buf_add_char(out, '\n');
}

void b1_event_lists_done(struct b1_event_lists *l)
{
    free(l->ids);
    free(l->handles);
}

static int parse_list(char *value, uint64_t **v, size_t *cap, size_t *n)
{
    char *save = NULL;

    *n = 0;
    for (char *word = strtok_r(value, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
        if (*n == *cap) {
            uint64_t *more = reallocarray(*v, *cap ? *cap * 2 : 16, sizeof(*more));

            if (!more)
                return -ENOMEM;
            *v = more;
            *cap = *cap ? *cap * 2 : 16;
        }
        if (parse_u64(word, &(*v)[(*n)++]) < 0)
            return -EBADMSG;
    }
    return 0;
}

/*
 * Parses one "key=value". @held is set to the number of decoded bytes when it is the data. Fields
 * come in any order, so the length is checked when the line ends.
 */
static int parse_field(char *key, char *value, struct b1_event_lists *lists, struct b1_event *ev,
                       ssize_t *held)
{
    uint64_t number;
    int r;

    if (!strcmp(key, "ids")) {
        r = parse_list(value, &lists->ids, &lists->ids_cap, &ev->n_ids);
        ev->ids = lists->ids;
        return r;
    }
    if (!strcmp(key, "handles")) {
        r = parse_list(value, &lists->handles, &lists->handles_cap, &ev->n_handles);
        ev->handles = lists->handles;
        return r;
    }
    if (!strcmp(key, "data")) {
        *held = b64_decode(value, value, strlen(value));
        ev->data = value;
        return *held < 0 ? -EBADMSG : 0;
    }
    if (parse_u64(value, &number) < 0)
        return -EBADMSG;
    if (!strcmp(key, "time"))
        ev->time = number;
    if (!strcmp(key, "length"))
        ev->length = number;
    if (!strcmp(key, "outside"))
        ev->outside = number;
    if (!strcmp(key, "unseen"))
        ev->unseen = (enum b1_unseen)MIN(number, (uint64_t)B1_UNSEENS - 1);
    for (const struct b1_event_field *f = b1_event_fields; f->key; f++)
        if (!strcmp(key, f->key))
            memcpy((char *)ev + f->offset, &number, sizeof(number));
    return 0;
}

int b1_event_parse(char *line, struct b1_event_lists *lists, struct b1_event *ev)
{
    char *save = NULL, *word = strtok_r(line, " ", &save);
    ssize_t held = 0;
    size_t kind = 0;

    while (word && kind < B1_EVENT_KINDS && strcmp(word, b1_event_names[kind]) != 0)
        kind++;
    if (!word)
        return -EBADMSG;
    if (kind == B1_EVENT_KINDS)
        return 1;
    *ev = (struct b1_event){.kind = (enum b1_event_kind)kind};
    while ((word = strtok_r(NULL, " ", &save))) {
        char *value = strchr(word, '=');
        int r;

        if (!value)
            return -EBADMSG;
        *value++ = '\0';
        r = parse_field(word, value, lists, ev, &held);
        if (r < 0)
            return r;
    }
    return ev->data && (uint64_t)held != ev->length ? -EBADMSG : 0;
}
