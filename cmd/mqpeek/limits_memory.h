/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How much memory there is for one more queue. */
#pragma once

#include <stdint.h>

/**
 * struct limits_memory - bytes; OUT_UNKNOWN_U64 for what is not known
 * @available: of the machine, without swapping
 * @group_used, @group_max: of the control group around the caller that has the least left; unknown
 *   when none has a limit
 */
struct limits_memory {
    uint64_t available;
    uint64_t group_used;
    uint64_t group_max;
};

void limits_memory_read(struct limits_memory *out);
