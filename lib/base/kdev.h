/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A device's number as the kernel keeps it (linux/kdev_t.h), which is not how user space does. */
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
