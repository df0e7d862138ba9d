/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The queues of a process tree, for a checkpoint: CRIU keeps the descriptors as external files,
 * named file[MOUNT:INODE]; the queues behind them are saved beside its images.
 */
#pragma once

#include "msgdump.h"

#define MSGDUMP_CRIU_FILE "mqueues.dump"

/**
 * struct msgdump_file - a queue as CRIU names it
 * @mnt_id, @ino: of a descriptor
 * @pid, @fd: one descriptor of that kind, for a tree
 * @queue: number of the queue in the dump, when it was read back
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
 * @files, @n: each pair of mount and inode once, those of an inode together
 * @ipc_ns: the tree's IPC namespace; 0 when it is the caller's
 * @mounts, @n_mounts: where its first process has queues mounted, if not where the caller has
 * @user_ns: a process of it is in another user namespace than the caller
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

/* Looks at the process and all its descendants. Return: 0; -ESRCH, -EACCES, … with a reason. */
int msgdump_tree_read(pid_t root, struct msgdump_tree *out, struct err *e);
void msgdump_tree_done(struct msgdump_tree *t);

/**
 * msgdump_tree_has_queues() - whether a checkpoint has anything to do with queues
 * @t: the tree
 *
 * It has when a process has one open, or when there is one in an IPC namespace of its own, of POSIX
 * or of System V.
 *
 * Return: 1, 0, or -errno with a reason.
 */
int msgdump_tree_has_queues(const struct msgdump_tree *t, struct err *e);

/**
 * struct msgdump_tree_sysv - System V queues of a tree's own IPC namespace, which criu restores
 * @n: how many
 * @creators: of these, those that will have root as their creator, and had another
 */
struct msgdump_tree_sysv {
    unsigned int n;
    unsigned int creators;
};

/**
 * msgdump_tree_sysv() - whether criu will restore them as they are
 * @t: the tree
 * @out: also after a failure, what was seen
 * @e: why not
 *
 * Return: 0; -EOPNOTSUPP for a queue that would be another, or could not be restored; -errno.
 */
int msgdump_tree_sysv(const struct msgdump_tree *t, struct msgdump_tree_sysv *out, struct err *e);

/* Whether it could be restored, all that is in its namespaces. Return: as above. */
int msgdump_tree_check(const struct msgdump_tree *t, struct err *e);

/**
 * msgdump_tree_save() - write its queues, and how CRIU names them
 * @tell: called for each registered notification, which a checkpoint loses
 *
 * The tasks must be frozen. Messages that others moved meanwhile are an error: -EBUSY.
 */
int msgdump_tree_save(const struct msgdump_tree *t, const struct msgq_peek_opts *peek,
                      const char *tool, FILE *stream,
                      void (*tell)(void *ctx, const char *queue, pid_t pid), void *ctx,
                      struct err *e);

/**
 * struct msgdump_checkpoint - what msgdump_tree_save() wrote beside the queues
 * @own_ipc_ns: the tree had an IPC namespace of its own
 * @limits: that namespace's
 * @files, @n: descriptors, by the number of their queue
 * @n_queues: queues, those that no process had open among them
 */
struct msgdump_checkpoint {
    bool own_ipc_ns;
    struct pmq_limits limits;
    struct msgdump_file *files;
    size_t n;
    size_t n_queues;
};

/* Reads all of it and rewinds. */
int msgdump_checkpoint_read(struct dump_reader *r, struct msgdump_checkpoint *out, struct err *e);
void msgdump_checkpoint_done(struct msgdump_checkpoint *c);
