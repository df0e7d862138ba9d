/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by scan.c and the two sources of processes: /proc and BPF. */
#pragma once

#include "graph.h"

struct file_system {
    uint64_t dev;
    bool queues;
};

/**
 * struct scan - state of one scan, in addition to the graph that it fills
 * @net_seen: inode numbers of the network namespaces that were found
 * @net_fds: descriptors of those that could be opened
 * @systems: file systems without a device, with whether they hold message queues
 */

struct scan {
    struct graph *g;
    uint64_t *net_seen;
    int *net_fds;
    size_t n_net, net_room, n_fds, fds_room;
    struct file_system *systems;
    size_t n_systems, systems_room;
};

/*
 * Finds the control groups of a process. @key: a number that threads of the same groups share; 0:
 * none.
 */
int scan_add_cgroup(struct graph *g, pid_t pid, uint64_t key, uint32_t *out);

/*
 * Notes a network namespace whose sockets are listed later. @inode 0: read its number from /proc.
 */
int scan_add_net(struct scan *s, pid_t pid, uint64_t inode);

int scan_add_system(struct scan *s, uint64_t dev, bool queues);

/* Tells whether a thread in this state, as ps(1) shows it, is stopped or traced. */
static inline bool scan_is_stopped(char state)
{
    return state == 'T' || state == 't';
}

/* Adds processes, their threads and descriptors. Return: 0 or -errno. */
int scan_proc(struct scan *s);
int scan_bpf(const struct graph_bpf *b, struct scan *s, struct err *e);
