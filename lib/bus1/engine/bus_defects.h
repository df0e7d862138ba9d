/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Differences between the kernel code of the RFC and its document. The tests build the engine with
 * BUS1_RFC_DEFECTS: a bus that is made with some of these defects then behaves like the RFC's code,
 * which shows whether a client works with it. In any other build no bus has a defect, and the
 * compiler removes the code that depends on one.
 */
#pragma once

#include <stdbool.h>

#include "macros.h"

struct b1_bus;

enum {
    B1_DEFECT_STRIDE = 1 << 0,         /* arrays are walked by bytes, not elements */
    B1_DEFECT_SEND_OOPS = 1 << 1,      /* a bad message crashes the kernel */
    B1_DEFECT_WHOLE_VECS = 1 << 2,     /* SEND takes all of the iovecs */
    B1_DEFECT_ERRORS_U64 = 1 << 3,     /* errors are u64 each */
    B1_DEFECT_RECV_ONE = 1 << 4,       /* RECV returns 1 */
    B1_DEFECT_NO_SIZES = 1 << 5,       /* EMSGSIZE reports no size, a retry changes the ids */
    B1_DEFECT_ALL_TRANSFERS = 1 << 6,  /* RECV ignores the room for transfers */
    B1_DEFECT_RELEASE_ZERO = 1 << 7,   /* RELEASE of anything returns 0 */
    B1_DEFECT_HANDLE_RELEASE = 1 << 8, /* each handle notifies; receiving that destroys the node */
    B1_DEFECT_NODE_DROPS = 1 << 9,     /* releasing a node drops what waits for it */
    B1_DEFECT_POLLIN = 1 << 10,        /* POLLIN stays after the first message */
    B1_DEFECT_SEND_CLOSED = 1 << 11,   /* SEND to a closed peer succeeds until it is known */
    B1_DEFECT_NO_ACCOUNT = 1 << 12,    /* nothing is charged, account is BUS1_INVALID */
    B1_DEFECT_ALL = (1 << 13) - 1,
};

/* Tells whether a bus was made with a defect. */
#ifdef BUS1_RFC_DEFECTS
bool b1_bus_has(const struct b1_bus *bus, unsigned int defect);
#else
static inline bool b1_bus_has(const struct b1_bus *bus _unused_, unsigned int defect _unused_)
{
    return false;
}
#endif
