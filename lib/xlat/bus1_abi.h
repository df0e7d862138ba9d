/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The system interface of bus1, as proposed in "bus1: Capability-based IPC for Linux" (RFC of
 * 2026-03-31, David Rheinsberg; include/uapi/linux/bus1.h there). In no released kernel.
 *
 * Written anew, with constants where the RFC has enums of a fixed type, which gcc 12 does not know.
 * Every field is a u64 and every pointer travels as one, so that 32-bit and 64-bit callers agree.
 */
#pragma once

#include <linux/ioctl.h>
#include <stdint.h>

/* Stands for no id, no descriptor, no type. */
#define BUS1_INVALID UINT64_MAX

/* Set in every id that the bus itself hands out. */
#define BUS1_MANAGED UINT64_C(1)

/* bus1_transfer.flags in TRANSFER: make a new node instead of copying a handle. */
#define BUS1_TRANSFER_FLAG_CREATE UINT64_C(1)

#define BUS1_MESSAGE_TYPE_USER           UINT64_C(0)
#define BUS1_MESSAGE_TYPE_NODE_RELEASE   UINT64_C(1)
#define BUS1_MESSAGE_TYPE_HANDLE_RELEASE UINT64_C(2)

/* A node or handle that is made, passed on or received. */
struct bus1_transfer {
    uint64_t flags;
    uint64_t id;
};

/* Where a message arrived: @id is a node of the receiver, or its handle for NODE_RELEASE. */
struct bus1_metadata {
    uint64_t flags;
    uint64_t id;
    uint64_t account;
};

/* A message: what to send, or where to put what is received. @ptr_data_vecs: struct iovec[]. */
struct bus1_message {
    uint64_t flags;
    uint64_t type;
    uint64_t n_transfers;
    uint64_t ptr_transfers;
    uint64_t n_data;
    uint64_t n_data_vecs;
    uint64_t ptr_data_vecs;
};

/* @to: fd of another peer, or BUS1_INVALID for the peer itself. The arrays: bus1_transfer[]. */
struct bus1_cmd_transfer {
    uint64_t flags;
    uint64_t to;
    uint64_t n_transfers;
    uint64_t ptr_src;
    uint64_t ptr_dst;
};

/* @ptr_ids: u64[] */
struct bus1_cmd_release {
    uint64_t flags;
    uint64_t n_ids;
    uint64_t ptr_ids;
};

/* @ptr_destinations: u64[]; @ptr_errors: int32[]; @ptr_message: one bus1_message. */
struct bus1_cmd_send {
    uint64_t flags;
    uint64_t n_destinations;
    uint64_t ptr_destinations;
    uint64_t ptr_errors;
    uint64_t ptr_message;
};

/* @ptr_metadata: one bus1_metadata; @ptr_message: one bus1_message. */
struct bus1_cmd_recv {
    uint64_t flags;
    uint64_t ptr_metadata;
    uint64_t ptr_message;
};

#define BUS1_IOCTL_MAGIC 0x97

#define BUS1_CMD_TRANSFER _IOWR(BUS1_IOCTL_MAGIC, 0, struct bus1_cmd_transfer)
#define BUS1_CMD_RELEASE  _IOWR(BUS1_IOCTL_MAGIC, 1, struct bus1_cmd_release)
#define BUS1_CMD_SEND     _IOWR(BUS1_IOCTL_MAGIC, 2, struct bus1_cmd_send)
#define BUS1_CMD_RECV     _IOWR(BUS1_IOCTL_MAGIC, 3, struct bus1_cmd_recv)

/* Where the device is; the interface has no other name. */
#define BUS1_DEVICE_PATH "/dev/bus1"

_Static_assert(sizeof(struct bus1_transfer) == 16, "size of bus1_transfer");
_Static_assert(sizeof(struct bus1_metadata) == 24, "size of bus1_metadata");
_Static_assert(sizeof(struct bus1_message) == 56, "size of bus1_message");
_Static_assert(sizeof(struct bus1_cmd_transfer) == 40, "size of bus1_cmd_transfer");
_Static_assert(sizeof(struct bus1_cmd_release) == 24, "size of bus1_cmd_release");
_Static_assert(sizeof(struct bus1_cmd_send) == 40, "size of bus1_cmd_send");
_Static_assert(sizeof(struct bus1_cmd_recv) == 24, "size of bus1_cmd_recv");
_Static_assert(BUS1_CMD_TRANSFER == 0xc0289700, "number of TRANSFER");
_Static_assert(BUS1_CMD_RELEASE == 0xc0189701, "number of RELEASE");
_Static_assert(BUS1_CMD_SEND == 0xc0289702, "number of SEND");
_Static_assert(BUS1_CMD_RECV == 0xc0189703, "number of RECV");
