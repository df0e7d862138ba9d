/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A model of the kernel that carries the RFC of io_uring IPC channels, for machines whose kernel
 * does not: it answers what lib/uring registers and submits as that kernel was observed to, defects
 * included. Its state is shared with all processes that are forked after umodel_install(); the
 * channels' memory is real, in files whose descriptors stand in /proc as a kernel's would.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "uringk.h"

/**
 * struct umodel_quirks - what it shall do once more than it always does
 * @absent: it is a kernel without channels
 * @busy: so many CREATEs are answered by EBUSY
 * @vanish: so many channels vanish as soon as they are made
 * @going: so many ATTACHes are answered by EINVAL
 * @linger: a channel whose ring has gone can be attached to so many times more
 * @next_sub: the next subscriber id; 0: as it comes
 */
struct umodel_quirks {
    bool absent;
    uint32_t busy;
    uint32_t vanish;
    uint32_t going;
    uint32_t linger;
    uint32_t next_sub;
};

/* Lets lib/uring call the model, or the machine's kernel again. */
void umodel_install(void);
void umodel_remove(void);

/* Shared with the processes forked later. */
struct umodel_quirks *umodel_quirks(void);

/* The SQE that was submitted last, and how many were. */
const struct io_uring_sqe *umodel_last(void);
uint64_t umodel_submitted(void);

/* How many receivers have ever attached. */
uint64_t umodel_receivers(void);

/* How many channels have ever been made. */
uint64_t umodel_created(void);
