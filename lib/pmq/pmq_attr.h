/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attributes of a queue from nothing but a descriptor: what the files of this directory share. */
#pragma once

#include "pmq.h"

/* Magic number of the mqueue file system; linux/magic.h has none (ipc/mqueue.c). */
#define PMQ_FS_MAGIC 0x19800202

/* As pmq_queue_attr() and pmq_queue_attr_basic(); -EBADF when @fd is no queue. */
int pmq_fd_attr(int fd, struct pmq_attr *out);
int pmq_fd_attr_basic(int fd, struct pmq_attr *out);

/*
 * The queue's name from what a link in /proc/PID/fd says: "/NAME", "/dev/mqueue/NAME", for an
 * @unlinked one with " (deleted)" behind it; "" when there is none.
 */
void pmq_name_from_link(const char *link, bool unlinked, char out[PMQ_NAME_MAX + 2]);

/* The reason why nothing works where the kernel has no queues. Return: -ENOSYS. */
int pmq_no_queues(struct err *e);
