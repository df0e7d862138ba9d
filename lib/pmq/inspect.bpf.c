// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Reads what a queue knows about its users. The lists of waiters are walked without a lock: the
 * user runs this twice and compares.
 */
#include "inspect_abi.h"
#include "pids.bpf.h"
#include "queue.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct inspect_answer answer;

static struct {
    uint64_t head;
    uint64_t entry;
    uint32_t direction;
} walk;

static __always_inline uint64_t last_ran(struct task_struct *task)
{
    if (!bpf_core_field_exists(task->sched_info.last_arrival))
        return 0;
    return BPF_CORE_READ(task, sched_info.last_arrival);
}

static long next_waiter(uint32_t i, void *ctx)
{
    uint32_t n = answer.n_waiters;
    struct ext_wait_queue *wait;
    struct inspect_waiter *w;
    struct task_struct *task;

    if (!walk.entry || walk.entry == walk.head || n >= INSPECT_WAITERS)
        return 1;
    wait = (void *)(walk.entry - KOFFSET(ext_wait_queue, list));
    task = BPF_CORE_READ(wait, task);
    asm volatile("" : "+r"(n));
    w = &answer.waiters[n & (INSPECT_WAITERS - 1)];
    w->ran = last_ran(task);
    w->tid = pid_for_user(BPF_CORE_READ(task, thread_pid));
    w->pid = pid_for_user(BPF_CORE_READ(task, group_leader, thread_pid));
    w->direction = walk.direction;
    bpf_probe_read_kernel(w->comm, sizeof(w->comm), &task->comm);
    answer.n_waiters = n + 1;
    /* The last of the list is served first: ipc/mqueue.c, wq_get_first_waiter(). */
    walk.entry = (uint64_t)BPF_CORE_READ(wait, list.prev);
    return 0;
}

static __always_inline void waiters(uint64_t head, uint32_t direction)
{
    walk.head = head;
    walk.entry = 0;
    walk.direction = direction;
    KREAD(walk.entry, head + KOFFSET(list_head, prev));
    bpf_loop(INSPECT_WAITERS, next_waiter, NULL, 0);
}

static __always_inline void notification(struct mqueue_inode_info *q)
{
    struct pid *owner = BPF_CORE_READ(q, notify_owner);

    answer.notify_set = owner != NULL;
    answer.notify_pid = pid_for_user(owner);
    answer.notify_method = BPF_CORE_READ(q, notify.sigev_notify);
    answer.notify_signo = BPF_CORE_READ(q, notify.sigev_signo);
}

static __always_inline void account(struct mqueue_inode_info *q)
{
    struct ucounts *user = BPF_CORE_READ(q, ucounts);
    uint64_t index;

    answer.charged_uid = BPF_CORE_READ(user, uid.val);
    answer.charged_known = bpf_core_field_exists(user->rlimit) &&
                           bpf_core_enum_value_exists(enum rlimit_type, UCOUNT_RLIMIT_MSGQUEUE);
    if (!answer.charged_known)
        return;
    index = bpf_core_enum_value(enum rlimit_type, UCOUNT_RLIMIT_MSGQUEUE);
    KREAD(answer.charged, (uint64_t)user + KOFFSET(ucounts, rlimit) + index * sizeof(long));
}

static __always_inline uint32_t lock_word(struct mqueue_inode_info *q)
{
    uint32_t word = 1;

    KREAD(word, &q->lock);
    return word;
}

SEC("syscall")
int inspect(void *ctx)
{
    struct mqueue_inode_info *q = queue_by_fd(answer.fd);

    answer.found = q != NULL;
    answer.n_waiters = 0;
    if (!q)
        return 0;
    pids_init();
    answer.locked = lock_word(q);
    answer.inode = BPF_CORE_READ(q, vfs_inode.i_ino);
    answer.maxmsg = BPF_CORE_READ(q, attr.mq_maxmsg);
    answer.msgsize = BPF_CORE_READ(q, attr.mq_msgsize);
    answer.ran = last_ran((void *)bpf_get_current_task());
    notification(q);
    account(q);
    waiters((uint64_t)q + KOFFSET(mqueue_inode_info, e_wait_q[0].list), 0);
    waiters((uint64_t)q + KOFFSET(mqueue_inode_info, e_wait_q[1].list), 1);
    answer.locked |= lock_word(q);
    return 0;
}
