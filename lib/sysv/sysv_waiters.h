/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside lib/sysv: who is blocked, from two sources. */
#pragma once

#include "sysv.h"

int sysv_add_waiter(struct sysv_info *q, const struct sysv_waiter *w);

/* From the queue itself, by BPF; replaces what @q has. Return: 0, or -errno with @q as it was. */
int sysv_waiters_bpf(struct sysv_info *q);

/* From /proc, of all queues of the set in one pass. Return: 0 or -errno. */
int sysv_waiters_proc(struct sysv_set *set);
