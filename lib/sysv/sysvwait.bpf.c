// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Who sleeps in msgrcv() and msgsnd() of a System V queue, and for what: the elements of the
 * queue's two lists lie on the sleepers' stacks. They are walked without a lock: the user runs this
 * twice and compares.
 */
#include "pids.bpf.h"
#include "sysv.bpf.h"
#include "sysvwait_abi.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct sysvwait_answer answer;

struct {
    uint64_t head, entry;
} at; /* not static: clang 14 would take it apart, and its BTF would not load */

static __always_inline uint64_t last_ran(struct task_struct *task)
{
    if (!bpf_core_field_exists(task->sched_info.last_arrival))
        return 0;
    return BPF_CORE_READ(task, sched_info.last_arrival);
}

static __always_inline struct sysvwait_waiter *add(struct task_struct *task)
{
    struct sysvwait_waiter *w;
    uint32_t n = answer.n;

    asm volatile("" : "+r"(n));
    w = &answer.v[n & (SYSVWAIT_MAX - 1)];
    w->ran = last_ran(task);
    w->tid = pid_for_user(BPF_CORE_READ(task, thread_pid));
    w->pid = pid_for_user(BPF_CORE_READ(task, group_leader, thread_pid));
    bpf_probe_read_kernel(w->comm, sizeof(w->comm), &task->comm);
    answer.n = n + 1;
    return w;
}

/* Return: 1 at the end of the list. */
__noinline int next_receiver(void)
{
    struct msg_receiver *r;
    struct sysvwait_waiter *w;

    if (!at.entry || at.entry == at.head || answer.n >= SYSVWAIT_MAX)
        return 1;
    r = (void *)(at.entry - KOFFSET(msg_receiver, r_list));
    w = add(BPF_CORE_READ(r, r_tsk));
    w->sends = 0;
    w->mode = BPF_CORE_READ(r, r_mode);
    w->type = BPF_CORE_READ(r, r_msgtype);
    w->size = BPF_CORE_READ(r, r_maxsize);
    w->served = (long)BPF_CORE_READ(r, r_msg) != -11; /* -EAGAIN: it has nothing yet */
    at.entry = (uint64_t)BPF_CORE_READ(r, r_list.next);
    return 0;
}

__noinline int next_sender(void)
{
    struct msg_sender *s;
    struct sysvwait_waiter *w;

    if (!at.entry || at.entry == at.head || answer.n >= SYSVWAIT_MAX)
        return 1;
    s = (void *)(at.entry - KOFFSET(msg_sender, list));
    w = add(BPF_CORE_READ(s, tsk));
    w->sends = 1;
    w->mode = 0;
    w->type = 0;
    w->served = 0;
    w->size = BPF_CORE_READ(s, msgsz);
    at.entry = (uint64_t)BPF_CORE_READ(s, list.next);
    return 0;
}

SEC("syscall")
int waiters(void *ctx)
{
    struct ipc_namespace___sysv *ns = sysv_ns();
    struct msg_queue *q = sysv_by_id(ns, answer.id);

    answer.found = q != NULL;
    answer.n = 0;
    if (!q)
        return 0;
    pids_init();
    answer.ipc_ns = BPF_CORE_READ(ns, ns.inum);
    answer.ran = last_ran((void *)bpf_get_current_task());
    answer.locked = sysv_locked(q);
    at.head = (uint64_t)q + KOFFSET(msg_queue, q_receivers);
    at.entry = (uint64_t)BPF_CORE_READ(q, q_receivers.next);
    _Pragma("clang loop unroll(disable)") for (int i = 0; i < SYSVWAIT_MAX; i++)
    {
        if (next_receiver())
            break;
    }
    at.head = (uint64_t)q + KOFFSET(msg_queue, q_senders);
    at.entry = (uint64_t)BPF_CORE_READ(q, q_senders.next);
    _Pragma("clang loop unroll(disable)") for (int i = 0; i < SYSVWAIT_MAX; i++)
    {
        if (next_sender())
            break;
    }
    answer.locked |= sysv_locked(q);
    return 0;
}
