/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Access to other IPC namespaces. setns() would move the calling thread, so a child enters the
 * namespace, does the work and hands back the result.
 */
#include "ipcns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "descriptors.h"
#include "proc.h"

int ipcns_enter(int ns)
{
    int owner;

    if (ns < 0 || setns(ns, CLONE_NEWIPC) == 0)
        return 0;
    if (errno != EPERM)
        return -errno;
    owner = ioctl(ns, NS_GET_USERNS);
    if (owner < 0 || setns(owner, CLONE_NEWUSER) < 0 || setns(ns, CLONE_NEWIPC) < 0)
        return -EPERM;
    return 0;
}

int ipcns_open_path(const char *path)
{
    _cleanup_(closep) int at = open(path, O_PATH | O_CLOEXEC), ns = -1;
    char self[64];
    struct statfs fs;

    /* Checked before it is opened, because opening a pipe or a device has effects. */
    if (at < 0)
        return -errno;
    if (fstatfs(at, &fs) < 0 || fs.f_type != NSFS_MAGIC)
        return -EINVAL;
    snprintf(self, sizeof(self), "/proc/self/fd/%d", at);
    ns = open(self, O_RDONLY | O_CLOEXEC);
    if (ns < 0)
        return -errno;
    return ioctl(ns, NS_GET_NSTYPE) == CLONE_NEWIPC ? TAKE_FD(ns) : -EINVAL;
}

/* Sends an errno as the payload, with the descriptor attached. */
static void send_result(int sock, int fd)
{
    int code = MIN(fd, 0);

    (void)descriptor_send(sock, &code, sizeof(code), fd);
}

static int receive_result(int sock)
{
    int code, fd;
    ssize_t n = descriptor_receive(sock, &code, sizeof(code), &fd);

    if (n < 0)
        return (int)n;
    if (n != sizeof(code))
        return -EIO;
    if (code < 0)
        return code;
    return fd < 0 ? -EIO : fd;
}

int ipcns_call(int ns, int (*open_inside)(const void *ctx), const void *ctx)
{
    int sock[2], fd;
    pid_t child;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock) < 0)
        return -errno;
    child = fork();
    if (child == 0) {
        int r = ipcns_enter(ns);

        send_result(sock[1], r < 0 ? r : open_inside(ctx));
        _exit(0);
    }
    fd = child < 0 ? -errno : 0;
    close(sock[1]);
    if (child > 0) {
        fd = receive_result(sock[0]);
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    close(sock[0]);
    return fd;
}

int ipcns_run(int ns, int (*inside)(void *ctx), void *ctx)
{
    int *result = mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                       -1, 0);
    pid_t child;
    int r;

    if (result == MAP_FAILED)
        return -errno;
    *result = -EIO; /* the result if the child is killed */
    child = fork();
    if (child == 0) {
        r = ipcns_enter(ns);
        *result = r < 0 ? r : inside(ctx);
        _exit(0);
    }
    r = child < 0 ? -errno : 0;
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    r = r < 0 ? r : *result;
    munmap(result, sizeof(*result));
    return r;
}

/* Tells whether the namespace is that of this process. */
static bool is_own(int ns)
{
    struct stat own, other;

    return fstat(ns, &other) == 0 && stat("/proc/self/ns/ipc", &own) == 0 &&
           own.st_ino == other.st_ino && own.st_dev == other.st_dev;
}

int ipcns_open(pid_t pid, int *ret, struct err *e)
{
    _cleanup_(closep) int proc = proc_open(NULL);
    _cleanup_(closep) int ns = proc < 0 ? proc : proc_ns_open(proc, pid, "ipc");

    if (proc < 0)
        return proc_missing(proc, e);
    if (ns < 0)
        return proc_refused(pid, ns, e);
    *ret = is_own(ns) ? -1 : TAKE_FD(ns);
    return 0;
}

int ipcns_denied(pid_t pid, struct err *e)
{
    return err_set(e, -EPERM, geteuid() ? "run as root" : NULL,
                   "not permitted to enter process %d's IPC namespace", (int)pid);
}
