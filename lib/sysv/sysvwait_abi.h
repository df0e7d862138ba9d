/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Between sysvwait.bpf.c and waiters_bpf.c. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { SYSVWAIT_MAX = 256 }; /* a power of two */

/* The kernel's SEARCH_… of ipc/msg.c. */
enum { SYSVWAIT_ANY = 1, SYSVWAIT_EQUAL, SYSVWAIT_NOT, SYSVWAIT_UP_TO };

struct sysvwait_waiter {
    uint64_t ran;  /* when it was put on a processor the last time, ns; 0 where that is not noted */
    uint64_t size; /* of its message or buffer */
    int64_t type;
    int32_t tid, pid;
    int32_t mode; /* SYSVWAIT_…, of a receiver */
    uint32_t sends;
    uint32_t served; /* it has its message, or its error, and will run */
    uint32_t unused;
    char comm[16];
};

struct sysvwait_answer {
    /* in */
    int32_t id;
    /* out */
    uint32_t found; /* the id is that of a queue */
    uint64_t ran;   /* as in struct sysvwait_waiter, of the caller: now */
    uint64_t ipc_ns;
    uint32_t locked; /* the queue was being changed before or after */
    uint32_t n;
    struct sysvwait_waiter v[SYSVWAIT_MAX];
};

_Static_assert(sizeof(struct sysvwait_waiter) == 64, "the same for both sides");
_Static_assert(offsetof(struct sysvwait_answer, v) == 32, "the same for both sides");
