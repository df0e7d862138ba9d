/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Access to the memory of another process, a limited number of ranges at a time. */
#include "vmcopy.h"

#include <errno.h>
#include <sys/uio.h>

#include "macros.h"

enum { AT_ONCE = 64 };

typedef ssize_t (*vm_fn)(pid_t pid, const struct iovec *local, unsigned long n_local,
                         const struct iovec *remote, unsigned long n_remote, unsigned long flags);

static int copy(pid_t pid, vm_fn move, const struct vm_range *v, size_t n)
{
    struct iovec local[AT_ONCE], remote[AT_ONCE];

    while (n) {
        size_t k = MIN(n, (size_t)AT_ONCE), bytes = 0;
        ssize_t got;

        for (size_t i = 0; i < k; i++) {
            local[i] = (struct iovec){v[i].local, v[i].n};
            remote[i] = (struct iovec){(void *)(uintptr_t)v[i].remote, v[i].n};
            bytes += v[i].n;
        }
        got = bytes ? move(pid, local, k, remote, k, 0) : 0;
        if (got < 0)
            return errno == EPERM || errno == ESRCH || errno == ENOMEM ? -errno : -EFAULT;
        if ((size_t)got != bytes)
            return -EFAULT;
        v += k;
        n -= k;
    }
    return 0;
}

int vm_read(pid_t pid, const struct vm_range *v, size_t n)
{
    return copy(pid, process_vm_readv, v, n);
}

int vm_write(pid_t pid, const struct vm_range *v, size_t n)
{
    return copy(pid, process_vm_writev, v, n);
}
