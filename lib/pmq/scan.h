/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside lib/pmq: a listing while it is made, by scan.c (processes) and scan_names.c (names). */
#pragma once

#include "buf.h"
#include "pmq_set.h"

/**
 * struct space - an IPC namespace that has been looked at
 * @ino: its inode number
 * @dev: device number of its mqueue file system; 0 when its queues could not be listed
 * @pid, @path: as ns_pid and ns_path of struct pmq_info
 */
struct space {
    uint64_t ino;
    uint64_t dev;
    pid_t pid;
    const char *path;
};

/**
 * struct scan - a listing while it is made
 * @flags, @pid: as pmq_scan() got them
 * @proc: /proc
 * @spaces: the caller's own first
 * @mounts: where mqueue file systems are mounted, in any mount namespace that was seen: paths, each
 *   ended by a NUL
 * @mount_spaces: inode numbers (uint64_t) of the mount namespaces that were asked for them
 * @holder: of the descriptor that was seen last; its process's fields serve the next one, too
 * @n_matches: descriptors of queues in the process that is being looked at
 * @denied, @denied_threads: processes and threads that could not be looked into
 * @denied_spaces, @hidden_spaces: namespaces that could not be entered, and processes whose
 * namespace is not told
 * @own_proven: the directory that was listed is that of the caller's own namespace
 */
struct scan {
    unsigned int flags;
    pid_t pid;
    int proc;
    struct set_builder b;
    struct space *spaces;
    size_t n_spaces;
    struct buf mounts;
    struct buf mount_spaces;
    struct pmq_holder holder;
    size_t n_matches;
    size_t denied;
    size_t denied_threads;
    size_t denied_spaces;
    size_t hidden_spaces;
    bool own_proven;
};

/* Lists the names in the caller's own namespace, which becomes s->spaces[0]. */
int scan_own_names(struct scan *s);

/* Lists those of every other namespace that a process is in. */
int scan_other_names(struct scan *s);

/*
 * Lists those of a namespace that no process needs to be in. @link: "ipc:[NUMBER]", anything else
 * is ignored; @path: what leads to it.
 */
int scan_kept_names(struct scan *s, const char *link, const char *path);

/* Finds a namespace by the device number of its mqueue file system. */
const struct space *scan_space_of(const struct scan *s, uint64_t dev);

/*
 * All of a queue that the caller may read, else what stat() tells anybody. Return: -ENOENT when it
 * has gone.
 */
int scan_look_at(int dir, const char *name, struct pmq_info *q);

/* Whether mq_open() leads to that queue by its name: then it is of the caller's own namespace. */
bool scan_is_own(const char *name, uint64_t dev, uint64_t ino);

/**
 * holders_ask() - ask the kernel through BPF who has the queues of a listing open
 * @b: the listing: its holders are replaced, and holders_complete is set
 * @waiters: blocked threads, too, and waiters_complete
 * @threads_denied: in processes that could be looked into, threads could not
 * @e: why not
 *
 * Return: 0; -EPERM, -EOPNOTSUPP; -EAGAIN when processes came and went all the time. The listing is
 * as it was, but for -ENOMEM.
 */
int holders_ask(struct set_builder *b, bool waiters, bool threads_denied, struct err *e);
