/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All buses and peers that can be seen, as list and graph show them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "buf.h"
#include "errinfo.h"

/* A handle of a peer, and what it refers to: index of the peer, or -1 when that is not known. */
struct view_handle {
    uint64_t id;
    ssize_t to;
    uint64_t owner;
    uint64_t node;
    bool waiting;
};

/**
 * struct view_peer - a peer; of a bus that does not tell, one for each descriptor
 * @bus: where it is mounted, or the device
 * @dev, @ino: identity of its file on a served bus
 * @known: the counts and arrays below are
 * @holders: "PID:FD COMM, …"
 */
struct view_peer {
    char *bus;
    dev_t dev;
    uint64_t ino;
    bool known;
    uint64_t serial;
    uint64_t pid;
    uint64_t uid;
    uint64_t messages;
    uint64_t bytes;
    uint64_t *nodes;
    size_t n_nodes;
    struct view_handle *handles;
    size_t n_handles;
    struct buf holders;
};

struct view {
    struct view_peer *peers;
    size_t n;
};

/* Looks. Return: 0 or -errno. Processes and buses that may not be seen are left out. */
int view_read(struct view *v, struct err *e);
void view_done(struct view *v);
