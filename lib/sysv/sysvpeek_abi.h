/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Between sysvpeek.bpf.c and backend_bpf.c. */
#pragma once

#include "walk_abi.h"

struct sysvpeek_request {
    struct walk_request walk;
    /* in */
    uint64_t id; /* of the queue, in the IPC namespace of the task that runs the program */
    /* out */
    uint64_t found; /* its id as the queue knows it */
    uint64_t key;
    uint64_t ipc_ns; /* inode number of the namespace */
};

_Static_assert(offsetof(struct sysvpeek_request, id) == 152, "the same for both sides");
_Static_assert(sizeof(struct sysvpeek_request) == 184, "the same for both sides");
