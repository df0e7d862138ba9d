/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides whose queues may be read. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend.h"
#include "cleanup.h"
#include "realuser.h"

/* Tells whether the kernel permits the user to trace the process. Return: 0 or -errno. */
static int may_trace(pid_t pid)
{
    _cleanup_(closep) int fd = -1;
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : 0;
}

static bool same(int fd, const struct fdq_queue *q)
{
    struct stat st;

    return fstat(fd, &st) == 0 && st.st_ino == q->inode && (!q->dev || st.st_dev == q->dev);
}

static int open_one(const struct fdq_queue *q, const struct fdq_holder *h, bool duplicate)
{
    _cleanup_(closep) int fd = -1;
    char path[64];
    int r = may_trace(h->pid);

    if (r < 0)
        return r;
    snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)h->pid, h->fd);
    fd = duplicate ? proc_fd_take(h->pid, h->fd, NULL) : open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return duplicate ? fd : -errno;
    return same(fd, q) ? TAKE_FD(fd) : -ESRCH; /* it was closed, and its number used again */
}

int fdq_open_holder(const struct fdq_queue *q, const struct fdq_holders *h, bool duplicate,
                    struct err *e)
{
    struct realuser saved;
    int fd = -ESRCH, r = realuser_enter(&saved);

    if (r < 0)
        return r;
    for (size_t i = 0; i < h->n && fd < 0; i++) {
        int got = open_one(q, &h->v[i], duplicate);

        if (got >= 0 || fd != -EPERM)
            fd = got == -EACCES ? -EPERM : got;
    }
    realuser_leave(&saved);
    if (fd == -EPERM)
        return err_set(e, fd, getuid() ? "run as root, or as its user" : NULL,
                       "the processes that have it open may not be traced");
    if (fd < 0)
        return err_set(e, -ESRCH, NULL, "nobody that can be seen has it open");
    return fd;
}
