/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Other IPC namespaces, entered by a short-lived child: this process stays where it is. */
#pragma once

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
 * ipcns_list() - open the directory of a namespace's queues
 * @ns: as above
 *
 * A mount of its mqueue file system that is attached to no tree.
 *
 * Return: a directory descriptor, or -errno.
 */
int ipcns_list(int ns);
