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

/* A global function: the verifier takes it once, not for each turn of the loop. */
__noinline int next_waiter(void)
{
    uint32_t n = answer.n_waiters;
    struct ext_wait_queue *wait;
    struct inspect_waiter *w;
    struct task_struct *task;

    if (!in_kernel(walk.entry) || walk.entry == walk.head || n >= INSPECT_WAITERS)
        return 1;
    wait = (void *)(walk.entry - KOFFSET(ext_wait_queue, list));
    task = BPF_CORE_READ(wait, task);
    if (!in_kernel((uint64_t)task))
        return 1;
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
    for (int i = 0; i < INSPECT_WAITERS; i++)
        if (next_waiter())
            break;
}

static __always_inline void notification(struct mqueue_inode_info *q)
{
    struct pid *owner = BPF_CORE_READ(q, notify_owner);

    answer.notify_set = owner != NULL;
    answer.notify_pid = pid_for_user(owner);
    answer.notify_method = BPF_CORE_READ(q, notify.sigev_notify);
    answer.notify_signo = BPF_CORE_READ(q, notify.sigev_signo);
}

static __always_inline void read_charge(uint64_t at)
{
    KREAD(answer.charged, at);
    answer.charged_known = true;
}

/* Before Linux 5.14 the account is the user's. */
static __always_inline void account_of_user(struct mqueue_inode_info___old *q)
{
    struct user_struct *user = BPF_CORE_READ(q, user);

    answer.charged_uid = BPF_CORE_READ(user, uid.val);
    if (bpf_core_field_exists(user->mq_bytes))
        read_charge((uint64_t)user + KOFFSET(user_struct, mq_bytes));
}

static __always_inline void account_of_ucounts(struct ucounts *user)
{
    uint64_t index;

    answer.charged_uid = BPF_CORE_READ(user, uid.val);
    if (bpf_core_field_exists(user->rlimit) &&
        bpf_core_enum_value_exists(enum rlimit_type, UCOUNT_RLIMIT_MSGQUEUE)) {
        index = bpf_core_enum_value(enum rlimit_type, UCOUNT_RLIMIT_MSGQUEUE);
        read_charge((uint64_t)user + KOFFSET(ucounts, rlimit) + index * sizeof(long));
    } else if (bpf_core_enum_value_exists(enum ucount_type, UCOUNT_RLIMIT_MSGQUEUE___old)) {
        index = bpf_core_enum_value(enum ucount_type, UCOUNT_RLIMIT_MSGQUEUE___old);
        read_charge((uint64_t)user + KOFFSET(ucounts, ucount) + index * sizeof(long));
    }
}

static __always_inline void account_of_queue(struct mqueue_inode_info *q)
{
    answer.charged_known = false;
    if (bpf_core_field_exists(q->ucounts))
        account_of_ucounts(BPF_CORE_READ(q, ucounts));
    else
        account_of_user((void *)q);
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
    kernel_half_init();
    pids_init();
    answer.locked = lock_word(q);
    answer.inode = BPF_CORE_READ(q, vfs_inode.i_ino);
    answer.maxmsg = BPF_CORE_READ(q, attr.mq_maxmsg);
    answer.msgsize = BPF_CORE_READ(q, attr.mq_msgsize);
    answer.ran = last_ran((void *)bpf_get_current_task());
    notification(q);
    account_of_queue(q);
    waiters((uint64_t)q + KOFFSET(mqueue_inode_info, e_wait_q[0].list), 0);
    waiters((uint64_t)q + KOFFSET(mqueue_inode_info, e_wait_q[1].list), 1);
    answer.locked |= lock_word(q);
    return 0;
}

/* The kernel's counters of the running process: of its user, and of its IPC namespace. */
SEC("syscall")
int account(void *ctx)
{
    struct task_struct *own = (void *)bpf_get_current_task();

    answer.charged_known = false;
    if (bpf_core_field_exists(((struct cred *)0)->ucounts))
        account_of_ucounts(BPF_CORE_READ(own, cred, ucounts));
    answer.queues = BPF_CORE_READ(own, nsproxy, ipc_ns, mq_queues_count);
    return 0;
}
