/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Between peek.bpf.c and backend_bpf.c. */
#pragma once

#include "walk_abi.h"

struct peek_request {
    struct walk_request walk;
    /* in */
    uint64_t fd; /* of the queue, in the process that runs the program */
    /* out */
    uint64_t inode;
    uint64_t mode;
};

_Static_assert(offsetof(struct peek_request, fd) == 152, "the same for both sides");
_Static_assert(sizeof(struct peek_request) == 176, "the same for both sides");
