// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Peeking with BPF. The kernel side collects the messages twice without a lock; here the two are
 * compared, to the byte. They agree and the queue's counts did not move: that is what was in the
 * queue between the two. Otherwise try again, in the end with the queue locked where the kernel
 * lets a program run there. What could not be confirmed is never called exact.
 *
 * Nothing that was read is believed: the queue's limits and identity are known from system calls as
 * well, and the lengths must add up.
 */
#include "walk.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "kbpf.h"
#include "timefmt.h"

enum {
    DEFAULT_MAX_SNAPSHOT = 64 << 20,
    FIRST_ROOM = 256 << 10, /* enough for what most queues hold; more is asked for when needed */
    HEAD_ROOM = 64,         /* bytes that a record has at most besides its payload */
    LOCKED_ROOM = 2 << 20,  /* bytes walked with a spinlock held: some hundred microseconds */
    OLD_ROOM = 1 << 20,     /* what every kernel has for each half */
    MAX_ROOM = 512 << 20,   /* a map takes twice that, and its size is an int */
    TRIES = 50,             /* at least; then as many as fit into PATIENCE */
};

/*
 * A queue that is hit at full speed rests for microseconds only when its users are preempted: a
 * percent of the tries see such a moment, so that some hundred are needed.
 */
static const uint64_t PATIENCE_NS = 100 * NSEC_PER_MSEC;

/* How a program gets to the queue: by itself, or in a system call that holds the lock. */
enum how { ON_DEMAND, LOCKED, CONTENDED };

/* An object that is loaded, with its map in memory. */
struct walk_object {
    enum how how;
    struct msgq_programs p;
    struct bpf_link *link; /* of the locked walk */
    char *map;             /* the BPF map from its start */
    size_t mapped;         /* bytes of it */
    size_t room;           /* of each half of the BPF map */
};

struct msgq_walk {
    const struct msgq_walk_ops *ops;
    void *domain;
    const struct msgq_peek_opts *opts;
    struct walk_object obj;
    struct walk_object locked;
    int locked_error; /* why the locked walk cannot be had, once tried */
    struct msgq_limits limits;
    /* What the last collection left, for the visit. */
    const char *records;
    uint64_t head; /* of a record */
    struct walk_collection got;
    uint64_t total, total_bytes; /* in the queue */
    enum msgq_consistency consistency;
    bool more;      /* does not hold all that is wanted */
    bool windows;   /* the first one did not */
    uint64_t first; /* index of its first message */
};

static void object_done(const struct msgq_walk *s, struct walk_object *o)
{
    if (o->map)
        munmap(o->map, o->mapped);
    bpf_link__destroy(o->link);
    if (o->p.skel)
        s->ops->close(o->p.skel);
    *o = (struct walk_object){0};
}

/*
 * Up to this room both halves are mapped for good. Pages of such a mapping count as resident from
 * the start, touched or not.
 */
enum { WHOLE_ROOM = 2 << 20 };

/* Both are multiples of a page. */
static char *map_part(const struct walk_object *o, size_t from, size_t n)
{
    void *map = mmap(NULL, n, PROT_READ, MAP_SHARED, bpf_map__fd(o->p.records), (off_t)from);

    return map == MAP_FAILED ? NULL : map;
}

static size_t page_up(size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    return (n + page - 1) & ~(page - 1);
}

/* Maps both halves of a small map, else of the first half what is used. */
static int object_map(struct walk_object *o, size_t used)
{
    size_t n = o->room <= WHOLE_ROOM ? 2 * o->room : page_up(MAX(used, (size_t)1));

    if (o->map && o->mapped == n)
        return 0;
    if (o->map)
        munmap(o->map, o->mapped);
    o->map = map_part(o, 0, n);
    o->mapped = n;
    return o->map ? 0 : -errno;
}

/* Opens the skeleton, sized and with the programs that are wanted. */
static int object_open(const struct msgq_walk *s, struct walk_object *o, const struct kbpf *k)
{
    LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = kbpf_btf_path(k));
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int r = s->ops->open(&opts, &o->p);

    if (r < 0)
        return r;
    *o->p.config = (struct walk_config){
        .map_mask = 2 * o->room - 1,
        .page_mask = page - 1,
    };
    bpf_map__set_value_size(o->p.records, (uint32_t)(2 * o->room + page));
    bpf_program__set_autoload(o->p.peek, o->how == ON_DEMAND);
    bpf_program__set_autoload(o->p.arm, o->how != ON_DEMAND);
    bpf_program__set_autoload(o->p.locked, o->how == LOCKED);
    bpf_program__set_autoload(o->p.contended, o->how == CONTENDED);
    return 0;
}

static int object_ready(const struct msgq_walk *s, struct walk_object *o, const struct kbpf *k,
                        struct err *e)
{
    int r;

    o->p.request = s->ops->request(o->p.skel);
    r = object_map(o, 0);
    if (r < 0)
        return err_set(e, r, NULL, "cannot map the BPF map: %s", err_text(NULL, r));
    if (o->how == ON_DEMAND)
        return 0;
    o->link = bpf_program__attach(o->how == LOCKED ? o->p.locked : o->p.contended);
    return o->link ? 0 : kbpf_explain(k, -errno, "cannot attach the BPF program", e);
}

static int object_try(const struct msgq_walk *s, struct walk_object *o, size_t room, enum how how,
                      struct err *e)
{
    _cleanup_(kbpf_done) struct kbpf k = KBPF_INIT;
    int r = kbpf_begin(&k,
                       how == LOCKED      ? KBPF_TRAMPOLINE
                       : how == CONTENDED ? KBPF_TRACEPOINT
                                          : KBPF_SYSCALL,
                       e);

    if (r < 0)
        return r;
    o->how = how;
    o->room = room;
    r = object_open(s, o, &k);
    if (r < 0)
        return kbpf_explain(&k, r, "cannot open the BPF object", e);
    r = kbpf_load(&k, o->p.skeleton, e);
    if (r == 0)
        r = object_ready(s, o, &k, e);
    if (r < 0)
        object_done(s, o);
    return r;
}

/* Before Linux 5.16 a map's value has at most 4 MiB, for both halves. */
static uint64_t most_room = MAX_ROOM;

static int object_load(const struct msgq_walk *s, struct walk_object *o, size_t room, enum how how,
                       struct err *e)
{
    size_t most = (size_t)MIN((uint64_t)room, most_room);
    int r = object_try(s, o, most, how, e);

    if (r != -E2BIG || most <= OLD_ROOM)
        return r;
    most_room = OLD_ROOM;
    return object_try(s, o, OLD_ROOM, how, e);
}

/* ---- how much room ---- */

static uint64_t max_snapshot(const struct msgq_walk *s)
{
    return s->opts->max_snapshot ? s->opts->max_snapshot : DEFAULT_MAX_SNAPSHOT;
}

/* Bytes that @messages with a payload of @bytes take at most. */
static uint64_t records_size(const struct msgq_walk *s, uint64_t messages, uint64_t bytes)
{
    return messages * ((uint64_t)HEAD_ROOM + (s->opts->heads ? 0 : 7)) +
           (s->opts->heads ? 0 : bytes);
}

/* Bytes that may be collected at once: never too few for one message. */
static uint64_t room_limit(const struct msgq_walk *s)
{
    uint64_t one = records_size(s, 1, s->limits.msgsize);

    return MIN(MAX(max_snapshot(s), one), most_room);
}

/* The room for @need bytes, or as many as there may be: a power of two. */
static size_t room_for(const struct msgq_walk *s, uint64_t need)
{
    size_t room = (size_t)sysconf(_SC_PAGESIZE);

    while (room < need && room < room_limit(s))
        room *= 2;
    return room;
}

static int grow(struct msgq_walk *s, uint64_t need, struct err *e)
{
    size_t room = room_for(s, need);

    if (s->obj.p.skel && s->obj.room >= room)
        return 0;
    object_done(s, &s->obj);
    return object_load(s, &s->obj, room, ON_DEMAND, e);
}

/* ---- checking what was read ---- */

int msgq_walk_wrong(struct err *e, const char *what)
{
    return err_set(e, -EIO, "report it with the kernel's version; another backend may work",
                   "what BPF read is not this queue: %s", what);
}

/* Whether the records parse, and are what a queue of these limits can hold. */
static bool check_records(const struct msgq_walk *s, const char *p, uint64_t head,
                          const struct walk_collection *got)
{
    uint64_t at = 0, n = 0, payload = 0, last = s->limits.type;

    if (head < sizeof(struct walk_record) || head > HEAD_ROOM || head % 8)
        return false;
    for (; n < got->messages && got->bytes - at >= head; n++) {
        const struct walk_record *rec = (const struct walk_record *)(const void *)(p + at);
        uint64_t size = s->opts->heads ? 0 : (rec->length + 7) & ~UINT64_C(7);

        if (rec->type > last || rec->length > s->limits.msgsize)
            return false;
        at += head;
        if (size > got->bytes - at)
            return false;
        at += size;
        payload += rec->length;
        last = s->limits.by_type ? rec->type : last;
    }
    return n == got->messages && at == got->bytes && payload == got->payload;
}

/* A queue holds as many messages and bytes as it says; behind its end there are none. */
static bool adds_up(const struct walk_request *req, const struct walk_collection *got)
{
    uint64_t behind = req->messages - MIN(req->first, req->messages);

    if (got->status == WALK_ENOUGH)
        return got->messages == req->count && got->messages <= behind;
    return got->status != WALK_DONE ||
           (got->messages == behind && (req->first || got->payload == req->bytes));
}

/* ---- collecting ---- */

enum outcome {
    OUT_AGREED,
    OUT_DIFFERED,
    OUT_FULL,      /* more than the room, while more room may be had */
    OUT_WRONG_SUM, /* at rest, and yet the sums are wrong */
};

static int run(const struct bpf_program *prog)
{
    LIBBPF_OPTS(bpf_test_run_opts, o);

    return bpf_prog_test_run_opts(bpf_program__fd(prog), &o);
}

/*
 * Whether both halves are the same. Of a large map the second half is mapped a slice at a time, so
 * that only one collection counts as memory in use. Return: 1, 0 or -errno.
 */
static int same_halves(struct walk_object *o, size_t bytes)
{
    enum { SLICE = 4 << 20 };
    int r = object_map(o, bytes);

    if (r < 0)
        return r;
    if (o->room <= WHOLE_ROOM)
        return memcmp(o->map, o->map + o->room, bytes) == 0;
    for (size_t at = 0; at < bytes; at += SLICE) {
        size_t n = MIN(bytes - at, (size_t)SLICE);
        char *slice = map_part(o, o->room + at, page_up(n));
        bool same;

        if (!slice)
            return -errno;
        same = memcmp(o->map + at, slice, n) == 0;
        munmap(slice, page_up(n));
        if (!same)
            return 0;
    }
    return 1;
}

/* How many messages are wanted from index @first on. */
static uint64_t wanted(const struct msgq_walk *s, uint64_t first)
{
    return s->opts->count ? s->opts->count - MIN(s->opts->count, first - s->opts->first)
                          : UINT64_MAX;
}

static struct walk_request *ask(struct msgq_walk *s, struct walk_object *o, uint64_t first)
{
    struct walk_request *req = o->p.request;

    req->first = first;
    req->count = wanted(s, first);
    req->room = MIN((uint64_t)o->room, room_limit(s));
    req->heads = s->opts->heads;
    s->ops->ask(s->domain, req);
    return req;
}

/* One try. Return: enum outcome, or -errno. */
static int collect(struct msgq_walk *s, uint64_t first, struct err *e)
{
    struct walk_request *req = ask(s, &s->obj, first);
    const struct walk_collection *got = req->got;
    int r = run(s->obj.p.peek);

    if (r < 0)
        return err_set(e, r, NULL, "cannot run the BPF program: %s", err_text(NULL, r));
    if (req->status == WALK_NO_QUEUE)
        return msgq_walk_wrong(e, "not a queue at all");
    r = s->ops->check(s->domain, req, e);
    if (r < 0)
        return r;
    if (got[0].status == WALK_FULL && s->obj.room < room_for(s, UINT64_MAX))
        return OUT_FULL;
    if (req->status != WALK_DONE || memcmp(&got[0], &got[1], sizeof(got[0])) != 0 ||
        got[0].status == WALK_MOVED)
        return OUT_DIFFERED;
    if (got[0].bytes > s->obj.room)
        return OUT_DIFFERED;
    r = same_halves(&s->obj, (size_t)got[0].bytes);
    if (r <= 0)
        return r < 0 ? r : OUT_DIFFERED;
    return adds_up(req, &got[0]) && check_records(s, s->obj.map, req->head, &got[0])
               ? OUT_AGREED
               : OUT_WRONG_SUM;
}

static void take(struct msgq_walk *s, const struct walk_object *o, enum msgq_consistency c)
{
    const struct walk_request *req = o->p.request;

    s->records = o->map;
    s->head = req->head;
    s->got = req->got[0];
    s->consistency = c;
    s->more = s->got.status == WALK_FULL;
    s->first = req->first;
    s->total = req->messages;
    s->total_bytes = req->bytes;
}

/* Loads what walks with the lock held: a trampoline, else at the end of a wait for the lock. */
static int load_locked(struct msgq_walk *s, struct err *e)
{
    if (s->locked.p.skel)
        return 0;
    if (!s->locked_error && object_load(s, &s->locked, LOCKED_ROOM, LOCKED, NULL) < 0)
        s->locked_error = object_load(s, &s->locked, LOCKED_ROOM, CONTENDED, NULL);
    return s->locked_error ? err_set(e, s->locked_error, NULL, "no locked snapshot on this kernel")
                           : 0;
}

struct contender {
    const struct msgq_walk *s;
    bool stop;
};

static void *contend(void *ctx)
{
    struct contender *c = ctx;

    while (!__atomic_load_n(&c->stop, __ATOMIC_RELAXED))
        if (c->s->ops->touch(c->s->domain) < 0)
            break;
    return NULL;
}

/*
 * Makes system calls that take the lock until one had to wait for it. With two threads there is
 * somebody to wait for even when the queue's users rest; and some processors tell of a wait only
 * when a third waits.
 */
static int touch_until_walked(struct msgq_walk *s, const struct walk_request *req)
{
    uint64_t patience = timefmt_now(CLOCK_MONOTONIC) + PATIENCE_NS;
    struct contender c = {.s = s};
    pthread_t thread;
    bool helped = s->locked.how == CONTENDED && pthread_create(&thread, NULL, contend, &c) == 0;
    int r;

    do
        r = s->ops->touch(s->domain);
    while (r == 0 && helped && __atomic_load_n(&req->status, __ATOMIC_ACQUIRE) == WALK_NOT_ASKED &&
           timefmt_now(CLOCK_MONOTONIC) < patience);
    __atomic_store_n(&c.stop, true, __ATOMIC_RELAXED);
    if (helped)
        pthread_join(thread, NULL);
    return r;
}

/* With the queue locked. Return: 0; -EAGAIN when it holds too much for that; or why it cannot be.
 */
static int collect_locked(struct msgq_walk *s, struct err *e)
{
    struct walk_request *req;
    int r = load_locked(s, e);

    if (r < 0)
        return r;
    req = ask(s, &s->locked, s->opts->first);
    req->room = s->locked.room;
    r = run(s->locked.p.arm);
    if (r == 0)
        r = touch_until_walked(s, req);
    if (r < 0)
        return r;
    if (req->status == WALK_NOT_ASKED)
        return err_set(e, -EAGAIN, NULL, "the queue's lock was never waited for");
    if (req->status != WALK_DONE && req->status != WALK_ENOUGH)
        return err_set(e, -EAGAIN, NULL, "the queue holds too much for a locked snapshot");
    r = s->ops->check(s->domain, req, e);
    if (r < 0)
        return r;
    if (!adds_up(req, &req->got[0]) || !check_records(s, s->locked.map, req->head, &req->got[0]))
        return msgq_walk_wrong(e, "the messages do not add up");
    take(s, &s->locked, MSGQ_ATOMIC);
    return 0;
}

/*
 * After the last try. What could not be confirmed may be memory that has been freed and belongs to
 * somebody else by now: only root, who may read all memory, gets to see it.
 */
static int give_up(struct msgq_walk *s, unsigned int tries, struct err *e)
{
    const struct walk_request *req = s->obj.p.request;
    const struct walk_collection *got = &req->got[0];

    if (req->first == s->opts->first && collect_locked(s, NULL) == 0)
        return 0;
    if (kbpf_is_root() && got->bytes <= s->obj.room &&
        (got->status == WALK_DONE || got->status == WALK_ENOUGH || got->status == WALK_FULL) &&
        object_map(&s->obj, (size_t)got->bytes) == 0 &&
        check_records(s, s->obj.map, req->head, got)) {
        take(s, &s->obj, MSGQ_TORN);
        return 0;
    }
    return err_set(e, -EAGAIN, "try again, or stop who is using it",
                   "the queue changed during each of %u tries to read it", tries);
}

static int too_large(struct err *e)
{
    return err_set(e, -E2BIG, "use --backend drain, or Linux 5.16 or later",
                   "a message is larger than this kernel lets BPF read");
}

/* A window that begins at message @first, agreed upon if at all possible. */
static int collect_until_agreed(struct msgq_walk *s, uint64_t first, unsigned int *tries,
                                struct err *e)
{
    const struct walk_request *req;
    uint64_t patience = timefmt_now(CLOCK_MONOTONIC) + PATIENCE_NS;
    unsigned int wrong_sums = 0;
    int r;

    for (*tries = 1; *tries <= TRIES || timefmt_now(CLOCK_MONOTONIC) < patience; (*tries)++) {
        r = collect(s, first, e);
        if (r == OUT_FULL) {
            req = s->obj.p.request;
            r = grow(s, MAX(2 * s->obj.room, records_size(s, req->messages, req->bytes)), e);
        } else if (r == OUT_AGREED) {
            take(s, &s->obj, MSGQ_VERIFIED);
            return s->more && !s->got.messages ? too_large(e) : 0;
        } else if (r == OUT_WRONG_SUM) {
            wrong_sums++;
        }
        if (r < 0)
            return r;
        if (wrong_sums == TRIES && *tries == TRIES)
            return msgq_walk_wrong(e, "the messages do not add up");
    }
    return give_up(s, --*tries, e);
}

/* ---- the backend ---- */

int msgq_walk_probe(const struct msgq_peek_opts *opts _unused_, struct err *e)
{
    return kbpf_probe(KBPF_SYSCALL, e);
}

int msgq_walk_check(const struct msgq_walk_ops *ops, struct err *e)
{
    const struct msgq_walk s = {.ops = ops};
    struct walk_object o = {0};
    int r = object_load(&s, &o, OLD_ROOM, ON_DEMAND, e);

    if (r == 0)
        object_done(&s, &o);
    return r;
}

int msgq_walk_open(const struct msgq_walk_ops *ops, void *domain, const struct msgq_peek_opts *opts,
                   struct msgq_walk **ret)
{
    struct msgq_walk *s = calloc(1, sizeof(*s));

    if (!s)
        return -ENOMEM;
    s->ops = ops;
    s->domain = domain;
    s->opts = opts;
    *ret = s;
    return 0;
}

/* Bytes that all that is wanted of the queue can take. */
static uint64_t most_wanted(const struct msgq_walk *s)
{
    uint64_t n = MIN(s->limits.messages, wanted(s, s->opts->first)), bytes;

    return __builtin_mul_overflow(n, s->limits.msgsize, &bytes) ? UINT64_MAX
                                                                : records_size(s, n, bytes);
}

int msgq_walk_snapshot(void *state, const void *queue, struct msgq_snapshot_info *info,
                       struct err *e)
{
    struct msgq_walk *s = state;
    int r = s->ops->begin(s->domain, queue, &s->limits, e);

    if (r == 0)
        r = grow(s, MIN(most_wanted(s), (uint64_t)FIRST_ROOM), e);
    if (r < 0)
        return r;
    info->tries = 1;
    if (!s->opts->atomic || collect_locked(s, NULL) < 0)
        r = collect_until_agreed(s, s->opts->first, &info->tries, e);
    if (r < 0)
        return r;
    s->windows = s->more;
    info->taken = timefmt_now(CLOCK_REALTIME);
    info->consistency = s->windows ? MSGQ_TORN : s->consistency;
    info->messages = s->windows ? MSGQ_UNKNOWN : s->total;
    info->bytes = s->windows ? MSGQ_UNKNOWN : s->total_bytes;
    return 0;
}

static int visit_window(const struct msgq_walk *s, msgq_visit_fn visit, void *ctx)
{
    const char *p = s->records;

    for (uint64_t i = 0; i < s->got.messages; i++) {
        const struct walk_record *rec = (const struct walk_record *)(const void *)p;
        const struct msgq_message m = {
            .index = s->first + i,
            .priority = (uint32_t)rec->type,
            .type = (int64_t)rec->type,
            .length = rec->length,
            .data = s->opts->heads ? NULL : p + s->head,
        };
        int r = visit(&m, ctx);

        if (r)
            return r;
        p += s->head + (s->opts->heads ? 0 : (rec->length + 7) & ~UINT64_C(7));
    }
    return 0;
}

int msgq_walk_visit(void *state, msgq_visit_fn visit, void *ctx, struct err *e)
{
    struct msgq_walk *s = state;
    unsigned int tries;
    int r = 0;

    /* After an earlier visit of a queue in windows only the last is still there. */
    if (s->first != s->opts->first)
        r = collect_until_agreed(s, s->opts->first, &tries, e);
    if (r == 0)
        r = visit_window(s, visit, ctx);
    while (r == 0 && s->more) {
        r = collect_until_agreed(s, s->first + s->got.messages, &tries, e);
        if (r == 0)
            r = visit_window(s, visit, ctx);
    }
    return r;
}

void msgq_walk_close(void *state)
{
    struct msgq_walk *s = state;

    object_done(s, &s->obj);
    object_done(s, &s->locked);
    free(s->domain);
    free(s);
}
