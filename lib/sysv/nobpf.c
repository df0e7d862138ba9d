/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A build without BPF: what needs it says so. */
#include <errno.h>

#include "macros.h"
#include "sysv_backends.h"
#include "sysv_follow.h"
#include "sysv_waiters.h"

static int lacking(struct err *e)
{
    return err_set(e, -EOPNOTSUPP, "build it with -DIPCBOX_BPF=ON", "this build is without BPF");
}

static int probe_lacking(const struct msgq_peek_opts *opts _unused_, struct err *e)
{
    return lacking(e);
}

const struct msgq_ops sysv_bpf_ops = {
    .name = "bpf",
    .needs = "a build with BPF",
    .probe = probe_lacking,
};

int sysv_waiters_bpf(struct sysv_info *q _unused_)
{
    return -EOPNOTSUPP;
}

int sysv_follow_new(const struct msgq_follow_opts *opts _unused_, struct msgq_follow **ret _unused_,
                    struct err *e)
{
    return lacking(e);
}

int sysv_follow_probe(const char *backend _unused_, struct err *e)
{
    return lacking(e);
}

int sysv_follow_add(struct msgq_follow *f _unused_, const struct sysv_queue *q _unused_,
                    void *cookie _unused_, struct err *e)
{
    return lacking(e);
}
