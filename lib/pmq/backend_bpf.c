// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Peeking with BPF. The kernel side collects the messages twice without a lock; here the two are
 * compared, to the byte. They agree and the queue's counts did not move: that is what was in the
 * queue between the two. Otherwise try again, in the end with the queue locked where the kernel
 * lets a program run there. What could not be confirmed is never called exact.
 *
 * Nothing that was read is believed: the queue's limits, inode and mode are known from system
 * calls as well, and the lengths must add up.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <mqueue.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "kbpf.h"
#include "kcast.h"
#include "peek_abi.h"
#include "pmq_backend.h"
#include "timefmt.h"

#include "peek.skel.h"

enum {
    DEFAULT_MAX_SNAPSHOT = 64 << 20,
    FIRST_ROOM = 256 << 10, /* enough for what most queues hold; more is asked for when needed */
    LOCKED_ROOM = 2 << 20,  /* bytes walked with a spinlock held: some hundred microseconds */
    MAX_ROOM = 512 << 20,   /* a map takes twice that, and its size is an int */
    TRIES = 50,             /* at least; then as many as fit into PATIENCE */
};

/*
 * A queue that is hit at full speed rests for microseconds only when its users are preempted: a
 * percent of the tries see such a moment, so that some hundred are needed.
 */
static const uint64_t PATIENCE_NS = 100 * NSEC_PER_MSEC;

/*
 * A program that loads kernel memory without calls needs a third of the time for each small
 * message, but loading the program some milliseconds more: it is for those who have looked at many.
 */
enum { MANY = 5000, DIRECT_ROOM = 16 << 20 /* two maps at once, for a moment */ };

enum how { CALLS, DIRECT, LOCKED };

/* An object that is loaded, with its map in memory. */
struct peek_object {
    enum how how;
    struct peek_bpf *skel;
    struct bpf_link *link; /* of the locked walk */
    char *map;             /* the BPF map from its start */
    size_t mapped;         /* bytes of it */
    size_t room;           /* of each half of the BPF map */
};

struct bpf_state {
    const struct pmq_peek_opts *opts;
    struct peek_object obj;
    struct peek_object locked;
    int locked_error; /* why the locked walk cannot be had, once tried */
    int direct_error; /* why loads without calls cannot be had, once tried */
    uint64_t seen;    /* messages, in all tries */
    const struct pmq_queue *q;
    struct mq_attr attr;
    struct stat st;
    /* What the last collection left, for the visit. */
    const char *records;
    struct peek_collection got;
    enum pmq_consistency consistency;
    bool more;      /* does not hold the queue's end */
    bool windows;   /* the first one did not */
    uint64_t first; /* index of its first message */
};

static void object_done(struct peek_object *o)
{
    if (o->map)
        munmap(o->map, o->mapped);
    bpf_link__destroy(o->link);
    peek_bpf__destroy(o->skel);
    *o = (struct peek_object){0};
}

/*
 * Up to this room both halves are mapped for good. Pages of such a mapping count as resident from
 * the start, touched or not.
 */
enum { WHOLE_ROOM = 2 << 20 };

/* Both are multiples of a page. */
static char *map_part(const struct peek_object *o, size_t from, size_t n)
{
    void *map = mmap(NULL, n, PROT_READ, MAP_SHARED, bpf_map__fd(o->skel->maps.records),
                     (off_t)from);

    return map == MAP_FAILED ? NULL : map;
}

static size_t page_up(size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    return (n + page - 1) & ~(page - 1);
}

/* Maps both halves of a small map, else of the first half what is used. */
static int object_map(struct peek_object *o, size_t used)
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

static int object_open(struct peek_object *o, const struct kbpf *k)
{
    static const char *const structs[] = {"msg_msg", "mq_attr"};
    LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = kbpf_btf_path(k));
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint32_t ids[ARRAY_SIZE(structs)] = {0};
    bool locked = o->how == LOCKED;
    int r = o->how == DIRECT ? kcast_prepare(structs, ids, ARRAY_SIZE(structs)) : 0;

    if (r < 0)
        return r;
    o->skel = peek_bpf__open_opts(&opts);
    if (!o->skel)
        return 0; /* kbpf_load() says why */
    o->skel->rodata->map_mask = 2 * o->room - 1;
    o->skel->rodata->page_mask = (uint32_t)page - 1;
    o->skel->rodata->msg_msg_id = ids[0];
    o->skel->rodata->mq_attr_id = ids[1];
    bpf_map__set_value_size(o->skel->maps.records, (uint32_t)(2 * o->room + page));
    bpf_program__set_autoload(o->skel->progs.peek, !locked);
    bpf_program__set_autoload(o->skel->progs.peek_arm, locked);
    bpf_program__set_autoload(o->skel->progs.peek_locked, locked);
    return 0;
}

static int object_load(struct peek_object *o, size_t room, enum how how, struct err *e)
{
    _cleanup_(kbpf_done) struct kbpf k = KBPF_INIT;
    int r = kbpf_begin(&k, how == LOCKED ? KBPF_TRAMPOLINE : KBPF_SYSCALL, e);

    if (r < 0)
        return r;
    o->how = how;
    o->room = room;
    r = object_open(o, &k);
    if (r < 0) {
        object_done(o);
        return err_set(e, r, NULL, "cannot read the kernel's BTF: %s", err_text(NULL, r));
    }
    r = kbpf_load(&k, o->skel ? o->skel->skeleton : NULL, e);
    if (r == 0) {
        r = object_map(o, 0);
        if (r < 0)
            err_set(e, r, NULL, "cannot map the BPF map: %s", err_text(NULL, r));
    }
    if (r == 0 && how == LOCKED) {
        o->link = bpf_program__attach(o->skel->progs.peek_locked);
        if (!o->link)
            r = kbpf_explain(&k, -errno, "cannot attach to pid_vnr()", e);
    }
    if (r < 0)
        object_done(o);
    return r;
}

/* ---- how much room ---- */

static uint64_t max_snapshot(const struct bpf_state *s)
{
    return s->opts->max_snapshot ? s->opts->max_snapshot : DEFAULT_MAX_SNAPSHOT;
}

/* Bytes that @messages with a payload of @bytes take at most. */
static uint64_t records_size(const struct bpf_state *s, uint64_t messages, uint64_t bytes)
{
    return messages * (sizeof(struct peek_record) + (s->opts->heads ? 0 : 7)) +
           (s->opts->heads ? 0 : bytes);
}

/* Bytes that may be collected at once: never too few for one message. */
static uint64_t room_limit(const struct bpf_state *s)
{
    uint64_t one = records_size(s, 1, (uint64_t)s->attr.mq_msgsize);

    return MIN(MAX(max_snapshot(s), one), (uint64_t)MAX_ROOM);
}

/* The room for @need bytes, or as many as there may be: a power of two. */
static size_t room_for(const struct bpf_state *s, uint64_t need)
{
    size_t room = (size_t)sysconf(_SC_PAGESIZE);

    while (room < need && room < room_limit(s))
        room *= 2;
    return room;
}

static int grow(struct bpf_state *s, uint64_t need, struct err *e)
{
    size_t room = room_for(s, need);
    enum how how;

    if (s->obj.skel && s->obj.room >= room)
        return 0;
    how = s->obj.how;
    object_done(&s->obj);
    return object_load(&s->obj, room, how, e);
}

/* Loads what is faster in the long run; what is there stays where that cannot be had. */
static void load_direct(struct bpf_state *s)
{
    struct peek_object o = {0};

    if (s->obj.how == DIRECT || s->direct_error || s->seen < MANY || s->obj.room > DIRECT_ROOM)
        return;
    s->direct_error = object_load(&o, s->obj.room, DIRECT, NULL);
    if (s->direct_error)
        return;
    object_done(&s->obj);
    s->obj = o;
}

/* ---- checking what was read ---- */

static int wrong(struct err *e, const char *what)
{
    return err_set(e, -EIO, "report it with the kernel's version; another backend may work",
                   "what BPF read is not this queue: %s", what);
}

/* What a system call tells as well must be the same. */
static int check_facts(const struct bpf_state *s, const struct peek_request *req, struct err *e)
{
    if (req->inode != s->st.st_ino)
        return wrong(e, "another inode number");
    /* The permission bits may be changed at any time. */
    if ((req->mode & S_IFMT) != (s->st.st_mode & S_IFMT))
        return wrong(e, "another file type");
    if (req->maxmsg != (uint64_t)s->attr.mq_maxmsg || req->msgsize != (uint64_t)s->attr.mq_msgsize)
        return wrong(e, "another maxmsg or msgsize");
    return 0;
}

/* Whether the records parse, and are what a queue of these limits can hold. */
static bool check_records(const struct bpf_state *s, const char *p,
                          const struct peek_collection *got)
{
    uint64_t at = 0, n = 0, payload = 0, last = PMQ_PRIO_MAX - 1;

    for (; n < got->messages && got->bytes - at >= sizeof(struct peek_record); n++) {
        const struct peek_record *rec = (const struct peek_record *)(const void *)(p + at);
        uint64_t size = s->opts->heads ? 0 : (rec->length + 7) & ~UINT64_C(7);

        if (rec->priority > last || rec->length > (uint64_t)s->attr.mq_msgsize)
            return false;
        at += sizeof(*rec);
        if (size > got->bytes - at)
            return false;
        at += size;
        payload += rec->length;
        last = rec->priority;
    }
    return n == got->messages && at == got->bytes && payload == got->payload;
}

/* A queue holds as many messages and bytes as it says; behind its end there are none. */
static bool adds_up(const struct peek_request *req, const struct peek_collection *got)
{
    uint64_t skipped = MIN(req->skip, req->curmsgs);

    return got->status != PEEK_DONE ||
           (skipped + got->messages == req->curmsgs && (req->skip || got->payload == req->qsize));
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
static int same_halves(struct peek_object *o, size_t bytes)
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

/* One try. Return: enum outcome, or -errno. */
static int collect(struct bpf_state *s, uint64_t skip, struct err *e)
{
    struct peek_request *req = &s->obj.skel->bss->req;
    const struct peek_collection *got = req->got;
    int r;

    req->fd = (uint32_t)pmq_queue_fd(s->q);
    req->skip = skip;
    req->room = MIN((uint64_t)s->obj.room, room_limit(s));
    req->heads = s->opts->heads;
    r = run(s->obj.skel->progs.peek);
    if (r < 0)
        return err_set(e, r, NULL, "cannot run the BPF program: %s", err_text(NULL, r));
    if (req->status == PEEK_NO_QUEUE)
        return wrong(e, "not a queue at all");
    s->seen += got[0].messages;
    r = check_facts(s, req, e);
    if (r < 0)
        return r;
    if (got[0].status == PEEK_FULL && s->obj.room < room_for(s, UINT64_MAX))
        return OUT_FULL;
    if (req->status != PEEK_DONE || memcmp(&got[0], &got[1], sizeof(got[0])) != 0 ||
        got[0].status == PEEK_MOVED)
        return OUT_DIFFERED;
    if (got[0].bytes > s->obj.room)
        return OUT_DIFFERED;
    r = same_halves(&s->obj, (size_t)got[0].bytes);
    if (r <= 0)
        return r < 0 ? r : OUT_DIFFERED;
    return adds_up(req, &got[0]) && check_records(s, s->obj.map, &got[0]) ? OUT_AGREED
                                                                          : OUT_WRONG_SUM;
}

static void take(struct bpf_state *s, const struct peek_object *o, enum pmq_consistency c)
{
    s->records = o->map;
    s->got = o->skel->bss->req.got[0];
    s->consistency = c;
    s->more = s->got.status == PEEK_FULL;
    s->first = o->skel->bss->req.skip;
}

/* With the queue locked. Return: 0; -EAGAIN when it holds too much for that; or why it cannot be.
 */
static int collect_locked(struct bpf_state *s, struct err *e)
{
    struct peek_request *req;
    char line[128];
    int r;

    if (s->locked_error)
        return err_set(e, s->locked_error, NULL, "no locked snapshot on this kernel");
    if (!s->locked.skel) {
        r = object_load(&s->locked, LOCKED_ROOM, LOCKED, e);
        if (r < 0) {
            s->locked_error = r;
            return r;
        }
    }
    req = &s->locked.skel->bss->req;
    req->fd = (uint32_t)pmq_queue_fd(s->q);
    req->room = LOCKED_ROOM;
    req->heads = s->opts->heads;
    req->skip = 0;
    r = run(s->locked.skel->progs.peek_arm);
    if (r < 0)
        return r;
    if (pread(pmq_queue_fd(s->q), line, sizeof(line), 0) < 0)
        return -errno;
    if (req->status != PEEK_DONE)
        return err_set(e, -EAGAIN, NULL, "the queue holds too much for a locked snapshot");
    r = check_facts(s, req, e);
    if (r < 0)
        return r;
    if (!adds_up(req, &req->got[0]) || !check_records(s, s->locked.map, &req->got[0]))
        return wrong(e, "the messages do not add up");
    take(s, &s->locked, PMQ_ATOMIC);
    return 0;
}

/*
 * After the last try. What could not be confirmed may be memory that has been freed and belongs to
 * somebody else by now: only root, who may read all memory, gets to see it.
 */
static int give_up(struct bpf_state *s, unsigned int tries, struct err *e)
{
    const struct peek_request *req = &s->obj.skel->bss->req;

    if (!req->skip && collect_locked(s, NULL) == 0)
        return 0;
    if (kbpf_is_root() && req->got[0].bytes <= s->obj.room &&
        (req->got[0].status == PEEK_DONE || req->got[0].status == PEEK_FULL) &&
        object_map(&s->obj, (size_t)req->got[0].bytes) == 0 &&
        check_records(s, s->obj.map, &req->got[0])) {
        take(s, &s->obj, PMQ_TORN);
        return 0;
    }
    return err_set(e, -EAGAIN, "try again, or stop who is using it",
                   "the queue changed during each of %u tries to read it", tries);
}

/* A window that begins at message @skip, agreed upon if at all possible. */
static int collect_until_agreed(struct bpf_state *s, uint64_t skip, unsigned int *tries,
                                struct err *e)
{
    const struct peek_request *req;
    uint64_t patience = timefmt_now(CLOCK_MONOTONIC) + PATIENCE_NS;
    unsigned int wrong_sums = 0;
    int r;

    for (*tries = 1; *tries <= TRIES || timefmt_now(CLOCK_MONOTONIC) < patience; (*tries)++) {
        r = collect(s, skip, e);
        if (r == OUT_FULL) {
            req = &s->obj.skel->bss->req;
            r = grow(s, MAX(2 * s->obj.room, records_size(s, req->curmsgs, req->qsize)), e);
        } else if (r == OUT_AGREED) {
            take(s, &s->obj, PMQ_VERIFIED);
            return 0;
        } else if (r == OUT_WRONG_SUM) {
            wrong_sums++;
        }
        if (r < 0)
            return r;
        if (wrong_sums == TRIES && *tries == TRIES)
            return wrong(e, "the messages do not add up");
    }
    return give_up(s, --*tries, e);
}

/* ---- the backend ---- */

static int bpf_probe(const struct pmq_peek_opts *opts _unused_, struct err *e)
{
    return kbpf_probe(KBPF_SYSCALL, e);
}

static int bpf_open(const struct pmq_peek_opts *opts, void **state, struct err *e _unused_)
{
    struct bpf_state *s = calloc(1, sizeof(*s));

    if (!s)
        return -ENOMEM;
    s->opts = opts;
    *state = s;
    return 0;
}

static int bpf_snapshot(void *state, const struct pmq_queue *q, struct pmq_snapshot_info *info,
                        struct err *e)
{
    struct bpf_state *s = state;
    uint64_t most;
    int r;

    s->q = q;
    if (mq_getattr(pmq_queue_fd(q), &s->attr) < 0 || fstat(pmq_queue_fd(q), &s->st) < 0)
        return err_set(e, -errno, NULL, "cannot ask for its attributes: %s",
                       err_text(NULL, -errno));
    most = records_size(s, (uint64_t)s->attr.mq_maxmsg,
                        (uint64_t)s->attr.mq_maxmsg * (uint64_t)s->attr.mq_msgsize);
    r = grow(s, MIN(most, (uint64_t)FIRST_ROOM), e);
    if (r < 0)
        return r;
    load_direct(s);
    info->tries = 1;
    if (!s->opts->atomic || collect_locked(s, NULL) < 0)
        r = collect_until_agreed(s, 0, &info->tries, e);
    if (r < 0)
        return r;
    s->windows = s->more;
    info->taken = timefmt_now(CLOCK_REALTIME);
    info->consistency = s->windows ? PMQ_TORN : s->consistency;
    info->messages = s->windows ? PMQ_UNKNOWN : s->got.messages;
    info->bytes = s->windows ? PMQ_UNKNOWN : s->got.payload;
    return 0;
}

static int visit_window(const struct bpf_state *s, pmq_visit_fn visit, void *ctx)
{
    const char *p = s->records;

    for (uint64_t i = 0; i < s->got.messages; i++) {
        const struct peek_record *rec = (const struct peek_record *)(const void *)p;
        const struct pmq_message m = {
            .index = s->first + i,
            .priority = (uint32_t)rec->priority,
            .length = rec->length,
            .data = s->opts->heads ? NULL : p + sizeof(*rec),
        };
        int r = visit(&m, ctx);

        if (r)
            return r;
        p += sizeof(*rec) + (s->opts->heads ? 0 : (rec->length + 7) & ~UINT64_C(7));
    }
    return 0;
}

static int bpf_visit(void *state, pmq_visit_fn visit, void *ctx, struct err *e)
{
    struct bpf_state *s = state;
    unsigned int tries;
    int r = 0;

    /* After an earlier visit of a queue in windows only the last is still there. */
    if (s->first)
        r = collect_until_agreed(s, 0, &tries, e);
    if (r == 0)
        r = visit_window(s, visit, ctx);
    while (r == 0 && s->more) {
        r = collect_until_agreed(s, s->first + s->got.messages, &tries, e);
        if (r == 0)
            r = visit_window(s, visit, ctx);
    }
    return r;
}

static void bpf_close(void *state)
{
    struct bpf_state *s = state;

    object_done(&s->obj);
    object_done(&s->locked);
    free(s);
}

const struct pmq_ops pmq_bpf_ops = {
    .name = "bpf",
    .caps = PMQ_CAP_HEADS | PMQ_CAP_ATOMIC | PMQ_CAP_WINDOWS,
    .needs = "Linux 5.17 with BTF, CAP_BPF and CAP_PERFMON",
    .probe = bpf_probe,
    .open = bpf_open,
    .snapshot = bpf_snapshot,
    .visit = bpf_visit,
    .close = bpf_close,
};
