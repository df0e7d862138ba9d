// SPDX-License-Identifier: LGPL-2.1-or-later
/* A build without BPF: what needs it says so. */
#include <errno.h>

#include "pmq_backends.h"
#include "pmq_follow.h"
#include "pmq_inspect.h"
#include "privileges.h"
#include "scan.h"

static int lacking(struct err *e)
{
    return err_set(e, -EOPNOTSUPP, "build it with -DIPCBOX_BPF=ON", "this build is without BPF");
}

static int probe_lacking(const struct msgq_peek_opts *opts _unused_, struct err *e)
{
    return lacking(e);
}

const struct msgq_ops pmq_bpf_ops = {
    .name = "bpf",
    .needs = "a build with BPF",
    .probe = probe_lacking,
};

int pmq_keep_privileges(bool load _unused_)
{
    return privileges_keep(PRIVILEGES_LOOK, 0);
}

int pmq_follow_probe(const char *backend _unused_, struct err *e)
{
    return lacking(e);
}

int pmq_follow_new(const struct msgq_follow_opts *opts _unused_, struct msgq_follow **ret _unused_,
                   struct err *e)
{
    return lacking(e);
}

int pmq_follow_add(struct msgq_follow *f _unused_, const struct pmq_queue *q _unused_,
                   void *cookie _unused_, struct err *e)
{
    return lacking(e);
}

int holders_ask(struct set_builder *b _unused_, bool waiters _unused_, bool threads_denied _unused_,
                struct err *e)
{
    return lacking(e);
}

int pmq_inspector_new(struct pmq_inspector **ret _unused_, struct err *e)
{
    return lacking(e);
}

int pmq_inspector_look(struct pmq_inspector *in _unused_, const struct pmq_queue *q _unused_,
                       struct pmq_inspect **ret _unused_, struct err *e)
{
    return lacking(e);
}

int pmq_inspector_account(struct pmq_inspector *in _unused_, struct pmq_account *out _unused_,
                          struct err *e)
{
    return lacking(e);
}

/* There is never an inspection to give to these. */

void pmq_inspect_free(struct pmq_inspect *i _unused_)
{
}

void pmq_inspect_freep(struct pmq_inspect **i _unused_)
{
}

void pmq_inspector_free(struct pmq_inspector *in _unused_)
{
}

void pmq_inspector_freep(struct pmq_inspector **in _unused_)
{
}
