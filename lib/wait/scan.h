/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between scan.c and the two sources of processes: /proc, and BPF. */
#pragma once

#include "graph.h"

struct file_system {
    uint64_t dev;
    bool queues;
};

/**
 * struct scan - state of one scan, beside the graph that it fills
 * @net_seen: inode numbers of the network namespaces that were met
 * @net_fds: those of them that could be opened
 * @systems: file systems without a device of which is known whether they hold message queues
 */

struct scan {
    struct graph *g;
    uint64_t *net_seen;
    int *net_fds;
    size_t n_net, net_room, n_fds, fds_room;
    struct file_system *systems;
    size_t n_systems, systems_room;
};

/* The control groups of a process. @key: not 0 for what threads of the same groups share. */
int scan_add_cgroup(struct graph *g, pid_t pid, uint64_t key, uint32_t *out);

/* Notes a network namespace, to list its sockets later; @inode 0: ask /proc. */
int scan_add_net(struct scan *s, pid_t pid, uint64_t inode);

int scan_add_system(struct scan *s, uint64_t dev, bool queues);

/* Whether a thread in this state, as ps(1) shows it, is stopped or traced. */
static inline bool scan_is_stopped(char state)
{
    return state == 'T' || state == 't';
}

/* Processes, their threads and descriptors. Return: 0 or -errno. */
int scan_proc(struct scan *s);
int scan_bpf(const struct graph_bpf *b, struct scan *s, struct err *e);
