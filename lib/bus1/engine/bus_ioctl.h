/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The four ioctls: decodes what a client passes, calls the engine, and writes the results back. The
 * client's memory is reached only through an ops structure, and never under the lock of the bus, so
 * that memory that does not answer delays only the client that it belongs to.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "bus.h"
#include "vmcopy.h"

/**
 * struct b1_client_ops - what the caller of b1_ioctl() provides
 * @read: copies from the client, either all ranges or nothing: -EFAULT, -EPERM or -ESRCH
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
 * @peer: the peer that the ioctl is called on
 * @cmd: BUS1_CMD_*; the size in it is the length of @arg
 * @arg: the argument structure, already copied; NULL if there is none
 * @ops, @ctx: access to the client
 *
 * The structure itself is not written back: results are written to the pointers that it holds.
 *
 * Return: 0 (1 from a bus with B1_DEFECT_RECV_ONE), or the negative errno that the ABI names;
 * -ENOTTY for an unknown @cmd.
 */
int b1_ioctl(struct b1_peer *peer, unsigned int cmd, const void *arg,
             const struct b1_client_ops *ops, void *ctx);
