/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The interfaces that a run can have: which of them this kernel has by itself, and their names. */
#include <stdio.h>

#include "bus1_abi.h"
#include "bus_client.h"
#include "pmq_backends.h"
#include "run_internal.h"
#include "uipc.h"

/* The kernel's device, a file that serves a bus, or an outer supervisor's: each answers alike. */
static bool has_bus(void)
{
    struct b1_device dev;
    bool single;

    b1_device_file(&dev, BUS1_DEVICE_PATH);
    return b1_probe(&dev, &single) == 0;
}

int run_leave_native(struct run_opts *opts, struct err *e)
{
    struct msgq_peek_opts peek = {.mq_syscall = opts->mq_syscall};
    unsigned int native = 0;

    if (opts->parts & RUN_MQ_SYSCALL) {
        int r = pmq_syscall_number(&peek, &peek.mq_syscall, e);

        if (r < 0)
            return r;
        opts->mq_syscall = peek.mq_syscall;
    }
    if (opts->parts & RUN_MQ_SYSCALL && pmq_syscall_ops.probe(&peek, NULL) == 0)
        native |= RUN_MQ_SYSCALL;
    if (opts->parts & RUN_MQ_FCNTL && pmq_fcntl_ops.probe(&peek, NULL) == 0)
        native |= RUN_MQ_FCNTL;
    if (opts->parts & RUN_MQ_IOCTL && pmq_ioctl_ops.probe(&peek, NULL) == 0)
        native |= RUN_MQ_IOCTL;
    if (opts->parts & RUN_BUS1 && !opts->bus && has_bus())
        native |= RUN_BUS1;
    if (opts->parts & RUN_URING && uipc_kernel_ops.probe(NULL) == 0)
        native |= RUN_URING;
    opts->parts &= ~native;
    opts->native = native;
    return 0;
}

void run_log_parts(const struct run *run, const char *what, unsigned int parts)
{
    if (parts)
        run_log(run, "%s:%s%s%s%s%s", what, parts & RUN_MQ_SYSCALL ? " mq_timedreceive2" : "",
                parts & RUN_MQ_FCNTL ? " F_MQ_PEEK" : "",
                parts & RUN_MQ_IOCTL ? " MQ_IOC_BULK_PEEK" : "",
                parts & RUN_BUS1 ? " /dev/bus1" : "",
                parts & RUN_URING ? " io_uring channels" : "");
}
