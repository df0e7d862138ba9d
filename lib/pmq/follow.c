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
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "follow_abi.h"
#include "kbpf.h"
#include "kclock.h"
#include "kdev.h"
#include "klinks.h"
#include "kring.h"
#include "pmq_attr.h"
#include "pmq_backends.h"
#include "pmq_follow.h"
#include "privileges.h"
#include "timefmt.h"

#include "follow.skel.h"

enum {
    MAX_QUEUES = 4096,
    MAX_TARGETS = 1 << 20, /* queues that may be seen with .all; more than that is no index */
};

const char *const pmq_follow_backends[] = {"fexit", "tracepoint", NULL};

/* A queue that events refer to by its index. */
struct target {
    struct follow_key key;
    char *label;
    void *cookie;
};

struct pmq_follow {
    struct pmq_follow_opts opts;
    const char *backend;
    struct err reason;
    struct follow_bpf *skel;
    struct klinks links;
    struct kring *ring;
    struct target *targets;
    size_t n_targets;
    uint64_t begun, ended; /* CLOCK_MONOTONIC */
    uint64_t missed; /* calls for which the last program was not run, as of the last reading */
    struct pmq_follow_totals totals;
    /* While reading. */
    struct kclock clock;
    pmq_event_fn visit;
    void *ctx;
    int stopped; /* what visit returned, or -errno */
};

/* ---- loading ---- */

static int on_record(void *ctx, void *data, size_t size);

static void configure(struct follow_config *c, const struct pmq_follow_opts *opts)
{
    gid_t groups[FOLLOW_GROUPS];
    const struct msgq_peek_opts any = {0};
    int n = getgroups(FOLLOW_GROUPS - 1, groups);
    long receive2;

    /* A wrong number has been refused before; none stands for no call. */
    if (pmq_syscall_number(&any, &receive2, NULL) < 0)
        receive2 = UINT32_MAX;

    *c = (struct follow_config){
        .all = opts->all,
        .counters_only = opts->counters_only,
        .send = opts->send || !opts->receive,
        .receive = opts->receive || !opts->send,
        .pid = (uint32_t)opts->pid,
        .see_all = kbpf_is_root(),
        .uid = getuid(),
        .capture = MIN(opts->capture, (uint64_t)PMQ_HARD_MSGSIZEMAX),
        .ring_wake = kring_size(opts->ring_bytes) / 4,
        .receive2 = (uint32_t)receive2,
    };
    /* Of a user with more groups than that the rest do not count: less is seen, never more. */
    c->groups[c->n_groups++] = getgid();
    for (int i = 0; i < n; i++)
        c->groups[c->n_groups++] = groups[i];
}

static struct bpf_program **programs(struct follow_bpf *s, bool fexit)
{
    static _Thread_local struct bpf_program *list[KLINKS_MAX + 1];

    memset(list, 0, sizeof(list));
    /* In the order in which they are attached: what catches the end of a call comes last. */
    if (fexit) {
        list[0] = s->progs.send_begins;
        list[1] = s->progs.receive_begins;
        list[2] = s->progs.receive_copies;
        list[3] = s->progs.send_ends;
        list[4] = s->progs.receive_ends;
        list[5] = s->progs.call_exit;
    } else {
        bool raw = s->rodata->config.no_btf;

        list[0] = raw ? s->progs.raw_enter : s->progs.call_enter;
        list[1] = raw ? s->progs.raw_exit : s->progs.call_exit;
    }
    return list;
}

/* What this kernel lacks is done in another way. */
static int adapt(struct follow_bpf *s, bool fexit)
{
    struct follow_config *c = &s->rodata->config;
    int r = 0;

    c->functions = fexit;
    c->no_btf = !kbpf_has_btf();
    c->no_storage = c->no_btf || kbpf_is_old();
    c->no_dynptr = c->no_storage ||
                   libbpf_probe_bpf_helper(BPF_PROG_TYPE_TRACEPOINT,
                                           BPF_FUNC_ringbuf_reserve_dynptr, NULL) <= 0;
    if (!c->no_storage)
        return 0;
    r = bpf_map__set_type(s->maps.begun_calls, BPF_MAP_TYPE_LRU_HASH);
    if (r == 0)
        r = bpf_map__set_map_flags(s->maps.begun_calls, 0);
    return r < 0 ? r : bpf_map__set_max_entries(s->maps.begun_calls, FOLLOW_CALLS);
}

/* The program that sees a call when all others did not. */
static const struct bpf_program *last_program(const struct pmq_follow *f)
{
    return f->skel->rodata->config.no_btf ? f->skel->progs.raw_exit : f->skel->progs.call_exit;
}

static int prepare(struct pmq_follow *f, bool fexit)
{
    struct follow_bpf *s = f->skel;
    int cpus = libbpf_num_possible_cpus(), r = cpus < 0 ? cpus : 0;

    configure(&s->rodata->config, &f->opts);
    s->rodata->config.numbers = FOLLOW_PROGRAMS * (uint32_t)MAX(cpus, 0);
    if (r == 0)
        r = adapt(s, fexit);
    if (r == 0)
        r = bpf_map__set_max_entries(s->maps.numbers, s->rodata->config.numbers);
    for (struct bpf_program **p = programs(s, fexit); *p && r == 0; p++)
        r = bpf_program__set_autoload(*p, true);
    if (r == 0 && f->opts.all)
        r = bpf_map__set_type(s->maps.queues, BPF_MAP_TYPE_LRU_HASH);
    if (r == 0)
        r = bpf_map__set_max_entries(s->maps.queues, MAX_QUEUES);
    if (r == 0)
        r = bpf_map__set_max_entries(s->maps.ring, kring_size(f->opts.ring_bytes));
    return r < 0 ? r : bpf_map__set_max_entries(s->maps.scratches, FOLLOW_SLOTS * (uint32_t)cpus);
}

/* Whether the programs read the memory of this kernel: with the BTF of another they would see
 * nothing. */
static int prove(const struct pmq_follow *f, int fd, struct err *e)
{
    const struct follow_proof *p = &f->skel->bss->proof;
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (p->ino == st.st_ino && p->dev == kdev_in_kernel(st.st_dev) && p->mode == st.st_mode &&
        p->magic == PMQ_FS_MAGIC)
        return 0;
    return err_set(e, -EIO, "use the BTF of the running kernel (ipcbox btf --help)",
                   "what BPF read is not this process: the BTF is that of another kernel");
}

/* Runs the program that looks at its user once. */
static int set_up(const struct pmq_follow *f, const struct kbpf *k, struct err *e)
{
    _cleanup_(closep) int fd = memfd_create("ipcbox-proof", MFD_CLOEXEC);
    LIBBPF_OPTS(bpf_test_run_opts, once);
    int r;

    if (fd < 0)
        return -errno;
    f->skel->bss->proof.fd = (uint64_t)fd;
    r = bpf_prog_test_run_opts(bpf_program__fd(f->skel->progs.follow_setup), &once);
    return r < 0 ? kbpf_explain(k, r, "cannot run the BPF program", e) : prove(f, fd, e);
}

static int load(struct pmq_follow *f, bool fexit, struct err *e)
{
    _cleanup_(kbpf_done) struct kbpf k = KBPF_INIT;
    int r = kbpf_begin(&k, fexit ? KBPF_TRAMPOLINE : KBPF_TRACEPOINT, e);

    if (r < 0)
        return r;
    LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = kbpf_btf_path(&k));
    f->skel = follow_bpf__open_opts(&opts);
    if (f->skel && prepare(f, fexit) < 0)
        return err_set(e, -EINVAL, NULL, "cannot prepare the BPF programs");
    r = kbpf_load(&k, f->skel ? f->skel->skeleton : NULL, e);
    if (r < 0)
        return r;
    r = set_up(f, &k, e);
    if (r < 0)
        return r;
    /* Before Linux 5.19 that takes a privilege, which a user lays down when the load ends. */
    r = kring_new(bpf_map__fd(f->skel->maps.ring), FOLLOW_LATENCY_NS, on_record, f, &f->ring);
    if (r < 0)
        return err_set(e, r, NULL, "cannot open the ring buffer: %s", err_text(NULL, r));
    f->backend = pmq_follow_backends[fexit ? 0 : 1];
    return 0;
}

static int try_backend(struct pmq_follow *f, bool fexit, struct err *e)
{
    /* A trampoline may be loaded, and then refused when it is to be attached. */
    int r = fexit ? kbpf_probe(KBPF_TRAMPOLINE, e) : 0;

    if (r == 0)
        r = load(f, fexit, e);
    if (r < 0) {
        kring_free(TAKE_PTR(f->ring));
        follow_bpf__destroy(f->skel);
        f->skel = NULL;
    }
    return r;
}

static int choose(struct pmq_follow *f, struct err *e)
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

/* Loads what would be loaded: nothing less tells whether the kernel takes it. */
int pmq_follow_probe(const char *backend, struct err *e)
{
    const struct pmq_follow_opts opts = {.all = true, .backend = backend, .ring_bytes = 1};
    _cleanup_(pmq_follow_freep) struct pmq_follow *f = NULL;

    return pmq_follow_new(&opts, &f, e);
}

int pmq_follow_new(const struct pmq_follow_opts *opts, struct pmq_follow **ret, struct err *e)
{
    _cleanup_(pmq_follow_freep) struct pmq_follow *f = calloc(1, sizeof(*f));
    int r;

    if (!f)
        return -ENOMEM;
    f->opts = *opts;
    r = choose(f, e);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(f);
    return 0;
}

void pmq_follow_free(struct pmq_follow *f)
{
    if (!f)
        return;
    pmq_follow_stop(f);
    kring_free(f->ring);
    follow_bpf__destroy(f->skel);
    for (size_t i = 0; i < f->n_targets; i++)
        free(f->targets[i].label);
    free(f->targets);
    free(f);
}

void pmq_follow_freep(struct pmq_follow **f)
{
    pmq_follow_free(*f);
}

const char *pmq_follow_backend(const struct pmq_follow *f)
{
    return f->backend;
}

const char *pmq_follow_reason(const struct pmq_follow *f)
{
    return f->reason.why;
}

/* ---- queues ---- */

/* Sets the target of an index, which may be the next or one that is left out between. */
static int target_set(struct pmq_follow *f, uint32_t index, const struct follow_key *key,
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
        struct target *more = reallocarray(f->targets, n, sizeof(*more));

        if (!more) {
            free(copy);
            return -ENOMEM;
        }
        memset(more + f->n_targets, 0, (n - f->n_targets) * sizeof(*more));
        f->targets = more;
        f->n_targets = n;
    }
    free(f->targets[index].label);
    f->targets[index] = (struct target){.key = *key, .label = copy, .cookie = cookie};
    return 0;
}

int pmq_follow_add(struct pmq_follow *f, const struct pmq_queue *q, void *cookie, struct err *e)
{
    struct follow_queue value = {.index = (uint32_t)f->n_targets};
    struct follow_key key;
    struct stat st;
    int r;

    if (f->opts.all)
        return err_set(e, -EINVAL, NULL, "all queues are followed already");
    if (f->n_targets == MAX_QUEUES)
        return err_set(e, -ENOSPC, NULL, "no more than %d queues can be followed", MAX_QUEUES);
    if (fstat(pmq_queue_fd(q), &st) < 0)
        return -errno;
    key = (struct follow_key){.dev = kdev_in_kernel(st.st_dev), .ino = st.st_ino};
    r = target_set(f, value.index, &key, pmq_queue_label(q), cookie);
    __atomic_fetch_or(&f->skel->bss->inode_filter[key.ino / 64 % FOLLOW_FILTER],
                      UINT64_C(1) << key.ino % 64, __ATOMIC_RELAXED);
    if (r == 0)
        r = bpf_map__update_elem(f->skel->maps.queues, &key, sizeof(key), &value, sizeof(value),
                                 BPF_NOEXIST);
    return r == -EEXIST ? err_set(e, r, NULL, "this queue is followed already") : r;
}

int pmq_follow_start(struct pmq_follow *f, struct err *e)
{
    int r;

    f->begun = timefmt_now(CLOCK_MONOTONIC);
    f->ended = 0;
    r = klinks_attach(&f->links, programs(f->skel, f->backend == pmq_follow_backends[0]));
    return r < 0 ? err_set(e, r, NULL, "cannot attach the BPF programs: %s", err_text(NULL, r)) : 0;
}

void pmq_follow_stop(struct pmq_follow *f)
{
    klinks_detach(&f->links);
    if (f->begun && !f->ended)
        f->ended = timefmt_now(CLOCK_MONOTONIC);
}

void pmq_follow_cut(struct pmq_follow *f)
{
    klinks_cut(&f->links, kring_fd(f->ring));
}

/* ---- reading ---- */

int pmq_follow_fd(const struct pmq_follow *f)
{
    return kring_fd(f->ring);
}

static int deliver(struct pmq_follow *f, const struct pmq_event *ev)
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
static int deliver_lost(struct pmq_follow *f, uint64_t lost, uint64_t time)
{
    struct pmq_event ev = {.kind = PMQ_EVENT_LOST, .time = time, .blocked = PMQ_UNKNOWN};

    lost += f->missed;
    if (lost <= f->totals.lost)
        return 0;
    ev.count = lost - f->totals.lost;
    f->totals.lost = lost;
    return deliver(f, &ev);
}

static int on_event(struct pmq_follow *f, const struct follow_event *r, size_t size)
{
    static const enum pmq_event_kind kinds[] = {
        [FOLLOW_SEND] = PMQ_EVENT_SEND,
        [FOLLOW_RECEIVE] = PMQ_EVENT_RECEIVE,
        [FOLLOW_UNCOVERED] = PMQ_EVENT_UNCOVERED,
    };
    struct pmq_event ev = {
        .kind = kinds[r->head.kind],
        .time = kclock_realtime(&f->clock, r->time),
        .pid = (pid_t)r->pid,
        .tid = (pid_t)r->tid,
        .priority = r->priority,
        .length = r->length,
        .data = r + 1,
        .captured = MIN((size_t)r->captured, size - sizeof(*r)),
        .blocked = r->blocked,
    };
    int stop;

    memcpy(ev.comm, r->comm, sizeof(ev.comm));
    ev.comm[sizeof(ev.comm) - 1] = '\0';
    if (ev.kind != PMQ_EVENT_UNCOVERED) {
        if (r->head.index >= f->n_targets)
            return -EBADMSG;
        ev.dev = kdev_for_user(f->targets[r->head.index].key.dev);
        ev.ino = f->targets[r->head.index].key.ino;
        ev.label = f->targets[r->head.index].label;
        ev.cookie = f->targets[r->head.index].cookie;
    }
    stop = deliver_lost(f, r->head.lost, ev.time);
    /* A visit that stops at the loss would otherwise miss the event itself. */
    if (ev.kind != PMQ_EVENT_UNCOVERED)
        f->totals.events++;
    return deliver(f, &ev) || stop;
}

static int on_announce(struct pmq_follow *f, const struct follow_announce *a)
{
    char label[FOLLOW_NAME + 1] = "/";

    memcpy(label + 1, a->name, sizeof(a->name));
    label[FOLLOW_NAME] = '\0';
    return target_set(f, a->head.index, &a->key, label, NULL);
}

static int on_record(void *ctx, void *data, size_t size)
{
    struct pmq_follow *f = ctx;
    const struct follow_record *head = data;
    int r = 0;

    if (size >= sizeof(struct follow_announce) && head->kind == FOLLOW_QUEUE)
        r = on_announce(f, data);
    else if (size >= sizeof(struct follow_event) && head->kind >= FOLLOW_SEND &&
             head->kind <= FOLLOW_UNCOVERED && head->kind != FOLLOW_QUEUE)
        r = on_event(f, data, size);
    else
        r = -EBADMSG;
    if (r < 0 && !f->stopped)
        f->stopped = r;
    return f->stopped;
}

int pmq_follow_read(struct pmq_follow *f, pmq_event_fn visit, void *ctx, struct err *e)
{
    uint64_t lost, missed;
    int r;

    f->visit = visit;
    f->ctx = ctx;
    f->stopped = 0;
    kclock_look(&f->clock);
    lost = __atomic_load_n(&f->skel->bss->lost, __ATOMIC_ACQUIRE);
    missed = kbpf_misses(last_program(f));
    r = kring_read(f->ring, e);
    if (r < 0)
        return r;
    f->missed = missed;
    f->totals.uncovered = f->skel->bss->uncovered;
    /* What was lost when all that was read had been written: no later record need come to tell. */
    if (r == 0)
        deliver_lost(f, lost, timefmt_now(CLOCK_REALTIME));
    return f->stopped;
}

void pmq_follow_totals(const struct pmq_follow *f, struct pmq_follow_totals *out)
{
    *out = f->totals;
    out->span = f->begun ? (f->ended ? f->ended : timefmt_now(CLOCK_MONOTONIC)) - f->begun : 0;
}

int pmq_follow_counters(struct pmq_follow *f, uint64_t dev, uint64_t ino, struct pmq_counters *out)
{
    const struct follow_key key = {.dev = kdev_in_kernel(dev), .ino = ino};
    struct follow_queue value = {0};
    int r = bpf_map__lookup_elem(f->skel->maps.queues, &key, sizeof(key), &value, sizeof(value), 0);

    if (r < 0 && r != -ENOENT)
        return r;
    *out = (struct pmq_counters){
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

int pmq_keep_privileges(bool load)
{
    return privileges_keep(PRIVILEGES_LOOK | kbpf_privileges_loaded(),
                           load ? kbpf_privileges() : 0);
}
