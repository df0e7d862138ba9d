// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Records every ioctl on a bus1 peer, of the kernel's device or of a served file, with the memory
 * that its argument points to: as it is at the beginning, and what the call has written at its end.
 *
 * Memory that is not resident at the beginning (a constant that nobody has touched) is read again
 * at the end. The state of a call is kept with its task. When a record does not fit, the whole call
 * counts as lost: each call is either recorded completely or counted.
 */
#include "../../xlat/bus1_abi.h"
#include "files.bpf.h"
#include "monitor_abi.h"
#include "pids.bpf.h"
#include "syscall.bpf.h"
#include "visible.bpf.h"

#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile struct monitor_config config = {0};

/* Read by user space. */
uint64_t lost = 0;
uint32_t can_check = 0; /* this kernel lets visible() decide whose process it is */

static uint64_t last_seq;
static uint64_t last_wake;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct super_block___monitor {
    const char *s_subtype;
};

struct inode___monitor {
    unsigned int i_rdev;
};

struct file___monitor {
    void *private_data;
};

/* Linux 6.13: a reference count that is negative once the last reference is gone. */
struct long_count {
    long counter;
};

struct file_count {
    struct long_count refcnt;
};

struct file___with_ref {
    struct file_count f_ref;
};

struct file___with_count {
    struct long_count f_count;
};
#pragma clang attribute pop

#define FUSE_SUPER_MAGIC 0x65735546 /* fs/fuse/inode.c */
#define MISC_MAJOR       10         /* include/uapi/linux/major.h */
#define EMSGSIZE         90         /* include/uapi/asm-generic/errno.h */

#if defined(__TARGET_ARCH_x86)
enum { NR_IOCTL = 16 };
#elif defined(__TARGET_ARCH_arm64)
enum { NR_IOCTL = 29 };
#endif
enum { NR_IOCTL_32 = 54 }; /* i386 and arm */

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 4096);
} ring SEC(".maps");

/* A call in progress. */
struct flight {
    uint64_t seq; /* 0: no call */
    uint64_t arg;
    struct bus1_message message;
    union {
        uint64_t words[5];
        struct bus1_cmd_transfer transfer;
        struct bus1_cmd_release release;
        struct bus1_cmd_send send;
        struct bus1_cmd_recv recv;
    } a;
    uint32_t cmd;
    uint32_t compat;
    uint32_t broken;
    uint32_t again; /* sections that could not be read at the beginning */
};

struct {
    __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, struct flight);
} flights SEC(".maps");

/* With config.command: the tasks to record. */
struct {
    __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, uint32_t);
} followed SEC(".maps");

/* Two for each CPU, one for each direction: a program is not interrupted by itself. */
struct scratch {
    /* The copy in progress. */
    uint64_t from;
    uint64_t left;
    uint64_t offset;
    uint64_t vecs;
    uint64_t vecs_left; /* bytes of data still to be copied */
    uint32_t compat;
    uint32_t failed;
    uint32_t broken;
    uint32_t unused;
    struct monitor_piece piece;
    char data[MONITOR_CHUNK];
    char slack[MONITOR_CHUNK];
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 2);
    __type(key, uint32_t);
    __type(value, struct scratch);
} scratches SEC(".maps");

SEC("syscall")
int monitor_setup(void *ctx)
{
    pids_init();
    can_check = visible_init();
    return 0;
}

/*
 * Tells whether an open file is still the same: 1 or 0. Its memory may have been given to another
 * file.
 */
SEC("syscall")
int monitor_is_open(struct monitor_file *was)
{
    struct file *file = (void *)was->file;
    struct file___with_count *counted = (void *)file;
    struct file___with_ref *ref = (void *)file;
    struct file___monitor *m = (void *)file;
    long count;

    if (was->file >> 63 == 0) /* not an address in the kernel's half */
        return 0;
    if (bpf_core_field_exists(ref->f_ref))
        count = BPF_CORE_READ(ref, f_ref.refcnt.counter) + 1; /* 0 means one reference */
    else
        count = BPF_CORE_READ(counted, f_count.counter);
    return count > 0 && (uint64_t)BPF_CORE_READ(m, private_data) == was->object &&
           BPF_CORE_READ(file, f_inode, i_ino) == was->ino;
}

/* ---- whose process ---- */

static __always_inline bool wanted(void)
{
    uint32_t pid;

    if (config.command && !bpf_task_storage_get(&followed, bpf_get_current_task_btf(), NULL, 0))
        return false;
    pid = own_pid();
    if (pid == config.self || (config.pid && pid != config.pid))
        return false;
    return config.see_all || visible(config.uid, config.gid);
}

/* ---- which file ---- */

/* A short name, compared as one number. */
union name {
    char text[8];
    uint64_t number;
};

static __always_inline bool name_is(const char *name, union name want)
{
    union name got = {.number = 0};

    bpf_probe_read_kernel_str(got.text, sizeof(got.text), name);
    return got.number == want.number;
}

static __always_inline bool is_served(struct super_block *sb)
{
    struct super_block___monitor *m = (void *)sb;

    return BPF_CORE_READ(sb, s_magic) == FUSE_SUPER_MAGIC &&
           name_is(BPF_CORE_READ(m, s_subtype), (union name){"b1ctl"});
}

/* Recognises the device by its name, because the kernel chooses its number. */
static __always_inline bool is_device(struct file *file, struct inode *inode, uint32_t rdev)
{
    if ((BPF_CORE_READ(inode, i_mode) & MODE_TYPE) != MODE_CHAR || rdev >> 20 != MISC_MAJOR)
        return false;
    if (config.dev)
        return true; /* the number was found before */
    return name_is((const char *)BPF_CORE_READ(file, f_path.dentry, d_name.name),
                   (union name){"bus1"});
}

static __always_inline void which_file(uint32_t fd, struct monitor_file *ret)
{
    struct file *file = file_by_fd((void *)bpf_get_current_task(), fd);
    struct inode *inode = file ? BPF_CORE_READ(file, f_inode) : NULL;
    uint32_t rdev;

    __builtin_memset(ret, 0, sizeof(*ret));
    if (!inode)
        return;
    ret->file = (uint64_t)file;
    ret->object = (uint64_t)BPF_CORE_READ((struct file___monitor *)(void *)file, private_data);
    rdev = BPF_CORE_READ((struct inode___monitor *)(void *)inode, i_rdev);
    if (is_device(file, inode, rdev)) {
        ret->is_bus = ret->is_device = 1;
        ret->dev = rdev;
    } else if (is_served(BPF_CORE_READ(inode, i_sb))) {
        ret->is_bus = 1;
        ret->dev = BPF_CORE_READ(inode, i_sb, s_dev);
    }
    ret->ino = BPF_CORE_READ(inode, i_ino);
    if (config.dev && ret->dev != config.dev)
        ret->is_bus = 0;
}

/* ---- records ---- */

static __always_inline uint64_t wake_flag(void)
{
    uint64_t now = bpf_ktime_get_ns();

    if (now - last_wake < MONITOR_LATENCY_NS &&
        bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) < config.ring_wake)
        return BPF_RB_NO_WAKEUP;
    last_wake = now;
    return BPF_RB_FORCE_WAKEUP;
}

static __always_inline void count_lost(void)
{
    __sync_fetch_and_add(&lost, 1);
}

static __always_inline struct scratch *scratch_get(uint32_t *slot)
{
    return bpf_map_lookup_elem(&scratches, slot);
}

/*
 * Copies one piece. Its state is in the map: old verifiers would take a state on the caller's stack
 * for constant.
 */
static long copy_chunk(uint32_t i, void *ctx)
{
    struct scratch *s = scratch_get(ctx);
    uint64_t n;

    if (!s || !s->left)
        return 1;
    n = s->left < MONITOR_CHUNK - 1 ? s->left : MONITOR_CHUNK - 1;
    asm volatile("" : "+r"(n));
    n &= MONITOR_CHUNK - 1;
    s->piece.offset = s->offset;
    s->piece.length = n;
    s->piece.failed = 0;
    if (bpf_probe_read_user(s->data, n, (const void *)s->from)) {
        s->piece.length = n = 0;
        s->piece.failed = s->failed = 1;
        s->left = 0;
    }
    if (bpf_ringbuf_output(&ring, &s->piece, sizeof(s->piece) + n, wake_flag())) {
        s->broken = 1;
        return 1;
    }
    if (s->failed)
        return 1;
    s->from += n;
    s->offset += n;
    s->left -= n;
    return 0;
}

/* Copies a piece of one iovec. */
static long copy_vec(uint32_t i, void *ctx)
{
    struct scratch *s = scratch_get(ctx);
    uint64_t vec[2] = {0, 0};
    uint32_t vec32[2] = {0, 0};
    long r;

    if (!s || !s->vecs_left || s->failed || s->broken)
        return 1;
    if (s->compat) {
        r = bpf_probe_read_user(vec32, sizeof(vec32),
                                (const void *)(s->vecs + (uint64_t)i * sizeof(vec32)));
        vec[0] = vec32[0];
        vec[1] = vec32[1];
    } else {
        r = bpf_probe_read_user(vec, sizeof(vec),
                                (const void *)(s->vecs + (uint64_t)i * sizeof(vec)));
    }
    if (r) {
        s->failed = 1;
        return 1;
    }
    s->from = vec[0];
    s->left = vec[1] < s->vecs_left ? vec[1] : s->vecs_left;
    s->vecs_left -= s->left;
    bpf_loop(MONITOR_CHUNKS, copy_chunk, ctx, 0);
    return 0;
}

static __always_inline void copy_begin(struct scratch *s, const struct flight *f, uint32_t section)
{
    s->piece.head.kind = MONITOR_PIECE;
    s->piece.head.section = section;
    s->piece.head.task = (uint32_t)bpf_get_current_pid_tgid();
    s->piece.head.seq = f->seq;
    s->piece.head.lost = lost;
    s->offset = 0;
    s->failed = 0;
    s->broken = 0;
}

static __always_inline void copy_ended(const struct scratch *s, struct flight *f, uint32_t section)
{
    if (s->failed)
        f->again |= 1U << section;
    if (s->broken)
        f->broken = 1;
}

/* Copies @n bytes at @from. */
static __noinline int copy(struct flight *f, uint32_t slot, uint32_t section, uint64_t from,
                           uint64_t n)
{
    struct scratch *s = scratch_get(&slot);

    if (!f || !s || !n || f->broken)
        return 0;
    copy_begin(s, f, section);
    s->from = from;
    s->left = n;
    bpf_loop(MONITOR_CHUNKS, copy_chunk, &slot, 0);
    copy_ended(s, f, section);
    return 0;
}

/* Copies the first @n bytes that the iovecs of a message describe. */
static __noinline int copy_data(struct flight *f, uint32_t slot, uint32_t section, uint64_t n)
{
    struct scratch *s = scratch_get(&slot);
    uint32_t n_vecs;

    if (!f || !s || f->broken)
        return 0;
    n_vecs = f->message.n_data_vecs < MONITOR_VECS ? f->message.n_data_vecs : MONITOR_VECS;
    copy_begin(s, f, section);
    s->vecs = f->message.ptr_data_vecs;
    s->vecs_left = n < config.capture ? n : config.capture;
    s->compat = f->compat;
    bpf_loop(n_vecs, copy_vec, &slot, 0);
    copy_ended(s, f, section);
    return 0;
}

static __always_inline uint64_t elements(uint64_t n, uint64_t size)
{
    return (n < MONITOR_ELEMENTS ? n : MONITOR_ELEMENTS) * size;
}

static __always_inline uint32_t slot_of(bool end)
{
    return 2 * bpf_get_smp_processor_id() + end;
}

/* ---- the beginning ---- */

static __noinline int send_sections(struct flight *f, uint32_t slot, uint32_t sections)
{
    if (!f)
        return 0;
    f->again = 0;
    if (sections & (1 << MONITOR_IDS))
        copy(f, slot, MONITOR_IDS, f->a.send.ptr_destinations,
             elements(f->a.send.n_destinations, sizeof(uint64_t)));
    if (f->a.send.n_destinations && sections & (1 << MONITOR_MESSAGE)) {
        if (bpf_probe_read_user(&f->message, sizeof(f->message),
                                (const void *)f->a.send.ptr_message))
            __builtin_memset(&f->message, 0, sizeof(f->message));
        copy(f, slot, MONITOR_MESSAGE, f->a.send.ptr_message, sizeof(struct bus1_message));
        sections |= 1 << MONITOR_TRANSFERS | 1 << MONITOR_DATA;
    }
    if (sections & (1 << MONITOR_TRANSFERS))
        copy(f, slot, MONITOR_TRANSFERS, f->message.ptr_transfers,
             elements(f->message.n_transfers, sizeof(struct bus1_transfer)));
    if (sections & (1 << MONITOR_DATA))
        copy_data(f, slot, MONITOR_DATA, f->message.n_data);
    return 0;
}

static __always_inline void sections_before(struct flight *f, uint32_t slot)
{
    switch (f->cmd) {
    case BUS1_CMD_TRANSFER:
        copy(f, slot, MONITOR_TRANSFERS, f->a.transfer.ptr_src,
             elements(f->a.transfer.n_transfers, sizeof(struct bus1_transfer)));
        break;
    case BUS1_CMD_RELEASE:
        copy(f, slot, MONITOR_IDS, f->a.release.ptr_ids,
             elements(f->a.release.n_ids, sizeof(uint64_t)));
        break;
    case BUS1_CMD_SEND:
        send_sections(f, slot, 1 << MONITOR_IDS | 1 << MONITOR_MESSAGE);
        break;
    case BUS1_CMD_RECV:
        if (bpf_probe_read_user(&f->message, sizeof(f->message),
                                (const void *)f->a.recv.ptr_message))
            __builtin_memset(&f->message, 0, sizeof(f->message));
        copy(f, slot, MONITOR_MESSAGE, f->a.recv.ptr_message, sizeof(struct bus1_message));
        break;
    }
}

static __always_inline uint32_t arg_size(uint32_t cmd)
{
    switch (cmd) {
    case BUS1_CMD_TRANSFER:
    case BUS1_CMD_SEND:
        return 40;
    case BUS1_CMD_RELEASE:
    case BUS1_CMD_RECV:
        return 24;
    default:
        return 0;
    }
}

static __always_inline void read_arg(struct flight *f, uint64_t arg, struct monitor_begin *b)
{
    uint32_t size = arg_size(f->cmd);

    __builtin_memset(&f->a, 0, sizeof(f->a));
    if (size == 40)
        b->arg_read = !bpf_probe_read_user(f->a.words, 40, (const void *)arg);
    else if (size == 24)
        b->arg_read = !bpf_probe_read_user(f->a.words, 24, (const void *)arg);
    for (int i = 0; i < 5; i++)
        b->arg[i] = f->a.words[i];
}

static __always_inline void call_begins(uint32_t fd, uint32_t cmd, uint64_t arg, bool compat)
{
    struct monitor_file file;
    struct monitor_begin *b;
    struct flight *f;

    which_file(fd, &file);
    if (!file.is_bus || !wanted())
        return;
    f = bpf_task_storage_get(&flights, bpf_get_current_task_btf(), NULL,
                             BPF_LOCAL_STORAGE_GET_F_CREATE);
    b = f ? bpf_ringbuf_reserve(&ring, sizeof(*b), 0) : NULL;
    if (f)
        f->seq = 0;
    if (!b) {
        count_lost();
        return;
    }
    f->seq = __sync_fetch_and_add(&last_seq, 1) + 1;
    f->cmd = cmd;
    f->compat = compat;
    f->broken = 0;
    f->again = 0;
    f->arg = arg;
    __builtin_memset(b, 0, sizeof(*b));
    b->head.kind = MONITOR_BEGIN;
    b->head.task = (uint32_t)bpf_get_current_pid_tgid();
    b->head.seq = f->seq;
    b->head.lost = lost;
    b->time = bpf_ktime_get_ns();
    b->file = file;
    read_arg(f, arg, b);
    if (cmd == BUS1_CMD_TRANSFER && f->a.transfer.to <= 0x7fffffff)
        which_file(f->a.transfer.to, &b->to);
    b->cmd = cmd;
    b->fd = fd;
    b->pid = own_pid();
    b->tid = own_tid();
    bpf_get_current_comm(b->comm, sizeof(b->comm));
    bpf_ringbuf_submit(b, BPF_RB_NO_WAKEUP);
    sections_before(f, slot_of(false));
}

/* ---- the end ---- */

static __noinline int recv_after(struct flight *f, uint32_t slot, int result)
{
    struct bus1_message after = {0};

    if (!f || (result < 0 && result != -EMSGSIZE))
        return 0;
    copy(f, slot, MONITOR_MESSAGE_AFTER, f->a.recv.ptr_message, sizeof(after));
    if (result < 0)
        return 0;
    if (bpf_probe_read_user(&after, sizeof(after), (const void *)f->a.recv.ptr_message))
        return 0;
    copy(f, slot, MONITOR_METADATA, f->a.recv.ptr_metadata, sizeof(struct bus1_metadata));
    copy(f, slot, MONITOR_TRANSFERS_AFTER, f->message.ptr_transfers,
         elements(after.n_transfers, sizeof(struct bus1_transfer)));
    copy_data(f, slot, MONITOR_DATA_AFTER, after.n_data);
    return 0;
}

static __always_inline void sections_after(struct flight *f, uint32_t slot, int result)
{
    uint32_t again = f->again;

    switch (f->cmd) {
    case BUS1_CMD_TRANSFER:
        if (again)
            copy(f, slot, MONITOR_TRANSFERS, f->a.transfer.ptr_src,
                 elements(f->a.transfer.n_transfers, sizeof(struct bus1_transfer)));
        if (result < 0)
            break;
        copy(f, slot, MONITOR_TRANSFERS_AFTER, f->a.transfer.ptr_src,
             elements(f->a.transfer.n_transfers, sizeof(struct bus1_transfer)));
        copy(f, slot, MONITOR_NEW_HANDLES, f->a.transfer.ptr_dst,
             elements(f->a.transfer.n_transfers, sizeof(struct bus1_transfer)));
        break;
    case BUS1_CMD_RELEASE:
        if (again)
            sections_before(f, slot);
        break;
    case BUS1_CMD_SEND:
        if (again)
            send_sections(f, slot, again);
        copy(f, slot, MONITOR_ERRORS, f->a.send.ptr_errors,
             elements(f->a.send.n_destinations, sizeof(int32_t)));
        break;
    case BUS1_CMD_RECV:
        recv_after(f, slot, result);
        break;
    }
}

static __always_inline void call_ends(struct flight *f, int64_t result, bool died)
{
    struct monitor_end *e;

    e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
    if (!e || f->broken)
        count_lost();
    if (e) {
        __builtin_memset(e, 0, sizeof(*e));
        e->head.kind = MONITOR_END;
        e->head.task = (uint32_t)bpf_get_current_pid_tgid();
        e->head.seq = f->seq;
        e->head.lost = lost;
        e->time = bpf_ktime_get_ns();
        e->result = result;
        e->died = died;
        e->broken = f->broken;
        bpf_ringbuf_submit(e, wake_flag());
    }
    f->seq = 0;
}

SEC("?tp_btf/sys_enter")
int BPF_PROG(ioctl_enter, struct pt_regs *regs, long id)
{
    id = NR_NATIVE(id);
    if (id == NR_IOCTL && !is_compat())
        call_begins(REGS_ARG1(regs), REGS_ARG2(regs), REGS_ARG3(regs), false);
    else if (id == NR_IOCTL_32 && is_compat())
        call_begins(REGS_ARG1_32(regs), REGS_ARG2_32(regs), (uint32_t)REGS_ARG3_32(regs), true);
    return 0;
}

SEC("?tp_btf/sys_exit")
int BPF_PROG(ioctl_exit, struct pt_regs *regs, long ret)
{
    long id = REGS_NR(regs);
    struct flight *f;

    if (id != NR_IOCTL && id != NR_IOCTL_32)
        return 0;
    f = bpf_task_storage_get(&flights, bpf_get_current_task_btf(), NULL, 0);
    if (!f || !f->seq)
        return 0;
    sections_after(f, slot_of(true), ret);
    call_ends(f, ret, false);
    return 0;
}

SEC("?tp_btf/sched_process_exit")
int BPF_PROG(task_exit, struct task_struct *task)
{
    struct flight *f = bpf_task_storage_get(&flights, bpf_get_current_task_btf(), NULL, 0);

    if (f && f->seq)
        call_ends(f, 0, true);
    return 0;
}

SEC("?tp_btf/sched_process_fork")
int BPF_PROG(task_fork, struct task_struct *parent, struct task_struct *child)
{
    uint32_t one = 1;

    if (bpf_task_storage_get(&followed, bpf_get_current_task_btf(), NULL, 0))
        bpf_task_storage_get(&followed, child, &one, BPF_LOCAL_STORAGE_GET_F_CREATE);
    return 0;
}
