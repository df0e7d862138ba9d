/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The memory of another process. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * struct vm_range - some bytes of another process, and where they go to or come from here
 * @remote: their address there
 * @local: their address here
 * @n: how many
 */
struct vm_range {
    uint64_t remote;
    void *local;
    size_t n;
};

/**
 * vm_read() - copy from another process (process_vm_readv(2))
 * @pid: the process or one of its threads
 * @v, @n: what to copy
 *
 * It can take as long as the other process likes, which may answer page faults itself.
 *
 * Return: 0; -EFAULT when not all of it is there, with some of it copied; -EPERM when the caller
 * may not trace the process; -ESRCH; -ENOMEM.
 */
int vm_read(pid_t pid, const struct vm_range *v, size_t n);

/* The same to another process. */
int vm_write(pid_t pid, const struct vm_range *v, size_t n);
