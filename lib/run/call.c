/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The maker of a trapped call: its memory, its descriptors, whether it still waits. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "cleanup.h"
#include "fileio.h"
#include "run_internal.h"

bool call_alive(const struct call *c)
{
    uint64_t id = c->id;

    return ioctl(c->run->listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

int call_status(const struct call *c, struct buf *out)
{
    char path[32];
    int r;

    snprintf(path, sizeof(path), "/proc/%d/status", c->tid);
    r = file_read(AT_FDCWD, path, 16384, out);
    return r < 0 && r != -ENOMEM ? -ESRCH : r;
}

const char *call_status_line(const struct buf *status, const char *key)
{
    const char *at = buf_str(status);
    size_t n = strlen(key);

    for (; at; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (!strncmp(at, key, n) && at[n] == ':')
            return at + n + 1;
    }
    return NULL;
}

pid_t call_process(const struct call *c)
{
    _cleanup_(buf_done) struct buf status = BUF_INIT;
    int r = call_status(c, &status);
    const char *line;

    if (r < 0)
        return r;
    line = call_status_line(&status, "Tgid");
    return line ? (pid_t)strtol(line, NULL, 10) : -ESRCH;
}

/* A descriptor for the thread; before Linux 6.9 only for its process. */
static int thread_pidfd(const struct call *c)
{
    int fd = (int)syscall(SYS_pidfd_open, c->tid, O_EXCL /* PIDFD_THREAD */);
    pid_t process;

    if (fd >= 0 || errno != EINVAL)
        return fd < 0 ? -errno : fd;
    process = call_process(c);
    if (process < 0)
        return process;
    fd = (int)syscall(SYS_pidfd_open, process, 0);
    return fd < 0 ? -errno : fd;
}

int call_getfd(const struct call *c, int fd)
{
    _cleanup_(closep) int pidfd = thread_pidfd(c);
    int got;

    if (pidfd < 0)
        return pidfd;
    if (!call_alive(c)) /* the number may belong to somebody else by now */
        return -ESRCH;
    got = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
    return got < 0 ? -errno : got;
}

typedef ssize_t (*vm_fn)(pid_t pid, const struct iovec *local, unsigned long n_local,
                         const struct iovec *remote, unsigned long n_remote, unsigned long flags);

static int transfer(const struct call *c, vm_fn move, struct iovec local, uint64_t remote)
{
    if (local.iov_len == 0)
        return 0;
    while (local.iov_len) {
        struct iovec there = {.iov_base = (void *)(uintptr_t)remote, .iov_len = local.iov_len};
        ssize_t n = move(c->tid, &local, 1, &there, 1, 0);

        if (n < 0)
            return errno == EPERM || errno == ESRCH || errno == ENOMEM ? -errno : -EFAULT;
        if (n == 0)
            return -EFAULT;
        local.iov_base = (char *)local.iov_base + n;
        local.iov_len -= (size_t)n;
        remote += (uint64_t)n;
    }
    return call_alive(c) ? 0 : -ESRCH;
}

int call_read(const struct call *c, uint64_t from, void *to, size_t n)
{
    return transfer(c, process_vm_readv, (struct iovec){.iov_base = to, .iov_len = n}, from);
}

int call_write(const struct call *c, uint64_t to, const void *from, size_t n)
{
    /* process_vm_writev() only reads from what its first iovec names. */
    struct iovec local = {.iov_base = (void *)(uintptr_t)from, .iov_len = n};

    if (!call_alive(c))
        return -ESRCH;
    return transfer(c, process_vm_writev, local, to);
}

int call_read_string(const struct call *c, uint64_t at, char out[PATH_MAX])
{
    size_t n = 0;

    while (n < PATH_MAX) {
        size_t chunk = MIN((size_t)(4096 - (at + n) % 4096), PATH_MAX - n);
        int r = call_read(c, at + n, out + n, chunk);

        if (r < 0)
            return r;
        if (memchr(out + n, '\0', chunk))
            return 0;
        n += chunk;
    }
    return -ENAMETOOLONG;
}

int64_t call_give_fd(const struct call *c, int fd, bool cloexec)
{
    struct seccomp_notif_addfd add = {
        .id = c->id,
        .srcfd = (uint32_t)fd,
        .newfd_flags = cloexec ? O_CLOEXEC : 0,
    };
    int theirs = ioctl(c->run->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);
    int64_t r = theirs < 0 ? -errno : theirs;

    close(fd);
    return r;
}
