/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A file that tells the process that keeps a channel, and goes with it. */
#pragma once

#include "errinfo.h"

struct pidfile;

/**
 * pidfile_write() - write this process's number into a file
 * @path: the file; one that a dead process left is taken over
 * @ret: to be removed by pidfile_remove(), in this process
 * @e: why not
 *
 * Return: 0; -EBUSY when a living process has it; or what the system said.
 */
int pidfile_write(const char *path, struct pidfile **ret, struct err *e);

/* Removes the file. NULL is fine. */
void pidfile_remove(struct pidfile *p);
