/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Three proposed ways to look into a POSIX message queue. No released kernel has any of them
 * (checked up to 7.3-rc7); any may be met on a patched one. In all of them index 0 is the message
 * that mq_receive() would return next.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

/* ---- mq_timedreceive2(2): M. Kumar, "ipc/mqueue: MQ_PEEK", resend of version 2, 2026-03-20 ----
 */

/*
 *     ssize_t mq_timedreceive2(mqd_t, struct mq_timedreceive2_args *, unsigned int flags,
 *                              unsigned long index, const struct timespec *abs_timeout);
 *
 * Errors in this order: EFAULT (args), EINVAL or EFAULT (timeout), EBADF, EMSGSIZE (msg_len below
 * mq_msgsize, however short the message), ENOENT (index >= mq_maxmsg, even when empty), EAGAIN
 * (empty; or the queue changed under the walk), ENOENT (index past the end). With MQ_PEEK it never
 * blocks. Unknown flags are not refused, and without MQ_PEEK it consumes: pass exactly MQ_PEEK.
 */
struct xlat_mq_timedreceive2_args {
    size_t msg_len;
    unsigned int *msg_prio;
    char *msg_ptr;
};

#define XLAT_MQ_PEEK 2u

/* As built on x86-64; the series' generic table says 473 and the number is not settled. */
#define XLAT_NR_MQ_TIMEDRECEIVE2 548

/* Numbers up to this one were other system calls before (450: set_mempolicy_home_node, 5.17). */
#define XLAT_NR_TAKEN 450

_Static_assert(offsetof(struct xlat_mq_timedreceive2_args, msg_prio) == sizeof(size_t), "ABI");
_Static_assert(offsetof(struct xlat_mq_timedreceive2_args, msg_ptr) == 2 * sizeof(size_t), "ABI");
_Static_assert(sizeof(struct xlat_mq_timedreceive2_args) == 3 * sizeof(size_t), "ABI");

/* ---- fcntl(fd, F_MQ_PEEK, struct mq_peek_attr *): S. Rane, 2026-03-25 ---- */

/*
 * Returns the bytes copied, at most buf_len: a longer message is cut without an error. ENOMSG:
 * offset (which is the index) >= mq_curmsgs. A kernel without it: EINVAL.
 */
struct xlat_mq_peek_attr {
    int32_t offset;
    uint32_t msg_prio;
    size_t buf_len;
    char *buf;
};

#define XLAT_F_MQ_PEEK (1024 + 17) /* F_LINUX_SPECIFIC_BASE + 17 */

_Static_assert(offsetof(struct xlat_mq_peek_attr, msg_prio) == 4, "ABI");
_Static_assert(offsetof(struct xlat_mq_peek_attr, buf_len) == 8, "ABI");
_Static_assert(offsetof(struct xlat_mq_peek_attr, buf) == 8 + sizeof(size_t), "ABI");

/* ---- ioctl(fd, MQ_IOC_BULK_PEEK, …): the CRIU project, summer of code 2026 ---- */

/*
 * Fills the buffer with entries: a header and a chunk of payload, padded to 8 bytes. The kernel's
 * own buffer is small (8 KiB or 64 KiB), so that a long message comes in chunks: go on with
 * start_idx = next_idx and start_offset = next_offset until out_count is 0. A partial entry counts
 * in out_count and has HAS_MORE; next_idx is then its index, next_offset the bytes so far. Needs
 * CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN. A kernel without it: ENOTTY.
 */
struct xlat_mq_bulk_peek_args {
    uint32_t start_idx;
    uint32_t start_offset;
    uint32_t max_count;
    uint32_t reserved_in;
    uint64_t buf_ptr;
    uint64_t buf_size;
    uint32_t out_count;
    uint32_t next_idx;
    uint32_t next_offset;
    uint32_t reserved_out;
};

struct xlat_mq_peek_msg_hdr {
    uint32_t total_msg_len;
    uint32_t chunk_len;
    uint32_t msg_prio;
    uint32_t flags;
    uint8_t payload[];
};

#define XLAT_MQ_IOC_BULK_PEEK        _IOWR('M', 1, struct xlat_mq_bulk_peek_args)
#define XLAT_MQ_PEEK_FLAG_HAS_MORE   1u
#define XLAT_MQ_BULK_PEEK_ENTRY_SIZE 8 /* entries are padded to a multiple of it */

_Static_assert(sizeof(struct xlat_mq_bulk_peek_args) == 48, "ABI");
_Static_assert(offsetof(struct xlat_mq_bulk_peek_args, buf_ptr) == 16, "ABI");
_Static_assert(offsetof(struct xlat_mq_bulk_peek_args, out_count) == 32, "ABI");
_Static_assert(sizeof(struct xlat_mq_peek_msg_hdr) == 16, "ABI");
_Static_assert(XLAT_MQ_IOC_BULK_PEEK == 0xc0304d01, "ABI");
