/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Following: loads two programs for the tracepoints at which buffers are freed, and reads their
 * ring buffer.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "calibrate.h"
#include "caps.h"
#include "cleanup.h"
#include "fdq_follow.h"
#include "follow_abi.h"
#include "kbpf.h"
#include "kclock.h"
#include "klinks.h"
#include "kring.h"
#include "macros.h"
#include "privileges.h"
#include "timefmt.h"

#include "fdqfollow.skel.h"

struct fdq_follow {
    struct fdq_follow_opts opts;
    struct fdqfollow_bpf *skel;
    struct klinks links;
    struct kring *ring;
    struct kclock clock;
    struct fdq_follow_totals totals;
    uint64_t missed;  /* total number of runs that the kernel skipped */
    uint64_t no_room; /* total number of events for which the ring buffer had no room */
    fdq_event_fn visit;
    void *ctx;
    int stopped;
};

static int may_follow(struct err *e)
{
    int r = kbpf_probe(KBPF_TRACEPOINT, e);

    if (r == 0 && !kbpf_is_root())
        r = err_set(e, -EPERM, "run as root", "following shows the traffic of every user");
    return r;
}

/* ---- loading ---- */

static int prepare(struct fdq_follow *f)
{
    struct fdqfollow_bpf *s = f->skel;
    int cpus = libbpf_num_possible_cpus(), r;

    if (cpus < 0)
        return cpus;
    s->rodata->config = (struct fdfollow_config){
        .own_pid = (uint32_t)getpid(),
        .all = f->opts.all,
        .capture = (uint32_t)MIN(f->opts.capture, (uint64_t)FDFOLLOW_CAPTURE - 1),
        .ring_wake = kring_size(f->opts.ring_bytes) / 4,
        /* libbpf cannot probe helpers of tracing programs; kprobes have the same helpers. */
        .has_registers = libbpf_probe_bpf_helper(BPF_PROG_TYPE_KPROBE, BPF_FUNC_task_pt_regs,
                                                 NULL) == 1,
    };
    r = bpf_program__set_autoload(s->progs.received, true);
    if (r == 0)
        r = bpf_program__set_autoload(s->progs.unread, true);
    if (r == 0)
        r = bpf_map__set_max_entries(s->maps.ring, kring_size(f->opts.ring_bytes));
    return r < 0 ? r : bpf_map__set_max_entries(s->maps.scratches, 2 * (uint32_t)cpus);
}

static int load(struct fdq_follow *f, struct err *e)
{
    _cleanup_(kbpf_done) struct kbpf k = KBPF_INIT;
    int r = kbpf_begin(&k, KBPF_TRACEPOINT, e);

    if (r < 0)
        return r;
    LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = kbpf_btf_path(&k));
    f->skel = fdqfollow_bpf__open_opts(&opts);
    if (f->skel && prepare(f) < 0)
        return err_set(e, -EINVAL, NULL, "cannot prepare the BPF programs");
    r = kbpf_load(&k, f->skel ? f->skel->skeleton : NULL, e);
    if (r < 0)
        return r;
    return calibrate_pages(f->skel->progs.calibrate, &f->skel->bss->calibration,
                           &f->skel->bss->page_base, e);
}

static int on_record(void *ctx, void *data, size_t size);

static void freep_follow(struct fdq_follow **f)
{
    fdq_follow_free(*f);
}

int fdq_follow_new(const struct fdq_follow_opts *opts, struct fdq_follow **ret, struct err *e)
{
    _cleanup_(freep_follow) struct fdq_follow *f = NULL;
    int r = may_follow(e);

    if (r < 0)
        return r;
    f = calloc(1, sizeof(*f));
    if (!f)
        return -ENOMEM;
    f->opts = *opts;
    r = load(f, e);
    if (r < 0)
        return r;
    r = kring_new(bpf_map__fd(f->skel->maps.ring), FDFOLLOW_LATENCY_NS, on_record, f, &f->ring);
    if (r < 0)
        return err_set(e, r, NULL, "cannot open the ring buffer: %s", err_text(NULL, r));
    *ret = TAKE_PTR(f);
    return 0;
}

/* Loads all programs: only that shows whether the kernel accepts them. */
int fdq_follow_probe(struct err *e)
{
    const struct fdq_follow_opts opts = {.all = true, .ring_bytes = 1};
    _cleanup_(freep_follow) struct fdq_follow *f = NULL;

    return fdq_follow_new(&opts, &f, e);
}

void fdq_follow_free(struct fdq_follow *f)
{
    if (!f)
        return;
    fdq_follow_stop(f);
    kring_free(f->ring);
    fdqfollow_bpf__destroy(f->skel);
    free(f);
}

static int want(struct fdq_follow *f, uint64_t key)
{
    const uint32_t yes = 1;
    uint64_t raised = caps_raise_bpf();
    int r = bpf_map__update_elem(f->skel->maps.wanted, &key, sizeof(key), &yes, sizeof(yes),
                                 BPF_ANY);

    caps_lower_bpf(raised);
    return r;
}

int fdq_follow_inode(struct fdq_follow *f, uint64_t inode)
{
    return want(f, inode);
}

int fdq_follow_pid(struct fdq_follow *f, pid_t pid)
{
    return want(f, (uint64_t)FDFOLLOW_PID | (uint32_t)pid);
}

/* ---- losses ---- */

/*
 * Number of runs that the kernel skipped because the program was already running on that processor.
 */
static uint64_t skipped_runs(const struct bpf_program *prog)
{
    struct bpf_prog_info info = {0};
    uint32_t len = sizeof(info);

    if (bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info, &len) < 0)
        return 0;
    return info.recursion_misses;
}

static uint64_t all_skipped_runs(const struct fdq_follow *f)
{
    return skipped_runs(f->skel->progs.received) + skipped_runs(f->skel->progs.unread);
}

int fdq_follow_start(struct fdq_follow *f, struct err *e)
{
    struct bpf_program *const programs[] = {f->skel->progs.received, f->skel->progs.unread, NULL};
    int r;

    f->missed = all_skipped_runs(f);
    r = klinks_attach(&f->links, programs);
    return r < 0 ? err_set(e, r, NULL, "cannot attach the BPF programs: %s", err_text(NULL, r)) : 0;
}

void fdq_follow_stop(struct fdq_follow *f)
{
    klinks_detach(&f->links);
}

int fdq_keep_privileges(void)
{
    return privileges_keep(kbpf_privileges_loaded(), 0);
}

void fdq_follow_cut(struct fdq_follow *f)
{
    klinks_cut(&f->links, kring_fd(f->ring));
}

int fdq_follow_fd(const struct fdq_follow *f)
{
    return kring_fd(f->ring);
}

/* ---- reading ---- */

static int deliver(struct fdq_follow *f, const struct fdq_event *ev)
{
    int r = f->visit(ev, f->ctx);

    if (r)
        f->stopped = r;
    return r;
}

/* Reports how much one of the two counters of losses has grown. */
static int deliver_lost(struct fdq_follow *f, uint64_t *before, uint64_t now, uint64_t time)
{
    struct fdq_event ev = {.kind = FDQ_EVENT_LOST, .time = time};

    if (now <= *before)
        return 0;
    ev.count = now - *before;
    *before = now;
    f->totals.lost += ev.count;
    return deliver(f, &ev);
}

static enum fdq_kind kind_of(uint32_t type)
{
    return type == SOCK_STREAM ? FDQ_STREAM : type == SOCK_DGRAM ? FDQ_DGRAM : FDQ_SEQPACKET;
}

static int on_record(void *ctx, void *data, size_t size)
{
    struct fdq_follow *f = ctx;
    const struct fdfollow_event *r = data;
    struct fdq_event ev;
    int stop;

    if (size < sizeof(*r) || r->kind < FDFOLLOW_RECEIVED || r->kind > FDFOLLOW_UNREAD)
        return f->stopped = -EBADMSG;
    ev = (struct fdq_event){
        .kind = r->kind == FDFOLLOW_RECEIVED ? FDQ_EVENT_RECEIVED : FDQ_EVENT_UNREAD,
        .time = kclock_realtime(&f->clock, r->time),
        .queue = kind_of(r->type),
        .flow = r->flow,
        .inode = r->inode,
        .peer = r->peer,
        .path = r->path,
        .path_len = MIN((size_t)r->path_len, sizeof(r->path)),
        .pid = (pid_t)r->pid,
        .tid = (pid_t)r->tid,
        .sender_pid = (pid_t)r->sender_pid,
        .n_fds = r->n_fds,
        .length = r->length,
        .data = r + 1,
        .captured = MIN((size_t)r->captured, size - sizeof(*r)),
    };
    memcpy(ev.comm, r->comm, sizeof(ev.comm));
    ev.comm[sizeof(ev.comm) - 1] = '\0';
    f->totals.events++;
    /* If the visit stops at the loss, the event itself must not be missed. */
    stop = deliver_lost(f, &f->no_room, r->lost, ev.time);
    return deliver(f, &ev) || stop;
}

int fdq_follow_read(struct fdq_follow *f, fdq_event_fn visit, void *ctx, struct err *e)
{
    uint64_t no_room, missed;
    int r;

    f->visit = visit;
    f->ctx = ctx;
    f->stopped = 0;
    kclock_look(&f->clock);
    no_room = __atomic_load_n(&f->skel->bss->lost, __ATOMIC_ACQUIRE);
    missed = all_skipped_runs(f);
    r = kring_read(f->ring, e);
    if (r < 0)
        return r;
    /*
     * Report the losses up to the end of what was read now: there may be no later record to report
     * them with.
     */
    if (r == 0)
        deliver_lost(f, &f->no_room, no_room, timefmt_now(CLOCK_REALTIME));
    if (r == 0)
        deliver_lost(f, &f->missed, missed, timefmt_now(CLOCK_REALTIME));
    return f->stopped;
}

void fdq_follow_totals(const struct fdq_follow *f, struct fdq_follow_totals *out)
{
    *out = f->totals;
}
