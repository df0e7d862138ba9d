/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Replays a recording of the calls on a bus. Each RECV has the content of its message. The order of
 * SENDs that overlapped is not known: a message that arrives too early is kept until its turn.
 * Notifications are shown as they arrive and are not compared, because buses differ in them: the
 * RFC's code sends one for each release of a handle. Events that were not recorded completely are
 * skipped and counted.
 */
#include "replay_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "macros.h"

struct b1_replay_early {
    struct b1_replay_early *next;
    uint64_t type;
    uint64_t id;
    size_t len;
    char *data;
    size_t n_handles;
    uint64_t handles[];
};

void b1_replay_early_drop(struct b1_replay_early **at)
{
    struct b1_replay_early *x = *at;

    *at = x->next;
    free(x->data);
    free(x);
}

/* Appends a message to those that are kept. */
static int keep(struct b1_replay_peer *p, const struct b1_received *m)
{
    struct b1_replay_early **at = &p->early,
                           *x = malloc(sizeof(*x) + m->n_transfers * sizeof(x->handles[0]));

    if (!x)
        return -ENOMEM;
    *x = (struct b1_replay_early){.type = m->type,
                                  .id = m->id,
                                  .len = m->len,
                                  .data = malloc(m->len + 1),
                                  .n_handles = m->n_transfers};
    if (!x->data) {
        free(x);
        return -ENOMEM;
    }
    memcpy(x->data, m->data, m->len);
    if (m->n_transfers)
        memcpy(x->handles, m->transfers, m->n_transfers * sizeof(x->handles[0]));
    while (*at)
        at = &(*at)->next;
    *at = x;
    return 0;
}

static bool is_it(struct b1_replay_peer *p, const struct b1_replay_early *x,
                  const struct b1_event *ev)
{
    uint64_t id;

    return x->type == ev->message_type && b1_replay_id_find(p, ev->id, &id) && x->id == id &&
           x->len == ev->length && (!x->len || !memcmp(x->data, ev->data, x->len)) &&
           x->n_handles == ev->n_handles;
}

static int take(struct b1_replay *r, struct b1_replay_peer *p, struct b1_replay_early **at,
                const struct b1_event *ev)
{
    struct b1_replay_early *x = *at;
    int k = 0;

    r->reordered += at != &p->early;
    for (size_t i = 0; i < x->n_handles && k == 0; i++)
        k = b1_replay_id_add(p, ev->handles[i], x->handles[i]);
    if (k == 0)
        r->message(r->ctx, &(struct b1_replayed){.peer = p->serial,
                                                 .type = ev->message_type,
                                                 .id = ev->id,
                                                 .handles = ev->handles,
                                                 .n_handles = ev->n_handles,
                                                 .data = x->data,
                                                 .len = x->len});
    b1_replay_early_drop(at);
    return k;
}

/* The recorded id for an id on the new bus. */
static uint64_t recorded_id(const struct b1_replay_peer *p, uint64_t id)
{
    for (size_t i = p->n_ids; i-- > 0;)
        if (p->ids[i].id == id)
            return p->ids[i].recorded;
    return BUS1_INVALID;
}

/* Takes the next message off the queue: keeps a message of a user, shows a notification. */
static int fetch(struct b1_replay *r, struct b1_replay_peer *p, bool waited, struct err *e)
{
    struct b1_received m;
    int k = b1_client_recv(p->client, &m, e);

    if (k < 0)
        return k;
    if (m.type == BUS1_MESSAGE_TYPE_USER)
        return keep(p, &m);
    r->message(r->ctx, &(struct b1_replayed){.peer = p->serial,
                                             .type = m.type,
                                             .id = recorded_id(p, m.id),
                                             .waited = waited});
    return 0;
}

int b1_replay_receive_outside(struct b1_replay *r, struct b1_replay_peer *p,
                              const struct b1_event *ev, struct err *e)
{
    bool notification = ev->message_type != BUS1_MESSAGE_TYPE_USER;
    struct b1_replay_early **at = &p->early;
    int k;

    if (ev->length && !ev->data)
        return err_set(e, -EBADMSG, NULL, "the recording lacks the data of a message");
    do {
        for (; *at && !notification; at = &(*at)->next)
            if (is_it(p, *at, ev))
                return take(r, p, at, ev);
        k = fetch(r, p, false, e);
    } while (k == 0);
    if (k != -EAGAIN || notification)
        return k == -EAGAIN ? 0 : k;
    return err_set(e, -EPROTO, NULL, "a message that peer %" PRIu64 " received did not come",
                   p->serial);
}

int b1_replay_end_outside(struct b1_replay *r, struct b1_replay_peer *p, struct err *e)
{
    int k;

    do
        k = fetch(r, p, true, e);
    while (k == 0);
    for (; p->early; b1_replay_early_drop(&p->early)) {
        struct b1_replay_early *x = p->early;

        for (size_t i = 0; i < x->n_handles; i++)
            x->handles[i] = BUS1_INVALID;
        r->message(r->ctx, &(struct b1_replayed){.peer = p->serial,
                                                 .type = x->type,
                                                 .id = recorded_id(p, x->id),
                                                 .handles = x->handles,
                                                 .n_handles = x->n_handles,
                                                 .data = x->data,
                                                 .len = x->len,
                                                 .waited = true});
    }
    return k == -EAGAIN ? 0 : k;
}

/* Maps those of @n recorded ids that the replay knows to @v. Return: their number. */
static size_t ids_known(struct b1_replay_peer *p, const uint64_t *recorded, size_t n, uint64_t *v)
{
    size_t known = 0;

    for (size_t i = 0; i < n; i++)
        known += b1_replay_id_find(p, recorded[i], &v[known]);
    return known;
}

int b1_replay_do_unseen(struct b1_replay *r, struct b1_replay_peer *p, const struct b1_event *ev,
                        struct err *e)
{
    uint64_t *ids, *carry;
    size_t n;
    int k = 0;

    r->unseen++;
    if (ev->unseen != B1_UNSEEN_ID || (ev->kind != B1_EVENT_RELEASE && ev->kind != B1_EVENT_SEND))
        return 0;
    ids = calloc(ev->n_ids + 1, sizeof(*ids));
    carry = calloc(ev->n_handles + 1, sizeof(*carry));
    n = ids && carry ? ids_known(p, ev->ids, ev->n_ids, ids) : 0;
    if (!ids || !carry)
        k = -ENOMEM;
    else if (n && ev->kind == B1_EVENT_RELEASE)
        k = b1_client_release(p->client, ids, n, e);
    else if (n && ids_known(p, ev->handles, ev->n_handles, carry) == ev->n_handles)
        k = b1_client_send(p->client, ids, n, ev->data, ev->length, carry, ev->n_handles, e);
    free(ids);
    free(carry);
    return k;
}

void b1_replay_account(const struct b1_replay *r, struct b1_replay_account *out)
{
    *out = (struct b1_replay_account){
        .unseen = r->unseen, .failed = r->failed, .refused = r->refused, .reordered = r->reordered};
}
