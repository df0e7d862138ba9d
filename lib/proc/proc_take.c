/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Duplicates another process's descriptor into this one. */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "proc.h"

static int explain(pid_t pid, int fd, int r, struct err *e)
{
    switch (r) {
    case -ESRCH:
    /* the number is invalid, or pidfd_open() was called on a thread that is not the first */
    case -EINVAL:
        return err_set(e, -ESRCH, NULL, "there is no process %d", (int)pid);
    case -EBADF:
        return err_set(e, r, NULL, "process %d has no descriptor %d", (int)pid, fd);
    case -EPERM:
    case -EACCES:
        return err_set(e, -EPERM, "run as root, or as its user with kernel.yama.ptrace_scope 0",
                       "not permitted to take descriptors of process %d", (int)pid);
    case -ENOSYS:
        return err_set(e, r, "Linux 5.6 has it", "this kernel has no pidfd_getfd()");
    default:
        return err_set(e, r, NULL, "descriptor %d of process %d: %s", fd, (int)pid,
                       err_text(NULL, r));
    }
}

int proc_fd_take(pid_t pid, int fd, struct err *e)
{
    _cleanup_(closep) int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    int got;

    if (pidfd < 0)
        return explain(pid, fd, -errno, e);
    got = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
    return got < 0 ? explain(pid, fd, -errno, e) : got;
}
