/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A build without BPF: what needs it says so. */
#include <errno.h>

#include "backend.h"

static int probe_lacking(struct err *e)
{
    return err_set(e, -EOPNOTSUPP, "build it with -DIPCBOX_BPF=ON", "this build is without BPF");
}

static bool serves_all(const struct fdq_queue *q)
{
    (void)q;
    return true;
}

const struct fdq_ops fdq_bpf_ops = {
    .name = "bpf",
    .probe = probe_lacking,
    .serves = serves_all,
};
