// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Following System V queues: records successful sends, receives, removals and changes, of 64-bit
 * and 32-bit callers alike. Where the kernel lets a program run around a function, it runs around
 * the three that do the work; else around every system call.
 *
 * There is no descriptor that would keep the right to read a queue: its mode is looked at with each
 * call, as the kernel does.
 */
#include "follow.bpf.h"
#include "sysv.bpf.h"
#include "sysvcalls.bpf.h"
#include "sysvfollow_abi.h"

#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct sysvfollow_proof proof;

enum program {
    SEND_BEGINS,
    SEND_ENDS,
    RECEIVE_BEGINS,
    RECEIVE_ENDS,
    CONTROL_BEGINS,
    CALL_ENTER,
    CALL_EXIT,
};

static __always_inline uint64_t own_ipc_ns(void)
{
    struct ipc_namespace___sysv *ns = sysv_ns();

    return BPF_CORE_READ(ns, ns.inum);
}

SEC("syscall")
int follow_setup(void *ctx)
{
    pids_init();
    proof.ipc_ns = own_ipc_ns();
    proof.same_pid = (uint32_t)BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), tgid) ==
                     (uint32_t)(bpf_get_current_pid_tgid() >> 32);
    return 0;
}

/* ---- which queue ---- */

/*
 * Whether the user may read a queue of the running task's IPC namespace, as the kernel's ipcperms()
 * has it. A function of its own, that the verifier looks at once.
 */
__noinline int may_read(int id)
{
    struct msg_queue *q = sysv_by_id(sysv_ns(), id);
    uint32_t mode;

    if (!q)
        return 0;
    if (config.see_all)
        return 1;
    mode = BPF_CORE_READ(q, q_perm.mode);
    if (BPF_CORE_READ(q, q_perm.uid.val) == config.uid ||
        BPF_CORE_READ(q, q_perm.cuid.val) == config.uid)
        return !!(mode & 0400);
    if (in_group(BPF_CORE_READ(q, q_perm.gid.val)) || in_group(BPF_CORE_READ(q, q_perm.cgid.val)))
        return !!(mode & 0040);
    return !!(mode & 0004);
}

static __always_inline enum which which_queue(uint32_t by, unsigned int id, struct follow_key *key)
{
    struct follow_queue *queue;

    key->ino = id;
    if (!config.all && !maybe_named(id))
        return NOT_FOLLOWED;
    key->dev = own_ipc_ns();
    if (config.all && key->dev != proof.ipc_ns)
        return NOT_FOLLOWED;
    queue = bpf_map_lookup_elem(&queues, key);
    if ((!queue && !config.all) || !may_read(id))
        return NOT_FOLLOWED;
    if (!queue)
        queue = announce(by, key, NULL);
    return queue ? FOLLOWED : NO_ROOM;
}

/* ---- removals and changes ---- */

static __always_inline enum follow_kind control_kind(uint32_t command)
{
    return command == SYSV_RMID ? FOLLOW_REMOVE : FOLLOW_CHANGE;
}

static __always_inline void fill_change(struct follow_control *c, int id)
{
    struct msg_queue *q = sysv_by_id(sysv_ns(), id);

    if (!q)
        return;
    c->limit = BPF_CORE_READ(q, q_qbytes);
    c->uid = BPF_CORE_READ(q, q_perm.uid.val);
    c->gid = BPF_CORE_READ(q, q_perm.gid.val);
    c->mode = BPF_CORE_READ(q, q_perm.mode) & 0777;
    c->known = 1;
}

/* One that succeeded. Whether the user may know was asked when it began. */
static __always_inline void control_ends(enum follow_kind kind, uint32_t id)
{
    struct begun_call *f = begun_get(false);
    struct follow_queue *queue = NULL;
    struct follow_control *c;
    struct follow_key key;

    if (!f || f->kind != kind)
        return;
    f->kind = 0;
    key = f->key;
    if (f->which == FOLLOWED)
        queue = bpf_map_lookup_elem(&queues, &key);
    if (!queue || config.counters_only)
        return;
    c = bpf_ringbuf_reserve(&ring, sizeof(*c), 0);
    if (!c) {
        count_lost();
        return;
    }
    __builtin_memset(c, 0, sizeof(*c));
    c->event.head.kind = kind | config.joined;
    c->event.head.index = queue->index;
    c->event.head.lost = shared.lost;
    c->event.time = bpf_ktime_get_ns();
    c->event.pid = own_pid();
    c->event.tid = own_tid();
    bpf_get_current_comm(c->event.comm, sizeof(c->event.comm));
    if (kind == FOLLOW_CHANGE)
        fill_change(c, id);
    bpf_ringbuf_submit(c, wake_flag(c->event.time));
}

/* ---- around the functions ---- */

SEC("?fentry/do_msgsnd")
int BPF_PROG(send_begins, int id)
{
    call_begins(SEND_BEGINS, FOLLOW_SEND, id);
    return 0;
}

SEC("?fexit/do_msgsnd")
int BPF_PROG(send_ends, int id, long type, void *text, size_t size, int flags, long ret)
{
    struct call call = {SEND_ENDS, SLOT_SEND, FOLLOW_SEND, id, type, (uint64_t)text, size};

    if (ret < 0)
        call_failed();
    else
        call_ends(&call);
    return 0;
}

SEC("?fentry/do_msgrcv")
int BPF_PROG(receive_begins, int id, void *buffer, size_t size, long type, int flags)
{
    if (!(flags & SYSV_COPY))
        call_begins(RECEIVE_BEGINS, FOLLOW_RECEIVE, id);
    return 0;
}

/* The message that is about to be copied to the receiver; also called for POSIX queues. */
SEC("?fentry/store_msg")
int BPF_PROG(receive_copies, void *to, struct msg_msg *m)
{
    struct begun_call *f = begun_get(false);

    if (f && f->kind == FOLLOW_RECEIVE) {
        f->type = BPF_CORE_READ(m, m_type);
        f->text = (uint64_t)to;
    }
    return 0;
}

SEC("?fexit/do_msgrcv")
int BPF_PROG(receive_ends, int id, void *buffer, size_t size, long type, int flags, void *handler,
             long ret)
{
    struct call call = {RECEIVE_ENDS, SLOT_RECEIVE, FOLLOW_RECEIVE, id, FOLLOW_UNKNOWN_TYPE, 0,
                        ret};

    if (ret < 0 || (flags & SYSV_COPY))
        call_failed();
    else
        call_ends(&call);
    return 0;
}

SEC("?fentry/msgctl_down")
int BPF_PROG(control_begins, void *ns, int id, int command)
{
    call_begins(CONTROL_BEGINS, control_kind(command), id);
    return 0;
}

SEC("?fexit/msgctl_down")
int BPF_PROG(control_ended, void *ns, int id, int command, void *perm, int limit, int ret)
{
    if (ret < 0)
        call_failed();
    else
        control_ends(control_kind(command), id);
    return 0;
}

/* ---- around system calls ---- */

/* enum follow_kind, or 0. */
static __always_inline enum follow_kind kind_of(const struct sysv_call *c)
{
    return c->kind == SYSV_SEND      ? FOLLOW_SEND
           : c->kind == SYSV_RECEIVE ? FOLLOW_RECEIVE
           : c->kind == SYSV_CONTROL ? control_kind(c->flags)
                                     : 0;
}

static __always_inline int enter(struct pt_regs *regs, long nr)
{
    struct sysv_call c = {0};

    nr = NR_NATIVE(nr);
    if (!sysv_call_maybe(nr))
        return 0;
    sysv_call_read(&c, regs, nr, is_32_bit());
    if (c.kind)
        call_begins(CALL_ENTER, kind_of(&c), c.id);
    return 0;
}

/* The type precedes the content, as the caller's kind of long. */
static __always_inline void read_message(struct call *call, const struct sysv_call *c, long ret)
{
    int64_t type = 0;
    int32_t type_32 = 0;

    if (c->word == 8) {
        bpf_probe_read_user(&type, sizeof(type), (const void *)c->buffer);
    } else {
        bpf_probe_read_user(&type_32, sizeof(type_32), (const void *)c->buffer);
        type = type_32;
    }
    call->type = type;
    call->buffer = c->buffer + c->word;
    call->length = c->kind == SYSV_SEND ? c->size : ret;
}

static __always_inline int leave(struct pt_regs *regs, long ret)
{
    struct call call = {.by = CALL_EXIT, .slot = SLOT_CALL};
    struct sysv_call c = {0};
    long nr = REGS_NR(regs);
    bool compat;

    if (!sysv_call_maybe(nr))
        return 0;
    compat = is_32_bit();
    sysv_call_read(&c, regs, nr, compat);
    call.kind = kind_of(&c);
    call.fd = c.id;
    if (!call.kind || (config.functions && !was_missed(call.kind)))
        return 0;
    if (compat ? (int)ret < 0 : ret < 0) { /* of a 32-bit call no more than that counts */
        call_failed();
        return 0;
    }
    if (c.kind == SYSV_CONTROL) {
        control_ends(call.kind, c.id);
        return 0;
    }
    read_message(&call, &c, ret);
    call_ends(&call);
    return 0;
}

SEC("?tp_btf/sys_enter")
int BPF_PROG(call_enter, struct pt_regs *regs, long nr)
{
    return enter(regs, nr);
}

SEC("?tp_btf/sys_exit")
int BPF_PROG(call_exit, struct pt_regs *regs, long ret)
{
    return leave(regs, ret);
}

/* For kernels without a BTF of their own. */
SEC("?raw_tp/sys_enter")
int BPF_PROG(raw_enter, struct pt_regs *regs, long nr)
{
    return enter(regs, nr);
}

SEC("?raw_tp/sys_exit")
int BPF_PROG(raw_exit, struct pt_regs *regs, long ret)
{
    return leave(regs, ret);
}
