// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Walks the messages of a System V queue, which are one list in the order of sending: without its
 * lock, twice, for the caller to compare; or once with the lock held, from a function that
 * msgctl(IPC_STAT) calls there.
 */
#include "sysv.bpf.h"
#include "sysvpeek_abi.h"

struct sysvpeek_request req;

#define REQUEST req.walk
#include "walk.bpf.h"

#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* walk.node is the head of the one list. */
static long walk_next(void)
{
    if (walk.state != WALK_START)
        return STOP(WALK_DONE);
    return walk_list(walk.node);
}

static __always_inline uint64_t list_of(struct msg_queue *q)
{
    return (uint64_t)q + KOFFSET(msg_queue, q_messages);
}

/* No message is longer than all together, and there is none behind the last. */
static __always_inline void read_facts(struct ipc_namespace___sysv *ns, struct msg_queue *q)
{
    req.found = (uint32_t)BPF_CORE_READ(q, q_perm.id);
    req.key = (uint32_t)BPF_CORE_READ(q, q_perm.key);
    req.ipc_ns = BPF_CORE_READ(ns, ns.inum);
    req.walk.messages = BPF_CORE_READ(q, q_qnum);
    req.walk.bytes = BPF_CORE_READ(q, q_cbytes);
    req.walk.maxmsg = req.walk.messages;
    req.walk.msgsize = req.walk.bytes;
}

/* The lock must be free and the counts the same before and after. */
SEC("syscall")
int peek(void *ctx)
{
    struct ipc_namespace___sysv *ns = sysv_ns();
    struct msg_queue *q = sysv_by_id(ns, (int)req.id);

    req.walk.got[0].status = req.walk.got[1].status = WALK_NOT_ASKED;
    req.walk.status = WALK_NO_QUEUE;
    if (!q)
        return 0;
    read_facts(ns, q);
    req.walk.status = WALK_LOCKED;
    if (sysv_locked(q))
        return 0;
    if (walk_twice(list_of(q)) && !sysv_locked(q) &&
        BPF_CORE_READ(q, q_qnum) == req.walk.messages &&
        BPF_CORE_READ(q, q_cbytes) == req.walk.bytes && !BPF_CORE_READ(q, q_perm.deleted))
        req.walk.status = WALK_DONE;
    return 0;
}

/* Says which task may trigger the locked walk: the running one, once. */
SEC("syscall")
int peek_arm(void *ctx)
{
    req.walk.task = bpf_get_current_task();
    req.walk.status = WALK_NOT_ASKED;
    return 0;
}

static __always_inline bool is_armed(void)
{
    return req.walk.task == bpf_get_current_task() && req.walk.status == WALK_NOT_ASKED;
}

/* The running task has the lock. */
static __always_inline void collect_locked(struct ipc_namespace___sysv *ns, struct msg_queue *q)
{
    req.walk.status = q ? WALK_MOVED : WALK_NO_QUEUE;
    if (!q || !sysv_locked(q))
        return;
    read_facts(ns, q);
    walk_collect(list_of(q), 0);
    req.walk.got[0] = walk.got;
    req.walk.status = walk.got.status;
}

/* msgctl(IPC_STAT) calls it with the queue locked, after it has checked the permission. */
SEC("?fentry/pid_vnr")
int BPF_PROG(peek_locked)
{
    struct ipc_namespace___sysv *ns;

    if (!is_armed())
        return 0;
    ns = sysv_ns();
    collect_locked(ns, sysv_by_id(ns, (int)req.id));
    return 0;
}

/*
 * A task that waited for a lock has it now: msgctl(IPC_STAT) waits for the queue's, after it has
 * checked the permission.
 */
SEC("?tp_btf/contention_end")
int BPF_PROG(peek_contended, void *lock, int ret)
{
    struct ipc_namespace___sysv *ns;
    struct msg_queue *q;

    if (!is_armed())
        return 0;
    ns = sysv_ns();
    q = sysv_by_id(ns, (int)req.id);
    if (q && (uint64_t)lock == (uint64_t)q + KOFFSET(msg_queue, q_perm.lock))
        collect_locked(ns, q);
    return 0;
}
