/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads a channel's mapping, of kernel channels and embedded ones, without consuming anything.
 * Everything in the mapping is hostile and may change at any time: sizes are read once and checked,
 * and every number is bounded where it is used.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "errinfo.h"
#include "uring_ipc_abi.h"

#if defined(__SANITIZE_THREAD__)
#define RINGMAP_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RINGMAP_TSAN 1
#endif
#endif

/**
 * struct ringmap - a mapping that has been checked
 * @base: where it is mapped; borrowed
 * @data: offset of the payloads in bytes
 * @entries: slots, a power of two
 * @max_msg: bytes of a slot
 * @marked: producers mark a slot before they write it (embedded channels do); otherwise the tail
 *   tells whether a slot may be being overwritten
 */
struct ringmap {
    const unsigned char *base;
    size_t data;
    uint32_t entries;
    uint32_t max_msg;
    bool marked;
};

/**
 * struct ringmap_msg - what a slot says about its message
 * @position: its number in the channel, counting from 0, modulo 2^32
 * @len: bytes
 * @msg_id: as the channel numbers them, from 2
 * @target: subscriber it is meant for, or 0 for all (0 in kernel channels)
 * @user_data: the sender's
 */
struct ringmap_msg {
    uint32_t position;
    uint32_t len;
    uint32_t msg_id;
    uint32_t target;
    uint64_t user_data;
};

/* What a slot holds for a position. */
enum ringmap_state {
    RINGMAP_READY,       /* the message is complete */
    RINGMAP_UNPUBLISHED, /* nothing yet, or it is being written */
    RINGMAP_GONE,        /* a later message has taken the slot */
};

/**
 * ringmap_size() - bytes of a mapping
 * @entries: a power of two, 1 to URING_IPC_ENTRIES_MAX
 * @max_msg: bytes, 1 to URING_IPC_MSG_SIZE_MAX
 *
 * The descriptors and the payloads together are at most INT_MAX bytes.
 *
 * Return: bytes, or 0 when the arguments are out of these bounds.
 */
size_t ringmap_size(uint32_t entries, uint32_t max_msg);

/* Whether a channel can have this size. Return: 0, or -EINVAL with what is wrong in words. */
int ringmap_check(uint32_t entries, uint32_t max_msg, struct err *e);

/**
 * ringmap_init() - check a mapping
 * @m: filled on success
 * @base: the mapping, which must outlive @m
 * @size: its bytes
 * @marked: see struct ringmap
 * @e: why not
 *
 * Return: 0, or -EBADMSG when this is no channel's mapping.
 */
int ringmap_init(struct ringmap *m, const void *base, size_t size, bool marked, struct err *e);

/* Messages ever claimed by senders, modulo 2^32. */
uint32_t ringmap_tail(const struct ringmap *m);

/* The first position that the mapping says is not consumed; at most entries before the tail. */
uint32_t ringmap_head(const struct ringmap *m);

/* consumer.head, unchecked. */
uint32_t ringmap_consumer(const struct ringmap *m);

/* The oldest position whose slot has not been taken again. */
uint32_t ringmap_oldest(const struct ringmap *m);

/**
 * ringmap_read() - copy a message out
 * @m: the mapping
 * @position: which
 * @buf: where to; may be NULL with @cap 0
 * @cap: bytes of @buf; a longer message is cut, @msg->len tells its length
 * @msg: filled on success; may be NULL
 *
 * Return: 0; -EAGAIN when it is not published (nothing sent, or being written); -ESTALE when it
 * has been overwritten, also while it was being copied; -EBADMSG when the slot claims a length that
 * does not fit.
 */
int ringmap_read(const struct ringmap *m, uint32_t position, void *buf, size_t cap,
                 struct ringmap_msg *msg);

/**
 * ringmap_wait() - wait for a message by watching its slot
 * @m: the mapping
 * @position: which
 * @timeout_ns: how long, UINT64_MAX for ever
 * @pause: how long it slept last, ns; 0 at first. Keeping it lets one wait in pieces
 *
 * For readers that nobody wakes. It looks often at first, then less and less, down to 50 times a
 * second.
 *
 * Return: 0 when the slot is no longer RINGMAP_UNPUBLISHED; -ETIMEDOUT; -EINTR after a signal.
 */
int ringmap_wait(const struct ringmap *m, uint32_t position, uint64_t timeout_ns, uint64_t *pause);

/* One such sleep, of at most @most ns, longer each time. Return: 0 or -EINTR. */
int ringmap_pause(uint64_t *pause, uint64_t most);

/* Copies to or from memory that another process may be writing. */
void ringmap_copy(void *to, const void *from, size_t n);

/* Orders a writer's mark before its copy, and a reader's copy before its second look. */
static inline void ringmap_fence(int order)
{
#ifdef RINGMAP_TSAN /* which does not know fences, and needs none for its verdict */
    (void)order;
#else
    __atomic_thread_fence(order);
#endif
}

/* Where the descriptor of a position lies; @position counts modulo 2^32. */
static inline size_t ringmap_desc_offset(uint32_t entries, uint32_t position)
{
    return URING_IPC_DESC_OFFSET +
           (size_t)(position & (entries - 1)) * sizeof(struct uring_ipc_desc);
}

static inline uint32_t ringmap_load32(const struct ringmap *m, size_t offset)
{
    return __atomic_load_n((const uint32_t *)(const void *)(m->base + offset), __ATOMIC_ACQUIRE);
}

/* What the slot of @position holds. @position counts modulo 2^32. */
static inline enum ringmap_state ringmap_state(const struct ringmap *m, uint32_t position)
{
    uint32_t seq = ringmap_load32(m, ringmap_desc_offset(m->entries, position) +
                                         offsetof(struct uring_ipc_desc, seq));
    int32_t ahead = (int32_t)(seq - (position + 1));

    if (ahead == 0)
        return RINGMAP_READY;
    return ahead < 0 ? RINGMAP_UNPUBLISHED : RINGMAP_GONE;
}
