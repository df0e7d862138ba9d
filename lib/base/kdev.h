/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A device number as the kernel stores it (linux/kdev_t.h), which differs from user space. */
#pragma once

#include <stdint.h>
#include <sys/sysmacros.h>

static inline uint64_t kdev_in_kernel(uint64_t dev)
{
    return (uint64_t)major(dev) << 20 | minor(dev);
}

static inline uint64_t kdev_for_user(uint64_t dev)
{
    return makedev((unsigned int)(dev >> 20), (unsigned int)(dev & 0xfffff));
}
