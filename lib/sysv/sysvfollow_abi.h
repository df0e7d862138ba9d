/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Between sysvfollow.bpf.c and follow.c, beside what follow_abi.h has. */
#pragma once

#include "follow_abi.h"

/* What the programs read of their user: it is right only where they read this kernel's memory. */
struct sysvfollow_proof {
    uint64_t ipc_ns;   /* inode number */
    uint64_t same_pid; /* the pid is the one that a helper tells */
};
