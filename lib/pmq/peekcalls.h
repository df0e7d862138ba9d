/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The proposed system calls, each behind a pointer. Tests put a model of the proposed kernels in
 * their place; nothing else ever writes to it. As in the C library: -1 and errno.
 */
#pragma once

#include <time.h>

#include "mqpeek_abi.h"

struct pmq_peek_calls {
    long (*timedreceive2)(long number, int fd, struct xlat_mq_timedreceive2_args *args,
                          unsigned int flags, unsigned long index, const struct timespec *timeout);
    int (*fcntl)(int fd, int command, struct xlat_mq_peek_attr *attr);
    int (*ioctl)(int fd, unsigned long request, struct xlat_mq_bulk_peek_args *args);
};

extern struct pmq_peek_calls pmq_peek_calls;
