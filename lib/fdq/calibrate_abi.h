/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared by calibrate.bpf.h and calibrate.c. */
#pragma once

#include <stdint.h>

struct calibration {
    uint64_t words[2];  /* the random bytes in the pipe */
    uint32_t fd;        /* the reading end of the pipe */
    uint32_t gigabytes; /* how many GiB of memory there can be */
    uint64_t page_size; /* of the machine */
};

_Static_assert(sizeof(struct calibration) == 32, "the same for both sides");
