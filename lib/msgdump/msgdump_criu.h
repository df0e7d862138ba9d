/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The queues of a process tree, for a checkpoint. CRIU handles the descriptors as external files,
 * named file[MOUNT:INODE]; the queues that they refer to are saved beside its images.
 */
#pragma once

#include "msgdump.h"

#define MSGDUMP_CRIU_FILE "mqueues.dump"

/**
 * struct msgdump_file - a queue as CRIU names it
 * @mnt_id, @ino: mount and inode of a descriptor
 * @pid, @fd: when read from a tree: one descriptor with these numbers
 * @queue: when read from a dump: number of the queue in it
 */
struct msgdump_file {
    uint64_t mnt_id;
    uint64_t ino;
    pid_t pid;
    int fd;
    size_t queue;
};

/**
 * struct msgdump_tree - a process tree's queues
 * @root: its first process
 * @files, @n: each pair of mount and inode once; those of the same inode follow one another
 * @ipc_ns: the tree's IPC namespace; 0 when it is the caller's
 * @mounts, @n_mounts: mount points of queues in its first process, if these are not mounted in the
 *   caller's place
 * @user_ns: one of its processes is in another user namespace than the caller
 */
struct msgdump_tree {
    pid_t root;
    struct msgdump_file *files;
    size_t n;
    uint64_t ipc_ns;
    char **mounts;
    size_t n_mounts;
    bool user_ns;
};

/* Reads the process and all its descendants. Return: 0; -ESRCH, -EACCES, … with a reason. */
int msgdump_tree_read(pid_t root, struct msgdump_tree *out, struct err *e);
void msgdump_tree_done(struct msgdump_tree *t);

/**
 * msgdump_tree_has_queues() - whether a checkpoint involves queues
 * @t: the tree
 *
 * This is so when a process has one open, or when its own IPC namespace contains a POSIX or System
 * V queue.
 *
 * Return: 1, 0, or -errno with a reason.
 */
int msgdump_tree_has_queues(const struct msgdump_tree *t, struct err *e);

/**
 * struct msgdump_tree_sysv - System V queues of a tree's own IPC namespace, which criu restores
 * @n: number of queues
 * @creators: number of those that had another creator than root, and will have root as creator
 */
struct msgdump_tree_sysv {
    unsigned int n;
    unsigned int creators;
};

/**
 * msgdump_tree_sysv() - check whether criu will restore these queues as they are
 * @t: the tree
 * @out: what was found, also after a failure
 * @e: the reason of a failure
 *
 * Return: 0; -EOPNOTSUPP for a queue that would be restored differently or not at all; -errno.
 */
int msgdump_tree_sysv(const struct msgdump_tree *t, struct msgdump_tree_sysv *out, struct err *e);

/* Checks whether all queues in its namespaces could be restored. Return: as above. */
int msgdump_tree_check(const struct msgdump_tree *t, struct err *e);

/**
 * msgdump_tree_save() - write its queues, and the names that CRIU gives them
 * @tell: called for each registered notification, because a checkpoint loses it
 *
 * The tasks must be frozen. If other processes move messages meanwhile, the result is -EBUSY.
 */
int msgdump_tree_save(const struct msgdump_tree *t, const struct msgq_peek_opts *peek,
                      const char *tool, FILE *stream,
                      void (*tell)(void *ctx, const char *queue, pid_t pid), void *ctx,
                      struct err *e);

/**
 * struct msgdump_checkpoint - what msgdump_tree_save() writes in addition to the queues
 * @own_ipc_ns: the tree had its own IPC namespace
 * @limits: the limits of that namespace
 * @files, @n: the descriptors, with the number of their queue
 * @n_queues: number of queues, including those that no process had open
 */
struct msgdump_checkpoint {
    bool own_ipc_ns;
    struct pmq_limits limits;
    struct msgdump_file *files;
    size_t n;
    size_t n_queues;
};

/* Reads the whole dump and rewinds it. */
int msgdump_checkpoint_read(struct dump_reader *r, struct msgdump_checkpoint *out, struct err *e);
void msgdump_checkpoint_done(struct msgdump_checkpoint *c);
