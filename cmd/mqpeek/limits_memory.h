/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How much memory there is for one more queue. */
#pragma once

#include <stdint.h>

/**
 * struct limits_memory - amounts in bytes; OUT_UNKNOWN_U64 for those that are not known
 * @available: memory of the machine that can be used without swapping
 * @group_used, @group_max: of the control group with the least memory left, among the caller's and
 *   its ancestors; unknown when none of them has a limit
 */
struct limits_memory {
    uint64_t available;
    uint64_t group_used;
    uint64_t group_max;
};

void limits_memory_read(struct limits_memory *out);
