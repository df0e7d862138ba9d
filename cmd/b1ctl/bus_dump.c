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
    for (const struct b1_event_field *f = b1_event_fields; f->key; f++) {
        memcpy(&value, (const char *)ev + f->offset, sizeof(value));
        /* What a bus does not tell is left out. */
        if (f->kinds & (1U << ev->kind) && value != BUS1_INVALID)
            dump_put_u64(w, f->key, value);
    }
    if (b1_event_has_ids(ev->kind))
        dump_put_u64_array(w, "ids", ev->ids, ev->n_ids);
    if (b1_event_has_handles(ev->kind))
        dump_put_u64_array(w, "handles", ev->handles, ev->n_handles);
    if (b1_event_has_data(ev->kind))
        dump_put_payload(w, ev->data, ev->data ? ev->length : 0, ev->length);
    else if (b1_event_has_handles(ev->kind))
        dump_put_u64(w, "length", ev->length);
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
    for (const struct b1_event_field *f = b1_event_fields; f->key && r == 0; f++) {
        bool optional = f->offset == offsetof(struct b1_event, account);

        if (!(f->kinds & (1U << ev->kind)) || (optional && !dump_has(rec, f->key)))
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
    if (r == 0 && b1_event_has_data(ev->kind))
        r = get_payload(rec, ev, e);
    return r == -ENOENT ? -EBADMSG : r;
}
