/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Replacements for a build without BPF: each function that needs it fails with a reason. */
#include <errno.h>

#include "backend.h"
#include "fdq_follow.h"

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

int fdq_follow_probe(struct err *e)
{
    return probe_lacking(e);
}

int fdq_follow_new(const struct fdq_follow_opts *opts _unused_, struct fdq_follow **ret _unused_,
                   struct err *e)
{
    return probe_lacking(e);
}

/* No follower can have been made. */
void fdq_follow_free(struct fdq_follow *f _unused_)
{
}

int fdq_follow_inode(struct fdq_follow *f _unused_, uint64_t inode _unused_)
{
    return -EOPNOTSUPP;
}

int fdq_follow_pid(struct fdq_follow *f _unused_, pid_t pid _unused_)
{
    return -EOPNOTSUPP;
}

int fdq_follow_start(struct fdq_follow *f _unused_, struct err *e)
{
    return probe_lacking(e);
}

void fdq_follow_stop(struct fdq_follow *f _unused_)
{
}

int fdq_keep_privileges(void)
{
    return 0;
}

void fdq_follow_cut(struct fdq_follow *f _unused_)
{
}

int fdq_follow_fd(const struct fdq_follow *f _unused_)
{
    return -1;
}

int fdq_follow_read(struct fdq_follow *f _unused_, fdq_event_fn visit _unused_, void *ctx _unused_,
                    struct err *e)
{
    return probe_lacking(e);
}

void fdq_follow_totals(const struct fdq_follow *f _unused_, struct fdq_follow_totals *out)
{
    *out = (struct fdq_follow_totals){0};
}
