// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Reports every thread with its system call, and every descriptor, of all processes. These are two
 * iterators, which the kernel runs while their files are read. It holds references to the tasks and
 * files that it passes.
 */
#include "pids.bpf.h"
#include "waitscan_abi.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* include/uapi/linux/magic.h, include/linux/fs.h, include/linux/sched.h */
#define SOCKFS        0x534F434B
#define PIPEFS        0x50495045
#define ANON_INODES   0x09041934
#define MODE_TYPE     0170000
#define MODE_REGULAR  0100000
#define MODE_FIFO     0010000
#define FILE_READS    1
#define FILE_WRITES   2
#define KERNEL_THREAD 0x00200000

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct file___wait {
    unsigned int f_mode;
    void *private_data;
};

struct eventfd_ctx {
    int id;
};

struct net {
    struct ns_common ns;
};

struct nsproxy___net {
    struct net *net_ns;
};

struct task_struct___wait {
    unsigned int __state;
    int exit_state;
    unsigned int flags;
    unsigned long nvcsw, nivcsw;
    struct task_struct *real_parent;
    void *cgroups;
};

struct task_struct___old { /* the name before Linux 5.14 */
    long state;
};

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
    unsigned long r10, r9, r8, dx, si, di, orig_ax;
};
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
    uint64_t regs[31];
    uint64_t orig_x0;
    int32_t syscallno;
};
#endif

#pragma clang attribute pop

/* The context that the kernel passes: each member takes eight bytes. */
struct seq_file;

struct iterator {
    struct seq_file *seq;
    uint64_t session, number;
};

struct task_at {
    struct iterator *meta;
    struct task_struct *task;
};

struct file_at {
    struct iterator *meta;
    struct task_struct *task;
    uint64_t fd; /* only the lower half is set */
    struct file *file;
};

static __always_inline int number_of(struct task_struct *task)
{
    return pid_for_user(BPF_CORE_READ(task, thread_pid));
}

/* Not static: libbpf would not map the variables of a program that has only static ones. */
uint32_t numbers_known;

static __always_inline void numbers_init(void)
{
    if (!numbers_known)
        pids_init();
    numbers_known = 1;
}

/* ---- descriptors ---- */

static __always_inline bool is_text(const char *text, const char *what)
{
    bool same = true;

    _Pragma("clang loop unroll(full)") for (int i = 0; i < 8; i++) same &= text[i] == what[i];
    return same;
}

/* The kind of an anonymous inode can only be read from its name. */
static __always_inline void classify_anonymous(struct file *file, struct waitscan_file *out)
{
    const unsigned char *name = BPF_CORE_READ(file, f_path.dentry, d_name.name);
    char text[8] = {0};

    bpf_probe_read_kernel(text, sizeof(text), name);
    if (is_text(text, "[eventpo")) {
        out->kind = WAITSCAN_EPOLL;
    } else if (is_text(text, "[eventfd")) {
        struct eventfd_ctx *e = BPF_CORE_READ((struct file___wait *)file, private_data);

        out->kind = WAITSCAN_EVENTFD;
        out->inode = (uint32_t)BPF_CORE_READ(e, id);
        out->dev = 1;
    }
}

static __always_inline void classify(struct file *file, struct waitscan_file *out)
{
    struct inode *inode = BPF_CORE_READ(file, f_inode);
    struct super_block *sb = BPF_CORE_READ(inode, i_sb);
    uint32_t type = BPF_CORE_READ(inode, i_mode) & MODE_TYPE;
    uint64_t magic = BPF_CORE_READ(sb, s_magic);

    out->inode = BPF_CORE_READ(inode, i_ino);
    out->dev = BPF_CORE_READ(sb, s_dev);
    if (magic == SOCKFS)
        out->kind = WAITSCAN_SOCKET;
    else if (type == MODE_FIFO)
        out->kind = magic == PIPEFS ? WAITSCAN_PIPE : WAITSCAN_FIFO;
    else if (type == MODE_REGULAR)
        out->kind = magic == MQUEUE_MAGIC ? WAITSCAN_QUEUE : WAITSCAN_FILE;
    else if (magic == ANON_INODES)
        classify_anonymous(file, out);
}

SEC("kiter/task_file")
int files(struct file_at *at)
{
    struct task_struct *task = at->task, *leader;
    struct file *file = at->file;
    struct waitscan_file out = {0};
    uint32_t mode;

    if (!task || !file)
        return 0;
    leader = BPF_CORE_READ(task, group_leader);
    /*
     * Old kernels report a table that threads share once for each of them: report it for the leader
     * only.
     */
    if (task != leader && BPF_CORE_READ(task, files) == BPF_CORE_READ(leader, files))
        return 0;
    numbers_init();
    mode = BPF_CORE_READ((struct file___wait *)file, f_mode);
    out.reads = !!(mode & FILE_READS);
    out.writes = !!(mode & FILE_WRITES);
    out.fd = (int)at->fd;
    out.pid = number_of(leader);
    out.table = number_of(task);
    classify(file, &out);
    bpf_seq_write(at->meta->seq, &out, sizeof(out));
    return 0;
}

/* ---- threads ---- */

static __always_inline uint32_t state_of(struct task_struct *task)
{
    struct task_struct___wait *t = (void *)task;
    struct task_struct___old *old = (void *)task;

    if (bpf_core_field_exists(t->__state))
        return BPF_CORE_READ(t, __state);
    return (uint32_t)BPF_CORE_READ(old, state);
}

static __always_inline uint64_t switches_of(struct task_struct *task)
{
    struct task_struct___wait *t = (void *)task;

    return BPF_CORE_READ(t, nvcsw);
}

static __always_inline void read_call(struct pt_regs *regs, struct waitscan_thread *out)
{
#if defined(__TARGET_ARCH_x86)
    out->nr = (int64_t)BPF_CORE_READ(regs, orig_ax);
    out->args[0] = BPF_CORE_READ(regs, di);
    out->args[1] = BPF_CORE_READ(regs, si);
    out->args[2] = BPF_CORE_READ(regs, dx);
    out->args[3] = BPF_CORE_READ(regs, r10);
    out->args[4] = BPF_CORE_READ(regs, r8);
    out->args[5] = BPF_CORE_READ(regs, r9);
#elif defined(__TARGET_ARCH_arm64)
    out->nr = BPF_CORE_READ(regs, syscallno);
    out->args[0] = BPF_CORE_READ(regs, orig_x0);
    out->args[1] = BPF_CORE_READ(regs, regs[1]);
    out->args[2] = BPF_CORE_READ(regs, regs[2]);
    out->args[3] = BPF_CORE_READ(regs, regs[3]);
    out->args[4] = BPF_CORE_READ(regs, regs[4]);
    out->args[5] = BPF_CORE_READ(regs, regs[5]);
#endif
}

SEC("kiter/task")
int threads(struct task_at *at)
{
    struct task_struct *task = at->task;
    struct task_struct___wait *t = (void *)task;
    struct waitscan_thread out = {.nr = -1};
    struct nsproxy___net *ns;

    if (!task || BPF_CORE_READ(t, flags) & KERNEL_THREAD)
        return 0;
    numbers_init();
    out.state = state_of(task);
    out.switches = switches_of(task);
    out.flags = BPF_CORE_READ(t, flags);
    out.exit_state = (uint32_t)BPF_CORE_READ(t, exit_state);
    out.pid = pid_for_user(BPF_CORE_READ(task, group_leader, thread_pid));
    out.tid = number_of(task);
    out.parent = pid_for_user(BPF_CORE_READ(t, real_parent, group_leader, thread_pid));
    out.groups = (uint64_t)BPF_CORE_READ(t, cgroups);
    ns = (void *)BPF_CORE_READ(task, nsproxy);
    out.net = BPF_CORE_READ(ns, net_ns, ns.inum);
    if (bpf_core_field_exists(task->sched_info.last_arrival))
        out.ran = BPF_CORE_READ(task, sched_info.last_arrival);
    bpf_probe_read_kernel(out.comm, sizeof(out.comm), BPF_CORE_READ(task, group_leader)->comm);
    if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs))
        read_call((void *)bpf_task_pt_regs(task), &out);
    else
        out.notes |= WAITSCAN_NO_REGS;
    if (!out.state || out.state != state_of(task) || out.switches != switches_of(task))
        out.notes |= WAITSCAN_RUNS;
    bpf_seq_write(at->meta->seq, &out, sizeof(out));
    return 0;
}
