/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events of a bus as records of a dump: the type is the event's kind. */
#include "bus_dump.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus1_abi.h"

enum { LIST_MAX = 1 << 20 };

void bus_dump_put(struct dump_writer *w, const struct b1_event *ev)
{
    uint64_t value;

    dump_begin(w, b1_event_names[ev->kind]);
    dump_put_time(w, "time", ev->time);
    if (ev->outside)
        dump_put_str(w, "order", "approximate");
    for (const struct b1_event_field *f = b1_event_fields; f->key; f++) {
        memcpy(&value, (const char *)ev + f->offset, sizeof(value));
        /* A number that the bus does not tell is left out. */
        if (f->kinds & (1U << ev->kind) && value != BUS1_INVALID)
            dump_put_u64(w, f->key, value);
    }
    if (b1_event_has_ids(ev->kind))
        dump_put_u64_array(w, "ids", ev->ids, ev->n_ids);
    if (b1_event_has_handles(ev->kind))
        dump_put_u64_array(w, "handles", ev->handles, ev->n_handles);
    if (b1_event_has_data(ev->kind) || ev->data)
        dump_put_payload(w, ev->data, ev->data ? ev->length : 0, ev->length);
    else if (b1_event_has_handles(ev->kind))
        dump_put_u64(w, "length", ev->length);
    if (ev->unseen)
        dump_put_str(w, "unseen", b1_unseen_words[ev->unseen]);
    dump_end(w);
}

static int get_list(struct dump_record *rec, const char *key, uint64_t **v, size_t *cap, size_t *n,
                    struct err *e)
{
    if (!*v) {
        *v = malloc(LIST_MAX * sizeof(**v));
        *cap = LIST_MAX;
    }
    return *v ? dump_get_u64_array(rec, key, *v, *cap, n, e) : -ENOMEM;
}

static int get_payload(struct dump_record *rec, struct b1_event *ev, struct err *e)
{
    struct dump_payload data;
    int r = dump_get_payload(rec, &data, e);

    if (r < 0)
        return r;
    if (data.captured != data.length)
        return dump_bad(rec, e, "the message was cut when it was recorded");
    ev->data = data.data;
    ev->length = data.length;
    return 0;
}

/* Reads the fields that only recordings of calls have. */
static int get_outside(struct dump_record *rec, struct b1_event *ev, struct err *e)
{
    char order[16], words[128];
    int r = dump_has(rec, "order") ? dump_get_str(rec, "order", order, sizeof(order), e) : 0;

    ev->outside = dump_has(rec, "order") && r == 0 && !strcmp(order, "approximate");
    if (r < 0 || !dump_has(rec, "unseen"))
        return r;
    r = dump_get_str(rec, "unseen", words, sizeof(words), e);
    ev->unseen = B1_UNSEEN_MEMORY;
    for (size_t i = 1; i < B1_UNSEENS; i++)
        if (r == 0 && !strcmp(words, b1_unseen_words[i]))
            ev->unseen = (enum b1_unseen)i;
    return r;
}

/* Left out where it is not known. */
static bool is_optional(const struct b1_event_field *f, const struct b1_event *ev)
{
    return f->offset == offsetof(struct b1_event, account) ||
           (ev->outside && (f->offset == offsetof(struct b1_event, ino) ||
                            f->offset == offsetof(struct b1_event, pid) ||
                            f->offset == offsetof(struct b1_event, uid)));
}

int bus_dump_get(struct dump_record *rec, struct b1_event_lists *lists, struct b1_event *ev,
                 struct err *e)
{
    size_t kind = 0;
    uint64_t value;
    int r = 0;

    while (kind < B1_EVENT_KINDS && strcmp(rec->type, b1_event_names[kind]) != 0)
        kind++;
    if (kind == B1_EVENT_KINDS)
        return 1;
    *ev = (struct b1_event){.kind = (enum b1_event_kind)kind, .account = BUS1_INVALID};
    if (dump_has(rec, "time"))
        r = dump_get_time(rec, "time", &ev->time, e);
    if (r == 0)
        r = get_outside(rec, ev, e);
    for (const struct b1_event_field *f = b1_event_fields; f->key && r == 0; f++) {
        if (!(f->kinds & (1U << ev->kind)) || (is_optional(f, ev) && !dump_has(rec, f->key)))
            continue;
        r = dump_get_u64(rec, f->key, UINT64_MAX, &value, e);
        if (r == 0)
            memcpy((char *)ev + f->offset, &value, sizeof(value));
    }
    if (r == 0 && b1_event_has_ids(ev->kind)) {
        r = get_list(rec, "ids", &lists->ids, &lists->ids_cap, &ev->n_ids, e);
        ev->ids = lists->ids;
    }
    if (r == 0 && b1_event_has_handles(ev->kind)) {
        r = get_list(rec, "handles", &lists->handles, &lists->handles_cap, &ev->n_handles, e);
        ev->handles = lists->handles;
    }
    if (r == 0 && (b1_event_has_data(ev->kind) || (ev->kind == B1_EVENT_RECV && ev->outside)))
        r = get_payload(rec, ev, e);
    return r == -ENOENT ? -EBADMSG : r;
}
