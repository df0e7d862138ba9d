// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Walks a queue's messages without its lock, twice, for the caller to compare; or once with the
 * lock held, where read(2) on the queue has just got it.
 *
 * Messages lie in a red-black tree of priorities, each node with a list, first in first out. The
 * walk goes from the rightmost node leftwards.
 */
#include "peek_abi.h"
#include "queue.bpf.h"

struct peek_request req;

#define REQUEST req.walk
#include "walk.bpf.h"

#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum { STATE_RIGHT = WALK_DOMAIN, STATE_NODE, STATE_UP };

static __always_inline long step_right(void)
{
    struct rb_node *node = (void *)walk.node, *right = BPF_CORE_READ(node, rb_right);

    if (right)
        walk.node = (uint64_t)right;
    else
        walk.state = STATE_NODE;
    return 0;
}

static __always_inline long step_node(void)
{
    uint64_t leaf = walk.node - KOFFSET(posix_msg_tree_node, rb_node);

    return walk_list(leaf + KOFFSET(posix_msg_tree_node, msg_list));
}

static __always_inline long step_left(void)
{
    struct rb_node *node = (void *)walk.node, *left = BPF_CORE_READ(node, rb_left);

    if (left)
        walk.node = (uint64_t)left;
    walk.state = left ? STATE_RIGHT : STATE_UP;
    return 0;
}

static __always_inline long step_up(void)
{
    struct rb_node *node = (void *)walk.node, *up;

    up = (void *)(BPF_CORE_READ(node, __rb_parent_color) & ~3UL);
    if (!up)
        return STOP(WALK_DONE);
    if (!in_kernel((uint64_t)up))
        return STOP(WALK_MOVED);
    if (BPF_CORE_READ(up, rb_left) != node)
        walk.state = STATE_NODE;
    walk.node = (uint64_t)up;
    return 0;
}

static long walk_next(void)
{
    if (!in_kernel(walk.node))
        return STOP(WALK_MOVED);
    switch (walk.state) {
    case WALK_START:
    case STATE_RIGHT:
        walk.state = STATE_RIGHT;
        return step_right();
    case STATE_NODE:
        return step_node();
    case WALK_LIST_END:
        return step_left();
    case STATE_UP:
        return step_up();
    }
    return STOP(WALK_MOVED);
}

static __always_inline uint64_t root_of(struct mqueue_inode_info *q)
{
    return (uint64_t)BPF_CORE_READ(q, msg_tree.rb_node);
}

static __always_inline bool locked(struct mqueue_inode_info *q)
{
    int word = 1;

    KREAD(word, &q->lock);
    return word;
}

static __always_inline void read_facts(struct mqueue_inode_info *q)
{
    req.inode = BPF_CORE_READ(q, vfs_inode.i_ino);
    req.mode = BPF_CORE_READ(q, vfs_inode.i_mode);
    req.walk.maxmsg = BPF_CORE_READ(q, attr.mq_maxmsg);
    req.walk.msgsize = BPF_CORE_READ(q, attr.mq_msgsize);
    req.walk.messages = BPF_CORE_READ(q, attr.mq_curmsgs);
    req.walk.bytes = BPF_CORE_READ(q, qsize);
}

/* The lock must be free and the counts the same before and after. */
SEC("syscall")
int peek(void *ctx)
{
    struct mqueue_inode_info *q = queue_by_fd(req.fd);

    req.walk.got[0].status = req.walk.got[1].status = WALK_NOT_ASKED;
    req.walk.status = WALK_NO_QUEUE;
    if (!q)
        return 0;
    read_facts(q);
    req.walk.status = WALK_LOCKED;
    if (locked(q))
        return 0;
    if (walk_twice(root_of(q)) && !locked(q) &&
        (uint64_t)BPF_CORE_READ(q, attr.mq_curmsgs) == req.walk.messages &&
        BPF_CORE_READ(q, qsize) == req.walk.bytes)
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
static __always_inline void collect_locked(struct mqueue_inode_info *q)
{
    req.walk.status = q ? WALK_MOVED : WALK_NO_QUEUE;
    if (!q || !locked(q))
        return;
    read_facts(q);
    walk_collect(root_of(q), 0);
    req.walk.got[0] = walk.got;
    req.walk.status = walk.got.status;
}

/* mqueue_read_file() calls it with the queue locked. */
SEC("?fentry/pid_vnr")
int BPF_PROG(peek_locked)
{
    if (is_armed())
        collect_locked(queue_by_fd(req.fd));
    return 0;
}

/* A task that waited for a lock has it now: mqueue_read_file() waits for the queue's. */
SEC("?tp_btf/contention_end")
int BPF_PROG(peek_contended, void *lock, int ret)
{
    struct mqueue_inode_info *q;

    if (!is_armed())
        return 0;
    q = queue_by_fd(req.fd);
    if (q && (uint64_t)lock == (uint64_t)q + KOFFSET(mqueue_inode_info, lock))
        collect_locked(q);
    return 0;
}
