/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A build without BPF: what needs it says so. */
#include <errno.h>

#include "macros.h"
#include "sysv_backends.h"
#include "sysv_waiters.h"

static int lacking(const struct msgq_peek_opts *opts _unused_, struct err *e)
{
    return err_set(e, -EOPNOTSUPP, "build it with -DIPCBOX_BPF=ON", "this build is without BPF");
}

const struct msgq_ops sysv_bpf_ops = {
    .name = "bpf",
    .needs = "a build with BPF",
    .probe = lacking,
};

int sysv_waiters_bpf(struct sysv_info *q _unused_)
{
    return -EOPNOTSUPP;
}
