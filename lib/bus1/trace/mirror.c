/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What can be known of a bus from the calls on it. */
#include "mirror.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "macros.h"

enum { RELEASED_MAX = 4096 };

uint64_t b1_mirror_hash(const void *data, size_t len)
{
    const char *at = data;
    uint64_t h = UINT64_C(0x9e3779b97f4a7c15) ^ len, word;

    for (; len; at += MIN(len, sizeof(word)), len -= MIN(len, sizeof(word))) {
        word = 0;
        memcpy(&word, at, MIN(len, sizeof(word)));
        h = (h ^ word) * UINT64_C(0xff51afd7ed558ccd);
        h ^= h >> 32;
    }
    return h;
}

/* ---- peers ---- */

static struct b1_mirror_peer **bucket_of(struct b1_mirror *m, uint64_t ino, uint64_t file)
{
    return &m->peers[(ino ^ file >> 6 ^ file >> 16) % B1_MIRROR_BUCKETS];
}

struct b1_mirror_peer *b1_mirror_peer_find(struct b1_mirror *m, uint64_t dev, uint64_t ino,
                                           uint64_t file)
{
    struct b1_mirror_peer *p = *bucket_of(m, ino, file);

    while (p && (p->dev != dev || p->ino != ino || p->file != file))
        p = p->next;
    return p;
}

struct b1_mirror_peer *b1_mirror_peer_new(struct b1_mirror *m, uint64_t dev, uint64_t ino,
                                          uint64_t file)
{
    struct b1_mirror_peer **bucket = bucket_of(m, ino, file), *p = malloc(sizeof(*p));

    if (!p)
        return NULL;
    *p = (struct b1_mirror_peer){
        .next = *bucket, .dev = dev, .ino = ino, .file = file, .serial = ++m->last_serial};
    *bucket = p;
    return p;
}

void b1_mirror_done(struct b1_mirror *m)
{
    for (size_t i = 0; i < B1_MIRROR_BUCKETS; i++)
        while (m->peers[i])
            b1_mirror_peer_close(m, m->peers[i]);
}

/* ---- slots ---- */

/* Where an id is, or belongs. Ids grow: it is nearly always the end. */
static size_t slot_place(const struct b1_mirror_peer *p, uint64_t id)
{
    size_t from = 0, to = p->n_slots;

    if (to && p->slots[to - 1].id < id)
        return to;
    while (from < to) {
        size_t mid = from + (to - from) / 2;

        if (p->slots[mid].id < id)
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

struct b1_mirror_slot *b1_mirror_slot_find(const struct b1_mirror_peer *p, uint64_t id)
{
    size_t at = slot_place(p, id);

    return at < p->n_slots && p->slots[at].id == id ? &p->slots[at] : NULL;
}

static void slot_remove(struct b1_mirror_peer *p, struct b1_mirror_slot *s)
{
    struct b1_mirror_node *n = s->node;

    memmove(s, s + 1, (size_t)(p->slots + p->n_slots - (s + 1)) * sizeof(*s));
    p->n_slots--;
    b1_mirror_node_unref(n);
}

static int slot_add(struct b1_mirror_peer *p, struct b1_mirror_slot slot)
{
    size_t at = slot_place(p, slot.id);

    /* An id that comes again is of another peer, whose beginning was missed. */
    if (at < p->n_slots && p->slots[at].id == slot.id) {
        slot.node->refs++;
        b1_mirror_node_unref(p->slots[at].node);
        p->slots[at] = slot;
        return 0;
    }
    if (p->n_slots == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 8;
        struct b1_mirror_slot *v = reallocarray(p->slots, cap, sizeof(*v));

        if (!v)
            return -ENOMEM;
        p->slots = v;
        p->cap = cap;
    }
    memmove(&p->slots[at + 1], &p->slots[at], (p->n_slots - at) * sizeof(slot));
    p->slots[at] = slot;
    p->n_slots++;
    slot.node->refs++;
    return 0;
}

int b1_mirror_add_node(struct b1_mirror_peer *p, uint64_t id, struct b1_mirror_node *n)
{
    return slot_add(p, (struct b1_mirror_slot){.id = id, .node = n});
}

int b1_mirror_add_handle(struct b1_mirror_peer *p, uint64_t id, struct b1_mirror_node *n,
                         bool moved)
{
    int r = slot_add(p, (struct b1_mirror_slot){.id = id, .node = n, .is_handle = true});

    if (r == 0 && !moved)
        n->handles++;
    return r;
}

/* ---- messages ---- */

int b1_mirror_send(struct b1_mirror_node *n, uint64_t hash, uint64_t len, bool unseen,
                   struct b1_mirror_node *const *carried, size_t n_carried)
{
    struct b1_mirror_message *m = malloc(sizeof(*m) + n_carried * sizeof(struct b1_mirror_node *));

    if (!m)
        return -ENOMEM;
    *m = (struct b1_mirror_message){
        .hash = hash, .len = len, .unseen = unseen, .n_carried = n_carried};
    for (size_t i = 0; i < n_carried; i++) {
        m->carried[i] = carried[i];
        carried[i]->refs++;
        carried[i]->handles++;
    }
    *n->last = m;
    n->last = &m->next;
    return 0;
}

struct b1_mirror_message **b1_mirror_match(struct b1_mirror_node *n, uint64_t hash, uint64_t len,
                                           size_t n_carried)
{
    for (struct b1_mirror_message **at = &n->sent; *at; at = &(*at)->next)
        if ((*at)->hash == hash && (*at)->len == len && (*at)->n_carried == n_carried)
            return at;
    return NULL;
}

/* Of a released node is kept what can still be received. */
static void node_settle(struct b1_mirror_node *n)
{
    struct b1_mirror_slot *s = n->owner && n->gone && n->told && !n->sent
                                   ? b1_mirror_slot_find(n->owner, n->id)
                                   : NULL;

    if (s && s->node == n && !s->is_handle)
        slot_remove(n->owner, s);
}

void b1_mirror_message_drop(struct b1_mirror_node *n, struct b1_mirror_message **at, bool moved)
{
    struct b1_mirror_message *m = *at;

    *at = m->next;
    if (!*at)
        n->last = at;
    for (size_t i = 0; i < m->n_carried; i++) {
        if (!moved)
            m->carried[i]->handles--;
        b1_mirror_node_unref(m->carried[i]);
    }
    free(m);
    node_settle(n);
}

/* ---- nodes ---- */

struct b1_mirror_node *b1_mirror_node_new(struct b1_mirror_peer *p, uint64_t id)
{
    struct b1_mirror_node *n = malloc(sizeof(*n));

    if (!n)
        return NULL;
    *n = (struct b1_mirror_node){.refs = 1, .owner = p, .id = id, .foreign = !p};
    n->last = &n->sent;
    return n;
}

/* Messages can carry handles to the node that they are sent to, and to each other's. */
static void node_drop_sent(struct b1_mirror_node *n)
{
    n->refs++;
    while (n->sent)
        b1_mirror_message_drop(n, &n->sent, false);
    n->refs--;
}

void b1_mirror_node_unref(struct b1_mirror_node *n)
{
    if (!n || --n->refs)
        return;
    node_drop_sent(n);
    free(n);
}

/* The older half of them. */
static void forget_released(struct b1_mirror_peer *p)
{
    size_t kept = 0, n = p->n_released / 2;

    for (size_t i = 0; i < p->n_slots; i++)
        if (n && p->slots[i].released) {
            n--;
            p->n_released--;
            b1_mirror_node_unref(p->slots[i].node);
        } else {
            p->slots[kept++] = p->slots[i];
        }
    p->n_slots = kept;
}

void b1_mirror_release(struct b1_mirror_peer *p, uint64_t id)
{
    struct b1_mirror_slot *s = b1_mirror_slot_find(p, id);
    struct b1_mirror_node *n = s ? s->node : NULL;

    if (!s)
        return;
    if (!s->is_handle) {
        n->gone = true;
        n->told |= n->handles > 0;
        node_settle(n);
        return;
    }
    if (s->released)
        return;
    n->handles--;
    if (s->told) {
        slot_remove(p, s);
        return;
    }
    s->released = true;
    s->too_early = !n->gone;
    if (++p->n_released > RELEASED_MAX)
        forget_released(p);
}

void b1_mirror_told(struct b1_mirror_peer *p, uint64_t id)
{
    struct b1_mirror_slot *s = b1_mirror_slot_find(p, id);

    if (!s)
        return;
    if (!s->is_handle) {
        s->node->told = true;
        node_settle(s->node);
    } else if (s->released) {
        p->n_released--;
        slot_remove(p, s);
    } else {
        s->told = true;
    }
}

void b1_mirror_peer_close(struct b1_mirror *m, struct b1_mirror_peer *p)
{
    struct b1_mirror_peer **at = bucket_of(m, p->ino, p->file);

    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    for (size_t i = 0; i < p->n_slots; i++) {
        struct b1_mirror_slot *s = &p->slots[i];

        if (s->is_handle) {
            s->node->handles -= !s->released;
        } else {
            s->node->gone = true;
            s->node->owner = NULL;
            node_drop_sent(s->node);
        }
    }
    for (size_t i = 0; i < p->n_slots; i++)
        b1_mirror_node_unref(p->slots[i].node);
    free(p->slots);
    free(p);
}
