/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Repeats a recording. Notifications are not sent: they follow from the releases, and are only
 * compared with the recorded ones.
 */
#include "replay_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bus1_abi.h"
#include "cleanup.h"
#include "macros.h"

int b1_replay_new(const struct b1_device *dev, bool single,
                  void (*message)(void *ctx, const struct b1_replayed *m), void *ctx,
                  struct b1_replay **ret)
{
    struct b1_replay *r = calloc(1, sizeof(*r));

    if (!r)
        return -ENOMEM;
    *r = (struct b1_replay){.dev = *dev, .single = single, .message = message, .ctx = ctx};
    *ret = r;
    return 0;
}

/* ---- ids ---- */

static int id_order(const void *a, const void *b)
{
    const struct b1_replay_id *x = a, *y = b;

    return x->recorded < y->recorded ? -1 : x->recorded > y->recorded;
}

int b1_replay_id_add(struct b1_replay_peer *p, uint64_t recorded, uint64_t id)
{
    struct b1_replay_id *v = p->ids;
    size_t at = p->n_ids;

    if (p->n_ids == p->ids_cap) {
        v = reallocarray(v, p->ids_cap ? p->ids_cap * 2 : 16, sizeof(*v));
        if (!v)
            return -ENOMEM;
        p->ids = v;
        p->ids_cap = p->ids_cap ? p->ids_cap * 2 : 16;
    }
    /*
     * Ids are added in ascending order, except those of handles in messages: a newer id may be
     * added before the message is received.
     */
    while (at > 0 && v[at - 1].recorded > recorded)
        at--;
    memmove(v + at + 1, v + at, (p->n_ids++ - at) * sizeof(*v));
    v[at] = (struct b1_replay_id){recorded, id};
    return 0;
}

bool b1_replay_id_find(struct b1_replay_peer *p, uint64_t recorded, uint64_t *id)
{
    const struct b1_replay_id key = {.recorded = recorded}, *found;

    found = p->n_ids ? bsearch(&key, p->ids, p->n_ids, sizeof(*p->ids), id_order) : NULL;
    if (found)
        *id = found->id;
    return found;
}

/*
 * Maps @n recorded ids to the present ones. Return: -ENOKEY for an id that is not in the recording.
 */
static int ids_map(struct b1_replay_peer *p, const uint64_t *recorded, size_t n, uint64_t **ret,
                   struct err *e)
{
    uint64_t *v = calloc(n + 1, sizeof(*v));

    if (!v)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        if (!b1_replay_id_find(p, recorded[i], &v[i])) {
            free(v);
            return err_set(e, -ENOKEY, NULL,
                           "peer %" PRIu64 " has no node or handle %" PRIu64
                           " in the recording: it began too late",
                           p->serial, recorded[i]);
        }
    *ret = v;
    return 0;
}

/* ---- peers ---- */

struct b1_replay_peer *b1_replay_peer_find(struct b1_replay *r, uint64_t serial)
{
    struct b1_replay_peer *p = r->peers[serial % B1_REPLAY_BUCKETS];

    while (p && p->serial != serial)
        p = p->next;
    return p;
}

int b1_replay_peer_open(struct b1_replay *r, uint64_t serial, struct err *e)
{
    struct b1_replay_peer *p, **bucket = &r->peers[serial % B1_REPLAY_BUCKETS];
    int k;

    if (b1_replay_peer_find(r, serial))
        return err_set(e, -EBADMSG, NULL, "peer %" PRIu64 " is opened twice", serial);
    p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    k = b1_client_open(&r->dev, r->single, &p->client);
    if (k < 0) {
        free(p);
        return err_set(e, k, NULL, "cannot open a peer: %s", err_text(NULL, k));
    }
    p->serial = serial;
    p->last = &p->expected;
    p->next = *bucket;
    *bucket = p;
    return 0;
}

static void blob_unref(struct b1_replay_blob *b)
{
    if (b && --b->refs == 0)
        free(b);
}

static void expected_drop(struct b1_replay_peer *p)
{
    struct b1_replay_expected *x = p->expected;

    p->expected = x->next;
    if (!p->expected)
        p->last = &p->expected;
    blob_unref(x->blob);
    free(x);
}

static void peer_free(struct b1_replay_peer *p)
{
    while (p->expected)
        expected_drop(p);
    while (p->early)
        b1_replay_early_drop(&p->early);
    b1_client_close(p->client);
    free(p->ids);
    free(p);
}

static int no_peer(uint64_t serial, struct err *e)
{
    return err_set(e, -EBADMSG, NULL, "there is no peer %" PRIu64 " in the recording", serial);
}

void b1_replay_free(struct b1_replay *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < B1_REPLAY_BUCKETS; i++)
        while (r->peers[i]) {
            struct b1_replay_peer *p = r->peers[i];

            r->peers[i] = p->next;
            peer_free(p);
        }
    b1_replay_past_free(r->past);
    blob_unref(r->sent);
    free(r);
}

/* ---- expected messages ---- */

int b1_replay_blob_new(const void *data, size_t len, struct b1_replay_blob **ret)
{
    struct b1_replay_blob *b;

    if (len && !data)
        return -EBADMSG;
    b = malloc(sizeof(*b) + len);
    if (!b)
        return -ENOMEM;
    b->refs = 1;
    b->len = len;
    if (len)
        memcpy(b->data, data, len);
    *ret = b;
    return 0;
}

int b1_replay_expect(struct b1_replay_peer *p, const struct b1_event *ev,
                     struct b1_replay_blob *blob)
{
    struct b1_replay_expected *x = malloc(sizeof(*x) + ev->n_handles * sizeof(x->handles[0]));

    if (!x)
        return -ENOMEM;
    *x = (struct b1_replay_expected){
        .type = ev->message_type,
        .id = ev->id,
        .n_handles = ev->n_handles,
    };
    if (ev->message_type == BUS1_MESSAGE_TYPE_USER && blob) {
        x->blob = blob;
        blob->refs++;
    }
    if (ev->n_handles)
        memcpy(x->handles, ev->handles, ev->n_handles * sizeof(x->handles[0]));
    *p->last = x;
    p->last = &x->next;
    return 0;
}

static bool is_expected(struct b1_replay_peer *p, const struct b1_replay_expected *x,
                        const struct b1_received *m)
{
    size_t len = x->blob ? x->blob->len : 0;
    uint64_t id;

    return m->type == x->type && b1_replay_id_find(p, x->id, &id) && m->id == id && m->len == len &&
           (!len || !memcmp(m->data, x->blob->data, len)) && m->n_transfers == x->n_handles;
}

/* Receives the next message of a peer and checks that it is the recorded one. */
static int receive(struct b1_replay *r, struct b1_replay_peer *p, bool waited, struct err *e)
{
    struct b1_replay_expected *x = p->expected;
    struct b1_received m;
    int k;

    if (!x)
        return err_set(e, -EBADMSG, NULL,
                       "peer %" PRIu64 " receives what nobody sent in the recording", p->serial);
    k = b1_client_recv(p->client, &m, e);
    if (k == -EAGAIN)
        return err_set(e, -EPROTO, NULL, "a message that peer %" PRIu64 " received did not come",
                       p->serial);
    if (k < 0)
        return k;
    if (!is_expected(p, x, &m))
        return err_set(e, -EPROTO, NULL,
                       "peer %" PRIu64 " receives something else than in the recording", p->serial);
    for (size_t i = 0; i < x->n_handles && k == 0; i++)
        k = b1_replay_id_add(p, x->handles[i], m.transfers[i]);
    if (k == 0)
        r->message(r->ctx, &(struct b1_replayed){.peer = p->serial,
                                                 .type = x->type,
                                                 .id = x->id,
                                                 .handles = x->handles,
                                                 .n_handles = x->n_handles,
                                                 .data = m.data,
                                                 .len = m.len,
                                                 .waited = waited});
    expected_drop(p);
    return k;
}

/* ---- repeating events ---- */

static int do_close(struct b1_replay *r, struct b1_replay_peer *p)
{
    struct b1_replay_peer **at = &r->peers[p->serial % B1_REPLAY_BUCKETS];

    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    peer_free(p);
    return 0;
}

static int do_transfer(struct b1_replay *r, struct b1_replay_peer *p, const struct b1_event *ev,
                       struct err *e)
{
    uint64_t node, handle, src;
    struct b1_replay_peer *to = b1_replay_peer_find(r, ev->other);
    int k;

    if (!to)
        return no_peer(ev->other, e);
    if (ev->create) {
        k = b1_client_node(p->client, to->client, &node, &handle);
        if (k == 0)
            k = b1_replay_id_add(p, ev->id, node);
    } else if (b1_replay_id_find(p, ev->id, &src)) {
        k = b1_client_give(p->client, to->client, src, &handle);
    } else {
        return err_set(e, -ENOKEY, NULL,
                       "peer %" PRIu64 " has no handle %" PRIu64
                       " in the recording: it began too late",
                       p->serial, ev->id);
    }
    return k < 0 ? k : b1_replay_id_add(to, ev->handle, handle);
}

static int do_release(struct b1_replay_peer *p, const struct b1_event *ev, struct err *e)
{
    _cleanup_(freep) uint64_t *ids = NULL;
    int k = ids_map(p, ev->ids, ev->n_ids, &ids, e);

    return k < 0 ? k : b1_client_release(p->client, ids, ev->n_ids, e);
}

static int do_send(struct b1_replay *r, struct b1_replay_peer *p, const struct b1_event *ev,
                   struct err *e)
{
    _cleanup_(freep) uint64_t *to = NULL, *carry = NULL;
    int k;

    if (ev->length && !ev->data)
        return err_set(e, -EBADMSG, NULL, "the recording lacks the data of a message");
    k = ids_map(p, ev->ids, ev->n_ids, &to, e);
    if (k == 0)
        k = ids_map(p, ev->handles, ev->n_handles, &carry, e);
    blob_unref(TAKE_PTR(r->sent));
    if (k == 0)
        k = b1_replay_blob_new(ev->data, ev->length, &r->sent);
    return k < 0 ? k
                 : b1_client_send(p->client, to, ev->n_ids, ev->data, ev->length, carry,
                                  ev->n_handles, e);
}

static int do_event(struct b1_replay *r, const struct b1_event *ev, struct err *e)
{
    struct b1_replay_peer *p = b1_replay_peer_find(r, ev->peer);

    if (!p)
        return no_peer(ev->peer, e);
    if (ev->unseen)
        return b1_replay_do_unseen(r, p, ev, e);
    switch (ev->kind) {
    case B1_EVENT_CLOSE:
        return do_close(r, p);
    case B1_EVENT_TRANSFER:
        return do_transfer(r, p, ev, e);
    case B1_EVENT_RELEASE:
        return do_release(p, ev, e);
    case B1_EVENT_SEND:
        return do_send(r, p, ev, e);
    case B1_EVENT_MESSAGE:
        return b1_replay_expect(p, ev, r->sent);
    case B1_EVENT_RECV:
        return ev->outside ? b1_replay_receive_outside(r, p, ev, e) : receive(r, p, false, e);
    default:
        return b1_replay_past_add(r, ev);
    }
}

int b1_replay_event(struct b1_replay *r, const struct b1_event *ev, struct err *e)
{
    int k;

    r->outside |= ev->outside;
    switch (ev->kind) {
    case B1_EVENT_LOST:
        return err_set(e, -EBADMSG, NULL, "%" PRIu64 " events are missing here", ev->count);
    case B1_EVENT_PEER:
    case B1_EVENT_OPEN:
        k = b1_replay_peer_open(r, ev->peer, e);
        break;
    case B1_EVENT_BEGIN:
        k = b1_replay_past_build(r, e);
        break;
    default:
        k = do_event(r, ev, e);
    }
    if (k < 0 && e && !e->code)
        err_set(e, k, NULL, "%s of peer %" PRIu64 ": %s", b1_event_names[ev->kind], ev->peer,
                b1_client_error(k));
    /* The order of calls that overlapped is not known, and may have been different. */
    if (!ev->outside || (k != -EBADRQC && k != -EPROTO && k != -ENOKEY))
        return k == -ENOKEY ? -EBADMSG : k;
    if (k == -EBADRQC && (ev->kind == B1_EVENT_SEND || ev->kind == B1_EVENT_RELEASE)) {
        r->refused++;
        *e = (struct err)ERR_INIT;
        return 0;
    }
    r->failed++;
    return 1;
}

int b1_replay_end(struct b1_replay *r, struct err *e)
{
    struct b1_received m;
    int k = 0;

    for (size_t i = 0; i < B1_REPLAY_BUCKETS; i++)
        for (struct b1_replay_peer *p = r->peers[i]; p && k == 0; p = p->next) {
            if (r->outside) {
                k = b1_replay_end_outside(r, p, e);
                continue;
            }
            while (p->expected && k == 0)
                k = receive(r, p, true, e);
            if (k == 0 && b1_client_recv(p->client, &m, e) != -EAGAIN)
                k = err_set(e, -EPROTO, NULL,
                            "peer %" PRIu64 " receives more than in the recording", p->serial);
        }
    return k;
}
