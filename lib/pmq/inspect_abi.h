/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Between inspect.bpf.c and inspect.c: one shared variable. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { INSPECT_WAITERS = 2048 };

struct inspect_waiter {
    uint64_t ran; /* when it last got the processor, ns of the scheduler's clock; 0: not known */
    int32_t tid;
    int32_t pid;
    uint32_t direction; /* enum pmq_direction */
    char comm[16];
    uint32_t unused;
};

struct inspect_answer {
    /* in */
    uint32_t fd;
    /* out */
    uint32_t found; /* a queue was */
    uint64_t inode;
    uint64_t maxmsg;
    uint64_t msgsize;
    uint64_t ran; /* as in struct inspect_waiter, of the caller: now */
    int64_t charged;
    uint32_t charged_known;
    uint32_t charged_uid;
    int32_t notify_pid;
    uint32_t notify_set;
    int32_t notify_method;
    int32_t notify_signo;
    uint32_t queues; /* in the caller's IPC namespace */
    uint32_t unused;
    uint32_t locked; /* the queue was being changed before or after */
    uint32_t n_waiters;
    struct inspect_waiter waiters[INSPECT_WAITERS];
};

_Static_assert(sizeof(struct inspect_waiter) == 40, "the same for both sides");
_Static_assert(offsetof(struct inspect_answer, charged_known) == 48, "the same for both sides");
_Static_assert(offsetof(struct inspect_answer, waiters) == 88, "the same for both sides");
