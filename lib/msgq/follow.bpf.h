/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel's half of following: records successful sends and receives, and counts them. A domain
 * includes this, and defines which_queue() and the programs.
 *
 * What was followed at the beginning of a call is kept with the task: at the end the queue may be
 * another. A record that does not fit is counted, and each record carries the count.
 */
#pragma once

#include "follow_abi.h"
#include "pids.bpf.h"

const volatile struct follow_config config = {0};

#define REG(r, f) (config.no_btf ? BPF_CORE_READ(r, f) : (r)->f)
#include "syscall.bpf.h"

struct follow_shared shared;

static uint64_t last_wake;

/* Sized, and in named mode filled, by the user. With config.all it forgets the least used. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 4096);
    __type(key, struct follow_key);
    __type(value, struct follow_queue);
} queues SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 4096);
} ring SEC(".maps");

/*
 * How many queues each program has met for the first time on each CPU. A program does not run twice
 * at once on one CPU, so that the numbers it gives are its own without an atomic addition, which
 * returns a value only from Linux 5.12 on.
 */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, FOLLOW_PROGRAMS);
    __type(key, uint32_t);
    __type(value, uint32_t);
} numbers SEC(".maps");

/* A call in progress. */
struct begun_call {
    struct follow_key key;
    uint64_t begun;
    uint64_t switches; /* how often the task had gone to sleep */
    uint32_t kind;     /* enum follow_kind, or 0 for no call */
    uint32_t which;    /* enum which: a call on another queue is kept, too, to know it at its end */
    int64_t type;      /* of a message that is being received, where it can be known */
    uint64_t text;     /* and where it is copied to */
};

struct {
    __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, struct begun_call);
} begun_calls SEC(".maps");

/* With config.no_storage the map is a hash by thread, whose key has as many bytes. */
static __always_inline struct begun_call *begun_by_thread(bool create)
{
    int tid = (int)bpf_get_current_pid_tgid();
    struct begun_call *f = bpf_map_lookup_elem(&begun_calls, &tid);
    struct begun_call none = {0};

    if (f || !create)
        return f;
    bpf_map_update_elem(&begun_calls, &tid, &none, BPF_NOEXIST);
    return bpf_map_lookup_elem(&begun_calls, &tid);
}

static __always_inline struct begun_call *begun_get(bool create)
{
    if (config.no_storage)
        return begun_by_thread(create);
    return bpf_task_storage_get(&begun_calls, bpf_get_current_task_btf(), NULL,
                                create ? BPF_LOCAL_STORAGE_GET_F_CREATE : 0);
}

static __always_inline bool is_32_bit(void)
{
    return config.no_storage ? is_compat_untyped() : is_compat();
}

/* Programs may be interrupted by one another, but not by themselves: each has its own memory. */
enum slot { SLOT_SEND, SLOT_RECEIVE, SLOT_CALL };

/* One for each CPU and slot. */
struct scratch {
    struct follow_event event;
    char data[FOLLOW_SCRATCH - sizeof(struct follow_event)];
    char slack[FOLLOW_SCRATCH];
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, FOLLOW_SLOTS);
    __type(key, uint32_t);
    __type(value, struct scratch);
} scratches SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 1024);
    __type(key, uint32_t);
    __type(value, uint32_t);
} warned SEC(".maps");

/* A wake-up costs more than all else here: a reader that is late gets no more for it at once. */
static __always_inline uint64_t wake_flag(uint64_t now)
{
    uint64_t since = now - last_wake;

    if (since < FOLLOW_URGENT_NS ||
        (since < FOLLOW_LATENCY_NS &&
         bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) < config.ring_wake))
        return BPF_RB_NO_WAKEUP;
    last_wake = now;
    return BPF_RB_FORCE_WAKEUP;
}

static __always_inline void count_lost(void)
{
    __sync_fetch_and_add(&shared.lost, 1);
}

/* A number that no other queue has. */
static __always_inline bool next_index(uint32_t by, uint32_t *index)
{
    uint32_t slot = FOLLOW_PROGRAMS * bpf_get_smp_processor_id() + by;
    uint32_t *n = bpf_map_lookup_elem(&numbers, &slot);

    if (!n)
        return false;
    *index = (*n)++ * config.numbers + slot;
    return true;
}

/* A queue that is met for the first time, where all are followed. @name: NULL for none. */
static __always_inline struct follow_queue *announce(uint32_t by, const struct follow_key *key,
                                                     const void *name)
{
    struct follow_queue queue = {0};
    struct follow_announce *a;

    if (!config.counters_only) {
        if (!next_index(by, &queue.index))
            return NULL;
        a = bpf_ringbuf_reserve(&ring, sizeof(*a), 0);
        if (!a)
            return NULL;
        a->head.kind = FOLLOW_QUEUE | config.joined;
        a->head.index = queue.index;
        a->head.lost = shared.lost;
        a->key = *key;
        a->name[0] = '\0';
        if (name)
            bpf_probe_read_kernel_str(a->name, sizeof(a->name), name);
        bpf_ringbuf_submit(a, BPF_RB_NO_WAKEUP);
    }
    bpf_map_update_elem(&queues, key, &queue, BPF_ANY);
    return bpf_map_lookup_elem(&queues, key);
}

/* Most calls on queues that are not followed need no further look than this. */
static __always_inline bool maybe_named(uint64_t ino)
{
    return shared.filter[ino / 64 % FOLLOW_FILTER] >> (ino % 64) & 1;
}

static __always_inline bool in_group(uint32_t gid)
{
    for (uint32_t i = 0; i < FOLLOW_GROUPS && i < config.n_groups; i++)
        if (config.groups[i] == gid)
            return true;
    return false;
}

enum which { NOT_FOLLOWED, FOLLOWED, NO_ROOM };

/*
 * The domain's answer to whether a call is on a queue that is followed; with the queue's key.
 * @by: number of the program that asks, below FOLLOW_PROGRAMS
 * @fd: the call's first argument: a descriptor, or the id of a System V queue
 */
static __always_inline enum which which_queue(uint32_t by, unsigned int fd, struct follow_key *key);

static __always_inline bool wanted(enum follow_kind kind)
{
    if ((kind != FOLLOW_RECEIVE && !config.send) || (kind != FOLLOW_SEND && !config.receive))
        return false;
    return !config.pid || config.pid == own_pid();
}

/* ---- calls ---- */

static __always_inline uint64_t switches(void)
{
    if (config.no_storage)
        return BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), nvcsw);
    return bpf_get_current_task_btf()->nvcsw;
}

static __always_inline void call_begins(uint32_t by, enum follow_kind kind, unsigned int fd)
{
    struct follow_key key = {0};
    struct begun_call *f;

    if (!wanted(kind))
        return;
    f = begun_get(true);
    if (!f)
        return;
    f->kind = kind;
    f->which = which_queue(by, fd, &key);
    if (f->which != FOLLOWED)
        return;
    f->key = key;
    f->begun = bpf_ktime_get_ns();
    f->switches = switches();
    f->type = FOLLOW_UNKNOWN_TYPE;
    f->text = 0;
}

static __always_inline void count_call(struct follow_queue *queue, enum follow_kind kind,
                                       uint64_t length, bool blocked)
{
    if (kind == FOLLOW_SEND) {
        __sync_fetch_and_add(&queue->sent, 1);
        __sync_fetch_and_add(&queue->sent_bytes, length);
        if (blocked)
            __sync_fetch_and_add(&queue->send_blocked, 1);
    } else {
        __sync_fetch_and_add(&queue->received, 1);
        __sync_fetch_and_add(&queue->received_bytes, length);
        if (blocked)
            __sync_fetch_and_add(&queue->receive_blocked, 1);
    }
}

/*
 * A payload that does not fit into the scratch: piece by piece into the ring. The pieces are of one
 * size but for the last, so that the verifier has little to tell apart.
 */
static __noinline int write_long(struct scratch *s, uint64_t from)
{
    uint64_t captured = s->event.captured, tail = captured & (FOLLOW_SCRATCH - 1);
    const uint32_t header = sizeof(s->event);
    struct bpf_dynptr to;

    if (bpf_ringbuf_reserve_dynptr(&ring, header + captured, 0, &to)) {
        bpf_ringbuf_discard_dynptr(&to, 0);
        return -1;
    }
    bpf_dynptr_write(&to, 0, &s->event, header, 0);
    for (uint32_t i = 0; i < FOLLOW_CHUNKS; i++) {
        if ((i + 1) * FOLLOW_SCRATCH > captured)
            break;
        bpf_probe_read_user(s->slack, FOLLOW_SCRATCH, (const void *)(from + i * FOLLOW_SCRATCH));
        bpf_dynptr_write(&to, header + i * FOLLOW_SCRATCH, s->slack, FOLLOW_SCRATCH, 0);
    }
    bpf_probe_read_user(s->slack, tail, (const void *)(from + captured - tail));
    bpf_dynptr_write(&to, header + captured - tail, s->slack, tail, 0);
    bpf_ringbuf_submit_dynptr(&to, wake_flag(s->event.time));
    return 0;
}

static __always_inline int write_event(struct scratch *s, uint64_t from)
{
    uint64_t n = s->event.captured;

    if (n > sizeof(s->data) && !config.no_dynptr)
        return write_long(s, from);
    if (n > sizeof(s->data))
        s->event.captured = n = sizeof(s->data); /* the rest is cut off, as the length tells */
    asm volatile("" : "+r"(n));
    n &= FOLLOW_SCRATCH - 1;
    if (bpf_probe_read_user(s->data, n, (const void *)from)) {
        s->event.captured = 0;
        n = 0;
    }
    return bpf_ringbuf_output(&ring, s, sizeof(s->event) + n, wake_flag(s->event.time));
}

struct call {
    uint32_t by;
    enum slot slot;
    enum follow_kind kind;
    uint32_t fd;
    int64_t type;    /* FOLLOW_UNKNOWN_TYPE: look at what was kept when it began */
    uint64_t buffer; /* 0: likewise */
    uint32_t length;
};

static __always_inline void emit(const struct call *call, uint32_t index, uint64_t blocked)
{
    uint32_t slot = FOLLOW_SLOTS * bpf_get_smp_processor_id() + call->slot;
    struct scratch *s = bpf_map_lookup_elem(&scratches, &slot);

    if (!s) {
        count_lost();
        return;
    }
    s->event.head.kind = call->kind | config.joined;
    s->event.head.index = index;
    s->event.head.lost = shared.lost;
    s->event.time = bpf_ktime_get_ns();
    s->event.blocked = blocked;
    s->event.length = call->length;
    s->event.captured = call->length < config.capture ? call->length : config.capture;
    s->event.type = call->type;
    s->event.pid = own_pid();
    s->event.tid = own_tid();
    bpf_get_current_comm(s->event.comm, sizeof(s->event.comm));
    if (write_event(s, call->buffer))
        count_lost();
}

/* A call that succeeded. */
static __always_inline void call_ends(struct call *call)
{
    struct begun_call *f = begun_get(false);
    uint64_t blocked = FOLLOW_UNKNOWN_SPAN;
    struct follow_key key = {0};
    struct follow_queue *queue;
    enum which which;

    if (!wanted(call->kind))
        return;
    if (f && f->kind == call->kind) {
        f->kind = 0;
        which = f->which;
        if (which == FOLLOWED) {
            blocked = switches() == f->switches ? 0 : bpf_ktime_get_ns() - f->begun;
            key = f->key;
            if (call->type == FOLLOW_UNKNOWN_TYPE)
                call->type = f->type;
            if (!call->buffer)
                call->buffer = f->text;
        }
    } else {
        which = which_queue(call->by, call->fd, &key);
    }
    if (which == NOT_FOLLOWED)
        return;
    queue = which == FOLLOWED ? bpf_map_lookup_elem(&queues, &key) : NULL;
    if (!queue) {
        count_lost();
        return;
    }
    count_call(queue, call->kind, call->length, blocked && blocked != FOLLOW_UNKNOWN_SPAN);
    if (!config.counters_only)
        emit(call, queue->index, blocked);
}

static __always_inline void call_failed(void)
{
    struct begun_call *f = begun_get(false);

    if (f)
        f->kind = 0;
}

/* Says once a process that it calls in a way whose arguments are not understood here. */
static __always_inline void call_uncovered(uint32_t by, enum follow_kind kind, unsigned int fd)
{
    uint32_t tgid = bpf_get_current_pid_tgid() >> 32, one = 1;
    struct follow_key key = {0};
    struct follow_event *e;

    if (!is_32_bit() || !wanted(kind) || which_queue(by, fd, &key) != FOLLOWED)
        return;
    __sync_fetch_and_add(&shared.uncovered, 1);
    if (config.counters_only || bpf_map_update_elem(&warned, &tgid, &one, BPF_NOEXIST))
        return;
    e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
    if (!e) {
        bpf_map_delete_elem(&warned, &tgid);
        return;
    }
    __builtin_memset(e, 0, sizeof(*e));
    e->head.kind = FOLLOW_UNCOVERED | config.joined;
    e->head.lost = shared.lost;
    e->time = bpf_ktime_get_ns();
    e->pid = own_pid();
    e->tid = own_tid();
    bpf_get_current_comm(e->comm, sizeof(e->comm));
    bpf_ringbuf_submit(e, wake_flag(e->time));
}

/*
 * Whether the program at the function's end did not see this call: it was inside already when that
 * was attached, or the kernel skipped a program that interrupted itself.
 */
static __always_inline bool was_missed(enum follow_kind kind)
{
    struct begun_call *f = begun_get(false);

    return !f || f->kind == kind;
}
