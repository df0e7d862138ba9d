// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Following: the programs are loaded with what is to be followed as constants, write into a ring
 * buffer, and wake its reader at most every 10 ms.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "caps.h"
#include "cleanup.h"
#include "follow.h"
#include "kbpf.h"
#include "kdev.h"
#include "timefmt.h"

enum {
    MAX_QUEUES = 4096,
    MAX_TARGETS = 1 << 20, /* queues that may be seen with .all; a larger index is damaged */
};

const char *const msgq_follow_backends[] = {"fexit", "tracepoint", NULL};

/* A queue that events refer to by its index. */
struct msgq_target {
    struct follow_key key;
    char *label;
    void *cookie;
};

/* ---- loading ---- */

static int on_record(void *ctx, void *data, size_t size);

static void configure(struct follow_config *c, const struct msgq_follow_opts *opts)
{
    gid_t groups[FOLLOW_GROUPS];
    int n = getgroups(FOLLOW_GROUPS - 1, groups);

    *c = (struct follow_config){
        .all = opts->all,
        .counters_only = opts->counters_only,
        .send = opts->send || !opts->receive,
        .receive = opts->receive || !opts->send,
        .pid = (uint32_t)opts->pid,
        .see_all = kbpf_is_root(),
        .uid = getuid(),
        .capture = MIN(opts->capture, (uint64_t)FOLLOW_CHUNKS * FOLLOW_SCRATCH),
        .ring_wake = kring_size(opts->ring_bytes) / 4,
        .joined = opts->join ? FOLLOW_JOINED : 0,
    };
    /* A user's groups beyond that do not count: less is seen, never more. */
    c->groups[c->n_groups++] = getgid();
    for (int i = 0; i < n; i++)
        c->groups[c->n_groups++] = groups[i];
}

/* What this kernel lacks is done in another way. */
static int adapt(const struct msgq_follow_programs *p, bool fexit)
{
    struct follow_config *c = p->config;
    int r = 0;

    c->functions = fexit;
    c->no_btf = !kbpf_has_btf();
    c->no_storage = c->no_btf || kbpf_is_old();
    c->no_dynptr = c->no_storage ||
                   libbpf_probe_bpf_helper(BPF_PROG_TYPE_TRACEPOINT,
                                           BPF_FUNC_ringbuf_reserve_dynptr, NULL) <= 0;
    if (!c->no_storage)
        return 0;
    r = bpf_map__set_type(p->begun_calls, BPF_MAP_TYPE_LRU_HASH);
    if (r == 0)
        r = bpf_map__set_map_flags(p->begun_calls, 0);
    return r < 0 ? r : bpf_map__set_max_entries(p->begun_calls, FOLLOW_CALLS);
}

static int prepare(struct msgq_follow *f, bool fexit)
{
    const struct msgq_follow_programs *p = &f->programs;
    int cpus = libbpf_num_possible_cpus(), r = cpus < 0 ? cpus : 0;

    configure(p->config, &f->opts);
    p->config->numbers = FOLLOW_PROGRAMS * (uint32_t)MAX(cpus, 0);
    if (r == 0)
        r = adapt(p, fexit);
    if (r == 0)
        r = bpf_map__set_max_entries(p->numbers, p->config->numbers);
    if (r == 0)
        r = f->ops->choose(f, fexit);
    for (size_t i = 0; p->attach[i] && r == 0; i++)
        r = bpf_program__set_autoload(p->attach[i], true);
    if (r == 0 && f->opts.all)
        r = bpf_map__set_type(p->queues, BPF_MAP_TYPE_LRU_HASH);
    if (r == 0)
        r = bpf_map__set_max_entries(p->queues, MAX_QUEUES);
    if (r == 0 && f->opts.join)
        r = bpf_map__reuse_fd(p->ring, bpf_map__fd(f->opts.join->programs.ring));
    else if (r == 0)
        r = bpf_map__set_max_entries(p->ring, kring_size(f->opts.ring_bytes));
    return r < 0 ? r : bpf_map__set_max_entries(p->scratches, FOLLOW_SLOTS * (uint32_t)cpus);
}

static int load(struct msgq_follow *f, bool fexit, struct err *e)
{
    _cleanup_(kbpf_done) struct kbpf k = KBPF_INIT;
    int r = kbpf_begin(&k, fexit ? KBPF_TRAMPOLINE : KBPF_TRACEPOINT, e);

    if (r < 0)
        return r;
    LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = kbpf_btf_path(&k));
    r = f->ops->open(&opts, &f->programs);
    if (r == 0 && prepare(f, fexit) < 0)
        return err_set(e, -EINVAL, NULL, "cannot prepare the BPF programs");
    r = kbpf_load(&k, f->programs.skeleton, e);
    if (r < 0)
        return r;
    f->shared = f->ops->shared(f->programs.skel);
    r = f->ops->set_up(f, &k, e);
    if (r < 0)
        return r;
    if (!f->opts.join)
        r = kring_new(bpf_map__fd(f->programs.ring), FOLLOW_LATENCY_NS, on_record, f, &f->ring);
    if (r < 0)
        return err_set(e, r, NULL, "cannot open the ring buffer: %s", err_text(NULL, r));
    f->backend = msgq_follow_backends[fexit ? 0 : 1];
    return 0;
}

static int try_backend(struct msgq_follow *f, bool fexit, struct err *e)
{
    /* A trampoline may be loaded, and then refused when it is to be attached. */
    int r = fexit ? kbpf_probe(KBPF_TRAMPOLINE, e) : 0;

    if (r == 0)
        r = load(f, fexit, e);
    if (r < 0) {
        kring_free(TAKE_PTR(f->ring));
        f->ops->close(f->programs.skel);
        f->programs = (struct msgq_follow_programs){0};
    }
    return r;
}

static int choose(struct msgq_follow *f, struct err *e)
{
    const char *name = f->opts.backend;
    int r;

    if (name && !strcmp(name, "fexit"))
        return try_backend(f, true, e);
    if (name && !strcmp(name, "tracepoint"))
        return try_backend(f, false, e);
    if (name)
        return err_set(e, -EINVAL, NULL, "no such backend: there are fexit and tracepoint");
    r = try_backend(f, true, &f->reason);
    return r < 0 ? try_backend(f, false, e) : 0;
}

int msgq_follow_new(const struct msgq_follow_ops *ops, const struct msgq_follow_opts *opts,
                    struct msgq_follow **ret, struct err *e)
{
    _cleanup_(msgq_follow_freep) struct msgq_follow *f = calloc(1, sizeof(*f));
    int r;

    if (!f)
        return -ENOMEM;
    f->ops = ops;
    f->opts = *opts;
    r = choose(f, e);
    if (r < 0)
        return r;
    if (opts->join)
        opts->join->joined = f;
    *ret = TAKE_PTR(f);
    return 0;
}

void msgq_follow_free(struct msgq_follow *f)
{
    if (!f)
        return;
    msgq_follow_stop(f);
    if (f->opts.join)
        f->opts.join->joined = NULL;
    kring_free(f->ring);
    f->ops->close(f->programs.skel);
    for (size_t i = 0; i < f->n_targets; i++)
        free(f->targets[i].label);
    free(f->targets);
    free(f);
}

void msgq_follow_freep(struct msgq_follow **f)
{
    msgq_follow_free(*f);
}

const char *msgq_follow_backend(const struct msgq_follow *f)
{
    return f->backend;
}

const char *msgq_follow_reason(const struct msgq_follow *f)
{
    return f->reason.why;
}

/* ---- queues ---- */

/* Sets the target of an index, which may be the next or one that is left out between. */
static int target_set(struct msgq_follow *f, uint32_t index, const struct follow_key *key,
                      const char *label, void *cookie)
{
    char *copy;

    if (index >= MAX_TARGETS)
        return -EBADMSG;
    copy = strdup(label);
    if (!copy)
        return -ENOMEM;
    if (index >= f->n_targets) {
        size_t n = index + 1U;
        struct msgq_target *more = reallocarray(f->targets, n, sizeof(*more));

        if (!more) {
            free(copy);
            return -ENOMEM;
        }
        memset(more + f->n_targets, 0, (n - f->n_targets) * sizeof(*more));
        f->targets = more;
        f->n_targets = n;
    }
    free(f->targets[index].label);
    f->targets[index] = (struct msgq_target){.key = *key, .label = copy, .cookie = cookie};
    return 0;
}

int msgq_follow_add(struct msgq_follow *f, const struct follow_key *key, const char *label,
                    void *cookie, struct err *e)
{
    struct follow_queue value = {.index = (uint32_t)f->n_targets};
    int r;

    if (f->opts.all)
        return err_set(e, -EINVAL, NULL, "all queues are followed already");
    if (f->n_targets == MAX_QUEUES)
        return err_set(e, -ENOSPC, NULL, "no more than %d queues can be followed", MAX_QUEUES);
    r = target_set(f, value.index, key, label, cookie);
    __atomic_fetch_or(&f->shared->filter[key->ino / 64 % FOLLOW_FILTER],
                      UINT64_C(1) << key->ino % 64, __ATOMIC_RELAXED);
    if (r == 0) {
        uint64_t raised = caps_raise_bpf();

        r = bpf_map__update_elem(f->programs.queues, key, sizeof(*key), &value, sizeof(value),
                                 BPF_NOEXIST);
        caps_lower_bpf(raised);
    }
    return r == -EEXIST ? err_set(e, r, NULL, "this queue is followed already") : r;
}

int msgq_follow_start(struct msgq_follow *f, struct err *e)
{
    int r;

    f->begun = timefmt_now(CLOCK_MONOTONIC);
    f->ended = 0;
    r = klinks_attach(&f->links, f->programs.attach);
    return r < 0 ? err_set(e, r, NULL, "cannot attach the BPF programs: %s", err_text(NULL, r)) : 0;
}

void msgq_follow_stop(struct msgq_follow *f)
{
    klinks_detach(&f->links);
    if (f->begun && !f->ended)
        f->ended = timefmt_now(CLOCK_MONOTONIC);
}

void msgq_follow_cut(struct msgq_follow *f)
{
    klinks_cut(&f->links, msgq_follow_fd(f));
}

/* ---- reading ---- */

int msgq_follow_fd(const struct msgq_follow *f)
{
    return kring_fd(f->opts.join ? f->opts.join->ring : f->ring);
}

static int deliver(struct msgq_follow *f, const struct msgq_event *ev)
{
    int r = f->visit(ev, f->ctx);

    if (r)
        f->stopped = r;
    return r;
}

/*
 * Announces what was lost since the last time: @lost that the programs counted, and as many as the
 * program at the end of calls was not run for, each of which may have been for a queue that is
 * followed.
 */
static int deliver_lost(struct msgq_follow *f, uint64_t lost, uint64_t time)
{
    struct msgq_event ev = {.kind = MSGQ_EVENT_LOST, .time = time, .blocked = MSGQ_UNKNOWN};

    lost += f->missed;
    if (lost <= f->totals.lost)
        return 0;
    ev.count = lost - f->totals.lost;
    f->totals.lost = lost;
    return deliver(f, &ev);
}

/* The queue of an event. Return: false for an index that no queue has. */
static bool fill_target(const struct msgq_follow *f, uint32_t index, struct msgq_event *ev)
{
    const struct msgq_target *t;

    if (index >= f->n_targets)
        return false;
    t = f->targets + index;
    ev->dev = f->ops->sysv ? t->key.dev : kdev_for_user(t->key.dev);
    ev->ino = t->key.ino;
    ev->label = t->label;
    ev->cookie = t->cookie;
    return true;
}

/* A POSIX message's type is its priority, which is not always known. */
static void fill_type(int64_t type, struct msgq_event *ev)
{
    ev->type = type;
    ev->priority = ev->sysv || type < 0 || type > UINT32_MAX ? MSGQ_PRIO_UNKNOWN : (uint32_t)type;
}

static void fill_control(const struct follow_control *c, struct msgq_event *ev)
{
    ev->data = NULL;
    ev->captured = 0;
    ev->known = c->known;
    ev->limit = c->limit;
    ev->uid = c->uid;
    ev->gid = c->gid;
    ev->mode = c->mode;
}

static int on_event(struct msgq_follow *f, const struct follow_event *r, size_t size)
{
    static const enum msgq_event_kind kinds[] = {
        [FOLLOW_SEND] = MSGQ_EVENT_SEND,           [FOLLOW_RECEIVE] = MSGQ_EVENT_RECEIVE,
        [FOLLOW_UNCOVERED] = MSGQ_EVENT_UNCOVERED, [FOLLOW_REMOVE] = MSGQ_EVENT_REMOVE,
        [FOLLOW_CHANGE] = MSGQ_EVENT_CHANGE,
    };
    struct msgq_event ev = {
        .kind = kinds[r->head.kind & FOLLOW_KIND],
        .sysv = f->ops->sysv,
        .time = kclock_realtime(&f->clock, r->time),
        .pid = (pid_t)r->pid,
        .tid = (pid_t)r->tid,
        .length = r->length,
        .data = r + 1,
        .captured = MIN((size_t)r->captured, size - sizeof(*r)),
        .blocked = r->blocked,
    };
    int stop;

    memcpy(ev.comm, r->comm, sizeof(ev.comm));
    ev.comm[sizeof(ev.comm) - 1] = '\0';
    if (ev.kind != MSGQ_EVENT_UNCOVERED && !fill_target(f, r->head.index, &ev))
        return -EBADMSG;
    fill_type(r->type, &ev);
    if (ev.kind == MSGQ_EVENT_REMOVE || ev.kind == MSGQ_EVENT_CHANGE)
        fill_control((const struct follow_control *)(const void *)r, &ev);
    stop = deliver_lost(f, r->head.lost, ev.time);
    /* A visit that stops at the loss would otherwise miss the event itself. */
    if (ev.kind != MSGQ_EVENT_UNCOVERED)
        f->totals.events++;
    return deliver(f, &ev) || stop;
}

static int on_announce(struct msgq_follow *f, const struct follow_announce *a)
{
    char label[FOLLOW_LABEL];

    f->ops->label(a, label);
    return target_set(f, a->head.index, &a->key, label, NULL);
}

/* Whether a record is as long as its kind is at least; an unknown one never is. */
static bool is_complete(uint32_t kind, size_t size)
{
    switch (kind) {
    case FOLLOW_SEND:
    case FOLLOW_RECEIVE:
    case FOLLOW_UNCOVERED:
        return size >= sizeof(struct follow_event);
    case FOLLOW_REMOVE:
    case FOLLOW_CHANGE:
        return size >= sizeof(struct follow_control);
    case FOLLOW_QUEUE:
        return size >= sizeof(struct follow_announce);
    default:
        return false;
    }
}

static int on_record(void *ctx, void *data, size_t size)
{
    struct msgq_follow *reader = ctx, *joined = reader->joined;
    const struct follow_record *head = data;
    uint32_t kind = size < sizeof(*head) ? 0 : head->kind & ~(uint32_t)FOLLOW_JOINED;
    struct msgq_follow *f = kind && head->kind != kind ? joined : reader;
    int r = -EBADMSG;

    if (f && is_complete(kind, size))
        r = kind == FOLLOW_QUEUE ? on_announce(f, data) : on_event(f, data, size);
    if (joined && !reader->stopped)
        reader->stopped = joined->stopped;
    if (r < 0 && !reader->stopped)
        reader->stopped = r;
    return reader->stopped;
}

/* What was lost, and on whose events; before reading. */
struct before {
    uint64_t lost, missed;
};

static struct before read_begins(struct msgq_follow *f, msgq_event_fn visit, void *ctx)
{
    f->visit = visit;
    f->ctx = ctx;
    f->stopped = 0;
    kclock_look(&f->clock);
    return (struct before){
        .lost = __atomic_load_n(&f->shared->lost, __ATOMIC_ACQUIRE),
        .missed = kbpf_misses(f->programs.last),
    };
}

/* What was lost when all that was read (@all) had been written: no later record need come to tell.
 */
static void read_ends(struct msgq_follow *f, const struct before *b, bool all)
{
    f->missed = b->missed;
    f->totals.uncovered = f->shared->uncovered;
    if (all)
        deliver_lost(f, b->lost, timefmt_now(CLOCK_REALTIME));
}

int msgq_follow_read(struct msgq_follow *f, msgq_event_fn visit, void *ctx, struct err *e)
{
    struct before mine = read_begins(f, visit, ctx), other = {0};
    int r;

    if (f->joined)
        other = read_begins(f->joined, visit, ctx);
    r = kring_read(f->ring, e);
    if (r < 0)
        return r;
    read_ends(f, &mine, r == 0);
    if (f->joined)
        read_ends(f->joined, &other, r == 0);
    return f->stopped || !f->joined ? f->stopped : f->joined->stopped;
}

void msgq_follow_totals(const struct msgq_follow *f, struct msgq_follow_totals *out)
{
    *out = f->totals;
    out->span = f->begun ? (f->ended ? f->ended : timefmt_now(CLOCK_MONOTONIC)) - f->begun : 0;
}

int msgq_follow_counters(struct msgq_follow *f, uint64_t dev, uint64_t ino,
                         struct msgq_counters *out)
{
    const struct follow_key key = {.dev = f->ops->sysv ? dev : kdev_in_kernel(dev), .ino = ino};
    struct follow_queue value = {0};
    uint64_t raised = caps_raise_bpf();
    int r = bpf_map__lookup_elem(f->programs.queues, &key, sizeof(key), &value, sizeof(value), 0);

    caps_lower_bpf(raised);
    if (r < 0 && r != -ENOENT)
        return r;
    *out = (struct msgq_counters){
        .dev = dev,
        .ino = ino,
        .sent = value.sent,
        .received = value.received,
        .sent_bytes = value.sent_bytes,
        .received_bytes = value.received_bytes,
        .send_blocked = value.send_blocked,
        .receive_blocked = value.receive_blocked,
    };
    return 0;
}
