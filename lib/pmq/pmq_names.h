/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of queues that appear and vanish in the caller's IPC namespace, as it happens. */
#pragma once

#include <stdbool.h>

#include "errinfo.h"

struct pmq_names;

/**
 * pmq_names_open() - begin to watch
 * @ret: release with pmq_names_close()
 * @e: why not
 *
 * Through inotify on the namespace's mqueue filesystem.
 *
 * Return: 0; -EPERM where that is not mounted and may not be; …
 */
int pmq_names_open(struct pmq_names **ret, struct err *e);
void pmq_names_close(struct pmq_names *n);
void pmq_names_closep(struct pmq_names **n);

/* Readable when there is something. */
int pmq_names_fd(const struct pmq_names *n);

/* @name is "/name". A value other than 0 stops the reading and is returned. */
typedef int (*pmq_name_fn)(const char *name, bool created, void *ctx);

/**
 * pmq_names_read() - visit what has happened, in order, without waiting
 *
 * Return: 0, what @visit returned, or -errno; -ENOBUFS when the kernel had to drop some.
 */
int pmq_names_read(struct pmq_names *n, pmq_name_fn visit, void *ctx);
