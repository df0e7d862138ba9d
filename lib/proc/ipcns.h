/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Other IPC namespaces, which a short-lived child enters: this process stays where it is. */
#pragma once

#include <sys/types.h>

#include "errinfo.h"

/**
 * ipcns_open() - the IPC namespace of a process
 * @pid: the process
 * @ret: its descriptor, O_CLOEXEC, the caller's; -1 where it is the caller's own namespace
 * @e: why not
 *
 * Return: 0; -ESRCH, -EACCES, ... with a reason.
 */
int ipcns_open(pid_t pid, int *ret, struct err *e);

/**
 * ipcns_open_path() - open an IPC namespace by a file that leads to it
 * @path: a file that it is bound to, or a link in /proc
 *
 * Return: a descriptor (O_CLOEXEC); -EINVAL when the file is something else, which is not opened;
 * or what open() said.
 */
int ipcns_open_path(const char *path);

/**
 * ipcns_call() - open something in an IPC namespace
 * @ns: its descriptor, from /proc/PID/ns/ipc; negative for the caller's own
 * @open_inside: runs in the child; returns a descriptor or -errno
 * @ctx: for it
 *
 * Where that is what it takes, the child also enters the user namespace that owns the IPC
 * namespace.
 *
 * Return: the descriptor, O_CLOEXEC, or -errno; -EPERM when the namespace may not be entered.
 */
int ipcns_call(int ns, int (*open_inside)(const void *ctx), const void *ctx);

/**
 * ipcns_run() - do something in an IPC namespace
 * @ns: as above
 * @inside: runs in the child
 * @ctx: for it; what it writes there comes back only in memory that is shared (MAP_SHARED)
 *
 * Return: what @inside returned, or -errno; -EIO for a child that was killed.
 */
int ipcns_run(int ns, int (*inside)(void *ctx), void *ctx);

/* This thread goes there, and stays. Return: 0 or -errno. */
int ipcns_enter(int ns);

/* Says that the namespace of @pid may not be entered. Return: -EPERM. */
int ipcns_denied(pid_t pid, struct err *e);
