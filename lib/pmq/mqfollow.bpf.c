// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Following POSIX queues: records successful sends and receives. Where the kernel lets a program
 * run around a function, it runs around the two that do the work; else around every system call, of
 * which it picks two.
 */
#include "follow.bpf.h"
#include "queue.bpf.h"

#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct follow_proof proof;

static uint32_t user_dev; /* of the user's IPC namespace */

enum program {
    SEND_BEGINS,
    SEND_ENDS,
    RECEIVE_BEGINS,
    RECEIVE_ENDS,
    CALL_ENTER,
    CALL_EXIT,
};

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
    uint32_t mode;

    if (config.see_all)
        return true;
    mode = BPF_CORE_READ(inode, i_mode);
    if (BPF_CORE_READ(inode, i_uid.val) == config.uid)
        return mode & 0400;
    return mode & (in_group(BPF_CORE_READ(inode, i_gid.val)) ? 0040 : 0004);
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

/* Whether the descriptor is of a queue that is followed; with its key. */
static __always_inline enum which which_queue(uint32_t by, unsigned int fd, struct follow_key *key)
{
    struct file *file = own_file(fd);
    struct follow_queue *queue;
    struct inode *inode;

    if (!file)
        return NOT_FOLLOWED;
    inode = BPF_CORE_READ(file, f_inode);
    key->ino = BPF_CORE_READ(inode, i_ino);
    if (!config.all && !maybe_named(key->ino))
        return NOT_FOLLOWED;
    key->dev = BPF_CORE_READ(inode, i_sb, s_dev);
    /* The mode is looked at each time: it may change. A queue that was named was open for reading.
     */
    if (config.all && (key->dev != user_dev || !may_read(inode)))
        return NOT_FOLLOWED;
    queue = bpf_map_lookup_elem(&queues, key);
    if (!queue && config.all && queue_by_inode(inode)) {
        queue = announce(by, key, BPF_CORE_READ(file, f_path.dentry, d_name.name));
        if (!queue)
            return NO_ROOM;
    }
    return queue ? FOLLOWED : NOT_FOLLOWED;
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
        f->type = BPF_CORE_READ(m, m_type);
    return 0;
}

SEC("?fexit/do_mq_timedreceive")
int BPF_PROG(receive_ends, int fd, char *buffer, size_t size, unsigned int *priority, void *timeout,
             int ret)
{
    struct call call = {RECEIVE_ENDS,     SLOT_RECEIVE, FOLLOW_RECEIVE, fd, FOLLOW_UNKNOWN_TYPE,
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

    call->type = FOLLOW_UNKNOWN_TYPE;
    if (from && !bpf_probe_read_user(&priority, sizeof(priority), (const void *)from))
        call->type = priority;
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
        call->type = (uint32_t)REGS_ARG4(regs);
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
