/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The proposed io_uring IPC channels: numbers, structures, and the layout of a channel's mapping.
 *
 * Provenance: RFC "io_uring: add IPC channel infrastructure" (Daniel Hodges, 2026-03-13), as its
 * code behaves on a 7.3-rc7 kernel that carries it. Where the RFC's own header and its code differ
 * (the size of a descriptor, where descriptors begin) the code counts. No released kernel has it.
 * The names are ours, so that a later system header does not collide.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Opcodes of io_uring_register(2). DETACH and DESTROY take the id in nr_args and a NULL arg. */
enum {
    URING_IPC_REGISTER_CREATE = 38,
    URING_IPC_REGISTER_ATTACH = 39,
    URING_IPC_REGISTER_DETACH = 40,
    URING_IPC_REGISTER_DESTROY = 41,
};

/* Opcodes of an SQE. */
enum {
    URING_IPC_OP_SEND = 65,
    URING_IPC_OP_RECV = 66,
};

/* uring_ipc_create.flags; neither BROADCAST nor MULTICAST is unicast, both are refused. */
enum {
    URING_IPC_F_BROADCAST = 1 << 0, /* every receiver gets every message */
    URING_IPC_F_MULTICAST = 1 << 1, /* receivers compete for messages */
    URING_IPC_F_PRIVATE = 1 << 2,   /* accepted, without effect */
};

/* uring_ipc_attach.flags */
enum {
    URING_IPC_SUB_SEND = 1 << 0,
    URING_IPC_SUB_RECV = 1 << 1,
};

enum {
    URING_IPC_ENTRIES_MAX = 32768,    /* and a power of two */
    URING_IPC_MSG_SIZE_MAX = 1 << 20, /* bytes; the whole mapping stays within INT_MAX */
    URING_IPC_MODE_MASK = 0666,       /* other bits of mode are ignored */
    URING_IPC_FIRST_MSG_ID = 2,       /* the msg_id of message 0 */
};

/* What /proc/PID/fd/N of an attached channel links to. */
#define URING_IPC_FD_LINK "anon_inode:[io_uring_ipc]"

struct uring_ipc_create {
    uint32_t flags;
    uint32_t ring_entries;
    uint32_t max_msg_size;
    uint32_t mode;
    uint64_t key; /* 0: cannot be attached by key */
    uint32_t channel_id_out;
    uint32_t reserved[3];
};

struct uring_ipc_attach {
    uint32_t channel_id;
    uint32_t flags;
    uint64_t key; /* not 0: attach to the newest channel with this key, whatever channel_id says */
    int32_t channel_fd;
    uint32_t local_id_out; /* the subscriber id */
    uint64_t mmap_offset_out;
    uint32_t region_size;
    uint32_t reserved[3];
};

/* The head of the mapping. All counters run freely over 2^32. */
struct uring_ipc_ring {
    uint32_t producer_head; /* always 0 */
    uint32_t producer_tail; /* messages ever claimed; advances before a slot is written */
    uint32_t pad0[14];
    uint32_t consumer_head; /* broadcast: the slowest receiver's, updated lazily */
    uint32_t pad1[15];
    uint32_t ring_mask;
    uint32_t ring_entries;
    uint32_t max_msg_size;
    uint32_t pad2[13];
};

/* One a slot, from URING_IPC_DESC_OFFSET on. */
struct uring_ipc_desc {
    uint64_t offset;
    uint32_t len;
    uint32_t msg_id;
    uint64_t sender_data; /* the sender's user_data */
    uint32_t seq;         /* position + 1 once the message is complete */
    uint32_t pad;
};

enum {
    URING_IPC_DESC_OFFSET = 192,
    URING_IPC_DATA_ALIGN = 4096,
};

/* Where the payloads begin: slot i lies max_msg_size * i bytes further on. */
static inline size_t uring_ipc_data_offset(uint32_t entries)
{
    size_t end = URING_IPC_DESC_OFFSET + (size_t)entries * sizeof(struct uring_ipc_desc);

    return (end + URING_IPC_DATA_ALIGN - 1) & ~(size_t)(URING_IPC_DATA_ALIGN - 1);
}

#define URING_IPC_AT(type, field, off) \
    _Static_assert(offsetof(type, field) == (off), #type "." #field " is at " #off)

_Static_assert(sizeof(struct uring_ipc_create) == 40, "create is 40 bytes");
URING_IPC_AT(struct uring_ipc_create, flags, 0);
URING_IPC_AT(struct uring_ipc_create, ring_entries, 4);
URING_IPC_AT(struct uring_ipc_create, max_msg_size, 8);
URING_IPC_AT(struct uring_ipc_create, mode, 12);
URING_IPC_AT(struct uring_ipc_create, key, 16);
URING_IPC_AT(struct uring_ipc_create, channel_id_out, 24);
URING_IPC_AT(struct uring_ipc_create, reserved, 28);

_Static_assert(sizeof(struct uring_ipc_attach) == 48, "attach is 48 bytes");
URING_IPC_AT(struct uring_ipc_attach, channel_id, 0);
URING_IPC_AT(struct uring_ipc_attach, flags, 4);
URING_IPC_AT(struct uring_ipc_attach, key, 8);
URING_IPC_AT(struct uring_ipc_attach, channel_fd, 16);
URING_IPC_AT(struct uring_ipc_attach, local_id_out, 20);
URING_IPC_AT(struct uring_ipc_attach, mmap_offset_out, 24);
URING_IPC_AT(struct uring_ipc_attach, region_size, 32);
URING_IPC_AT(struct uring_ipc_attach, reserved, 36);

_Static_assert(sizeof(struct uring_ipc_ring) == URING_IPC_DESC_OFFSET, "the head is 192 bytes");
URING_IPC_AT(struct uring_ipc_ring, producer_head, 0);
URING_IPC_AT(struct uring_ipc_ring, producer_tail, 4);
URING_IPC_AT(struct uring_ipc_ring, consumer_head, 64);
URING_IPC_AT(struct uring_ipc_ring, ring_mask, 128);
URING_IPC_AT(struct uring_ipc_ring, ring_entries, 132);
URING_IPC_AT(struct uring_ipc_ring, max_msg_size, 136);

_Static_assert(sizeof(struct uring_ipc_desc) == 32, "a descriptor is 32 bytes");
URING_IPC_AT(struct uring_ipc_desc, offset, 0);
URING_IPC_AT(struct uring_ipc_desc, len, 8);
URING_IPC_AT(struct uring_ipc_desc, msg_id, 12);
URING_IPC_AT(struct uring_ipc_desc, sender_data, 16);
URING_IPC_AT(struct uring_ipc_desc, seq, 24);
URING_IPC_AT(struct uring_ipc_desc, pad, 28);
