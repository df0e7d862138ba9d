/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The four ioctls, decoded: from the bytes that a client passes to the calls of the engine and
 * back. The client's memory is reached only through an ops structure, and never under the lock of
 * the bus, so that a page that does not answer stalls nobody but the one who asked.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "bus.h"
#include "vmcopy.h"

/**
 * struct b1_client_ops - what the codec asks of whoever runs it
 * @read: copies from the client, all ranges or an error: -EFAULT, or -EPERM, -ESRCH
 * @write: copies to the client, likewise
 * @peer: the peer behind a file descriptor of the client, with a reference: 0, -EBADF, -EOPNOTSUPP
 * @commit: called right before anything takes effect; a negative errno gives up. May be NULL
 * @oops: called where a defective bus would crash its kernel; its result is the call's. May be NULL
 */
struct b1_client_ops {
    int (*read)(void *ctx, const struct vm_range *v, size_t n);
    int (*write)(void *ctx, const struct vm_range *v, size_t n);
    int (*peer)(void *ctx, uint64_t fd, struct b1_peer **ret);
    int (*commit)(void *ctx);
    int (*oops)(void *ctx);
};

/**
 * b1_ioctl() - one system call
 * @peer: on which peer
 * @cmd: BUS1_CMD_*; its size says how long @arg is
 * @arg: the argument structure, already copied; NULL if there is none
 * @ops, @ctx: the client
 *
 * The structure is never written back: all results go to where it points.
 *
 * Return: 0 (1 from a bus with B1_DEFECT_RECV_ONE), or the negative errno that the ABI names;
 * -ENOTTY for an unknown @cmd.
 */
int b1_ioctl(struct b1_peer *peer, unsigned int cmd, const void *arg,
             const struct b1_client_ops *ops, void *ctx);
