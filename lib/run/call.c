/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The thread that made a trapped call: its memory, its descriptors, whether it still waits. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "fileio.h"
#include "run_internal.h"

bool call_alive(const struct call *c)
{
    uint64_t id = c->id;

    /* Only ENOENT says that the thread has gone. */
    for (int tries = 0; tries < NOTIF_TRIES; tries++)
        if (ioctl(c->run->listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0)
            return true;
        else if (errno == ENOENT)
            break;
    return false;
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

static int get_fd(int pidfd, int fd)
{
    int got = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);

    return got < 0 ? -errno : got;
}

/* Takes the descriptor from the thread's process, which usually has the same descriptors. */
static int get_fd_of_process(const struct call *c, int fd)
{
    pid_t process = call_process(c);
    _cleanup_(closep) int pidfd = process < 0 ? -1 : (int)syscall(SYS_pidfd_open, process, 0);

    if (process < 0)
        return process;
    if (pidfd < 0)
        return -errno;
    return call_alive(c) ? get_fd(pidfd, fd) : -ESRCH;
}

void call_forget(struct call_thread *t)
{
    closep(&t->pidfd);
    *t = (struct call_thread){.pidfd = -1};
}

/* Keeps a descriptor for the thread. Return: -EINVAL where there is none for a thread (6.9). */
static int keep_thread(const struct call *c)
{
    struct call_thread *t = c->kept;

    call_forget(t);
    t->pidfd = (int)syscall(SYS_pidfd_open, c->tid, O_EXCL /* PIDFD_THREAD */);
    if (t->pidfd < 0 && errno == EINVAL) /* before 6.9 a process's first thread works, too */
        t->pidfd = (int)syscall(SYS_pidfd_open, c->tid, 0);
    if (t->pidfd < 0)
        return errno == ENOENT ? -EINVAL : -errno;
    if (!call_alive(c)) { /* another thread may have got the number by now */
        call_forget(t);
        return -ESRCH;
    }
    t->tid = c->tid;
    return 0;
}

int call_getfd(const struct call *c, int fd)
{
    int r = -ESRCH;

    /* While that thread lives, no other thread gets its number. */
    if (c->kept->tid == c->tid)
        r = get_fd(c->kept->pidfd, fd);
    if (r != -ESRCH)
        return r;
    r = keep_thread(c);
    if (r == 0)
        return get_fd(c->kept->pidfd, fd);
    return r == -EINVAL ? get_fd_of_process(c, fd) : r;
}

int call_read(const struct call *c, uint64_t from, void *to, size_t n)
{
    int r = vm_read(c->tid, &(struct vm_range){from, to, n}, 1);

    if (r < 0 || !n)
        return r;
    return call_alive(c) ? 0 : -ESRCH;
}

int call_write(const struct call *c, uint64_t to, const void *from, size_t n)
{
    /* What is local is only read. */
    const struct vm_range range = {to, (void *)(uintptr_t)from, n};
    int r = call_alive(c) ? vm_write(c->tid, &range, 1) : -ESRCH;

    if (r < 0 || !n)
        return r;
    return call_alive(c) ? 0 : -ESRCH;
}

int call_read_ranges(const struct call *c, const struct vm_range *v, size_t n)
{
    return vm_read(c->tid, v, n);
}

int call_write_ranges(const struct call *c, const struct vm_range *v, size_t n)
{
    return call_alive(c) ? vm_write(c->tid, v, n) : -ESRCH;
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

    return theirs < 0 ? -errno : theirs;
}
