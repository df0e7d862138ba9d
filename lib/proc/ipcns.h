/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Other IPC namespaces. A short-lived child enters them; this process stays in its own. */
#pragma once

#include <sys/types.h>

#include "errinfo.h"

/**
 * ipcns_open() - open the IPC namespace of a process
 * @pid: the process
 * @ret: its descriptor (O_CLOEXEC), which the caller closes; -1 where it is the caller's own
 *   namespace
 * @e: the reason of a failure
 *
 * Return: 0; -ESRCH, -EACCES, ... with a reason.
 */
int ipcns_open(pid_t pid, int *ret, struct err *e);

/**
 * ipcns_open_path() - open an IPC namespace by a path
 * @path: a file that the namespace is bound to, or a link in /proc
 *
 * Return: a descriptor (O_CLOEXEC); -EINVAL when the file is not a namespace: then it is not
 * opened; or the error of open().
 */
int ipcns_open_path(const char *path);

/**
 * ipcns_call() - open something in an IPC namespace
 * @ns: its descriptor, from /proc/PID/ns/ipc; negative for the caller's own
 * @open_inside: runs in the child; returns a descriptor or -errno
 * @ctx: its argument
 *
 * If that is necessary, the child also enters the user namespace that owns the IPC namespace.
 *
 * Return: the descriptor, O_CLOEXEC, or -errno; -EPERM when the namespace may not be entered.
 */
int ipcns_call(int ns, int (*open_inside)(const void *ctx), const void *ctx);

/**
 * ipcns_run() - run a function in an IPC namespace
 * @ns: as above
 * @inside: runs in the child
 * @ctx: its argument; what the function writes there is visible here only in shared memory
 *   (MAP_SHARED)
 *
 * Return: what @inside returned, or -errno; -EIO for a child that was killed.
 */
int ipcns_run(int ns, int (*inside)(void *ctx), void *ctx);

/* Moves this thread into the namespace for good. Return: 0 or -errno. */
int ipcns_enter(int ns);

/* Explains in @e that the namespace of @pid may not be entered. Return: -EPERM. */
int ipcns_denied(pid_t pid, struct err *e);
