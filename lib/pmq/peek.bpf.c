// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Walks a queue's messages without its lock, twice, for the caller to compare; or once with the
 * lock held, from a function that read(2) on the queue calls there.
 *
 * Messages lie in a red-black tree of priorities, each node with a list, first in first out. The
 * walk goes from the rightmost node leftwards. It is a state machine driven by bpf_loop(), one step
 * a tree edge, a page of payload, or a list element or some. Its state is a global: verifiers
 * before the end of 2023 check a callback once with the caller's known stack values and delete the
 * other branches.
 */
#include "cast.bpf.h"
#include "peek_abi.h"
#include "queue.bpf.h"

#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct peek_request req;

/* Set before loading: the verifier needs constants to bound what is written into the map. */
const volatile uint64_t map_mask = 0;  /* bytes of both halves - 1; a power of two - 1 */
const volatile uint32_t page_mask = 0; /* page size - 1 */

/* Of struct msg_msg and struct mq_attr for kernel_cast(); or 0, and all is read with calls. */
const volatile uint32_t msg_msg_id = 0;
const volatile uint32_t mq_attr_id = 0;

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

/* Of a struct msg_msg. */
struct head {
    uint64_t next;
    uint64_t previous;
    uint64_t priority;
    uint64_t length;
    uint64_t segment;
};

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

/*
 * Whether there is a message at @m behind @previous. Both directions must agree: else it is not
 * where the list was, or not a list. Of what is loaded the link back comes last: without memory it
 * is 0.
 */
static __always_inline bool read_head(uint64_t m, uint64_t previous, struct head *head)
{
    if (msg_msg_id) {
        const struct msg_msg *msg = kernel_cast(m, msg_msg_id);

        head->length = msg->m_ts;
        head->priority = msg->m_type;
        head->segment = (uint64_t)msg->next;
        head->next = (uint64_t)msg->m_list.next;
        barrier();
        return (uint64_t)msg->m_list.prev == previous;
    }
    if (bpf_probe_read_kernel(message, bpf_core_type_size(struct msg_msg), (const void *)m))
        return false;
    head->length = MESSAGE(m_ts);
    head->priority = MESSAGE(m_type);
    head->segment = MESSAGE(next);
    head->next = MESSAGE(m_list.next);
    return MESSAGE(m_list.prev) == previous;
}

/* Up to so many bytes of payload loads are faster than a call. */
#define LOADED 128

/* Whether the payload is one to be loaded, and lies in the page of the message's link back. */
static __always_inline bool may_load(uint64_t m, uint64_t from, uint64_t n)
{
    return msg_msg_id && n <= LOADED && !((m ^ (from + n - 1)) & ~(uint64_t)page_mask);
}

/*
 * Loads the whole payload, in pairs of words: the allocator gives multiples of 16 bytes, and struct
 * mq_attr is made of longs. Where there is no memory loads give 0, which payload may be as well:
 * the link back in the same page, loaded once more behind it, may not.
 */
static __always_inline long load(uint64_t m, uint64_t from, uint64_t n, uint64_t previous)
{
    char *to = map_at(walk.base + walk.got.bytes);
    const struct msg_msg *msg;

    if (!to)
        return STOP(PEEK_MOVED);
    for (uint32_t i = 0; i < LOADED && i < n; i += 16) {
        const struct mq_attr *words = kernel_cast(from + i, mq_attr_id);

        *(long *)(to + i) = words->mq_flags;
        *(long *)(to + i + 8) = words->mq_maxmsg;
    }
    if (n & 7)
        *(uint64_t *)(to + (n & (LOADED - 8))) &= (1ULL << 8 * (n & 7)) - 1;
    barrier();
    msg = kernel_cast(m, msg_msg_id);
    if ((uint64_t)msg->m_list.prev != previous)
        return STOP(PEEK_MOVED);
    walk.got.bytes += (n + 7) & ~7ULL;
    return 0;
}

static __always_inline long step_message(void)
{
    uint64_t m = walk.entry - KOFFSET(msg_msg, m_list), previous = walk.previous;
    uint64_t from = m + bpf_core_type_size(struct msg_msg);
    uint64_t room = page_mask + 1ULL - bpf_core_type_size(struct msg_msg);
    struct peek_record *record;
    struct head head;
    uint64_t need;

    if (!read_head(m, previous, &head))
        return STOP(PEEK_MOVED);
    walk.previous = walk.entry;
    walk.entry = head.next;
    if (!head.next || head.length > req.msgsize || walk.index > req.maxmsg)
        return STOP(PEEK_MOVED);
    if (walk.index++ < req.skip)
        return 0;
    need = sizeof(*record) + (req.heads ? 0 : (head.length + 7) & ~7ULL);
    if (need > req.room || walk.got.bytes > req.room - need)
        return STOP(PEEK_FULL);
    record = (void *)map_at(walk.base + walk.got.bytes);
    if (!record)
        return STOP(PEEK_MOVED);
    record->address = m;
    record->length = head.length;
    record->priority = head.priority;
    walk.got.bytes += sizeof(*record);
    walk.got.messages++;
    walk.got.payload += head.length;
    if (req.heads || !head.length)
        return 0;
    if (may_load(m, from, head.length))
        return load(m, from, head.length, previous);
    walk.left = head.length;
    walk.segment = head.segment;
    return copy(from, head.length < room ? head.length : room);
}

/* Loaded messages are taken some at a time: a step is a call as well. */
static __always_inline long step_list(void)
{
    struct rb_node *node = (void *)walk.node, *left;
    const int most = msg_msg_id ? 4 : 1;
    long r = 0;

    if (walk.entry != walk.head) {
        for (int i = 0; i < most && !r && walk.state == WALK_LIST && walk.entry != walk.head; i++)
            r = step_message();
        return r;
    }
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

/* A global function: the verifier takes it, and the steps, once and not for each call. */
__noinline int collect(uint64_t root, uint64_t base)
{
    /* A message is a step, and at worst a node with four edges; a payload of n pages n steps. */
    uint64_t steps = req.curmsgs * 6 + req.qsize / 2048 + 1024;

    __builtin_memset(&walk, 0, sizeof(walk));
    walk.base = base;
    walk.node = root;
    walk.state = WALK_RIGHT;
    walk.got.status = root ? PEEK_MOVED : PEEK_DONE;
    if (root)
        bpf_loop(steps < 1 << 23 ? steps : 1 << 23, step, NULL, 0);
    return 0;
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
    req.maxmsg = BPF_CORE_READ(q, attr.mq_maxmsg);
    req.msgsize = BPF_CORE_READ(q, attr.mq_msgsize);
    req.curmsgs = BPF_CORE_READ(q, attr.mq_curmsgs);
    req.qsize = BPF_CORE_READ(q, qsize);
}

/* What is behind it is not read before what is in front, on processors that would. */
static __always_inline void fence(void)
{
    static uint64_t word;
    uint64_t was = __sync_fetch_and_add(&word, 1);

    asm volatile("" ::"r"(was) : "memory");
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
    collect(root_of(q), 0);
    req.got[0] = walk.got;
    if (walk.got.status == PEEK_MOVED)
        return 0;
    fence();
    collect(root_of(q), (map_mask + 1) / 2);
    req.got[1] = walk.got;
    fence();
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
    collect(root_of(q), 0);
    req.got[0] = walk.got;
    req.status = walk.got.status;
    return 0;
}
