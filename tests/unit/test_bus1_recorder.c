/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A bus whose calls are recorded: random calls, visited as the monitor visits them. When the
 * recording is replayed each receiver gets the same messages again. Notifications are not compared.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "bus1_abi.h"
#include "bus_recorder.h"
#include "bus_replay.h"
#include "check.h"
#include "macros.h"
#include "timefmt.h"

enum { PEERS = 6, OPS = 240, IDS = 64, SERIALS = 4096, CALLS = 8 };

struct actor {
    struct b1_client *client;
    uint64_t ids[IDS]; /* nodes and handles */
    size_t n;
};

/* A call that the observer has not been told of. */
struct call {
    struct b1_monitor_event ev;
    struct buf part[B1_PARTS];
};

struct world {
    struct b1_device bus; /* behind the one that the clients use */
    struct b1_device dev;
    struct b1_embedded *embedded;
    struct b1_recorder *recorder;
    struct actor actors[PEERS];
    struct call calls[CALLS];
    size_t n_calls;
    size_t late;  /* most calls that are told later than others */
    bool devices; /* peers share an inode, and the files of closed ones are used again */
    uint64_t files[SERIALS];
    size_t n_fds;
    bool observing;
    bool guessed;              /* which peer it is, where files are used again */
    struct buf text;           /* the recording */
    struct buf *seen;          /* by each peer, as its descriptor */
    uint64_t serials[SERIALS]; /* by descriptor: in the recording */
    uint64_t clock;
    uint64_t told[SERIALS]; /* by descriptor: when a peer last got something */
    unsigned int seed;
};

static int roll(struct world *w, int n)
{
    return rand_r(&w->seed) % n;
}

/* Some of these are as long as the recorder waits for calls that are told late. */
static uint64_t tick(struct world *w)
{
    return w->clock += 5 * NSEC_PER_MSEC;
}

/* ---- the monitor ---- */

static uint64_t now(void *ctx)
{
    return tick(ctx);
}

static int on_event(void *ctx, const struct b1_event *ev)
{
    const struct b1_monitor_file *f = ev->private;
    struct world *w = ctx;
    size_t fd = w->n_fds - 1;

    b1_event_write(&w->text, ev, true);
    if (ev->kind != B1_EVENT_OPEN)
        return 0;
    /* The latest that lay there. */
    while (w->files[fd] != f->file)
        fd--;
    w->serials[fd] = ev->peer;
    return 0;
}

/* What tells an open file from others: a device's by its address, a served one by its inode. */
static uint64_t file_number(const struct world *w, int fd)
{
    return w->devices ? w->files[fd] : 100 + (uint64_t)fd;
}

static uint64_t oldest(void *ctx)
{
    struct world *w = ctx;
    uint64_t at = UINT64_MAX;

    for (size_t i = 0; i < w->n_calls; i++)
        at = MIN(at, w->calls[i].ev.begun);
    return at;
}

static bool is_open(void *ctx, const struct b1_monitor_file *file)
{
    const struct world *w = ctx;

    for (size_t i = 0; i < PEERS; i++)
        if (w->actors[i].client && file_number(w, b1_client_fd(w->actors[i].client)) ==
                                       (w->devices ? file->file : file->ino))
            return true;
    return false;
}

static void part(struct call *c, enum b1_part what, uint64_t ptr, uint64_t n)
{
    buf_clear(&c->part[what]);
    if (n)
        buf_add(&c->part[what], (const void *)(uintptr_t)ptr, n);
    c->ev.part[what] = (struct b1_memory){buf_str(&c->part[what]), c->part[what].len, false};
}

static void data_part(struct call *c, enum b1_part what, const struct bus1_message *m, uint64_t n)
{
    const struct iovec *v = (const void *)(uintptr_t)m->ptr_data_vecs;

    part(c, what, n ? (uint64_t)(uintptr_t)v->iov_base : 0, n);
}

static void before(struct call *c)
{
    const struct bus1_message *m = NULL;

    switch (c->ev.cmd) {
    case BUS1_CMD_TRANSFER:
        part(c, B1_PART_TRANSFERS, c->ev.arg.transfer.ptr_src,
             c->ev.arg.transfer.n_transfers * sizeof(struct bus1_transfer));
        break;
    case BUS1_CMD_RELEASE:
        part(c, B1_PART_IDS, c->ev.arg.release.ptr_ids, c->ev.arg.release.n_ids * 8);
        break;
    case BUS1_CMD_SEND:
        m = (const void *)(uintptr_t)c->ev.arg.send.ptr_message;
        part(c, B1_PART_IDS, c->ev.arg.send.ptr_destinations, c->ev.arg.send.n_destinations * 8);
        part(c, B1_PART_MESSAGE, c->ev.arg.send.ptr_message, sizeof(*m));
        part(c, B1_PART_TRANSFERS, m->ptr_transfers, m->n_transfers * sizeof(struct bus1_transfer));
        data_part(c, B1_PART_DATA, m, m->n_data);
        break;
    default:
        m = (const void *)(uintptr_t)c->ev.arg.recv.ptr_message;
        part(c, B1_PART_MESSAGE, c->ev.arg.recv.ptr_message, sizeof(*m));
    }
}

static void after(struct call *c)
{
    const struct bus1_message *m;

    if (c->ev.result < 0)
        return;
    if (c->ev.cmd == BUS1_CMD_TRANSFER) {
        uint64_t n = c->ev.arg.transfer.n_transfers * sizeof(struct bus1_transfer);

        part(c, B1_PART_TRANSFERS_AFTER, c->ev.arg.transfer.ptr_src, n);
        part(c, B1_PART_NEW_HANDLES, c->ev.arg.transfer.ptr_dst, n);
    } else if (c->ev.cmd == BUS1_CMD_RECV) {
        m = (const void *)(uintptr_t)c->ev.arg.recv.ptr_message;
        part(c, B1_PART_MESSAGE_AFTER, c->ev.arg.recv.ptr_message, sizeof(*m));
        part(c, B1_PART_METADATA, c->ev.arg.recv.ptr_metadata, sizeof(struct bus1_metadata));
        part(c, B1_PART_TRANSFERS_AFTER, m->ptr_transfers,
             m->n_transfers * sizeof(struct bus1_transfer));
        data_part(c, B1_PART_DATA_AFTER, m, m->n_data);
    }
}

/* A call that is under way ends, and is told. */
static void end(struct world *w, size_t at)
{
    struct call c = w->calls[at];

    w->calls[at] = w->calls[--w->n_calls];
    c.ev.duration = tick(w) - c.ev.begun;
    CHECK_INT(b1_recorder_call(w->recorder, &c.ev), 0);
    CHECK_INT(b1_recorder_settle(w->recorder, 0), 0);
    for (size_t i = 0; i < B1_PARTS; i++)
        buf_done(&c.part[i]);
}

static void end_any(struct world *w)
{
    end(w, (size_t)roll(w, (int)w->n_calls));
}

/* A peer here is a thread, with one call at a time. */
static void end_of_peer(struct world *w, uint64_t file)
{
    for (size_t i = w->n_calls; i-- > 0;)
        if (w->calls[i].ev.file.file == file)
            end(w, i);
}

static struct b1_monitor_file file_of(struct world *w, uint64_t fd)
{
    if (fd == BUS1_INVALID)
        return (struct b1_monitor_file){0};
    return (struct b1_monitor_file){
        .file = w->files[fd], .dev = 7, .ino = w->devices ? 1 : 100 + fd, .is_device = w->devices};
}

/*
 * Which of two SENDs that overlapped took effect first is not to be seen from their beginnings:
 * some began before one that had its effect earlier. A peer uses only what it got before its call
 * began.
 */
static void begin_earlier(struct world *w, int fd, struct call *c)
{
    for (size_t i = 0; i < w->n_calls && c->ev.cmd == BUS1_CMD_SEND; i++) {
        const struct b1_monitor_event *other = &w->calls[i].ev;

        if (other->cmd == BUS1_CMD_SEND && other->begun - 1 > w->told[fd] && roll(w, 2))
            c->ev.begun = other->begun - 1;
    }
}

static int tapped_ioctl(void *ctx, int fd, unsigned int cmd, void *arg)
{
    struct world *w = ctx;

    end_of_peer(w, w->files[fd]);
    struct call c = {.ev = {.begun = tick(w),
                            .pid = 10,
                            .file = file_of(w, (uint64_t)fd),
                            .cmd = cmd,
                            .arg_read = true,
                            .ended = true}};

    memcpy(&c.ev.arg, arg, _IOC_SIZE(cmd));
    if (cmd == BUS1_CMD_TRANSFER)
        c.ev.to = file_of(w, c.ev.arg.transfer.to);
    before(&c);
    c.ev.result = w->bus.ioctl(w->bus.ctx, fd, cmd, arg);
    after(&c);
    for (size_t i = 0; i < B1_PARTS; i++)
        c.ev.part[i].data = buf_str(&c.part[i]);
    if (!w->observing) {
        for (size_t i = 0; i < B1_PARTS; i++)
            buf_done(&c.part[i]);
        return (int)c.ev.result;
    }
    if (cmd == BUS1_CMD_TRANSFER && c.ev.arg.transfer.to != BUS1_INVALID)
        w->told[c.ev.arg.transfer.to] = tick(w);
    begin_earlier(w, fd, &c);
    w->told[fd] = tick(w);
    w->calls[w->n_calls++] = c;
    while (w->n_calls > w->late || (w->n_calls && !roll(w, 3)))
        end_any(w);
    return (int)c.ev.result;
}

static int tapped_open(void *ctx)
{
    struct world *w = ctx;
    int fd = w->bus.open(w->bus.ctx);
    uint64_t used = 0;

    if (fd < 0 || fd >= SERIALS)
        abort();
    /* The lowest address that no open file has. */
    for (uint64_t at = 1; !used; at++) {
        used = at << 8;
        for (size_t i = 0; i < PEERS; i++)
            if (w->actors[i].client && w->files[b1_client_fd(w->actors[i].client)] == used)
                used = 0;
        if (!used)
            continue;
    }
    w->files[fd] = used;
    w->n_fds = (size_t)fd + 1;
    return fd;
}

static int tapped_poll(void *ctx, int fd, int timeout_ms)
{
    struct world *w = ctx;

    return w->bus.poll(w->bus.ctx, fd, timeout_ms);
}

static void tapped_close(void *ctx, int fd)
{
    struct world *w = ctx;

    w->bus.close(w->bus.ctx, fd);
}

/* ---- traffic ---- */

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

static void keep(struct actor *a, uint64_t id)
{
    if (a->n < IDS)
        a->ids[a->n++] = id;
}

static uint64_t any_id(struct world *w, const struct actor *a)
{
    return a->n ? a->ids[roll(w, (int)a->n)] : 12345;
}

static void do_receive(struct world *w, struct actor *a)
{
    struct b1_received m;
    int r = b1_client_recv(a->client, &m, NULL);

    CHECK(r == 0 || r == -EAGAIN);
    if (r < 0)
        return;
    for (size_t i = 0; i < m.n_transfers; i++)
        keep(a, m.transfers[i]);
    if (w->observing && m.type == BUS1_MESSAGE_TYPE_USER)
        note(&w->seen[b1_client_fd(a->client)], m.type, m.id, m.transfers, m.n_transfers, m.data,
             m.len);
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

    for (size_t i = 0; i < n; i++) {
        size_t at = (size_t)roll(w, (int)(a->n - i)), last = a->n - 1 - i;
        uint64_t id = a->ids[at];

        a->ids[at] = a->ids[last];
        a->ids[last] = id;
    }
    if (n && b1_client_release(a->client, &a->ids[a->n - n], n, NULL) == 0)
        a->n -= n;
}

static void step(struct world *w, bool closing)
{
    struct actor *a = &w->actors[roll(w, PEERS)], *b = &w->actors[roll(w, PEERS)];
    uint64_t node, handle;
    int what = roll(w, 100);

    if (!a->client) {
        CHECK_INT(b1_client_open(&w->dev, false, &a->client), 0);
        a->n = 0;
    } else if (what < 3 && closing) {
        /* Its calls have ended. */
        while (w->n_calls)
            end_any(w);
        b1_client_close(a->client);
        a->client = NULL;
        if (roll(w, 2))
            CHECK_INT(b1_recorder_look(w->recorder), 0);
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

/* ---- doing it again ---- */

struct again {
    struct buf got[SERIALS];
    struct b1_replay_account account;
};

static void on_replayed(void *ctx, const struct b1_replayed *m)
{
    struct again *g = ctx;

    CHECK(m->peer < SERIALS);
    if (!m->waited && m->type == BUS1_MESSAGE_TYPE_USER)
        note(&g->got[m->peer], m->type, m->id, m->handles, m->n_handles, m->data, m->len);
}

static bool is_within(const char *what, const char *from, const char *to)
{
    const char *hit = strstr(from, what);

    return hit && hit < to;
}

/* How many lines of a recording are of a kind and have both words. */
static unsigned int count(const struct buf *text, const char *kind, const char *with,
                          const char *also)
{
    unsigned int n = 0;

    for (const char *at = buf_str(text); *at; at = strchr(at, '\n') + 1) {
        const char *end = strchr(at, '\n');

        n += !strncmp(at, kind, strlen(kind)) && is_within(with, at, end) &&
             is_within(also, at, end);
    }
    return n;
}

static int replay(const struct buf *text, struct again *g, struct err *e)
{
    const struct b1_config cfg = {.limits = B1_LIMITS_DEFAULT};
    struct buf copy = BUF_INIT;
    struct b1_event_lists lists = {0};
    struct b1_embedded *bus;
    struct b1_device dev;
    struct b1_replay *r;
    char *save = NULL;
    int k = 0;

    if (b1_embedded_new(&cfg, &dev, &bus) < 0 || b1_replay_new(&dev, false, on_replayed, g, &r) < 0)
        abort();
    buf_add_str(&copy, buf_str(text));
    for (char *line = strtok_r(copy.data, "\n", &save); line && k == 0;
         line = strtok_r(NULL, "\n", &save)) {
        struct b1_event ev;

        CHECK_INT(b1_event_parse(line, &lists, &ev), 0);
        k = MIN(b1_replay_event(r, &ev, e), 0);
    }
    if (k == 0)
        k = b1_replay_end(r, e);
    b1_replay_account(r, &g->account);
    b1_replay_free(r);
    b1_embedded_free(bus);
    b1_event_lists_done(&lists);
    buf_done(&copy);
    return k;
}

static void world_new(struct world *w)
{
    const struct b1_config cfg = {.limits = B1_LIMITS_DEFAULT};
    const struct b1_recorder_opts opts = {
        .event = on_event, .oldest = oldest, .is_open = is_open, .now = now, .ctx = w};

    w->seen = calloc(SERIALS, sizeof(*w->seen));
    if (!w->seen || b1_embedded_new(&cfg, &w->bus, &w->embedded) < 0 ||
        b1_recorder_new(&opts, &w->recorder) < 0)
        abort();
    w->dev = (struct b1_device){tapped_open, tapped_ioctl, tapped_poll, tapped_close, w};
}

static void world_end(struct world *w)
{
    for (size_t i = 0; i < PEERS; i++)
        b1_client_close(w->actors[i].client);
    b1_embedded_free(w->embedded);
    b1_recorder_free(w->recorder);
    for (size_t i = 0; i < SERIALS; i++)
        buf_done(&w->seen[i]);
    free(w->seen);
    buf_done(&w->text);
}

/* Whether the lines of @some all stand in @all, in the same order. */
static bool is_among(const struct buf *some, const struct buf *all)
{
    const char *at = buf_str(all);

    for (const char *line = buf_str(some); *line; line = strchr(line, '\n') + 1) {
        size_t n = (size_t)(strchr(line, '\n') + 1 - line);

        while (*at && strncmp(at, line, n) != 0)
            at = strchr(at, '\n') + 1;
        if (!*at)
            return false;
        at += n;
    }
    return true;
}

static size_t lines(const struct buf *b)
{
    size_t n = 0;

    for (size_t i = 0; i < b->len; i++)
        n += b->data[i] == '\n';
    return n;
}

struct totals {
    uint64_t received, reordered, unseen, failed, closed;
};

/* What came again is what each receiver got; that which is missing was told to be unseen. */
static void compare(struct world *w, const struct again *g, struct totals *t)
{
    size_t got = 0, seen = 0,
           unseen = count(&w->text, "recv", "message_type=0", "") -
                    count(&w->text, "recv", "message_type=0", "unseen=0");

    for (size_t i = 0; i < w->n_fds; i++) {
        uint64_t serial = w->serials[i];

        CHECK(w->guessed || g->account.failed || is_among(&g->got[serial], &w->seen[i]));
        got += lines(&g->got[serial]);
        seen += lines(&w->seen[i]);
    }
    CHECK(got + unseen <= seen && seen <= got + unseen + g->account.failed);
    t->failed += g->account.failed;
    t->received += seen;
    t->unseen += unseen;
    t->reordered += g->account.reordered;
    t->closed += count(&w->text, "close", "", "");
}

/* From the beginning on. */
static void round_whole(unsigned int seed, size_t late, bool devices, bool closing,
                        struct totals *t)
{
    struct world w = {.seed = seed, .late = late, .devices = devices, .observing = true};

    struct again *g = calloc(1, sizeof(*g));
    struct err e = ERR_INIT;
    int k;

    w.guessed = devices && closing;
    if (!g)
        abort();
    world_new(&w);
    for (int i = 0; i < OPS; i++)
        step(&w, closing);
    while (w.n_calls)
        end_any(&w);
    CHECK_INT(b1_recorder_end(w.recorder), 0);
    CHECK_INT(b1_recorder_unseen(w.recorder, B1_UNSEEN_MEMORY), 0);
    CHECK_INT(b1_recorder_unseen(w.recorder, B1_UNSEEN_END), 0);
    k = replay(&w.text, g, &e);
    CHECK_INT(k, 0);
    if (k < 0)
        fprintf(stderr, "seed %u, late %zu: %s\n", seed, late, err_text(&e, k));
    else
        compare(&w, g, t);
    world_end(&w);
    for (size_t i = 0; i < SERIALS; i++)
        buf_done(&g->got[i]);
    free(g);
}

/* From the middle on: what builds on the past is told as such, the rest comes again. */
static void round_late(unsigned int seed, struct totals *t)
{
    struct world w = {.seed = seed};
    struct again *g = calloc(1, sizeof(*g));
    struct err e = ERR_INIT;
    uint64_t unseen = 0;
    int k;

    if (!g)
        abort();
    world_new(&w);
    for (int i = 0; i < OPS / 2; i++)
        step(&w, false);
    w.observing = true;
    for (int i = 0; i < OPS; i++)
        step(&w, false);
    CHECK_INT(b1_recorder_end(w.recorder), 0);
    k = replay(&w.text, g, &e);
    CHECK_INT(k, 0);
    if (k < 0)
        fprintf(stderr, "seed %u, late: %s\n", seed, err_text(&e, k));
    for (enum b1_unseen u = B1_UNSEEN_ID; u < B1_UNSEENS; u++)
        unseen += b1_recorder_unseen(w.recorder, u);
    CHECK_INT(g->account.unseen, unseen);
    if (k == 0)
        compare(&w, g, t);
    world_end(&w);
    for (size_t i = 0; i < SERIALS; i++)
        buf_done(&g->got[i]);
    free(g);
}

int main(void)
{
    int rounds = getenv("IPCBOX_TEST_LONG") ? 3000 : 100;
    struct totals one = {0}, many = {0}, closing = {0}, past = {0};

    for (int i = 0; i < rounds; i++) {
        round_whole((unsigned int)i, 0, i & 1, false, &one);
        round_whole((unsigned int)i, 5, i & 1, false, &many);
        round_whole((unsigned int)i, (size_t)i % 6, i & 1, true, &closing);
        round_late((unsigned int)i, &past);
    }
    /* One call after the other, and nothing from before: all is known. */
    CHECK_INT(one.unseen + one.reordered + one.closed + one.failed, 0);
    /* Five that overlap at any time: hardly anything stays open. */
    CHECK(many.reordered && !many.closed);
    CHECK((many.unseen + many.failed) * 200 < many.received);
    CHECK(closing.closed && (closing.unseen + closing.failed) * 20 < closing.received);
    /* A message with a handle that is older than the recording is not sent again. */
    CHECK(past.unseen && past.unseen + past.failed < past.received && past.failed < past.unseen);
    if (getenv("IPCBOX_TEST_LONG"))
        printf("of %" PRIu64 " receptions %" PRIu64 " unseen, %" PRIu64 " reordered\n",
               many.received, many.unseen, many.reordered);
    return check_done();
}
