/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bus in memory, rule by rule. */
#include <errno.h>
#include <stdlib.h>

#include "bus.h"
#include "bus1_abi.h"
#include "bus_defects.h"
#include "check.h"

static const struct b1_config plain = {.limits = B1_LIMITS_DEFAULT};

static struct b1_bus *bus_new(const struct b1_config *cfg)
{
    struct b1_bus *bus = NULL;

    if (b1_bus_new(cfg, &bus) < 0)
        abort();
    return bus;
}

static struct b1_peer *peer_new(struct b1_bus *bus, uint32_t uid)
{
    struct b1_peer *p = NULL;

    if (b1_peer_new(bus, uid, NULL, &p) < 0)
        abort();
    return p;
}

/* A node of @owner with one handle, in @to. */
static uint64_t link_new(struct b1_peer *owner, struct b1_peer *to, uint64_t *node)
{
    struct b1_transfer t = {.create = true};

    CHECK_INT(b1_transfer(owner, to, &t, 1), 0);
    *node = t.src;
    return t.dst;
}

static uint64_t handle_copy(struct b1_peer *from, struct b1_peer *to, uint64_t handle)
{
    struct b1_transfer t = {.src = handle};

    CHECK_INT(b1_transfer(from, to, &t, 1), 0);
    return t.dst;
}

static int send_with(struct b1_peer *p, const uint64_t *to, size_t n, const char *text,
                     const uint64_t *transfers, size_t n_transfers)
{
    struct b1_packet *pk;
    int r = b1_packet_new(strlen(text), n, n_transfers, &pk);

    if (r < 0)
        return r;
    memcpy(b1_packet_data(pk), text, strlen(text));
    r = b1_send(p, pk, to, transfers, NULL);
    if (r < 0)
        b1_packet_free(pk);
    return r;
}

static int send_text(struct b1_peer *p, uint64_t to, const char *text)
{
    return send_with(p, &to, 1, text, NULL, 0);
}

/* Takes one message and compares; @transfer gets the first handle in it. */
#define EXPECT(p, t, i, text) expect(__LINE__, p, t, i, text, NULL)

static void expect(int line, struct b1_peer *p, uint64_t type, uint64_t id, const char *text,
                   uint64_t *transfer)
{
    struct b1_view v;
    int r = b1_recv_begin(p, &v);

    if (r < 0) {
        fprintf(stderr, "line %d: nothing to receive\n", line);
        CHECK_INT(r, 0);
        return;
    }
    if (v.type != type || v.id != id || v.n_data != strlen(text))
        fprintf(stderr, "line %d: wrong message\n", line);
    CHECK_INT(v.type, type);
    CHECK_INT(v.id, id);
    CHECK_INT(v.n_data, strlen(text));
    CHECK(v.n_data != strlen(text) || !memcmp(v.data ? v.data : "", text, v.n_data));
    if (transfer)
        *transfer = v.n_transfers ? v.transfers[0] : BUS1_INVALID;
    CHECK_INT(b1_recv_commit(p, &v), 0);
}

static void expect_none(struct b1_peer *p)
{
    struct b1_view v;
    int r = b1_recv_begin(p, &v);

    CHECK_INT(r, -EAGAIN);
    if (r == 0)
        b1_recv_abort(p, &v);
    CHECK(!b1_peer_readable(p));
}

/* Frees the bus, on which nothing may be left. */
static void bus_end(struct b1_bus *bus)
{
    struct b1_usage use;

    b1_bus_usage(bus, &use);
    CHECK_INT(use.peers, 0);
    CHECK_INT(use.nodes, 0);
    CHECK_INT(use.handles, 0);
    CHECK_INT(use.messages, 0);
    CHECK_INT(use.bytes, 0);
    b1_bus_free(bus);
}

static void test_unicast(void)
{
    struct b1_bus *bus = bus_new(&plain);
    struct b1_peer *a = peer_new(bus, 7), *b = peer_new(bus, 8);
    uint64_t node, h = link_new(a, b, &node);
    struct b1_view v;

    CHECK((node & 1) && (h & 1));
    expect_none(a);
    CHECK_INT(send_text(b, h, "one"), 0);
    CHECK_INT(send_text(b, h, ""), 0);
    CHECK(b1_peer_readable(a));
    CHECK_INT(b1_recv_begin(a, &v), 0);
    CHECK_INT(v.account, 8);
    CHECK_INT(v.from, b1_peer_serial(b));
    b1_recv_abort(a, &v);
    EXPECT(a, BUS1_MESSAGE_TYPE_USER, node, "one");
    EXPECT(a, BUS1_MESSAGE_TYPE_USER, node, "");
    expect_none(a);
    CHECK_INT(send_text(b, h + 2, "x"), -EBADRQC);
    CHECK_INT(send_text(a, node, "a node is no handle"), -EBADRQC);
    b1_peer_close(b);
    EXPECT(a, BUS1_MESSAGE_TYPE_HANDLE_RELEASE, node, "");
    b1_peer_close(a);
    bus_end(bus);
}

static void test_notifications(void)
{
    struct b1_bus *bus = bus_new(&plain);
    struct b1_peer *a = peer_new(bus, 0), *b = peer_new(bus, 0), *c = peer_new(bus, 0);
    uint64_t n1, n2, hb = link_new(a, b, &n1), hc = handle_copy(b, c, hb);
    uint64_t hb2 = handle_copy(b, b, hb), self = link_new(a, a, &n2);

    CHECK_INT(b1_release(b, &hb, 1), 0);
    CHECK_INT(b1_release(b, &hb, 1), -EBADRQC);
    expect_none(a);
    CHECK_INT(send_text(b, hb2, "last words"), 0);
    CHECK_INT(b1_release(a, &n1, 1), 0);
    EXPECT(a, BUS1_MESSAGE_TYPE_USER, n1, "last words");
    expect_none(a);
    EXPECT(b, BUS1_MESSAGE_TYPE_NODE_RELEASE, hb2, "");
    EXPECT(c, BUS1_MESSAGE_TYPE_NODE_RELEASE, hc, "");
    CHECK_INT(send_text(c, hc, "too late"), -EBADRQC);
    CHECK_INT(b1_release(c, &hc, 1), 0);
    expect_none(a);
    /* Handle and node in one transaction: nobody is left to be told. */
    CHECK_INT(b1_release(a, (uint64_t[]){self, n2}, 2), 0);
    expect_none(a);
    b1_peer_close(c);
    b1_peer_close(b);
    b1_peer_close(a);
    bus_end(bus);
}

static void test_release_is_atomic(void)
{
    struct b1_bus *bus = bus_new(&plain);
    struct b1_peer *a = peer_new(bus, 0), *b = peer_new(bus, 0);
    uint64_t n, h = link_new(a, b, &n), h2 = handle_copy(b, b, h);

    CHECK_INT(b1_release(b, (uint64_t[]){h, h2, h2 + 2}, 3), -EBADRQC);
    CHECK_INT(b1_release(b, (uint64_t[]){h, h2, h}, 3), -EBADRQC);
    CHECK_INT(send_text(b, h, "still here"), 0);
    CHECK_INT(b1_release(b, NULL, 0), 0);
    CHECK_INT(b1_release(b, (uint64_t[]){h2, h}, 2), 0);
    EXPECT(a, BUS1_MESSAGE_TYPE_USER, n, "still here");
    EXPECT(a, BUS1_MESSAGE_TYPE_HANDLE_RELEASE, n, "");
    expect_none(a);
    b1_peer_close(a);
    b1_peer_close(b);
    bus_end(bus);
}

static void test_transfers(void)
{
    struct b1_bus *bus = bus_new(&plain);
    struct b1_peer *a = peer_new(bus, 1), *b = peer_new(bus, 2), *c = peer_new(bus, 3);
    uint64_t na, nb, nc, ab = link_new(b, a, &nb), ca = link_new(a, c, &na), got;
    uint64_t bc = link_new(c, b, &nc);
    struct b1_transfer t[2] = {{.create = true}, {.src = ab + 2}};

    /* An unknown handle spoils all; ids that were thought of are not reused. */
    CHECK_INT(b1_transfer(a, b, t, 2), -EBADRQC);
    CHECK_INT(b1_transfer(a, b, &(struct b1_transfer){.src = na}, 1), -EBADRQC);
    CHECK_INT(send_with(c, &ca, 1, "take", (uint64_t[]){ca}, 1), 0);
    /* While it waits it counts as held, but cannot be used. */
    CHECK_INT(b1_release(c, &ca, 1), 0);
    CHECK_INT(send_text(a, na + 2, "guess"), -EBADRQC);
    expect(__LINE__, a, BUS1_MESSAGE_TYPE_USER, na, "take", &got);
    expect_none(a);
    CHECK_INT(send_text(a, got, "self"), 0);
    EXPECT(a, BUS1_MESSAGE_TYPE_USER, na, "self");
    CHECK_INT(b1_release(a, &got, 1), 0);
    EXPECT(a, BUS1_MESSAGE_TYPE_HANDLE_RELEASE, na, "");
    /* A node that goes while its handle is under way: first the handle, then the news. */
    CHECK_INT(send_with(a, &ab, 1, "both", &ab, 1), 0);
    CHECK_INT(b1_release(b, &nb, 1), 0);
    expect(__LINE__, b, BUS1_MESSAGE_TYPE_USER, nb, "both", &got);
    EXPECT(b, BUS1_MESSAGE_TYPE_NODE_RELEASE, got, "");
    CHECK_INT(send_with(b, &bc, 1, "dead", &got, 1), -EBADRQC);
    /* A message that nobody will receive lets its handles go. */
    CHECK_INT(send_with(b, &bc, 1, "x", &bc, 1), 0);
    b1_peer_close(b);
    expect(__LINE__, c, BUS1_MESSAGE_TYPE_USER, nc, "x", &got);
    CHECK_INT(b1_release(c, &got, 1), 0);
    EXPECT(c, BUS1_MESSAGE_TYPE_HANDLE_RELEASE, nc, "");
    b1_peer_close(a);
    b1_peer_close(c);
    bus_end(bus);
}

static void test_transfer_in_two_steps(void)
{
    struct b1_bus *bus = bus_new(&plain);
    struct b1_peer *a = peer_new(bus, 1), *b = peer_new(bus, 2);
    struct b1_transfer t = {.create = true}, again = {.create = true};
    struct b1_transfer_op *op;

    CHECK_INT(b1_transfer_begin(a, b, &t, 1, &op), 0);
    CHECK_INT(send_text(b, t.dst, "not yet"), -EBADRQC);
    b1_transfer_abort(op);
    CHECK_INT(send_text(b, t.dst, "never"), -EBADRQC);
    CHECK_INT(b1_transfer_begin(a, b, &again, 1, &op), 0);
    CHECK(again.src != t.src && again.dst != t.dst);
    b1_peer_close(b);
    CHECK_INT(b1_transfer_commit(op), -ESHUTDOWN);
    b1_peer_close(a);
    bus_end(bus);
}

static void test_multicast(void)
{
    enum { N = 40 };
    struct b1_bus *bus = bus_new(&plain);
    struct b1_peer *s = peer_new(bus, 1), *v[N];
    uint64_t node[N], to[N + 1], extra, got;
    struct b1_packet *pk;
    int32_t errors[N + 1];

    for (int i = 0; i < N; i++) {
        v[i] = peer_new(bus, 1);
        to[i] = link_new(v[i], s, &node[i]);
    }
    to[N] = to[0];
    extra = link_new(v[0], s, &got);
    CHECK_INT(send_with(s, to, N + 1, "all", &extra, 1), 0);
    for (int i = 0; i < N; i++)
        expect(__LINE__, v[i], BUS1_MESSAGE_TYPE_USER, node[i], "all", &got);
    EXPECT(v[0], BUS1_MESSAGE_TYPE_USER, node[0], "all");
    b1_peer_close(v[N - 1]);
    EXPECT(s, BUS1_MESSAGE_TYPE_NODE_RELEASE, to[N - 1], "");
    CHECK_INT(b1_packet_new(0, N, 0, &pk), 0);
    CHECK_INT(b1_send(s, pk, to, NULL, errors), -EBADRQC);
    CHECK_INT(errors[0], 0);
    CHECK_INT(errors[N - 1], -EBADRQC);
    b1_packet_free(pk);
    for (int i = N - 2; i >= 0; i--) {
        expect_none(v[i]);
        b1_peer_close(v[i]);
    }
    b1_peer_close(s);
    bus_end(bus);
}

static void test_quota(void)
{
    struct b1_config cfg = {
        .limits = {.peers = 2,
                   .nodes = 2,
                   .handles = 3,
                   .messages = 2,
                   .bytes = 4096,
                   .message_bytes = 2048,
                   .batch = 8},
    };
    struct b1_bus *bus = bus_new(&cfg);
    struct b1_peer *a = peer_new(bus, 1), *b = peer_new(bus, 1), *c = peer_new(bus, 2), *x;
    uint64_t n, h = link_new(a, c, &n), n2, got;
    struct b1_transfer t[4] = {{.create = true}, {.create = true}};
    struct b1_packet *pk;

    CHECK_INT(b1_peer_new(bus, 1, NULL, &x), -EDQUOT);
    CHECK_INT(b1_transfer(a, b, t, 2), -EDQUOT);
    for (int i = 0; i < 4; i++)
        t[i] = (struct b1_transfer){.src = h};
    CHECK_INT(b1_transfer(c, c, t, 4), -EDQUOT);
    CHECK_INT(b1_packet_new(2049, 1, 0, &pk), 0);
    CHECK_INT(b1_send(c, pk, &h, NULL, NULL), -EDQUOT);
    b1_packet_free(pk);
    CHECK_INT(send_text(c, h, "1"), 0);
    CHECK_INT(send_text(c, h, "2"), 0);
    CHECK_INT(send_text(c, h, "3"), -EDQUOT);
    EXPECT(a, BUS1_MESSAGE_TYPE_USER, n, "1");
    CHECK_INT(send_text(c, h, "4"), 0);
    EXPECT(a, BUS1_MESSAGE_TYPE_USER, n, "2");
    EXPECT(a, BUS1_MESSAGE_TYPE_USER, n, "4");
    /* A handle under way is the sender's, then the receiver's. */
    CHECK_INT(send_with(c, &h, 1, "h", (uint64_t[]){h, h}, 2), 0);
    CHECK_INT(send_with(c, &h, 1, "h", &h, 1), -EDQUOT);
    expect(__LINE__, a, BUS1_MESSAGE_TYPE_USER, n, "h", &got);
    CHECK_INT(send_with(c, &h, 1, "h", &h, 1), 0);
    CHECK_INT(b1_transfer(a, b, t, 2), -EBADRQC);
    link_new(a, b, &n2);
    CHECK_INT(b1_release(b, (uint64_t[]){1}, 1), -EBADRQC);
    b1_peer_close(c);
    b1_peer_close(b);
    b1_peer_close(a);
    bus_end(bus);
}

static void test_two_receivers_of_a_peer(void)
{
    struct b1_bus *bus = bus_new(&plain);
    struct b1_peer *a = peer_new(bus, 1);
    uint64_t n, h = link_new(a, a, &n);
    struct b1_view v, w, *pinned;
    size_t n_pinned;

    CHECK_INT(send_text(a, h, "1"), 0);
    CHECK_INT(send_text(a, h, "2"), 0);
    CHECK_INT(b1_queue_pin(a, &pinned, &n_pinned), 0);
    CHECK_INT(b1_recv_begin(a, &v), 0);
    CHECK_INT(b1_recv_begin(a, &w), 0);
    CHECK_INT(b1_recv_commit(a, &w), 0);
    CHECK_INT(b1_recv_commit(a, &v), -EAGAIN);
    EXPECT(a, BUS1_MESSAGE_TYPE_USER, n, "2");
    expect_none(a);
    CHECK_INT(n_pinned, 2);
    CHECK(!memcmp(pinned[1].data, "2", 1));
    b1_queue_unpin(a, pinned, n_pinned);
    /* A reference outlives the peer, which then answers nothing. */
    b1_peer_ref(a);
    b1_peer_close(a);
    CHECK_INT(b1_recv_begin(a, &v), -ESHUTDOWN);
    CHECK_INT(send_text(a, h, "x"), -ESHUTDOWN);
    CHECK_INT(b1_release(a, &n, 1), -ESHUTDOWN);
    b1_peer_unref(a);
    bus_end(bus);
}

static void test_defects(void)
{
    struct b1_config cfg = {.limits = B1_LIMITS_DEFAULT, .defects = B1_DEFECT_ALL};
    struct b1_bus *bus = bus_new(&cfg);
    struct b1_peer *a = peer_new(bus, 1), *b = peer_new(bus, 1);
    uint64_t n, n2, h = link_new(a, b, &n), h2 = handle_copy(b, b, h), h3 = link_new(a, b, &n2);
    struct b1_view v;
    uint64_t id;

    CHECK_INT(b1_release(b, (uint64_t[]){h + 100}, 1), 0);
    CHECK_INT(send_with(b, &h, 1, "ids", &h, 1), 0);
    CHECK_INT(b1_recv_begin(a, &v), 0);
    CHECK(v.account == BUS1_INVALID);
    id = v.transfers[0];
    b1_recv_abort(a, &v);
    CHECK_INT(b1_recv_begin(a, &v), 0);
    CHECK(v.transfers[0] != id);
    CHECK_INT(b1_recv_commit(a, &v), 0);
    CHECK(b1_peer_readable(a));
    /* One of the handles goes: the node is told, and with receiving that it is gone. */
    CHECK_INT(b1_release(b, &h, 1), 0);
    CHECK_INT(send_text(b, h2, "behind"), 0);
    EXPECT(a, BUS1_MESSAGE_TYPE_HANDLE_RELEASE, n, "");
    CHECK_INT(send_text(b, h2, "vanishes"), 0);
    CHECK_INT(b1_recv_begin(a, &v), -EAGAIN);
    /* What waits for a node goes with it. */
    CHECK_INT(send_text(b, h3, "dropped"), 0);
    CHECK_INT(b1_release(a, &n2, 1), 0);
    CHECK_INT(b1_recv_begin(a, &v), -EAGAIN);
    CHECK_INT(send_text(b, h3, "to nobody"), 0);
    EXPECT(b, BUS1_MESSAGE_TYPE_NODE_RELEASE, h3, "");
    CHECK_INT(send_text(b, h3, "to nobody"), -EBADRQC);
    b1_peer_close(a);
    b1_peer_close(b);
    bus_end(bus);
}

int main(void)
{
    test_unicast();
    test_notifications();
    test_release_is_atomic();
    test_transfers();
    test_transfer_in_two_steps();
    test_multicast();
    test_quota();
    test_two_receivers_of_a_peer();
    test_defects();
    return check_done();
}
