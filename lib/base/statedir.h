/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The directory in which journals and saved queues survive a killed process: $IPCBOX_STATE_DIR,
 * else /var/lib/ipcbox for root, else $XDG_STATE_HOME/ipcbox or ~/.local/state/ipcbox.
 */
#pragma once

#include <stddef.h>

#include "errinfo.h"

/**
 * statedir_path() - get its name
 * @out: buffer of @size bytes
 *
 * Return: 0; -ENOTDIR when the environment does not say where it is; -ENAMETOOLONG.
 */
int statedir_path(char *out, size_t size, struct err *e);

/**
 * statedir_open() - open it, and create it if necessary
 *
 * Only its owner may write to it; unless that is root, only its owner may read it. An existing
 * directory that others may write to is refused.
 *
 * Return: a descriptor of the directory, or -errno with a reason.
 */
int statedir_open(struct err *e);
