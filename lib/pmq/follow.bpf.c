// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Records successful sends and receives. Where the kernel lets a program run around a function, it
 * runs around the two that do the work; else around every system call, of which it picks two.
 *
 * What was followed at the beginning of a call is kept with the task: at the end the descriptor may
 * be somebody else's. A record that does not fit is counted, and each record carries the count.
 */
#include "follow_abi.h"
#include "pids.bpf.h"
#include "queue.bpf.h"

const volatile struct follow_config config = {0};

#define REG(r, f) (config.no_btf ? BPF_CORE_READ(r, f) : (r)->f)
#include "syscall.bpf.h"

#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Read by the user. */
uint64_t lost = 0;
uint64_t uncovered = 0;

/*
 * Set by the user: a bit for each inode number, modulo, of a queue that was named. Most calls on
 * other queues need no further look.
 */
uint64_t inode_filter[FOLLOW_FILTER] = {0};

struct follow_proof proof;

static uint32_t user_dev; /* of the user's IPC namespace */
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

enum program {
    SEND_BEGINS,
    SEND_ENDS,
    RECEIVE_BEGINS,
    RECEIVE_ENDS,
    CALL_ENTER,
    CALL_EXIT,
};

/* A call in progress. */
struct begun_call {
    struct follow_key key;
    uint64_t begun;
    uint64_t switches; /* how often the task had gone to sleep */
    uint32_t kind;     /* enum follow_kind, or 0 for no call */
    uint32_t
        which; /* enum which; a call on another queue is kept, too, to be known again at its end */
    uint32_t priority; /* of a message that is being received, where it can be known */
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

SEC("syscall")
int follow_setup(void *ctx)
{
    struct task_struct *task = (void *)bpf_get_current_task();
    struct super_block *queues = BPF_CORE_READ(task, nsproxy, ipc_ns, mq_mnt, mnt_sb);
    struct file *file = file_by_fd(task, proof.fd);
    struct inode *inode = BPF_CORE_READ(file, f_inode);

    pids_init();
    user_dev = BPF_CORE_READ(queues, s_dev);
    proof.magic = BPF_CORE_READ(queues, s_magic);
    proof.dev = BPF_CORE_READ(inode, i_sb, s_dev);
    proof.ino = BPF_CORE_READ(inode, i_ino);
    proof.mode = BPF_CORE_READ(inode, i_mode);
    return 0;
}

/* ---- which queue ---- */

static __always_inline bool may_read(struct inode *inode)
{
    uint32_t mode, gid;

    if (config.see_all)
        return true;
    mode = BPF_CORE_READ(inode, i_mode);
    gid = BPF_CORE_READ(inode, i_gid.val);
    if (BPF_CORE_READ(inode, i_uid.val) == config.uid)
        return mode & 0400;
    for (uint32_t i = 0; i < FOLLOW_GROUPS && i < config.n_groups; i++)
        if (config.groups[i] == gid)
            return mode & 0040;
    return mode & 0004;
}

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
    __sync_fetch_and_add(&lost, 1);
}

/* A number that no other queue has. */
static __always_inline bool next_index(enum program by, uint32_t *index)
{
    uint32_t slot = FOLLOW_PROGRAMS * bpf_get_smp_processor_id() + by;
    uint32_t *n = bpf_map_lookup_elem(&numbers, &slot);

    if (!n)
        return false;
    *index = (*n)++ * config.numbers + slot;
    return true;
}

/* A queue that is met for the first time, where all are followed. */
static __always_inline struct follow_queue *announce(enum program by, struct file *file,
                                                     struct inode *inode,
                                                     const struct follow_key *key)
{
    struct follow_queue queue = {0};
    struct follow_announce *a;

    if (!config.counters_only) {
        if (!next_index(by, &queue.index))
            return NULL;
        a = bpf_ringbuf_reserve(&ring, sizeof(*a), 0);
        if (!a)
            return NULL;
        a->head.kind = FOLLOW_QUEUE;
        a->head.index = queue.index;
        a->head.lost = lost;
        a->key = *key;
        a->name[0] = '\0';
        bpf_probe_read_kernel_str(a->name, sizeof(a->name),
                                  BPF_CORE_READ(file, f_path.dentry, d_name.name));
        bpf_ringbuf_submit(a, BPF_RB_NO_WAKEUP);
    }
    bpf_map_update_elem(&queues, key, &queue, BPF_ANY);
    return bpf_map_lookup_elem(&queues, key);
}

/* As file_by_fd() of the running process, but read as a tracing program may: without helpers. */
static __always_inline struct file *own_file(unsigned int fd)
{
    struct fdtable *table;
    struct file *file = NULL;

    if (config.no_storage)
        return file_by_fd((void *)bpf_get_current_task(), fd);
    table = bpf_get_current_task_btf()->files->fdt;
    if (fd < table->max_fds)
        KREAD(file, table->fd + fd);
    return file;
}

enum which { NOT_FOLLOWED, FOLLOWED, NO_ROOM };

/* Whether the descriptor is of a queue that is followed; with its key. */
static __always_inline enum which which_queue(enum program by, unsigned int fd,
                                              struct follow_key *key)
{
    struct file *file = own_file(fd);
    struct follow_queue *queue;
    struct inode *inode;

    if (!file)
        return NOT_FOLLOWED;
    inode = BPF_CORE_READ(file, f_inode);
    key->ino = BPF_CORE_READ(inode, i_ino);
    if (!config.all && !(inode_filter[key->ino / 64 % FOLLOW_FILTER] >> (key->ino % 64) & 1))
        return NOT_FOLLOWED;
    key->dev = BPF_CORE_READ(inode, i_sb, s_dev);
    /* The mode is looked at each time: it may change. A queue that was named was open for reading.
     */
    if (config.all && (key->dev != user_dev || !may_read(inode)))
        return NOT_FOLLOWED;
    queue = bpf_map_lookup_elem(&queues, key);
    if (!queue && config.all && queue_by_inode(inode)) {
        queue = announce(by, file, inode, key);
        if (!queue)
            return NO_ROOM;
    }
    return queue ? FOLLOWED : NOT_FOLLOWED;
}

static __always_inline bool wanted(enum follow_kind kind)
{
    if (kind == FOLLOW_SEND ? !config.send : !config.receive)
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

static __always_inline void call_begins(enum program by, enum follow_kind kind, unsigned int fd)
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
    f->priority = FOLLOW_UNKNOWN_PRIORITY;
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
    enum program by;
    enum slot slot;
    enum follow_kind kind;
    uint32_t fd;
    uint32_t priority; /* FOLLOW_UNKNOWN_PRIORITY: look at what was kept when it began */
    uint64_t buffer;
    uint64_t length;
};

static __always_inline void emit(const struct call *call, uint32_t index, uint64_t blocked)
{
    uint32_t slot = FOLLOW_SLOTS * bpf_get_smp_processor_id() + call->slot;
    struct scratch *s = bpf_map_lookup_elem(&scratches, &slot);

    if (!s) {
        count_lost();
        return;
    }
    s->event.head.kind = call->kind;
    s->event.head.index = index;
    s->event.head.lost = lost;
    s->event.time = bpf_ktime_get_ns();
    s->event.blocked = blocked;
    s->event.length = call->length;
    s->event.captured = call->length < config.capture ? call->length : config.capture;
    s->event.priority = call->priority;
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
            if (call->priority == FOLLOW_UNKNOWN_PRIORITY)
                call->priority = f->priority;
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

/* ---- around the functions ---- */

SEC("?fentry/do_mq_timedsend")
int BPF_PROG(send_begins, int fd)
{
    call_begins(SEND_BEGINS, FOLLOW_SEND, fd);
    return 0;
}

SEC("?fexit/do_mq_timedsend")
int BPF_PROG(send_ends, int fd, const char *buffer, size_t length, unsigned int priority,
             void *timeout, int ret)
{
    struct call call = {SEND_ENDS, SLOT_SEND, FOLLOW_SEND, fd, priority, (uint64_t)buffer, length};

    if (ret < 0)
        call_failed();
    else
        call_ends(&call);
    return 0;
}

SEC("?fentry/do_mq_timedreceive")
int BPF_PROG(receive_begins, int fd)
{
    call_begins(RECEIVE_BEGINS, FOLLOW_RECEIVE, fd);
    return 0;
}

/* The message that is about to be copied to the receiver; also called for System V queues. */
SEC("?fentry/store_msg")
int BPF_PROG(receive_copies, void *to, struct msg_msg *m)
{
    struct begun_call *f = begun_get(false);

    if (f && f->kind == FOLLOW_RECEIVE)
        f->priority = BPF_CORE_READ(m, m_type);
    return 0;
}

SEC("?fexit/do_mq_timedreceive")
int BPF_PROG(receive_ends, int fd, char *buffer, size_t size, unsigned int *priority, void *timeout,
             int ret)
{
    struct call call = {RECEIVE_ENDS,     SLOT_RECEIVE, FOLLOW_RECEIVE, fd, FOLLOW_UNKNOWN_PRIORITY,
                        (uint64_t)buffer, ret};

    if (ret < 0)
        call_failed();
    else
        call_ends(&call);
    return 0;
}

/* ---- around system calls ---- */

#if defined(__TARGET_ARCH_x86)
enum {
    NR_SEND = 242, /* arch/x86/entry/syscalls/syscall_64.tbl */
    NR_RECEIVE = 243,
    NR_SEND_32 = 279, /* syscall_32.tbl */
    NR_RECEIVE_32 = 280,
};
#elif defined(__TARGET_ARCH_arm64)
enum {
    NR_SEND = 182, /* include/uapi/asm-generic/unistd.h */
    NR_RECEIVE = 183,
    NR_SEND_32 = 276, /* arch/arm/tools/syscall.tbl */
    NR_RECEIVE_32 = 277,
};
#endif
enum { NR_SEND_TIME64 = 418, NR_RECEIVE_TIME64 = 419 }; /* only 32-bit programs have them */

/* Says once a process that it calls in a way whose arguments are not understood here. */
static __always_inline void call_uncovered(enum program by, enum follow_kind kind, unsigned int fd)
{
    uint32_t tgid = bpf_get_current_pid_tgid() >> 32, one = 1;
    struct follow_key key = {0};
    struct follow_event *e;

    if (!is_32_bit() || !wanted(kind) || which_queue(by, fd, &key) != FOLLOWED)
        return;
    __sync_fetch_and_add(&uncovered, 1);
    if (config.counters_only || bpf_map_update_elem(&warned, &tgid, &one, BPF_NOEXIST))
        return;
    e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
    if (!e) {
        bpf_map_delete_elem(&warned, &tgid);
        return;
    }
    __builtin_memset(e, 0, sizeof(*e));
    e->head.kind = FOLLOW_UNCOVERED;
    e->head.lost = lost;
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

/* enum follow_kind of a 64-bit system call, or 0. */
static __always_inline enum follow_kind kind_of(long id)
{
    if (id == NR_SEND)
        return FOLLOW_SEND;
    return id == NR_RECEIVE || id == config.receive2 ? FOLLOW_RECEIVE : 0;
}

static __always_inline enum follow_kind kind_of_32(long id)
{
    if (id == NR_SEND_32 || id == NR_SEND_TIME64)
        return FOLLOW_SEND;
    return id == NR_RECEIVE_32 || id == NR_RECEIVE_TIME64 ? FOLLOW_RECEIVE : 0;
}

static __always_inline int enter(struct pt_regs *regs, long id)
{
    id = NR_NATIVE(id);
    if (kind_of(id) && !is_32_bit())
        call_begins(CALL_ENTER, kind_of(id), REGS_ARG1(regs));
    else if (kind_of_32(id))
        call_uncovered(CALL_ENTER, kind_of_32(id), REGS_ARG1_32(regs));
    return 0;
}

static __always_inline void read_priority(struct call *call, uint64_t from)
{
    uint32_t priority;

    call->priority = FOLLOW_UNKNOWN_PRIORITY;
    if (from && !bpf_probe_read_user(&priority, sizeof(priority), (const void *)from))
        call->priority = priority;
}

/* mq_timedreceive2(): include/uapi of the proposed patches. */
struct receive2 {
    uint64_t length, priority, buffer;
};
enum { MQ_PEEK = 2 };

/* Return: false for a call that takes no message. */
static __always_inline bool read_receive2(struct call *call, struct pt_regs *regs)
{
    struct receive2 args = {0};

    if (REGS_ARG3(regs) & MQ_PEEK)
        return false;
    bpf_probe_read_user(&args, sizeof(args), (const void *)REGS_ARG2(regs));
    call->buffer = args.buffer;
    read_priority(call, args.priority);
    return true;
}

static __always_inline bool read_call(struct call *call, struct pt_regs *regs, long id, long ret)
{
    call->kind = kind_of(id);
    call->fd = REGS_ARG1(regs);
    call->buffer = REGS_ARG2(regs);
    call->length = ret;
    if (id == NR_SEND) {
        call->priority = REGS_ARG4(regs);
        call->length = REGS_ARG3(regs);
    } else if (id == NR_RECEIVE) {
        read_priority(call, REGS_ARG4(regs));
    } else {
        return read_receive2(call, regs);
    }
    return true;
}

static __always_inline int leave(struct pt_regs *regs, long ret)
{
    struct call call = {.by = CALL_EXIT, .slot = SLOT_CALL};
    long id = REGS_NR(regs);

    if (config.functions && kind_of_32(id) && was_missed(kind_of_32(id)))
        call_uncovered(CALL_EXIT, kind_of_32(id), REGS_ARG1_32(regs));
    if (!kind_of(id) || is_32_bit())
        return 0;
    if (config.functions && !was_missed(kind_of(id)))
        return 0;
    if (ret < 0 || !read_call(&call, regs, id, ret))
        call_failed();
    else
        call_ends(&call);
    return 0;
}

SEC("?tp_btf/sys_enter")
int BPF_PROG(call_enter, struct pt_regs *regs, long id)
{
    return enter(regs, id);
}

SEC("?tp_btf/sys_exit")
int BPF_PROG(call_exit, struct pt_regs *regs, long ret)
{
    return leave(regs, ret);
}

/* For kernels without a BTF of their own. */
SEC("?raw_tp/sys_enter")
int BPF_PROG(raw_enter, struct pt_regs *regs, long id)
{
    return enter(regs, id);
}

SEC("?raw_tp/sys_exit")
int BPF_PROG(raw_exit, struct pt_regs *regs, long ret)
{
    return leave(regs, ret);
}
