/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All buses and peers that can be seen, as list and graph show them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "errinfo.h"
#include "proc.h"

/* A handle of a peer, and the peer that owns its node: its index, or -1 when that is not known. */
struct view_handle {
    uint64_t id;
    ssize_t to;
    uint64_t owner;
    uint64_t node;
    bool waiting;
};

struct view_holder {
    uint32_t pid;
    uint32_t fd;
    char comm[PROC_COMM_SIZE];
};

/**
 * struct view_peer - a peer; for a bus that does not describe itself, one for each open file
 * @bus: where it is mounted, or the device
 * @dev, @ino: identity of its file on a served bus
 * @known: the bus has reported the counts and arrays below
 * @holders: the descriptors that are open on the peer
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
    struct view_holder *holders;
    size_t n_holders;
};

/**
 * struct view - all peers that can be seen
 * @peers, @n: the peers
 * @hidden_processes: how many processes the caller may not inspect: their descriptors are not seen
 * @hidden_buses: how many served buses do not answer the caller, for another user's server offers
 *   them to that user alone
 * @partial_buses: how many served buses show the caller its own peers only
 * @cannot_compare: the kernel does not tell whether two descriptors share a file (kcmp(2)): a peer
 *   of the device that several descriptors share is listed once for each
 */
struct view {
    struct view_peer *peers;
    size_t n;
    size_t hidden_processes;
    size_t hidden_buses;
    size_t partial_buses;
    bool cannot_compare;
};

/* Collects all buses and peers. Return: 0 or -errno. */
int view_read(struct view *v, struct err *e);
void view_done(struct view *v);
