// SPDX-License-Identifier: LGPL-2.1-or-later
/* Joins the records of monitor.bpf.c to whole calls. A call is visited when its end was read. */
#include "bus_monitor.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "buf.h"
#include "cleanup.h"
#include "kbpf.h"
#include "kclock.h"
#include "kdev.h"
#include "klinks.h"
#include "kring.h"
#include "monitor_abi.h"
#include "timefmt.h"

#include "monitor.skel.h"

enum { BUCKETS = 256, DEFAULT_RING = 32 << 20 };

_Static_assert((int)B1_PARTS == (int)MONITOR_SECTIONS &&
                   (int)B1_PART_DATA_AFTER == (int)MONITOR_DATA_AFTER &&
                   (int)B1_PART_ERRORS == (int)MONITOR_ERRORS,
               "the same for both sides");

/* A call whose end has not been read yet. */
struct call {
    struct call *next;
    uint32_t task;
    uint64_t seq;
    struct monitor_begin begin;
    struct buf part[MONITOR_SECTIONS];
    bool failed[MONITOR_SECTIONS];
};

struct b1_monitor {
    struct b1_monitor_opts opts;
    struct monitor_bpf *skel;
    struct klinks links;
    uint64_t missed; /* calls for which the kernel did not run a program, as of the last reading */
    struct kring *ring;
    struct call *calls[BUCKETS];
    uint64_t begun, ended; /* CLOCK_MONOTONIC */
    struct b1_monitor_totals totals;
    /* Valid during a reading. */
    struct kclock clock;
    b1_monitor_fn visit;
    void *ctx;
    int stopped; /* the first value other than 0 that visit returned, or -errno */
};

/* ---- loading ---- */

static struct bpf_program **programs(const struct b1_monitor *m)
{
    static _Thread_local struct bpf_program *list[KLINKS_MAX + 1];

    /*
     * The programs that see the end of a call are attached first, so that no call begins whose end
     * is not seen.
     */
    list[0] = m->skel->progs.ioctl_exit;
    list[1] = m->skel->progs.task_exit;
    list[2] = m->skel->progs.ioctl_enter;
    list[3] = m->opts.command ? m->skel->progs.task_fork : NULL;
    return list;
}

static int prepare(struct b1_monitor *m)
{
    struct monitor_bpf *s = m->skel;
    uint32_t size = kring_size(m->opts.ring_bytes ? m->opts.ring_bytes : DEFAULT_RING);
    int cpus = libbpf_num_possible_cpus(), r = cpus < 0 ? cpus : 0;

    s->rodata->config = (struct monitor_config){
        .self = (uint32_t)getpid(),
        .pid = (uint32_t)m->opts.pid,
        .command = m->opts.command,
        .see_all = kbpf_is_root(),
        .uid = getuid(),
        .gid = getgid(),
        .dev = kdev_in_kernel(m->opts.dev),
        .capture = MIN(m->opts.capture, (uint64_t)MONITOR_CHUNKS * (MONITOR_CHUNK - 1)),
        .ring_wake = size / 4,
    };
    for (struct bpf_program **p = programs(m); *p && r == 0; p++)
        r = bpf_program__set_autoload(*p, true);
    if (r == 0)
        r = bpf_map__set_max_entries(s->maps.ring, size);
    return r < 0 ? r : bpf_map__set_max_entries(s->maps.scratches, 2 * (uint32_t)cpus);
}

static int load(struct b1_monitor *m, struct err *e)
{
    _cleanup_(kbpf_done) struct kbpf k = KBPF_INIT;
    int r = kbpf_begin(&k, KBPF_TRACEPOINT, e);

    if (r < 0)
        return r;
    LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = kbpf_btf_path(&k));
    LIBBPF_OPTS(bpf_test_run_opts, once);
    m->skel = monitor_bpf__open_opts(&opts);
    if (m->skel && prepare(m) < 0)
        return err_set(e, -EINVAL, NULL, "cannot prepare the BPF programs");
    r = kbpf_load(&k, m->skel ? m->skel->skeleton : NULL, e);
    if (r < 0)
        return r;
    r = bpf_prog_test_run_opts(bpf_program__fd(m->skel->progs.monitor_setup), &once);
    if (r < 0)
        return kbpf_explain(&k, r, "cannot run the BPF program", e);
    if (!kbpf_is_root() && !m->skel->bss->can_check)
        return err_set(e, -EOPNOTSUPP, "run as root",
                       "this kernel does not tell whose a process is in a known way");
    return 0;
}

static int on_record(void *ctx, void *data, size_t size);

int b1_monitor_new(const struct b1_monitor_opts *opts, struct b1_monitor **ret, struct err *e)
{
    struct b1_monitor *m = calloc(1, sizeof(*m));
    int r;

    if (!m)
        return -ENOMEM;
    m->opts = *opts;
    r = load(m, e);
    if (r == 0)
        r = kring_new(bpf_map__fd(m->skel->maps.ring), MONITOR_LATENCY_NS, on_record, m, &m->ring);
    if (r < 0) {
        b1_monitor_free(m);
        return r;
    }
    *ret = m;
    return 0;
}

/* Loads all programs: only that shows whether the kernel accepts them. */
int b1_monitor_probe(struct err *e)
{
    const struct b1_monitor_opts opts = {.ring_bytes = 1};
    struct b1_monitor *m = NULL;
    int r = b1_monitor_new(&opts, &m, e);

    b1_monitor_free(m);
    return r;
}

static void call_free(struct call *c)
{
    for (size_t i = 0; i < MONITOR_SECTIONS; i++)
        buf_done(&c->part[i]);
    free(c);
}

void b1_monitor_free(struct b1_monitor *m)
{
    if (!m)
        return;
    b1_monitor_stop(m);
    kring_free(m->ring);
    monitor_bpf__destroy(m->skel);
    for (size_t i = 0; i < BUCKETS; i++)
        while (m->calls[i]) {
            struct call *c = m->calls[i];

            m->calls[i] = c->next;
            call_free(c);
        }
    free(m);
}

int b1_monitor_add(struct b1_monitor *m, pid_t pid, struct err *e)
{
    _cleanup_(kbpf_done) struct kbpf k = KBPF_INIT;
    _cleanup_(closep) int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    uint32_t one = 1;
    int r;

    if (fd < 0)
        return -errno;
    r = kbpf_begin(&k, KBPF_TRACEPOINT, e);
    return r < 0 ? r
                 : bpf_map__update_elem(m->skel->maps.followed, &fd, sizeof(fd), &one, sizeof(one),
                                        BPF_ANY);
}

int b1_monitor_start(struct b1_monitor *m, struct err *e)
{
    _cleanup_(kbpf_done) struct kbpf k = KBPF_INIT;
    int r = kbpf_begin(&k, KBPF_TRACEPOINT, e);

    if (r < 0)
        return r;
    m->begun = timefmt_now(CLOCK_MONOTONIC);
    r = klinks_attach(&m->links, programs(m));
    return r < 0 ? kbpf_explain(&k, r, "cannot attach the BPF programs", e) : 0;
}

void b1_monitor_stop(struct b1_monitor *m)
{
    klinks_detach(&m->links);
    if (m->begun && !m->ended)
        m->ended = timefmt_now(CLOCK_MONOTONIC);
}

/* ---- reading ---- */

int b1_monitor_fd(const struct b1_monitor *m)
{
    return kring_fd(m->ring);
}

static int deliver(struct b1_monitor *m, const struct b1_monitor_event *ev)
{
    int r = m->visit(ev, m->ctx);

    if (r)
        m->stopped = r;
    return r;
}

/*
 * Reports the calls that were lost since the last time: @lost calls that the programs counted, and
 * at most as many as the kernel did not run the programs for.
 */
static int deliver_lost(struct b1_monitor *m, uint64_t lost, uint64_t time)
{
    struct b1_monitor_event ev = {.time = time};

    lost += m->missed;
    if (lost <= m->totals.lost)
        return 0;
    ev.lost = lost - m->totals.lost;
    m->totals.lost = lost;
    return deliver(m, &ev);
}

static struct call **bucket_of(struct b1_monitor *m, uint32_t task)
{
    return &m->calls[task % BUCKETS];
}

static struct call *call_take(struct b1_monitor *m, uint32_t task)
{
    for (struct call **at = bucket_of(m, task); *at; at = &(*at)->next)
        if ((*at)->task == task) {
            struct call *c = *at;

            *at = c->next;
            return c;
        }
    return NULL;
}

static struct b1_monitor_file file_of(const struct monitor_file *f)
{
    if (!f->is_bus)
        return (struct b1_monitor_file){0};
    return (struct b1_monitor_file){f->file, f->object, kdev_for_user(f->dev), f->ino,
                                    f->is_device};
}

static void event_fill(const struct b1_monitor *m, const struct call *c,
                       struct b1_monitor_event *ev)
{
    const struct monitor_begin *b = &c->begin;

    *ev = (struct b1_monitor_event){
        .time = kclock_realtime(&m->clock, b->time),
        .begun = b->time,
        .duration = UINT64_MAX,
        .pid = (pid_t)b->pid,
        .tid = (pid_t)b->tid,
        .fd = b->fd,
        .file = file_of(&b->file),
        .to = file_of(&b->to),
        .cmd = b->cmd,
        .arg_read = b->arg_read,
    };
    memcpy(ev->comm, b->comm, sizeof(ev->comm));
    ev->comm[sizeof(ev->comm) - 1] = '\0';
    memcpy(ev->arg.words, b->arg, sizeof(ev->arg.words));
    for (size_t i = 0; i < MONITOR_SECTIONS; i++)
        ev->part[i] = (struct b1_memory){
            .data = buf_str(&c->part[i]), .len = c->part[i].len, .failed = c->failed[i]};
}

static int on_begin(struct b1_monitor *m, const struct monitor_begin *b)
{
    struct call *c = call_take(m, b->head.task), **bucket = bucket_of(m, b->head.task);

    /* The end of the earlier call was lost, and its loss was counted. */
    if (c)
        call_free(c);
    c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->task = b->head.task;
    c->seq = b->head.seq;
    c->begin = *b;
    c->next = *bucket;
    *bucket = c;
    return 0;
}

static int on_piece(struct b1_monitor *m, const struct monitor_piece *p, size_t size)
{
    struct call *c = *bucket_of(m, p->head.task);
    struct buf *b;

    while (c && c->task != p->head.task)
        c = c->next;
    if (p->head.section >= MONITOR_SECTIONS || p->length > size - sizeof(*p))
        return -EBADMSG;
    if (!c || c->seq != p->head.seq)
        return 0;
    b = &c->part[p->head.section];
    /* Offset 0 of a section that already has data: it is read again at the end of the call. */
    if (p->offset == 0) {
        buf_clear(b);
        c->failed[p->head.section] = false;
    }
    if (p->offset != b->len)
        return -EBADMSG;
    buf_add(b, p + 1, p->length);
    c->failed[p->head.section] |= p->failed;
    return buf_error(b);
}

static int on_end(struct b1_monitor *m, const struct monitor_end *end)
{
    struct call *c = call_take(m, end->head.task);
    struct b1_monitor_event ev;
    int r;

    r = deliver_lost(m, end->head.lost, kclock_realtime(&m->clock, end->time));
    if (c && c->seq == end->head.seq && !end->broken) {
        event_fill(m, c, &ev);
        ev.duration = end->time - c->begin.time;
        ev.ended = true;
        ev.died = end->died;
        ev.result = end->result;
        m->totals.calls++;
        r = deliver(m, &ev) || r;
    }
    if (c)
        call_free(c);
    return r;
}

static int on_record(void *ctx, void *data, size_t size)
{
    struct b1_monitor *m = ctx;
    const struct monitor_record *head = data;
    int r = -EBADMSG;

    if (size >= sizeof(struct monitor_begin) && head->kind == MONITOR_BEGIN)
        r = on_begin(m, data);
    else if (size >= sizeof(struct monitor_piece) && head->kind == MONITOR_PIECE)
        r = on_piece(m, data, size);
    else if (size >= sizeof(struct monitor_end) && head->kind == MONITOR_END)
        r = on_end(m, data);
    if (r < 0 && !m->stopped)
        m->stopped = r;
    return m->stopped;
}

static void read_begins(struct b1_monitor *m, b1_monitor_fn visit, void *ctx)
{
    m->visit = visit;
    m->ctx = ctx;
    m->stopped = 0;
    kclock_look(&m->clock);
}

int b1_monitor_read(struct b1_monitor *m, b1_monitor_fn visit, void *ctx, bool *whole,
                    struct err *e)
{
    uint64_t lost, missed;
    int r;

    read_begins(m, visit, ctx);
    lost = __atomic_load_n(&m->skel->bss->lost, __ATOMIC_ACQUIRE);
    missed = klinks_misses(&m->links);
    r = kring_read(m->ring, e);
    if (r < 0)
        return r;
    if (whole)
        *whole = r == 0;
    m->missed = missed;
    /*
     * Report the losses counted before the reading now: there may be no later record to report them
     * with.
     */
    if (r == 0)
        deliver_lost(m, lost, timefmt_now(CLOCK_REALTIME));
    return m->stopped;
}

uint64_t b1_monitor_oldest(const struct b1_monitor *m)
{
    uint64_t oldest = UINT64_MAX;

    for (size_t i = 0; i < BUCKETS; i++)
        for (const struct call *c = m->calls[i]; c; c = c->next)
            oldest = MIN(oldest, c->begin.time);
    return oldest;
}

bool b1_monitor_is_open(const struct b1_monitor *m, const struct b1_monitor_file *file)
{
    struct monitor_file was = {.file = file->file, .object = file->object, .ino = file->ino};

    LIBBPF_OPTS(bpf_test_run_opts, once, .ctx_in = &was, .ctx_size_in = sizeof(was));
    /* If the kernel does not answer, the file is taken to be open. */
    return bpf_prog_test_run_opts(bpf_program__fd(m->skel->progs.monitor_is_open), &once) < 0 ||
           once.retval;
}

int b1_monitor_unfinished(struct b1_monitor *m, b1_monitor_fn visit, void *ctx)
{
    read_begins(m, visit, ctx);
    for (size_t i = 0; i < BUCKETS; i++)
        while (m->calls[i]) {
            struct call *c = m->calls[i];
            struct b1_monitor_event ev;

            m->calls[i] = c->next;
            /* After losses it is unknown whether the call has ended. */
            if (!m->totals.lost) {
                event_fill(m, c, &ev);
                m->totals.calls++;
                deliver(m, &ev);
            }
            call_free(c);
        }
    return m->stopped;
}

void b1_monitor_totals(const struct b1_monitor *m, struct b1_monitor_totals *out)
{
    *out = m->totals;
    out->span = m->begun ? (m->ended ? m->ended : timefmt_now(CLOCK_MONOTONIC)) - m->begun : 0;
}
