/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The directory of an IPC namespace's POSIX queues. */
#pragma once

/**
 * pmq_queuedir_open() - open the directory of a namespace's queues
 * @ns: descriptor of the IPC namespace; negative for the caller's own
 *
 * A mount of its mqueue file system that is attached to no tree.
 *
 * Return: a directory descriptor, or -errno.
 */
int pmq_queuedir_open(int ns);
