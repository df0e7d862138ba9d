/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The backends in order of preference: BPF reads a whole queue in one go. */
#include "sysv_backends.h"

#include <stddef.h>

const struct msgq_ops *const sysv_backends[] = {
    &sysv_bpf_ops,
    &sysv_copy_ops,
    NULL,
};

int sysv_peeker_new(const struct msgq_peek_opts *opts, struct msgq_peeker **ret, struct err *e)
{
    return msgq_peeker_new(sysv_backends, opts, ret, e);
}

int sysv_peek(struct msgq_peeker *p, const struct sysv_queue *q, struct msgq_snapshot **ret,
              struct err *e)
{
    return msgq_peek(p, q, ret, e);
}
