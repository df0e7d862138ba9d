/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Queues that are being restored, or were when the restore was killed: the journal that a restore
 * writes, and what reading all journals tells. A queue in one is not yet what it will be.
 *
 * A journal is lines of text in the state directory, each added by one write, held under a lock
 * while its restore runs. It outlives a kill, not a reboot, as queues do.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "pmq.h"

struct pmq_restoring;

/* ---- writing ---- */

/* Begins a journal. Return: 0 or -errno with a reason. */
int pmq_restoring_new(struct pmq_restoring **ret, struct err *e);

/* Before a queue is created. */
int pmq_restoring_make(struct pmq_restoring *j, const char *name, uint32_t mode);
/* After that: its identity. */
int pmq_restoring_made(struct pmq_restoring *j, const char *name, uint64_t dev, uint64_t ino);
/* Before a queue, @dev and @ino, is unlinked that was saved to @path. */
int pmq_restoring_replaces(struct pmq_restoring *j, const char *name, const char *path,
                           uint64_t dev, uint64_t ino);
/* Before a queue is created that was replaced: @path is where it was saved. */
int pmq_restoring_from(struct pmq_restoring *j, const char *name, const char *path);
/* Before @count messages are appended to a queue; and how many of them were. */
int pmq_restoring_append(struct pmq_restoring *j, const char *name, uint64_t count);
int pmq_restoring_appended(struct pmq_restoring *j, const char *name, uint64_t n);
/* All queues are full: from here on a kill is followed by finishing, not by removing. */
int pmq_restoring_filled(struct pmq_restoring *j);
/* Before what was made is removed: from here on a kill is followed by removing. */
int pmq_restoring_undo(struct pmq_restoring *j);

/* Removes the journal: everything is done, or undone. */
void pmq_restoring_end(struct pmq_restoring *j);
/* Leaves the journal to a recovery: not everything is. */
void pmq_restoring_leave(struct pmq_restoring *j);

/* ---- reading ---- */

/**
 * struct pmq_unfinished - a queue of a journal
 * @name: the queue
 * @planned: it was to be made, so what has its name may be ours
 * @mode: permission bits that it is to have
 * @dev, @ino: its identity; @ino is 0 when it had not been created, or its creation was not noted
 * @ipc_ns: its IPC namespace
 * @replaces: file with the queue that it replaces, or NULL
 * @old_dev, @old_ino: identity of that queue
 * @from: file with the queue that was replaced, which this one puts back, or NULL
 * @append, @appended: messages to append, and how many were for certain; @append is 0 for a queue
 *   that is created
 * @filled: everything is in it, only modes were missing
 * @running: that restore is still at work
 * @journal: its number, for pmq_unfinished_forget()
 */
struct pmq_unfinished {
    char *name;
    bool planned;
    uint32_t mode;
    uint64_t dev;
    uint64_t ino;
    uint64_t ipc_ns;
    char *replaces;
    uint64_t old_dev;
    uint64_t old_ino;
    char *from;
    uint64_t append;
    uint64_t appended;
    bool filled;
    bool running;
    size_t journal;
};

struct pmq_unfinished_set {
    struct pmq_unfinished *v;
    size_t n;
    struct pmq_unfinished_journal *journals;
    size_t n_journals;
};

/**
 * pmq_unfinished_read() - read all journals
 * @claim: lock those whose restore is dead, until the set is freed; they are not @running then
 *
 * Journals of an earlier boot are removed. Return: 0 (also when there are none) or -errno.
 */
int pmq_unfinished_read(bool claim, struct pmq_unfinished_set *out, struct err *e);

/* Whether a queue is incomplete: in a journal, and without permissions yet. */
const struct pmq_unfinished *pmq_unfinished_find(const struct pmq_unfinished_set *s,
                                                 const struct pmq_attr *a, uint64_t ipc_ns);

/* Removes a claimed journal. */
void pmq_unfinished_forget(struct pmq_unfinished_set *s, size_t journal);
void pmq_unfinished_done(struct pmq_unfinished_set *s);

/* Inode number of the caller's IPC namespace; 0 when it cannot be known. */
uint64_t pmq_own_ipc_ns(void);
