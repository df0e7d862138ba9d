// SPDX-License-Identifier: LGPL-2.1-or-later
/* Replacements for a build without BPF: each function that needs it fails with a reason. */
#include <errno.h>

#include "bus_monitor.h"

int b1_monitor_probe(struct err *e)
{
    return err_set(e, -EOPNOTSUPP, "build it with -DIPCBOX_BPF=ON", "this build is without BPF");
}

int b1_monitor_new(const struct b1_monitor_opts *opts _unused_, struct b1_monitor **ret _unused_,
                   struct err *e)
{
    return b1_monitor_probe(e);
}

/* No monitor can be created, so these are never called with one. */

void b1_monitor_free(struct b1_monitor *m _unused_)
{
}

int b1_monitor_add(struct b1_monitor *m _unused_, pid_t pid _unused_, struct err *e)
{
    return b1_monitor_probe(e);
}

int b1_monitor_start(struct b1_monitor *m _unused_, struct err *e)
{
    return b1_monitor_probe(e);
}

int b1_monitor_fd(const struct b1_monitor *m _unused_)
{
    return -1;
}

int b1_monitor_read(struct b1_monitor *m _unused_, b1_monitor_fn visit _unused_, void *ctx _unused_,
                    bool *whole _unused_, struct err *e)
{
    return b1_monitor_probe(e);
}

bool b1_monitor_is_open(const struct b1_monitor *m _unused_,
                        const struct b1_monitor_file *file _unused_)
{
    return true;
}

uint64_t b1_monitor_oldest(const struct b1_monitor *m _unused_)
{
    return UINT64_MAX;
}

int b1_monitor_unfinished(struct b1_monitor *m _unused_, b1_monitor_fn visit _unused_,
                          void *ctx _unused_)
{
    return 0;
}

void b1_monitor_stop(struct b1_monitor *m _unused_)
{
}

void b1_monitor_totals(const struct b1_monitor *m _unused_, struct b1_monitor_totals *out)
{
    *out = (struct b1_monitor_totals){0};
}
