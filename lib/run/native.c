/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What this kernel has by itself, and is left to it. */
#include <fcntl.h>

#include "bus1_abi.h"
#include "cleanup.h"
#include "pmq_backend.h"
#include "run.h"
#include "uipc.h"

/* The kernel's, a file that serves a bus, or an outer supervisor's: any of them answers. */
static bool has_device(void)
{
    _cleanup_(closep) int fd = open(BUS1_DEVICE_PATH, O_RDWR | O_CLOEXEC);

    return fd >= 0;
}

unsigned int run_parts_native(unsigned int parts, long mq_syscall)
{
    const struct pmq_peek_opts opts = {.mq_syscall = mq_syscall};
    unsigned int native = 0;

    if (parts & RUN_MQ_SYSCALL && pmq_syscall_ops.probe(&opts, NULL) == 0)
        native |= RUN_MQ_SYSCALL;
    if (parts & RUN_MQ_FCNTL && pmq_fcntl_ops.probe(&opts, NULL) == 0)
        native |= RUN_MQ_FCNTL;
    if (parts & RUN_MQ_IOCTL && pmq_ioctl_ops.probe(&opts, NULL) == 0)
        native |= RUN_MQ_IOCTL;
    if (parts & RUN_BUS1 && has_device())
        native |= RUN_BUS1;
    if (parts & RUN_URING && uipc_kernel_ops.probe(NULL) == 0)
        native |= RUN_URING;
    return native;
}
