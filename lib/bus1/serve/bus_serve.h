/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The embedded bus behind a file: open() makes a peer, and the four ioctls work on it, for any
 * process that may open the file.
 *
 * A directory PATH.d beside it becomes a FUSE mount that holds
 *     bus1     what clients open; PATH is a symbolic link to it
 *     debug    the peers, nodes, handles and messages, as lines of text: everything for root and
 *              the server's user, for others only their own peers
 *     traffic  all events of the bus from now on, for root and the server's user
 *     record   the same, preceded by what exists already, and with the data of the messages
 *     peer-N   the messages that wait for the peer whose file has inode number N
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "bus.h"
#include "errinfo.h"

/**
 * struct b1_serve_config - how to serve
 * @path: the file that clients open; it must not exist
 * @limits: the limits of the bus
 * @defects: B1_DEFECT_*; only in a build for tests (bus_defects.h)
 * @all_users: whether other users may open the file
 * @note: called with a message when something goes wrong while serving; any thread may call it. May
 *   be NULL
 * @ctx: first argument of @note
 */
struct b1_serve_config {
    const char *path;
    struct b1_limits limits;
#ifdef BUS1_RFC_DEFECTS
    unsigned int defects;
#endif
    bool all_users;
    void (*note)(void *ctx, const char *text);
    void *ctx;
};

struct b1_serve;

/* Mounts the file system. Return: 0 or -errno, with the reason in @e. */
int b1_serve_open(const struct b1_serve_config *cfg, struct b1_serve **ret, struct err *e);

/*
 * Serves until @stop_fd is readable, or until somebody else unmounts it. Clients that still have it
 * open then get ENOTCONN. Return: 0 or -errno.
 */
int b1_serve_run(struct b1_serve *s, int stop_fd);

/* Unmounts, and removes what b1_serve_open() made. NULL is allowed. */
void b1_serve_close(struct b1_serve *s);
