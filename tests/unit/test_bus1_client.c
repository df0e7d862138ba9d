/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The client on a bus that misbehaves: once for each way in which the RFC's code differs from its
 * document, and once with all of them. Each way is first shown to be there.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bus1_abi.h"
#include "bus_client.h"
#include "bus_defects.h"
#include "check.h"
#include "macros.h"

enum { BIG = 200000 };

struct world {
    unsigned int defects;
    struct b1_device dev;
    struct b1_embedded *bus;
    bool single;
};

static void world_new(struct world *w, unsigned int defects)
{
    const struct b1_config cfg = {.limits = B1_LIMITS_DEFAULT, .defects = defects};

    w->defects = defects;
    if (b1_embedded_new(&cfg, &w->dev, &w->bus) < 0)
        abort();
    w->single = !(defects & B1_DEFECT_STRIDE);
    CHECK_INT(b1_probe(&w->dev, &w->single), 0);
    CHECK_INT(w->single, (defects & B1_DEFECT_STRIDE) != 0);
}

static void world_end(struct world *w)
{
    CHECK_INT(b1_embedded_oopses(w->bus), 0);
    b1_embedded_free(w->bus);
}

static struct b1_client *client_new(struct world *w)
{
    struct b1_client *c = NULL;

    if (b1_client_open(&w->dev, w->single, &c) < 0)
        abort();
    return c;
}

static int send_text(struct b1_client *c, uint64_t to, const char *text)
{
    return b1_client_send(c, &to, 1, text, strlen(text), NULL, 0, NULL);
}

static void expect(struct b1_client *c, uint64_t type, uint64_t id, const char *text)
{
    struct b1_received m = {0};

    CHECK_INT(b1_client_recv(c, &m, NULL), 0);
    CHECK_INT(m.type, type);
    CHECK_INT(m.id, id);
    CHECK(m.len == strlen(text) && !memcmp(m.data, text, m.len));
}

static void expect_none(struct b1_client *c)
{
    struct b1_received m;

    CHECK_INT(b1_client_recv(c, &m, NULL), -EAGAIN);
}

/* Messages of all sizes, and a handle that goes along and works. */
static void test_messages(unsigned int defects)
{
    struct world w;
    struct b1_client *a, *b;
    uint64_t n, m, h, back;
    struct b1_received got = {0};
    char *big = malloc(BIG);

    world_new(&w, defects);
    a = client_new(&w);
    b = client_new(&w);
    CHECK_INT(b1_client_node(a, b, &n, &h), 0);
    CHECK_INT(b1_client_node(b, a, &m, &back), 0);
    CHECK_INT(send_text(b, h, "one"), 0);
    CHECK_INT(send_text(b, h, ""), 0);
    expect(a, BUS1_MESSAGE_TYPE_USER, n, "one");
    expect(a, BUS1_MESSAGE_TYPE_USER, n, "");
    expect_none(a);
    if (big) {
        memset(big, 'x', BIG);
        CHECK_INT(b1_client_send(b, &h, 1, big, BIG, &h, 1, NULL), 0);
        CHECK_INT(b1_client_recv(a, &got, NULL), 0);
        CHECK(got.len == BIG && !memcmp(got.data, big, BIG));
    }
    CHECK_INT(got.n_transfers, 1);
    CHECK_INT(got.account == BUS1_INVALID, (defects & B1_DEFECT_NO_ACCOUNT) != 0);
    CHECK_INT(send_text(a, got.transfers[0], "to myself"), 0);
    expect(a, BUS1_MESSAGE_TYPE_USER, n, "to myself");
    CHECK_INT(b1_client_wait(a, 5, &got, NULL),
              (defects & B1_DEFECT_POLLIN) ? -ETIMEDOUT : -EDEADLK);
    free(big);
    b1_client_close(a);
    b1_client_close(b);
    world_end(&w);
}

/* What the client must refuse by itself, since the bus would not. */
static void test_refusals(unsigned int defects)
{
    struct world w;
    struct b1_client *a, *b;
    uint64_t n, h, h2, own, to_own, both[2];
    struct err e = ERR_INIT;

    world_new(&w, defects);
    a = client_new(&w);
    b = client_new(&w);
    CHECK_INT(b1_client_node(a, b, &n, &h), 0);
    CHECK_INT(b1_client_give(b, b, h, &h2), 0);
    both[0] = h;
    both[1] = h2;
    CHECK_INT(b1_client_give(b, a, h + 1000, &n), -EBADRQC);
    CHECK_INT(b1_client_send(b, &h, 1, "x", 1, (uint64_t[]){h + 1000}, 1, NULL), -EBADRQC);
    CHECK_INT(b1_client_node(b, b, &own, &to_own), 0);
    CHECK_INT(b1_client_send(b, &h, 1, "x", 1, &own, 1, NULL), -EBADRQC); /* a node's id */
    CHECK_INT(b1_client_give(b, a, own, &n), -EBADRQC);
    CHECK_INT(b1_client_release(b, &to_own, 1, NULL), 0);
    CHECK_INT(b1_client_send(b, &h, 1, "x", 1, &to_own, 1, NULL), -EBADRQC);
    CHECK_INT(b1_client_release(b, (uint64_t[]){h + 1000}, 1, NULL), -EBADRQC);
    CHECK_INT(b1_client_send(b, both, 2, "x", 1, NULL, 0, &e), w.single ? -EOPNOTSUPP : 0);
    CHECK(!w.single || strstr(e.why, "one transaction"));
    CHECK_INT(b1_client_send(b, &h, 1, "x", 1, both, 2, NULL), w.single ? -EOPNOTSUPP : 0);
    CHECK_INT(b1_client_release(b, both, 2, NULL), w.single ? -EOPNOTSUPP : 0);
    if (w.single) {
        CHECK_INT(b1_client_release(b, &h, 1, NULL), 0);
        CHECK_INT(b1_client_release(b, &h2, 1, NULL), 0);
    }
    CHECK_INT(b1_client_release(b, &h, 1, NULL), -EBADRQC);
    b1_client_close(a);
    b1_client_close(b);
    world_end(&w);
}

/* Notifications: what differs is visible, and nothing breaks. */
static void test_releases(unsigned int defects)
{
    bool each = defects & B1_DEFECT_HANDLE_RELEASE;
    struct world w;
    struct b1_client *a, *b;
    uint64_t n, h, h2, k, m;

    world_new(&w, defects);
    a = client_new(&w);
    b = client_new(&w);
    CHECK_INT(b1_client_node(a, b, &n, &h), 0);
    CHECK_INT(b1_client_give(b, b, h, &h2), 0);
    CHECK_INT(b1_client_release(b, &h, 1, NULL), 0);
    if (each)
        expect(a, BUS1_MESSAGE_TYPE_HANDLE_RELEASE, n, "");
    expect_none(a);
    CHECK_INT(send_text(b, h2, "hear"), 0);
    if (!each)
        expect(a, BUS1_MESSAGE_TYPE_USER, n, "hear");
    expect_none(a);
    CHECK_INT(b1_client_node(a, b, &m, &k), 0);
    CHECK_INT(send_text(b, k, "before"), 0);
    CHECK_INT(b1_client_release(a, &m, 1, NULL), 0);
    if (!(defects & B1_DEFECT_NODE_DROPS))
        expect(a, BUS1_MESSAGE_TYPE_USER, m, "before");
    expect_none(a);
    CHECK_INT(send_text(b, k, "after"), (defects & B1_DEFECT_SEND_CLOSED) ? 0 : -EBADRQC);
    expect(b, BUS1_MESSAGE_TYPE_NODE_RELEASE, k, "");
    CHECK_INT(send_text(b, k, "after"), -EBADRQC);
    b1_client_close(a);
    b1_client_close(b);
    world_end(&w);
}

static uint64_t ptr(const void *p)
{
    return (uint64_t)(uintptr_t)p;
}

/* One ioctl after the other on a bare bus, with @defects or without. */
static void test_shown(unsigned int defects)
{
    const struct b1_config cfg = {.limits = B1_LIMITS_DEFAULT, .defects = defects};
    struct b1_device dev;
    struct b1_embedded *bus;
    char data[16] = "0123456789abcde", back[16] = "";
    struct iovec v = {data, 16}, out = {back, 16};
    uint64_t errors[2] = {UINT64_MAX, UINT64_MAX};
    struct bus1_transfer src = {BUS1_TRANSFER_FLAG_CREATE, BUS1_INVALID}, dst, ids[3];
    struct bus1_cmd_transfer t = {
        .to = BUS1_INVALID, .n_transfers = 1, .ptr_src = ptr(&src), .ptr_dst = ptr(&dst)};
    struct bus1_message m = {.n_data = 8, .n_data_vecs = 1, .ptr_data_vecs = ptr(&v)};
    struct bus1_metadata meta;
    struct bus1_cmd_send s = {.n_destinations = 1,
                              .ptr_destinations = ptr(&dst.id),
                              .ptr_errors = ptr(errors),
                              .ptr_message = ptr(&m)};
    struct bus1_cmd_recv r = {.ptr_metadata = ptr(&meta), .ptr_message = ptr(&m)};
    struct bus1_cmd_release rel = {.n_ids = 1, .ptr_ids = 0};
    int fd;

    CHECK_INT(b1_embedded_new(&cfg, &dev, &bus), 0);
    fd = dev.open(dev.ctx);
    CHECK_INT(dev.ioctl(dev.ctx, fd, BUS1_CMD_TRANSFER, &t), 0);
    CHECK_INT(dev.ioctl(dev.ctx, fd, BUS1_CMD_SEND, &s), 0);
    CHECK_INT(errors[0], (defects & B1_DEFECT_ERRORS_U64) ? 0 : INT64_C(-4294967296));
    m = (struct bus1_message){.type = BUS1_INVALID, .n_data_vecs = 1, .ptr_data_vecs = ptr(&out)};
    out.iov_len = 4;
    CHECK_INT(dev.ioctl(dev.ctx, fd, BUS1_CMD_RECV, &r), -EMSGSIZE);
    if (defects & B1_DEFECT_NO_SIZES)
        CHECK_INT(m.n_data, 0);
    else
        CHECK_INT(m.n_data, (defects & B1_DEFECT_WHOLE_VECS) ? 16 : 8);
    out.iov_len = 16;
    CHECK_INT(dev.ioctl(dev.ctx, fd, BUS1_CMD_RECV, &r), (defects & B1_DEFECT_RECV_ONE) != 0);
    CHECK_INT(m.n_data, (defects & B1_DEFECT_WHOLE_VECS) ? 16 : 8);
    m = (struct bus1_message){.type = 1, .n_data_vecs = 0};
    (void)dev.ioctl(dev.ctx, fd, BUS1_CMD_SEND, &s);
    CHECK_INT(b1_embedded_oopses(bus), (defects & B1_DEFECT_SEND_OOPS) != 0);
    CHECK_INT(dev.ioctl(dev.ctx, fd, BUS1_CMD_RELEASE, &rel),
              (defects & B1_DEFECT_RELEASE_ZERO) ? 0 : -EFAULT);
    rel.ptr_ids = ptr(errors);
    errors[0] = 4444;
    CHECK_INT(dev.ioctl(dev.ctx, fd, BUS1_CMD_RELEASE, &rel),
              (defects & B1_DEFECT_RELEASE_ZERO) ? 0 : -EBADRQC);
    /* A handle comes with it, and there is no room for any. */
    ids[0] = (struct bus1_transfer){.id = dst.id};
    m = (struct bus1_message){.n_transfers = 1, .ptr_transfers = ptr(ids)};
    CHECK_INT(dev.ioctl(dev.ctx, fd, BUS1_CMD_SEND, &s), 0);
    ids[1].id = 0;
    m = (struct bus1_message){.type = BUS1_INVALID, .ptr_transfers = ptr(&ids[1])};
    CHECK_INT(dev.ioctl(dev.ctx, fd, BUS1_CMD_RECV, &r) < 0,
              (defects & B1_DEFECT_ALL_TRANSFERS) == 0);
    CHECK_INT(ids[1].id != 0, (defects & B1_DEFECT_ALL_TRANSFERS) != 0);
    dev.close(dev.ctx, fd);
    b1_embedded_free(bus);
}

static int mute_open(void *ctx _unused_)
{
    return 0;
}

static int mute_ioctl(void *ctx _unused_, int fd _unused_, unsigned int cmd _unused_,
                      void *arg _unused_)
{
    return 0;
}

static void mute_close(void *ctx _unused_, int fd _unused_)
{
}

/* A bus that says yes and tells nothing: ids are then none, not what lay on the stack. */
static void test_mute(void)
{
    const struct b1_device dev = {.open = mute_open, .ioctl = mute_ioctl, .close = mute_close};
    uint64_t node = 1, handle = 1, given = 1;
    struct b1_client *c;

    CHECK_INT(b1_client_open(&dev, false, &c), 0);
    CHECK_INT(b1_client_node(c, c, &node, &handle), 0);
    CHECK(node == BUS1_INVALID && handle == BUS1_INVALID);
    CHECK_INT(b1_client_give(c, c, handle, &given), 0);
    CHECK(given == BUS1_INVALID);
    b1_client_close(c);
}

/* More handles than the receiver said it had room for, where the bus does not care. */
static void test_many_handles(unsigned int defects)
{
    enum { MANY = 5000 };
    static uint64_t carry[MANY];
    struct world w;
    struct b1_client *a, *b;
    struct b1_received got = {0};
    uint64_t n, h;

    world_new(&w, defects);
    a = client_new(&w);
    b = client_new(&w);
    CHECK_INT(b1_client_node(a, b, &n, &h), 0);
    for (size_t i = 0; i < MANY; i++)
        carry[i] = h;
    CHECK_INT(b1_client_send(b, &h, 1, "x", 1, carry, MANY, NULL), 0);
    CHECK_INT(b1_client_recv(a, &got, NULL), 0);
    CHECK_INT(got.n_transfers, MANY);
    CHECK_INT(send_text(a, got.transfers[MANY - 1], "works"), 0);
    expect(a, BUS1_MESSAGE_TYPE_USER, n, "works");
    b1_client_close(a);
    b1_client_close(b);
    world_end(&w);
}

/* Which destination was to blame, where one call can have several. */
static void test_blame(void)
{
    struct world w;
    struct b1_client *a, *b;
    uint64_t n, m, to[3];
    char want[64];
    struct err e = ERR_INIT;

    world_new(&w, 0);
    a = client_new(&w);
    b = client_new(&w);
    CHECK_INT(b1_client_node(a, b, &n, &to[0]), 0);
    CHECK_INT(b1_client_node(a, b, &m, &to[1]), 0);
    CHECK_INT(b1_client_node(a, b, &n, &to[2]), 0);
    CHECK_INT(b1_client_release(a, &m, 1, NULL), 0);
    CHECK_INT(b1_client_send(b, to, 3, "x", 1, NULL, 0, &e), -EBADRQC);
    snprintf(want, sizeof(want), "handle %d: %s; nothing was sent", (int)to[1], strerror(EBADRQC));
    CHECK_STR(e.why, want);
    expect_none(a);
    b1_client_close(a);
    b1_client_close(b);
    world_end(&w);
}

static void keep_open(void *ctx _unused_, int fd _unused_)
{
}

/* Of somebody else's peer no id is known: none goes along, but messages pass. */
static void test_adopted(unsigned int defects)
{
    struct b1_device lent;
    struct world w;
    struct b1_client *a, *b, *other;
    struct err e = ERR_INIT;
    uint64_t n, h;

    world_new(&w, defects);
    a = client_new(&w);
    b = client_new(&w);
    CHECK_INT(b1_client_node(a, b, &n, &h), 0);
    lent = w.dev;
    lent.close = keep_open;
    CHECK_INT(b1_client_adopt(&lent, w.single, b1_client_fd(b), &other), 0);
    CHECK_INT(b1_client_send(other, &h, 1, "x", 1, &h, 1, &e), -EBADRQC);
    CHECK(strstr(e.why, "not one of this peer"));
    CHECK_INT(send_text(other, h, "passes"), 0);
    expect(a, BUS1_MESSAGE_TYPE_USER, n, "passes");
    b1_client_close(a);
    b1_client_close(other);
    b1_client_close(b);
    world_end(&w);
}

/* A bus that claims to have brought more than there was room for. */
static struct bus1_message liar_room;
static uint64_t liar_handles, liar_bytes;

static int liar_ioctl(void *ctx _unused_, int fd _unused_, unsigned int cmd, void *arg)
{
    const struct bus1_cmd_recv *recv = arg;
    struct bus1_message *m;

    if (cmd != BUS1_CMD_RECV)
        return 0;
    m = (struct bus1_message *)(uintptr_t)recv->ptr_message;
    liar_room = *m;
    m->type = BUS1_MESSAGE_TYPE_USER;
    m->n_transfers = liar_handles;
    m->n_data = liar_bytes;
    return 0;
}

static void test_liar(void)
{
    const struct b1_device dev = {.open = mute_open, .ioctl = liar_ioctl, .close = mute_close};
    struct b1_received got;
    struct b1_client *c;
    char *behind;
    int p[2];

    CHECK_INT(b1_client_open(&dev, false, &c), 0);
    liar_handles = 20000;
    CHECK_INT(b1_client_recv(c, &got, NULL), -EPROTO);
    liar_handles = 0;
    liar_bytes = UINT64_MAX;
    CHECK_INT(b1_client_recv(c, &got, NULL), -EPROTO);
    /* What is written behind the array meets a page that cannot be written. */
    behind = (char *)(uintptr_t)liar_room.ptr_transfers +
             liar_room.n_transfers * sizeof(struct bus1_transfer);
    CHECK(pipe(p) == 0 && write(p[1], "xx", 2) == 2);
    CHECK(read(p[0], behind, 1) == -1 && errno == EFAULT);
    CHECK(read(p[0], behind - 1, 1) == 1);
    close(p[0]);
    close(p[1]);
    b1_client_close(c);
}

int main(void)
{
    test_mute();
    test_liar();
    test_blame();
    for (unsigned int d = 0; d <= B1_DEFECT_ALL; d = d ? d << 1 : 1) {
        test_shown(d);
        test_messages(d);
        test_refusals(d);
        test_releases(d);
        test_adopted(d);
        if (!(d & B1_DEFECT_STRIDE))
            test_many_handles(d);
    }
    test_messages(B1_DEFECT_ALL);
    test_refusals(B1_DEFECT_ALL);
    test_releases(B1_DEFECT_ALL);
    test_adopted(B1_DEFECT_ALL);
    return check_done();
}
