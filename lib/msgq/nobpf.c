// SPDX-License-Identifier: LGPL-2.1-or-later
/* A build without BPF: there is never a follower to give to these. */
#include <errno.h>
#include <string.h>

#include "macros.h"
#include "msgq_follow.h"

const char *const msgq_follow_backends[] = {"fexit", "tracepoint", NULL};

static int lacking(struct err *e)
{
    return err_set(e, -EOPNOTSUPP, "build it with -DIPCBOX_BPF=ON", "this build is without BPF");
}

void msgq_follow_free(struct msgq_follow *f _unused_)
{
}

void msgq_follow_freep(struct msgq_follow **f _unused_)
{
}

const char *msgq_follow_backend(const struct msgq_follow *f _unused_)
{
    return "";
}

const char *msgq_follow_reason(const struct msgq_follow *f _unused_)
{
    return "";
}

int msgq_follow_start(struct msgq_follow *f _unused_, struct err *e)
{
    return lacking(e);
}

int msgq_follow_fd(const struct msgq_follow *f _unused_)
{
    return -1;
}

int msgq_follow_read(struct msgq_follow *f _unused_, msgq_event_fn visit _unused_,
                     void *ctx _unused_, struct err *e)
{
    return lacking(e);
}

void msgq_follow_stop(struct msgq_follow *f _unused_)
{
}

void msgq_follow_cut(struct msgq_follow *f _unused_)
{
}

void msgq_follow_totals(const struct msgq_follow *f _unused_, struct msgq_follow_totals *out)
{
    memset(out, 0, sizeof(*out));
}

int msgq_follow_counters(struct msgq_follow *f _unused_, uint64_t dev _unused_,
                         uint64_t ino _unused_, struct msgq_counters *out _unused_)
{
    return -EOPNOTSUPP;
}
