/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Collects messages from lists of struct msg_msg without a lock. A domain's peek.bpf.c includes
 * this, and adds the two things that differ between kinds of queues:
 *
 *     #define REQUEST req.walk                  // where its struct walk_request is
 *     static long walk_next(void);              // goes on to the next list of messages
 *     #include "walk.bpf.h"
 *
 * walk_next() is called with walk.state WALK_START at first, and with WALK_LIST_END when a list has
 * come to its end. It calls walk_list(head) for the next list, or returns STOP(WALK_DONE); it may
 * set a state of its own from WALK_DOMAIN on, and is then called again. It returns 0 to go on.
 *
 * The walk is a state machine, one turn a list element or some, a page of payload, or a call of
 * walk_next(). Its state is a global, which every verifier takes as unknown. The turns are nested
 * loops around a global function: bpf_loop() exists only from Linux 5.17 on, and its callbacks
 * from 5.13.
 */
#pragma once

#include "kernel_types.bpf.h"
#include "walk_abi.h"

const volatile struct walk_config walk_config = {0};

/* A value of both halves and, behind them, room for one page: sized before loading. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __uint(key_size, 4);
    __uint(value_size, 8);
} records SEC(".maps");

enum walk_state { WALK_START, WALK_LIST, WALK_SEGMENT, WALK_LIST_END, WALK_DOMAIN };

static struct {
    uint32_t state; /* enum walk_state, or one of the domain's */
    uint32_t unused;
    uint64_t base;  /* of this collection in the map */
    uint64_t node;  /* for the domain's use: where it is between lists */
    uint64_t head;  /* of the list */
    uint64_t entry; /* in that list */
    uint64_t previous;
    uint64_t index; /* of the message */
    uint64_t segment;
    uint64_t left;  /* payload bytes of the message still to come */
    uint64_t guess; /* bytes that the next message's payload may have; a multiple of 8 */
    struct walk_collection got;
} walk;

#define STOP(why)              \
    ({                         \
        walk.got.status = why; \
        1L;                    \
    })

static long walk_next(void);

/* Begins a list of messages, whose head is at @head. */
static __always_inline long walk_list(uint64_t head)
{
    uint64_t first = 0;

    KREAD(first, head + KOFFSET(list_head, next));
    walk.head = head;
    walk.entry = first;
    walk.previous = head;
    walk.state = WALK_LIST;
    return first ? 0 : STOP(WALK_MOVED);
}

/* Where the map has room for one page at the collection's end. */
static __always_inline char *map_at(uint64_t offset)
{
    uint32_t zero = 0;
    char *map = bpf_map_lookup_elem(&records, &zero);

    if (!map)
        return NULL;
    asm volatile("" : "+r"(offset));
    return map + (offset & walk_config.map_mask);
}

/* Copies one page of payload at most. */
static __always_inline long copy(uint64_t from, uint64_t n)
{
    char *to = map_at(walk.base + walk.got.bytes);

    if (!to || !in_kernel(from))
        return STOP(WALK_MOVED);
    asm volatile("" : "+r"(n));
    n &= walk_config.page_mask;
    /* The padding, before the last word is written. */
    if (n & 7)
        *(uint64_t *)(to + (n & walk_config.page_mask & ~7ULL)) = 0;
    if (bpf_probe_read_kernel(to, n, (const void *)from))
        return STOP(WALK_MOVED);
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
    uint64_t next = 0, from = walk.segment;
    uint64_t room = walk_config.page_mask + 1ULL - sizeof(next);

    if (!in_kernel(from))
        return STOP(WALK_MOVED);
    KREAD(next, from);
    walk.segment = next;
    return copy(from + sizeof(next), walk.left < room ? walk.left : room);
}

/* A field of the struct msg_msg that was copied to @to. */
#define COPIED(to, field) (*(uint64_t *)(void *)((to) + KOFFSET(msg_msg, field)))

/*
 * Copies a struct msg_msg and so much of what follows it as the last message's payload had, in one
 * call: calls cost more than bytes. What is too much is overwritten by the next record. Return: the
 * bytes of payload, or -1.
 */
static __always_inline long read_message(char *to, uint64_t m, uint64_t guess)
{
    uint64_t n = bpf_core_type_size(struct msg_msg) + guess;

    asm volatile("" : "+r"(n));
    n &= walk_config.page_mask;
    if (!bpf_probe_read_kernel(to, n, (const void *)m))
        return guess;
    if (!guess || bpf_probe_read_kernel(to, bpf_core_type_size(struct msg_msg), (const void *)m))
        return -1;
    return 0;
}

/* The payload of a message at @m, of which @have bytes have been copied. */
static __always_inline long take_payload(char *to, uint64_t m, uint64_t length, uint64_t have)
{
    const uint64_t size = bpf_core_type_size(struct msg_msg);
    uint64_t room = walk_config.page_mask + 1ULL - size, at;

    walk.guess = (length + 7) & ~7ULL;
    if (walk.guess > room - 8)
        walk.guess = room - 8;
    if (have >= length) {
        at = size + length;
        asm volatile("" : "+r"(at));
        at &= walk_config.page_mask & ~7U;
        if (length & 7)
            *(uint64_t *)(void *)(to + at) &= (1ULL << 8 * (length & 7)) - 1;
        walk.got.bytes += (length + 7) & ~7ULL;
        return 0;
    }
    walk.got.bytes += have;
    walk.left = length - have;
    return copy(m + size + have, (length < room ? length : room) - have);
}

/*
 * Both directions of the list must agree at the message: else it is not where the list was, or this
 * is not a list.
 */
static __always_inline long step_message(void)
{
    uint64_t m = walk.entry - KOFFSET(msg_msg, m_list), length, need;
    char *to = map_at(walk.base + walk.got.bytes);
    const uint64_t size = bpf_core_type_size(struct msg_msg);
    struct walk_record *record = (void *)to;
    long have;

    if (!to || !in_kernel(m))
        return STOP(WALK_MOVED);
    have = read_message(to, m, walk.index < REQUEST.first || REQUEST.heads ? 0 : walk.guess);
    if (have < 0 || COPIED(to, m_list.prev) != walk.previous)
        return STOP(WALK_MOVED);
    walk.previous = walk.entry;
    walk.entry = COPIED(to, m_list.next);
    length = COPIED(to, m_ts);
    if (length > REQUEST.msgsize || walk.index > REQUEST.maxmsg)
        return STOP(WALK_MOVED);
    if (walk.index++ < REQUEST.first)
        return 0;
    if (walk.got.messages >= REQUEST.count)
        return STOP(WALK_ENOUGH);
    need = size + (REQUEST.heads ? 0 : (length + 7) & ~7ULL);
    /* The room is never used up: the head of the next message is read to where this one ends. */
    if (need >= REQUEST.room || walk.got.bytes >= REQUEST.room - need)
        return STOP(WALK_FULL);
    walk.segment = COPIED(to, next);
    record->type = COPIED(to, m_type);
    record->address = m;
    record->length = length;
    walk.got.bytes += size;
    walk.got.messages++;
    walk.got.payload += length;
    if (REQUEST.heads || !length)
        return 0;
    return take_payload(to, m, length, have);
}

/* Some messages at a time: a turn is a call as well. */
static __always_inline long step_list(void)
{
    long r = 0;

    if (walk.entry == walk.head)
        walk.state = WALK_LIST_END;
    _Pragma("clang loop unroll(disable)") for (int i = 0; i < 8; i++)
    {
        if (r || walk.state != WALK_LIST || walk.entry == walk.head)
            break;
        r = step_message();
    }
    return r;
}

__noinline int walk_turn(void)
{
    switch (walk.state) {
    case WALK_LIST:
        return step_list();
    case WALK_SEGMENT:
        return step_segment();
    }
    return walk_next();
}

/*
 * With what calls them, the functions are seven calls deep, of the eight that the verifier allows.
 * They are kept from being unrolled: the verifier goes down every call that it sees when it adds up
 * the stack, which takes it a second for 32 calls at each of four levels.
 */
enum { WALK_TURNS = 32 };
#define WALK_REPEAT(name, one)                                                \
    __noinline int name(void)                                                 \
    {                                                                         \
        _Pragma("clang loop unroll(disable)") for (int i = 0; i < WALK_TURNS; \
                                                   i++) if (one()) return 1;  \
        return 0;                                                             \
    }

WALK_REPEAT(walk_32, walk_turn)
WALK_REPEAT(walk_1k, walk_32)
WALK_REPEAT(walk_32k, walk_1k)
WALK_REPEAT(walk_1m, walk_32k)

/* As many bytes as a message has on the average, and no more than lie in a page with its head. */
static __always_inline uint64_t first_guess(void)
{
    uint64_t most = walk_config.page_mask + 1ULL - bpf_core_type_size(struct msg_msg) - 8;
    uint64_t n = REQUEST.messages ? (REQUEST.bytes / REQUEST.messages + 7) & ~7ULL : 0;

    return n < most ? n : most;
}

/*
 * Collects once, from @start on, which walk_next() finds in walk.node; 0 for a queue without lists.
 * A global function: the verifier takes it, and the turns, once and not for each call.
 */
__noinline int walk_collect(uint64_t start, uint64_t base)
{
    /* A message is a turn, and at worst a list with four edges; a payload of n pages n turns. */
    uint64_t turns = ((REQUEST.messages * 6 + REQUEST.bytes / 2048 + 1024) >> 20) + 1;

    kernel_half_init();
    __builtin_memset(&walk, 0, sizeof(walk));
    walk.base = base;
    walk.node = start;
    walk.state = WALK_START;
    walk.guess = first_guess();
    REQUEST.head = bpf_core_type_size(struct msg_msg);
    walk.got.status = start ? WALK_MOVED : WALK_DONE;
    if (!start)
        return 0;
    for (uint64_t i = 0; i < 8 && i < turns; i++)
        if (walk_1m())
            break;
    return 0;
}

/*
 * Two collections with nothing but time between them. What is read behind walk_fence() is not read
 * before what is in front of it, on processors that would: the clock is read between two barriers
 * for loads. (An atomic addition that returns a value exists only from Linux 5.12 on.)
 */
static __always_inline void walk_fence(void)
{
    bpf_ktime_get_ns();
}

/* Return: false when the second collection is of no use any more. */
static __always_inline bool walk_twice(uint64_t start)
{
    walk_collect(start, 0);
    REQUEST.got[0] = walk.got;
    if (walk.got.status == WALK_MOVED)
        return false;
    walk_fence();
    walk_collect(start, (walk_config.map_mask + 1) / 2);
    REQUEST.got[1] = walk.got;
    walk_fence();
    return true;
}
