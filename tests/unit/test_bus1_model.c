/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Random operations on the bus and on a model of it that knows nothing of lists, references and
 * tables: flat arrays of all that ever was, searched from end to end. Both must agree on every
 * result, every message and every count.
 */
#include <errno.h>
#include <stdlib.h>

#include "bus.h"
#include "bus1_abi.h"
#include "check.h"

enum { PEERS = 8, USERS = 3, OBJS = 4096, QUEUE = 4096, CARRY = 3, BATCH = 5 };
enum { MAX_MESSAGES = 60, MAX_HANDLES = 90, MAX_NODES = 40 };

struct m_obj {
    int kind; /* 0 none, 1 node, 2 handle */
    int peer; /* whose */
    int node; /* of a handle: the object it refers to */
    int payer;
    bool alive;
    bool waiting; /* in a message */
    uint64_t id;
};

struct m_msg {
    int tx;
    int payer; /* -1: a notification */
    uint64_t type;
    uint64_t id;
    uint32_t tag;
    int n_carried;
    int carried[CARRY];
};

static struct m_obj obj[OBJS];
static int n_obj;
static struct m_msg queue[PEERS][QUEUE];
static int n_queue[PEERS];
static struct b1_peer *peer[PEERS];
static uint64_t highest[PEERS]; /* id so far */
static int tx;

static uint64_t rng_state;

static uint32_t rnd(uint32_t n)
{
    rng_state = rng_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(rng_state >> 33) % n;
}

static int user_of(int p)
{
    return p % USERS;
}

static int obj_find(int p, uint64_t id, bool also_waiting)
{
    for (int i = 0; i < n_obj; i++)
        if (obj[i].alive && obj[i].peer == p && obj[i].id == id &&
            (also_waiting || !obj[i].waiting))
            return i;
    return -1;
}

static int handle_find(int p, uint64_t id)
{
    int i = obj_find(p, id, false);

    return i >= 0 && obj[i].kind == 2 ? i : -1;
}

static bool node_alive(int handle)
{
    return obj[obj[handle].node].alive;
}

static int count(int kind, int user)
{
    int n = 0;

    for (int i = 0; i < n_obj; i++)
        n += obj[i].alive && obj[i].kind == kind && obj[i].payer == user;
    return n;
}

static int count_messages(int user)
{
    int n = 0;

    for (int p = 0; p < PEERS; p++)
        for (int i = 0; i < n_queue[p]; i++)
            n += queue[p][i].payer == user;
    return n;
}

static int obj_add(struct m_obj o)
{
    if (n_obj == OBJS) {
        fprintf(stderr, "the model is full\n");
        exit(1);
    }
    o.alive = true;
    obj[n_obj] = o;
    return n_obj++;
}

static void queue_add(int p, struct m_msg m)
{
    if (!peer[p])
        return;
    m.tx = tx;
    queue[p][n_queue[p]++] = m;
}

/* Releases all of @v at one instant. */
static void model_release(const int *v, int n)
{
    bool had_handles[OBJS] = {false};

    for (int i = 0; i < n; i++)
        if (obj[v[i]].kind == 2)
            had_handles[obj[v[i]].node] = true;
    for (int i = 0; i < n; i++)
        obj[v[i]].alive = false;
    for (int i = 0; i < n; i++)
        for (int h = 0; obj[v[i]].kind == 1 && h < n_obj; h++)
            if (obj[h].alive && obj[h].kind == 2 && obj[h].node == v[i])
                queue_add(obj[h].peer, (struct m_msg){.type = BUS1_MESSAGE_TYPE_NODE_RELEASE,
                                                      .payer = -1,
                                                      .id = obj[h].id});
    for (int k = 0; k < n_obj; k++) {
        bool held = false;

        for (int h = 0; h < n_obj; h++)
            held |= obj[h].alive && obj[h].kind == 2 && obj[h].node == k;
        if (had_handles[k] && obj[k].alive && !held)
            queue_add(obj[k].peer, (struct m_msg){.type = BUS1_MESSAGE_TYPE_HANDLE_RELEASE,
                                                  .payer = -1,
                                                  .id = obj[k].id});
    }
}

/* Forgets what is dead, so that the arrays stay short. */
static void model_compact(void)
{
    static int moved[OBJS];
    bool keep[OBJS] = {false};
    int n = 0;

    for (int i = 0; i < n_obj; i++) {
        keep[i] |= obj[i].alive;
        if (obj[i].alive && obj[i].kind == 2)
            keep[obj[i].node] = true;
    }
    for (int i = 0; i < n_obj; i++)
        if (keep[i])
            moved[i] = n++;
    for (int i = 0; i < n_obj; i++)
        if (keep[i]) {
            obj[moved[i]] = obj[i];
            if (obj[moved[i]].kind == 2)
                obj[moved[i]].node = moved[obj[moved[i]].node];
        }
    for (int p = 0; p < PEERS; p++)
        for (int i = 0; i < n_queue[p]; i++)
            for (int k = 0; k < queue[p][i].n_carried; k++)
                queue[p][i].carried[k] = moved[queue[p][i].carried[k]];
    n_obj = n;
}

/* An id of the peer, mostly a good one. */
static uint64_t some_id(int p, int kind)
{
    if (n_obj && rnd(12))
        for (int tries = 0; tries < 60; tries++) {
            int i = (int)rnd((uint32_t)n_obj);

            if (obj[i].alive && obj[i].peer == p && (!kind || obj[i].kind == kind))
                return obj[i].id;
        }
    return rnd(2) ? rnd(400) : (uint64_t)rnd(4) - 2;
}

static void check_fresh(int p, uint64_t id)
{
    CHECK((id & BUS1_MANAGED) && id > highest[p]);
    highest[p] = id;
}

static void op_transfer(int p)
{
    int q = (int)rnd(PEERS), n = (int)rnd(BATCH), n_new = 0, want = 0;
    struct b1_transfer t[BATCH];

    if (!peer[q])
        return;
    for (int i = 0; i < n; i++) {
        int h;

        t[i] = (struct b1_transfer){.create = rnd(3) == 0};
        if (t[i].create) {
            n_new++;
            continue;
        }
        t[i].src = some_id(p, 2);
        h = handle_find(p, t[i].src);
        if (h < 0 || !node_alive(h))
            want = -EBADRQC;
    }
    if (!want && ((n_new && count(1, user_of(p)) + n_new > MAX_NODES) ||
                  (n && count(2, user_of(q)) + n > MAX_HANDLES)))
        want = -EDQUOT;
    CHECK_INT(b1_transfer(peer[p], peer[q], t, (size_t)n), want);
    for (int i = 0; i < n && !want; i++) {
        int node;

        if (t[i].create) {
            check_fresh(p, t[i].src);
            node = obj_add(
                (struct m_obj){.kind = 1, .peer = p, .payer = user_of(p), .id = t[i].src});
        } else {
            node = obj[handle_find(p, t[i].src)].node;
        }
        check_fresh(q, t[i].dst);
        obj_add((struct m_obj){
            .kind = 2, .peer = q, .payer = user_of(q), .node = node, .id = t[i].dst});
    }
}

static void op_release(int p)
{
    int n = (int)rnd(BATCH), v[BATCH], want = 0;
    uint64_t ids[BATCH];

    for (int i = 0; i < n; i++) {
        ids[i] = some_id(p, 0);
        v[i] = obj_find(p, ids[i], false);
        if (v[i] < 0)
            want = -EBADRQC;
        for (int k = 0; k < i; k++)
            if (ids[k] == ids[i])
                want = -EBADRQC;
    }
    CHECK_INT(b1_release(peer[p], ids, (size_t)n), want);
    if (!want)
        model_release(v, n);
}

static void op_close(int p)
{
    static int v[OBJS];
    int n = 0;

    for (int i = 0; i < n_obj; i++)
        if (obj[i].alive && obj[i].peer == p)
            v[n++] = i;
    b1_peer_close(peer[p]);
    peer[p] = NULL;
    n_queue[p] = 0;
    model_release(v, n);
}

/* What a SEND of these must answer. */
static int model_send(int p, const uint64_t *to, int n, const uint64_t *carry, int n_carry)
{
    int u = user_of(p);

    for (int i = 0; i < n; i++) {
        int h = handle_find(p, to[i]);

        if (h < 0 || !node_alive(h))
            return -EBADRQC;
    }
    for (int i = 0; i < n_carry; i++) {
        int h = handle_find(p, carry[i]);

        if (h < 0 || !node_alive(h))
            return -EBADRQC;
    }
    if (count_messages(u) + n > MAX_MESSAGES || count(2, u) + n * n_carry > MAX_HANDLES)
        return -EDQUOT;
    for (int i = 0; i < n && n_carry; i++) {
        int q = obj[obj[handle_find(p, to[i])].node].peer;

        if (q != p && count(2, user_of(q)) > MAX_HANDLES)
            return -EDQUOT;
    }
    return 0;
}

static void op_send(int p)
{
    /* Ids of handles in a message are the bus's secret: even numbers stand for them here. */
    static uint64_t secret = UINT64_C(1) << 40;
    static uint32_t tag;
    int n = 1 + (int)rnd(BATCH - 1), n_carry = rnd(2) ? (int)rnd(CARRY + 1) : 0, want;
    uint64_t to[BATCH], carry[CARRY];
    struct b1_packet *pk;

    for (int i = 0; i < n; i++)
        to[i] = some_id(p, 2);
    for (int i = 0; i < n_carry; i++)
        carry[i] = some_id(p, 2);
    tag++;
    want = model_send(p, to, n, carry, n_carry);
    CHECK_INT(b1_packet_new(sizeof(tag), (size_t)n, (size_t)n_carry, &pk), 0);
    memcpy(b1_packet_data(pk), &tag, sizeof(tag));
    CHECK_INT(b1_send(peer[p], pk, to, carry, NULL), want);
    if (want) {
        b1_packet_free(pk);
        return;
    }
    for (int i = 0; i < n; i++) {
        int node = obj[handle_find(p, to[i])].node, q = obj[node].peer;
        struct m_msg m = {
            .type = BUS1_MESSAGE_TYPE_USER, .id = obj[node].id, .tag = tag, .payer = user_of(p)};

        for (int k = 0; k < n_carry; k++)
            m.carried[m.n_carried++] = obj_add(
                (struct m_obj){.kind = 2,
                               .peer = q,
                               .payer = user_of(p),
                               .waiting = true,
                               .id = secret += 2,
                               .node = obj[handle_find(p, carry[k])].node});
        queue_add(q, m);
    }
}

/* Which of the messages that may come first this one is, or -1. */
static int queue_match(int p, const struct b1_view *v)
{
    for (int i = 0; i < n_queue[p] && queue[p][i].tx == queue[p][0].tx; i++) {
        const struct m_msg *m = &queue[p][i];

        if (m->type == v->type && m->type == BUS1_MESSAGE_TYPE_USER)
            return i == 0 && m->id == v->id && v->n_data == sizeof(m->tag) &&
                           !memcmp(v->data, &m->tag, sizeof(m->tag))
                       ? 0
                       : -1;
        if (m->type == v->type && m->id == v->id)
            return i;
    }
    return -1;
}

static void op_recv(int p)
{
    struct b1_view v;
    struct m_msg m;
    int r = b1_recv_begin(peer[p], &v), at;

    CHECK_INT(r, n_queue[p] ? 0 : -EAGAIN);
    if (r < 0)
        return;
    if (!rnd(8)) {
        b1_recv_abort(peer[p], &v);
        return;
    }
    at = queue_match(p, &v);
    CHECK(at >= 0);
    if (at < 0)
        exit(check_done());
    m = queue[p][at];
    memmove(&queue[p][at], &queue[p][at + 1], (size_t)(n_queue[p] - at - 1) * sizeof(m));
    n_queue[p]--;
    CHECK_INT(v.n_transfers, m.n_carried);
    if (m.payer >= 0)
        CHECK_INT(v.account, m.payer);
    for (int i = 0; i < m.n_carried; i++) {
        struct m_obj *o = &obj[m.carried[i]];

        CHECK(obj_find(p, v.transfers[i], false) < 0);
        for (int k = 0; k < n_queue[p]; k++)
            if (queue[p][k].type == BUS1_MESSAGE_TYPE_NODE_RELEASE && queue[p][k].id == o->id)
                queue[p][k].id = v.transfers[i];
        o->id = v.transfers[i];
        o->waiting = false;
        o->payer = user_of(p);
    }
    CHECK_INT(b1_recv_commit(peer[p], &v), 0);
}

static void check_usage(struct b1_bus *bus)
{
    struct b1_usage use;
    uint64_t n[3] = {0}, waiting = 0;

    for (int i = 0; i < n_obj; i++)
        n[obj[i].kind] += obj[i].alive;
    for (int u = 0; u < USERS; u++)
        waiting += (uint64_t)count_messages(u);
    b1_bus_usage(bus, &use);
    CHECK_INT(use.nodes, n[1]);
    CHECK_INT(use.handles, n[2]);
    CHECK_INT(use.messages, waiting);
}

static void run(uint64_t seed, int n_ops)
{
    struct b1_config cfg = {
        .limits = {.peers = 8,
                   .nodes = MAX_NODES,
                   .handles = MAX_HANDLES,
                   .messages = MAX_MESSAGES,
                   .bytes = 1 << 30,
                   .message_bytes = 64,
                   .batch = 64},
    };
    struct b1_bus *bus;
    int failed = check_failed;

    rng_state = seed;
    CHECK_INT(b1_bus_new(&cfg, &bus), 0);
    for (int i = 0; i < n_ops && check_failed == failed; i++) {
        int p = (int)rnd(PEERS), what = (int)rnd(100);

        tx++;
        if (!peer[p]) {
            CHECK_INT(b1_peer_new(bus, (uint32_t)user_of(p), NULL, &peer[p]), 0);
            highest[p] = 0;
        } else if (what < 20)
            op_transfer(p);
        else if (what < 32)
            op_release(p);
        else if (what < 62)
            op_send(p);
        else if (what < 99)
            op_recv(p);
        else
            op_close(p);
        if (n_obj > OBJS / 4)
            model_compact();
        if (i % 64 == 0)
            check_usage(bus);
    }
    for (int p = 0; p < PEERS; p++)
        if (peer[p])
            op_close(p);
    check_usage(bus);
    b1_bus_free(bus);
    n_obj = 0;
    if (check_failed != failed)
        fprintf(stderr, "seed %" PRIu64 "\n", seed);
}

int main(int argc, char **argv)
{
    const char *full = getenv("IPCBOX_TEST_LONG");
    int n = full && *full == '1' ? 1000000 : 60000;

    if (argc > 1) {
        run(strtoull(argv[1], NULL, 0), n);
        return check_done();
    }
    for (uint64_t seed = 1; seed <= 4; seed++)
        run(seed * 7919, n / 4);
    return check_done();
}
