// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Walks a queue's messages without its lock, twice, for the caller to compare; or once with the
 * lock held, from a function that read(2) on the queue calls there.
 *
 * Messages lie in a red-black tree of priorities, each node with a list, first in first out. The
 * walk goes from the rightmost node leftwards. It is a state machine driven by bpf_loop(), one step
 * a list element, tree edge or page of payload. Its state is a global: verifiers before the end of
 * 2023 check a callback once with the caller's known stack values and delete the other branches.
 */
#include "peek_abi.h"
#include "queue.bpf.h"

#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct peek_request req;

/* Set before loading: the verifier needs constants to bound what is written into the map. */
const volatile uint64_t map_mask = 0;  /* bytes of both halves - 1; a power of two - 1 */
const volatile uint32_t page_mask = 0; /* page size - 1 */

/* A value of both halves and, behind them, room for one page: sized before loading. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __uint(key_size, 4);
    __uint(value_size, 8);
} records SEC(".maps");

enum walk_state { WALK_RIGHT, WALK_NODE, WALK_LIST, WALK_SEGMENT, WALK_UP };

static struct {
    enum walk_state state;
    uint64_t base;  /* of this collection in the map */
    uint64_t node;  /* rb_node */
    uint64_t head;  /* of the node's list */
    uint64_t entry; /* in that list */
    uint64_t previous;
    uint64_t index; /* of the message */
    uint64_t segment;
    uint64_t left; /* payload bytes of the message still to come */
    struct peek_collection got;
} walk;

/* A struct msg_msg, read in one call: calls cost more than bytes. */
static char message[128];

#define MESSAGE(field) (*(uint64_t *)(void *)(message + KOFFSET(msg_msg, field)))

#define STOP(why)              \
    ({                         \
        walk.got.status = why; \
        1L;                    \
    })

/* Where the map has room for one page at the collection's end. */
static __always_inline char *map_at(uint64_t offset)
{
    uint32_t zero = 0;
    char *map = bpf_map_lookup_elem(&records, &zero);

    if (!map)
        return NULL;
    asm volatile("" : "+r"(offset));
    return map + (offset & map_mask);
}

/* Copies one page of payload at most. */
static __always_inline long copy(uint64_t from, uint64_t n)
{
    char *to = map_at(walk.base + walk.got.bytes);

    if (!to)
        return STOP(PEEK_MOVED);
    asm volatile("" : "+r"(n));
    n &= page_mask;
    /* The padding, before the last word is written. */
    if (n & 7)
        *(uint64_t *)(to + (n & page_mask & ~7ULL)) = 0;
    if (bpf_probe_read_kernel(to, n, (const void *)from))
        return STOP(PEEK_MOVED);
    walk.got.bytes += n;
    walk.left -= n;
    if (!walk.left) {
        walk.got.bytes = (walk.got.bytes + 7) & ~7ULL;
        walk.state = WALK_LIST;
    } else {
        walk.state = WALK_SEGMENT;
    }
    return 0;
}

static __always_inline long step_segment(void)
{
    uint64_t next = 0, room = page_mask + 1ULL - sizeof(next), from = walk.segment;

    if (!from)
        return STOP(PEEK_MOVED);
    KREAD(next, from);
    walk.segment = next;
    return copy(from + sizeof(next), walk.left < room ? walk.left : room);
}

static __always_inline long step_message(void)
{
    struct msg_msg *m = (void *)(walk.entry - KOFFSET(msg_msg, m_list));
    uint64_t header = bpf_core_type_size(struct msg_msg);
    uint64_t room = page_mask + 1ULL - header;
    struct peek_record *record;
    uint64_t length, need;

    /* Both directions must agree: else it is not where the list was, or not a list. */
    if (bpf_probe_read_kernel(message, (uint32_t)header, m) ||
        MESSAGE(m_list.prev) != walk.previous)
        return STOP(PEEK_MOVED);
    length = MESSAGE(m_ts);
    walk.previous = walk.entry;
    walk.entry = MESSAGE(m_list.next);
    if (!walk.entry || length > req.msgsize || walk.index > req.maxmsg)
        return STOP(PEEK_MOVED);
    if (walk.index++ < req.skip)
        return 0;
    need = sizeof(*record) + (req.heads ? 0 : (length + 7) & ~7ULL);
    if (need > req.room || walk.got.bytes > req.room - need)
        return STOP(PEEK_FULL);
    record = (void *)map_at(walk.base + walk.got.bytes);
    if (!record)
        return STOP(PEEK_MOVED);
    record->address = (uint64_t)m;
    record->length = length;
    record->priority = MESSAGE(m_type);
    walk.got.bytes += sizeof(*record);
    walk.got.messages++;
    walk.got.payload += length;
    if (req.heads || !length)
        return 0;
    walk.left = length;
    walk.segment = MESSAGE(next);
    return copy((uint64_t)m + header, length < room ? length : room);
}

static __always_inline long step_list(void)
{
    struct rb_node *node = (void *)walk.node, *left;

    if (walk.entry != walk.head)
        return step_message();
    left = BPF_CORE_READ(node, rb_left);
    if (left)
        walk.node = (uint64_t)left;
    walk.state = left ? WALK_RIGHT : WALK_UP;
    return 0;
}

static __always_inline long step_up(void)
{
    struct rb_node *node = (void *)walk.node, *up;

    up = (void *)(BPF_CORE_READ(node, __rb_parent_color) & ~3UL);
    if (!up)
        return STOP(PEEK_DONE);
    if (BPF_CORE_READ(up, rb_left) != node)
        walk.state = WALK_NODE;
    walk.node = (uint64_t)up;
    return 0;
}

static __always_inline long step_right(void)
{
    struct rb_node *node = (void *)walk.node, *right = BPF_CORE_READ(node, rb_right);

    if (right)
        walk.node = (uint64_t)right;
    else
        walk.state = WALK_NODE;
    return 0;
}

static __always_inline long step_node(void)
{
    struct posix_msg_tree_node *leaf = (void *)(walk.node - KOFFSET(posix_msg_tree_node, rb_node));

    walk.head = (uint64_t)leaf + KOFFSET(posix_msg_tree_node, msg_list);
    walk.entry = (uint64_t)BPF_CORE_READ(leaf, msg_list.next);
    walk.previous = walk.head;
    walk.state = WALK_LIST;
    return walk.entry ? 0 : STOP(PEEK_MOVED);
}

static long step(uint32_t i, void *ctx)
{
    switch (walk.state) {
    case WALK_RIGHT:
        return step_right();
    case WALK_NODE:
        return step_node();
    case WALK_LIST:
        return step_list();
    case WALK_SEGMENT:
        return step_segment();
    case WALK_UP:
        return step_up();
    }
    return STOP(PEEK_MOVED);
}

static __always_inline void collect(struct mqueue_inode_info *q, uint64_t base)
{
    uint64_t root = (uint64_t)BPF_CORE_READ(q, msg_tree.rb_node);
    /* A message is a step, and at worst a node with four edges; a payload of n pages n steps. */
    uint64_t steps = req.curmsgs * 6 + req.qsize / 2048 + 1024;

    __builtin_memset(&walk, 0, sizeof(walk));
    walk.base = base;
    walk.node = root;
    walk.state = WALK_RIGHT;
    walk.got.status = root ? PEEK_MOVED : PEEK_DONE;
    if (root)
        bpf_loop(steps < 1 << 23 ? steps : 1 << 23, step, NULL, 0);
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
    req.maxmsg = BPF_CORE_READ(q, attr.mq_maxmsg);
    req.msgsize = BPF_CORE_READ(q, attr.mq_msgsize);
    req.curmsgs = BPF_CORE_READ(q, attr.mq_curmsgs);
    req.qsize = BPF_CORE_READ(q, qsize);
}

/* Two collections with nothing but time between them; the lock is free and the counts are the same
 * before and after. */
SEC("syscall")
int peek(void *ctx)
{
    struct mqueue_inode_info *q = queue_by_fd(req.fd);

    req.got[0].status = req.got[1].status = PEEK_NOT_ASKED;
    req.status = PEEK_NO_QUEUE;
    if (!q)
        return 0;
    read_facts(q);
    req.status = PEEK_LOCKED;
    if (locked(q))
        return 0;
    collect(q, 0);
    req.got[0] = walk.got;
    if (walk.got.status == PEEK_MOVED)
        return 0;
    collect(q, (map_mask + 1) / 2);
    req.got[1] = walk.got;
    if (!locked(q) && (uint64_t)BPF_CORE_READ(q, attr.mq_curmsgs) == req.curmsgs &&
        BPF_CORE_READ(q, qsize) == req.qsize)
        req.status = PEEK_DONE;
    return 0;
}

/* Says who may trigger the locked walk: the running task, once. */
SEC("syscall")
int peek_arm(void *ctx)
{
    req.task = bpf_get_current_task();
    req.status = PEEK_NOT_ASKED;
    return 0;
}

/* mqueue_read_file() calls it with the queue locked. */
SEC("?fentry/pid_vnr")
int BPF_PROG(peek_locked)
{
    struct mqueue_inode_info *q;

    if (req.task != bpf_get_current_task() || req.status != PEEK_NOT_ASKED)
        return 0;
    q = queue_by_fd(req.fd);
    req.status = PEEK_NO_QUEUE;
    if (!q)
        return 0;
    read_facts(q);
    req.status = PEEK_MOVED;
    if (!locked(q))
        return 0;
    collect(q, 0);
    req.got[0] = walk.got;
    req.status = walk.got.status;
    return 0;
}
