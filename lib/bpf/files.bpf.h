/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From a descriptor to the open file. */
#pragma once

#include "kernel_types.bpf.h"

/* include/uapi/linux/stat.h */
#define MODE_TYPE    0170000
#define MODE_REGULAR 0100000
#define MODE_CHAR    0020000

static __always_inline struct file *file_by_fd(struct task_struct *task, unsigned int fd)
{
    struct fdtable *table = BPF_CORE_READ(task, files, fdt);
    struct file **files = BPF_CORE_READ(table, fd), *file = NULL;

    if (!files || fd >= BPF_CORE_READ(table, max_fds))
        return NULL;
    KREAD(file, files + fd);
    return file;
}
