/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A build without BPF: /proc is the only source. */
#include <errno.h>

#include "macros.h"
#include "scan.h"

int graph_bpf_open(struct graph_bpf **ret _unused_, struct err *e)
{
    return err_set(e, -EOPNOTSUPP, "build it with -DIPCBOX_BPF=ON", "this build is without BPF");
}

void graph_bpf_close(struct graph_bpf *b _unused_)
{
}

void graph_bpf_closep(struct graph_bpf **b _unused_)
{
}

int scan_bpf(const struct graph_bpf *b _unused_, struct scan *s _unused_, struct err *e)
{
    return err_set(e, -EOPNOTSUPP, NULL, "this build is without BPF");
}
