/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where an application that brings its own memory for a ring (IORING_SETUP_NO_MMAP, Linux 6.5)
 * writes the address: the last member of struct io_sqring_offsets and of struct io_cqring_offsets.
 * Headers call it resv2 before Linux 6.5 and user_addr since, so the code names its place.
 */
#pragma once

#include <linux/io_uring.h>
#include <stdint.h>

_Static_assert(sizeof(struct io_sqring_offsets) == 40 && sizeof(struct io_cqring_offsets) == 40,
               "the address is the last of ten words");

#define URING_USER_ADDR(offsets) \
    (*(uint64_t *)((char *)&(offsets) + sizeof(offsets) - sizeof(uint64_t)))
