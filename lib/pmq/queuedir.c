/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The directory of an IPC namespace's POSIX queues, wherever it is mounted, or nowhere. */
#include "queuedir.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "ipcns.h"

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

int pmq_queuedir_open(int ns)
{
    int dir = ns < 0 ? open_own() : -EPERM;

    return dir == -EPERM ? ipcns_call(ns, list_inside, NULL) : dir;
}
