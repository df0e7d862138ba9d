/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where journals and saved queues are kept over a kill: $IPCBOX_STATE_DIR, else /var/lib/ipcbox for
 * root, else $XDG_STATE_HOME/ipcbox or ~/.local/state/ipcbox.
 */
#pragma once

#include <stddef.h>

#include "errinfo.h"

/**
 * statedir_path() - its name
 * @out: room for @size bytes
 *
 * Return: 0; -ENOTDIR when the environment does not tell; -ENAMETOOLONG.
 */
int statedir_path(char *out, size_t size, struct err *e);

/**
 * statedir_open() - open it, and make it first if need be
 *
 * Made so that only its owner writes to it, and only its owner reads it unless that is root; one
 * that others may write to is refused.
 *
 * Return: a directory's descriptor, or -errno with a reason.
 */
int statedir_open(struct err *e);
