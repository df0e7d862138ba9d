/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Access to the memory of another process. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * struct vm_range - a range of bytes in another process, and its counterpart here
 * @remote: address in the other process
 * @local: address in this process
 * @n: number of bytes
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
 * It can take arbitrarily long, because the other process may handle its page faults itself.
 *
 * Return: 0; -EFAULT when some of the memory does not exist: then a part may have been copied;
 * -EPERM when the caller may not trace the process; -ESRCH; -ENOMEM.
 */
int vm_read(pid_t pid, const struct vm_range *v, size_t n);

/* vm_write() copies from this process to the other one; arguments and errors are those of
 * vm_read(). */
int vm_write(pid_t pid, const struct vm_range *v, size_t n);
