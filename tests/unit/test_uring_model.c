/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The embedded channel against a plain reference: the same random operations on both, the same
 * results. The reference knows no rings, bits or locks: a list of all messages ever sent, and for
 * each subscriber a position in it.
 */
#include <errno.h>
#include <stdlib.h>

#include "chan_handle.h"
#include "chantest.h"
#include "check.h"

enum { MAX_MSGS = 1 << 16, MAX_LEN = 24, HANDLES = 6 };

struct model_msg {
    bool lost; /* its sender died */
    uint32_t target;
    uint32_t value;
    size_t len;
};

struct model_sub {
    enum { FREE, LIVE, DEAD } state;
    uint32_t id;
    size_t pos;
    bool fresh;
};

struct model {
    enum chan_delivery delivery;
    size_t entries;
    struct model_msg *msgs;
    size_t tail;
    size_t head; /* multicast: common; unicast: where nobody was */
    struct model_sub subs[HANDLES];
};

static char dir[64];
static unsigned int seed;

static uint32_t rnd(uint32_t n)
{
    seed = seed * 1103515245 + 12345;
    return (seed >> 16) % n;
}

static void model_end(struct model *m, struct model_sub *s)
{
    if (m->delivery == CHAN_UNICAST)
        m->head = MAX(m->head, s->pos);
    s->state = FREE;
}

/* Where the slowest is. */
static size_t model_slowest(const struct model *m)
{
    size_t slow = m->tail;
    bool any = false;

    if (m->delivery == CHAN_MULTICAST)
        return m->head;
    for (int i = 0; i < HANDLES; i++)
        if (m->subs[i].state != FREE) {
            any = true;
            slow = MIN(slow, m->subs[i].pos);
        }
    if (!any)
        return m->delivery == CHAN_UNICAST ? m->head : m->tail;
    return slow;
}

static bool model_room(struct model *m)
{
    if (m->tail - model_slowest(m) < m->entries)
        return true;
    for (int i = 0; i < HANDLES; i++)
        if (m->subs[i].state == DEAD && m->tail - m->subs[i].pos >= m->entries)
            model_end(m, &m->subs[i]);
    return m->tail - model_slowest(m) < m->entries;
}

static int model_live(const struct model *m, uint32_t id)
{
    for (int i = 0; i < HANDLES; i++)
        if (m->subs[i].state == LIVE && m->subs[i].id == id)
            return i;
    return -1;
}

static int model_send(struct model *m, const struct model_msg *msg)
{
    if (msg->target && model_live(m, msg->target) < 0)
        return -ENOENT;
    if (!model_room(m))
        return -ENOBUFS;
    m->msgs[m->tail++] = *msg;
    return 0;
}

static int model_recv(struct model *m, struct model_sub *s, struct model_msg *out, uint64_t *lost)
{
    size_t *pos = m->delivery == CHAN_MULTICAST ? &m->head : &s->pos;

    *lost = 0;
    for (; *pos < m->tail; ++*pos) {
        const struct model_msg *msg = &m->msgs[*pos];

        if (msg->lost) {
            ++*lost;
        } else if (msg->target && msg->target != s->id) {
            if (m->delivery == CHAN_MULTICAST && model_live(m, msg->target) >= 0)
                return -EAGAIN;
            *lost += m->delivery == CHAN_MULTICAST;
        } else {
            *out = *msg;
            ++*pos;
            return 0;
        }
    }
    return -EAGAIN;
}

/* Gives up a handle as a death does: the locks go, nothing is said. */
static void drop(struct chan *c)
{
    c->sender = c->sub = -1;
    chan_close(c);
}

static struct chan *open_or_die(uint32_t id, unsigned int access)
{
    struct chan *c = NULL;

    if (chan_open(dir, &(struct chan_ref){.id = id}, access, &c, NULL) < 0)
        abort();
    return c;
}

static void join(struct model *m, struct chan **h, uint32_t id)
{
    struct model_sub *s = NULL;
    size_t start;
    int i;

    for (i = 0; i < HANDLES; i++)
        if (m->subs[i].state != LIVE) {
            s = &m->subs[i];
            break;
        }
    if (!s)
        return;
    h[i] = open_or_die(id, CHAN_RECV);
    CHECK_INT(h[i]->sub, i);
    if (s->state == DEAD)
        model_end(m, s);
    start = model_slowest(m);
    if (m->delivery == CHAN_BROADCAST)
        start = m->tail > m->entries ? m->tail - m->entries : 0;
    *s = (struct model_sub){.state = LIVE, .id = chan_sub_id(h[i]), .pos = start};
}

static void leave(struct model *m, struct chan **h, bool dead)
{
    uint32_t i = rnd(HANDLES);

    if (m->subs[i].state != LIVE)
        return;
    if (dead) {
        m->subs[i].state = DEAD;
        drop(h[i]);
    } else {
        model_end(m, &m->subs[i]);
        chan_close(h[i]);
    }
    h[i] = NULL;
}

static void send_one(struct model *m, struct chan *c)
{
    struct model_msg msg = {.value = rnd(UINT32_MAX), .len = rnd(MAX_LEN + 1)};
    unsigned char data[MAX_LEN];
    uint32_t i = rnd(HANDLES);

    if (rnd(4) == 0) /* an id that may be in use, or have been */
        msg.target = m->subs[i].id;
    memset(data, (int)(msg.value & 0xff), sizeof(data));
    CHECK_INT(chan_send(c, data, msg.len, msg.value, msg.target, 0), model_send(m, &msg));
}

/* A sender dies after it has won a position. */
static void send_and_die(struct model *m, uint32_t id, bool marked)
{
    struct model_msg msg = {.lost = true};
    struct chan *c;

    /* Sends for the message's place in the order, then undoes the publication. */
    if (!model_room(m))
        return;
    c = open_or_die(id, CHAN_SEND);
    if (chan_send(c, "", 0, 0, 0, 0) == 0) {
        struct uring_ipc_desc *d = (void *)(c->data +
                                            ringmap_desc_offset(c->map.entries, (uint32_t)m->tail));

        d->seq = marked ? d->seq - CHAN_MARK : (uint32_t)(m->tail + 1 - m->entries);
        m->msgs[m->tail++] = msg;
    } else {
        CHECK_STR("no room in the channel", "room in the model");
    }
    drop(c);
}

static void recv_one(struct model *m, struct chan **h)
{
    struct model_msg want;
    unsigned char data[MAX_LEN];
    uint32_t i = rnd(HANDLES);
    struct chan_got got;
    uint64_t lost;
    int r, want_r;

    if (m->subs[i].state != LIVE)
        return;
    r = chan_recv(h[i], data, sizeof(data), &got, 0);
    want_r = model_recv(m, &m->subs[i], &want, &lost);
    CHECK_INT(r, want_r);
    CHECK_INT(got.lost, lost);
    if (r < 0 || want_r < 0)
        return;
    CHECK_INT(got.msg.len, want.len);
    CHECK_INT(got.msg.user_data, want.value);
    CHECK_INT(got.msg.target, want.target);
    for (size_t k = 0; k < want.len; k++)
        if (data[k] != (want.value & 0xff)) {
            CHECK(data[k] == (want.value & 0xff));
            break;
        }
}

static void run(enum chan_delivery delivery, uint32_t entries, unsigned long ops)
{
    struct chan_conf conf = {
        .delivery = delivery, .entries = entries, .max_msg = MAX_LEN, .mode = 0600};
    struct model m = {.delivery = delivery, .entries = entries};
    struct chan *h[HANDLES] = {NULL};
    struct chan *s;
    uint32_t id;

    m.msgs = calloc(MAX_MSGS, sizeof(*m.msgs));
    if (!m.msgs || chan_create(dir, &conf, &id, NULL) < 0)
        abort();
    s = open_or_die(id, CHAN_SEND);
    while (ops-- && m.tail < MAX_MSGS - 1 && !check_failed) {
        uint32_t what = rnd(100);

        if (what < 3)
            join(&m, h, id);
        else if (what < 5)
            leave(&m, h, what == 3);
        else if (what < 7)
            send_and_die(&m, id, rnd(2));
        else if (what < 45)
            send_one(&m, s);
        else
            recv_one(&m, h);
    }
    for (int i = 0; i < HANDLES; i++)
        chan_close(h[i]);
    chan_close(s);
    CHECK_INT(chan_destroy(dir, &(struct chan_ref){.id = id}, NULL), 0);
    free(m.msgs);
}

int main(int argc, char **argv)
{
    unsigned long rounds = chantest_rounds(4, 100);

    chantest_dir(dir);
    for (unsigned long k = 0; k < rounds && !check_failed; k++)
        for (enum chan_delivery d = CHAN_UNICAST; d <= CHAN_MULTICAST && !check_failed; d++)
            for (uint32_t entries = 1; entries <= 16 && !check_failed; entries *= 4) {
                unsigned int start = argc > 1 ? (unsigned int)atoi(argv[1])
                                              : (unsigned int)k * 7919;

                seed = start + (unsigned int)d * 64 + entries;
                run(d, entries, 8000);
                if (check_failed)
                    fprintf(stderr, "seed %u, delivery %d, %u entries\n", start, (int)d, entries);
            }
    chantest_dir_done(dir);
    return check_done();
}
