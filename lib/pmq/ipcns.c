/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Other IPC namespaces. setns() concerns the whole thread, so a child goes there, opens what is
 * wanted and hands the descriptor back.
 */
#include "ipcns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"

/* Joins the namespace, and the one that owns it where that is what it takes. */
static int enter(int ns)
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

/* An errno as payload, the descriptor beside it. */
union fd_message {
    struct cmsghdr align;
    char control[CMSG_SPACE(sizeof(int))];
};

static void send_result(int sock, int fd)
{
    union fd_message u = {0};
    int code = fd < 0 ? fd : 0;
    struct iovec iov = {.iov_base = &code, .iov_len = sizeof(code)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    struct cmsghdr *c;

    if (fd >= 0) {
        msg.msg_control = u.control;
        msg.msg_controllen = sizeof(u.control);
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    }
    (void)sendmsg(sock, &msg, MSG_NOSIGNAL);
}

static int receive_result(int sock)
{
    union fd_message u;
    int code = 0, fd;
    struct iovec iov = {.iov_base = &code, .iov_len = sizeof(code)};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = u.control,
        .msg_controllen = sizeof(u.control),
    };
    struct cmsghdr *c;
    ssize_t n;

    do
        n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    if (n != sizeof(code))
        return -EIO;
    if (code < 0)
        return code;
    c = CMSG_FIRSTHDR(&msg);
    if (!c || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(int)))
        return -EIO;
    memcpy(&fd, CMSG_DATA(c), sizeof(fd));
    return fd;
}

int ipcns_call(int ns, int (*open_inside)(const void *ctx), const void *ctx)
{
    int sock[2], fd;
    pid_t child;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock) < 0)
        return -errno;
    child = fork();
    if (child == 0) {
        int r = enter(ns);

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

/* ---- the file system of a namespace ---- */

static int open_detached(void)
{
    _cleanup_(closep) int fs = fsopen("mqueue", FSOPEN_CLOEXEC);
    _cleanup_(closep) int mnt = -1;
    int dir;

    if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return -errno;
    mnt = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    if (mnt < 0)
        return -errno;
    /* A directory that is open outlives its mount. */
    dir = openat(mnt, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir < 0 ? -errno : dir;
}

static int list_inside(const void *ctx)
{
    int dir = open_detached();

    (void)ctx;
    /* Mounting takes rights over the mount namespace, too: a new one belongs to the caller. */
    if (dir == -EPERM && unshare(CLONE_NEWNS) == 0)
        dir = open_detached();
    return dir;
}

/*
 * The directory of this process's own namespace, kept open: a process that goes on for long can
 * list its queues again and again after it has given up the privilege to mount.
 */
static int open_own(void)
{
    static int kept = -1;
    static ino_t kept_ns;
    struct stat ns;
    int dir;

    if (stat("/proc/self/ns/ipc", &ns) < 0)
        return -errno;
    if (kept < 0 || kept_ns != ns.st_ino) {
        dir = open_detached();
        if (dir < 0)
            return dir;
        closep(&kept);
        kept = dir;
        kept_ns = ns.st_ino;
    }
    /* A description of its own: it has the position of who reads it. */
    dir = openat(kept, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir < 0 ? -errno : dir;
}

int ipcns_list(int ns)
{
    int dir = ns < 0 ? open_own() : -EPERM;

    return dir == -EPERM ? ipcns_call(ns, list_inside, NULL) : dir;
}
