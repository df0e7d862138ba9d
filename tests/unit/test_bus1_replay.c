/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is recorded and done again gives every receiver the same messages in the same order:
 * random traffic, recorded from a random moment on as the server writes it, against a log of what
 * the receivers really got.
 */
#include <errno.h>
#include <stdlib.h>

#include "bus1_abi.h"
#include "bus_replay.h"
#include "check.h"

enum { PEERS = 6, OPS = 240, IDS = 64 };

struct actor {
    struct b1_client *client;
    uint64_t serial;
    uint64_t ids[IDS]; /* nodes and handles */
    size_t n;
};

struct world {
    struct b1_device dev;
    struct b1_embedded *bus;
    struct actor actors[PEERS];
    struct buf text;  /* the recording */
    struct buf *seen; /* by each peer */
    bool recording;
    unsigned int seed;
    uint64_t last_serial;
    uint64_t snapshot_peer;
    unsigned int kinds; /* of messages that were received */
    unsigned int waiting;
};

enum { SERIALS = 4096 };

static int roll(struct world *w, int n)
{
    return rand_r(&w->seed) % n;
}

/* ---- recording ---- */

static void on_event(void *ctx, const struct b1_event *ev)
{
    struct world *w = ctx;

    if (ev->kind == B1_EVENT_OPEN)
        w->last_serial = ev->peer;
    if (w->recording)
        b1_event_write(&w->text, ev, true);
}

static bool see_peer(void *ctx, uint64_t serial, uint32_t uid, void *data, size_t n, size_t bytes)
{
    struct world *w = ctx;

    (void)data, (void)n, (void)bytes;
    w->snapshot_peer = serial;
    b1_event_write(&w->text, &(struct b1_event){.kind = B1_EVENT_PEER, .peer = serial, .uid = uid},
                   true);
    return true;
}

static void see_node(void *ctx, uint64_t id, size_t n)
{
    struct world *w = ctx;

    (void)n;
    b1_event_write(&w->text,
                   &(struct b1_event){.kind = B1_EVENT_NODE, .peer = w->snapshot_peer, .id = id},
                   true);
}

static void see_handle(void *ctx, uint64_t id, uint64_t owner, uint64_t node, bool waiting)
{
    struct world *w = ctx;

    b1_event_write(&w->text,
                   &(struct b1_event){.kind = B1_EVENT_HANDLE,
                                      .peer = w->snapshot_peer,
                                      .id = id,
                                      .other = owner,
                                      .node = node,
                                      .waiting = waiting},
                   true);
}

static void see_message(void *ctx, const struct b1_view *v)
{
    struct world *w = ctx;

    w->waiting |= 1U << v->type;
    b1_event_write(&w->text,
                   &(struct b1_event){.kind = B1_EVENT_WAITING,
                                      .peer = w->snapshot_peer,
                                      .other = v->from,
                                      .message_type = v->type,
                                      .id = v->id,
                                      .handles = v->transfers,
                                      .n_handles = v->n_transfers,
                                      .data = v->data,
                                      .length = v->n_data},
                   true);
}

static void see_end(void *ctx)
{
    struct world *w = ctx;

    b1_event_write(&w->text, &(struct b1_event){.kind = B1_EVENT_BEGIN}, true);
    w->recording = true;
}

static void record(struct world *w)
{
    const struct b1_visit visit = {see_peer, see_node, see_handle, see_message, see_end, w};

    for (int i = 0; i < PEERS; i++)
        if (w->actors[i].client) {
            int fd = b1_client_fd(w->actors[i].client);

            b1_bus_visit(b1_peer_bus(b1_embedded_peer(w->bus, fd)), &visit);
            return;
        }
    see_end(w);
}

/* ---- what a receiver got, as text ---- */

static void note(struct buf *b, uint64_t type, uint64_t id, const uint64_t *handles, size_t n,
                 const void *data, size_t len)
{
    buf_printf(b, "%d %d:", (int)type, (int)id);
    for (size_t i = 0; i < n; i++)
        buf_printf(b, " %d", (int)handles[i]);
    buf_add_char(b, ' ');
    buf_add(b, data, len);
    buf_add_char(b, '\n');
}

static void on_replayed(void *ctx, const struct b1_replayed *m)
{
    struct buf *again = ctx;

    CHECK(m->peer < SERIALS);
    note(&again[m->peer], m->type, m->id, m->handles, m->n_handles, m->data, m->len);
}

/* ---- traffic ---- */

static void keep(struct actor *a, uint64_t id)
{
    if (a->n < IDS)
        a->ids[a->n++] = id;
}

static uint64_t any_id(struct world *w, const struct actor *a)
{
    return a->n ? a->ids[roll(w, (int)a->n)] : 12345;
}

static void do_open(struct world *w, struct actor *a)
{
    if (a->client || w->last_serial + 1 >= SERIALS)
        return;
    CHECK_INT(b1_client_open(&w->dev, false, &a->client), 0);
    a->serial = w->last_serial;
    a->n = 0;
}

static void do_receive(struct world *w, struct actor *a)
{
    struct b1_received m;
    int r = b1_client_recv(a->client, &m, NULL);

    CHECK(r == 0 || r == -EAGAIN);
    if (r < 0)
        return;
    w->kinds |= 1U << m.type;
    for (size_t i = 0; i < m.n_transfers; i++)
        keep(a, m.transfers[i]);
    if (w->recording)
        note(&w->seen[a->serial], m.type, m.id, m.transfers, m.n_transfers, m.data, m.len);
}

static void do_send(struct world *w, struct actor *a)
{
    uint64_t to[3], carry[2];
    size_t n = 1 + (size_t)roll(w, 3), k = (size_t)roll(w, 3);
    char data[64];

    for (size_t i = 0; i < n; i++)
        to[i] = any_id(w, a);
    for (size_t i = 0; i < k; i++)
        carry[i] = any_id(w, a);
    snprintf(data, sizeof(data), "message %d", roll(w, 100000));
    (void)b1_client_send(a->client, to, n, data, (size_t)roll(w, (int)strlen(data) + 1), carry, k,
                         NULL); /* it may hit what is gone, or a node's id */
}

static void do_release(struct world *w, struct actor *a)
{
    size_t n = a->n ? 1 + (size_t)roll(w, (int)(a->n < 3 ? a->n : 3)) : 0;

    /* The last ones, after a shuffle. */
    for (size_t i = 0; i < n; i++) {
        size_t at = (size_t)roll(w, (int)(a->n - i)), last = a->n - 1 - i;
        uint64_t id = a->ids[at];

        a->ids[at] = a->ids[last];
        a->ids[last] = id;
    }
    if (n && b1_client_release(a->client, &a->ids[a->n - n], n, NULL) == 0)
        a->n -= n;
}

static void step(struct world *w)
{
    struct actor *a = &w->actors[roll(w, PEERS)], *b = &w->actors[roll(w, PEERS)];
    uint64_t node, handle;
    int what = roll(w, 100);

    if (!a->client) {
        do_open(w, a);
    } else if (what < 3) {
        b1_client_close(a->client);
        a->client = NULL;
    } else if (what < 20 && b->client) {
        if (b1_client_node(a->client, b->client, &node, &handle) == 0) {
            keep(a, node);
            keep(b, handle);
        }
    } else if (what < 35 && b->client) {
        if (b1_client_give(a->client, b->client, any_id(w, a), &handle) == 0)
            keep(b, handle);
    } else if (what < 65) {
        do_send(w, a);
    } else if (what < 75) {
        do_release(w, a);
    } else {
        do_receive(w, a);
    }
}

static int replay_text(struct buf *text, struct b1_replay *r, struct err *e)
{
    struct b1_event_lists lists = {0};
    char *save = NULL;
    int k = 0;

    for (char *line = strtok_r(text->data, "\n", &save); line && k == 0;
         line = strtok_r(NULL, "\n", &save)) {
        struct b1_event ev;

        CHECK_INT(b1_event_parse(line, &lists, &ev), 0);
        k = b1_replay_event(r, &ev, e);
    }
    b1_event_lists_done(&lists);
    return k;
}

static void check_replay(struct world *w)
{
    const struct b1_config cfg = {.limits = B1_LIMITS_DEFAULT};
    struct buf *again = calloc(SERIALS, sizeof(*again));
    struct err e = ERR_INIT;
    struct b1_embedded *bus;
    struct b1_device dev;
    struct b1_replay *r;
    int k;

    if (!again || b1_embedded_new(&cfg, &dev, &bus) < 0 ||
        b1_replay_new(&dev, false, on_replayed, again, &r) < 0)
        abort();
    k = replay_text(&w->text, r, &e);
    if (k == 0)
        k = b1_replay_end(r, &e);
    if (k < 0)
        fprintf(stderr, "seed %u: %s\n", w->seed, err_text(&e, k));
    CHECK_INT(k, 0);
    b1_replay_free(r);
    b1_embedded_free(bus);
    for (size_t i = 0; i < SERIALS; i++) {
        if (again[i].len || w->seen[i].len)
            CHECK_STR(buf_str(&again[i]), buf_str(&w->seen[i]));
        buf_done(&again[i]);
    }
    free(again);
}

static void round_of(unsigned int seed, unsigned int *kinds, unsigned int *waiting)
{
    struct world w = {.seed = seed, .seen = calloc(SERIALS, sizeof(*w.seen))};
    const struct b1_config cfg = {.limits = B1_LIMITS_DEFAULT, .on_event = on_event, .ctx = &w};
    int begin = roll(&w, OPS);

    if (!w.seen || b1_embedded_new(&cfg, &w.dev, &w.bus) < 0)
        abort();
    for (int i = 0; i < OPS; i++) {
        if (i == begin)
            record(&w);
        step(&w);
    }
    w.recording = false;
    /* What waits at the end is received again last. */
    for (int i = 0; i < PEERS; i++) {
        struct b1_received m;

        while (w.actors[i].client && b1_client_recv(w.actors[i].client, &m, NULL) == 0)
            note(&w.seen[w.actors[i].serial], m.type, m.id, m.transfers, m.n_transfers, m.data,
                 m.len);
    }
    check_replay(&w);
    for (int i = 0; i < PEERS; i++)
        b1_client_close(w.actors[i].client);
    b1_embedded_free(w.bus);
    for (size_t i = 0; i < SERIALS; i++)
        buf_done(&w.seen[i]);
    free(w.seen);
    buf_done(&w.text);
    *kinds |= w.kinds;
    *waiting |= w.waiting;
}

/* A recording that says something else than what comes of it is refused. */
static void test_wrong(const char *text, int want, const char *why)
{
    const struct b1_config cfg = {.limits = B1_LIMITS_DEFAULT};
    struct buf copy = BUF_INIT, *again = calloc(SERIALS, sizeof(*again));
    struct err e = ERR_INIT;
    struct b1_embedded *bus;
    struct b1_device dev;
    struct b1_replay *r;
    int k;

    if (!again || b1_embedded_new(&cfg, &dev, &bus) < 0 ||
        b1_replay_new(&dev, false, on_replayed, again, &r) < 0)
        abort();
    buf_add_str(&copy, text);
    k = replay_text(&copy, r, &e);
    if (k == 0)
        k = b1_replay_end(r, &e);
    CHECK_INT(k, want);
    CHECK(strstr(err_text(&e, k), why));
    b1_replay_free(r);
    b1_embedded_free(bus);
    for (size_t i = 0; i < SERIALS; i++)
        buf_done(&again[i]);
    free(again);
    buf_done(&copy);
}

#define START "open peer=1\ntransfer peer=1 other=1 id=3 handle=5 create=1\n"
#define SENT  START "send peer=1 ids=5 handles= length=2 data=aGk=\n"
#define CAME  "message peer=1 other=1 message_type=0 id=3 handles= length=2\n"

static void test_contradictions(void)
{
    test_wrong(SENT, -EPROTO, "receives more");
    test_wrong(SENT CAME "message peer=1 other=1 message_type=0 id=3 handles= length=2\n", -EPROTO,
               "did not come");
    test_wrong(START CAME, -EPROTO, "did not come");
    test_wrong(SENT "message peer=1 other=1 message_type=2 id=3 handles= length=0\n", -EPROTO,
               "something else");
    test_wrong(SENT "message peer=1 other=1 message_type=0 id=5 handles= length=2\n", -EPROTO,
               "something else");
    test_wrong(SENT "message peer=1 other=1 message_type=0 id=3 handles=7 length=2\n", -EPROTO,
               "something else");
    test_wrong(START "recv peer=1 message_type=0 id=3 handles= length=2\n", -EBADMSG, "nobody");
    test_wrong("send peer=1 ids=5 handles= length=0 data=\n", -EBADMSG, "no peer 1");
    test_wrong(START "send peer=1 ids=9 handles= length=0 data=\n", -EBADMSG, "began too late");
    test_wrong(START "transfer peer=1 other=1 id=9 handle=11 create=0\n", -EBADMSG, "too late");
    test_wrong(START "release peer=1 ids=9\n", -EBADMSG, "began too late");
    test_wrong(START "send peer=1 ids=5 handles= length=2\n", -EBADMSG, "lacks the data");
    test_wrong(START "open peer=1\n", -EBADMSG, "twice");
    test_wrong("lost count=3\n", -EBADMSG, "3 events");
    test_wrong("peer peer=1\nwaiting peer=1 other=2 message_type=0 id=3 handles=9 length=0 data=\n"
               "begin\n",
               -EBADMSG, "at the beginning");
    test_wrong("peer peer=1\nhandle peer=1 id=3 other=7 node=9 waiting=0\nbegin\n", -EBADMSG,
               "at the beginning");
}

int main(void)
{
    int rounds = getenv("IPCBOX_TEST_LONG") ? 5000 : 300;
    unsigned int kinds = 0, waiting = 0;

    for (int i = 0; i < rounds; i++)
        round_of((unsigned int)i, &kinds, &waiting);
    /* It was about everything there is. */
    CHECK_INT(kinds, 7);
    CHECK_INT(waiting, 7);
    test_contradictions();
    return check_done();
}
