/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * POSIX queues as records of a dump: above lib/pmq and lib/dump, below the applets.
 *
 * A dump of kind "queues" has a "queue" record, then its "message" records in receive order, then
 * the next queue. The queue that a message names must be the one that it follows.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "dump.h"
#include "errinfo.h"
#include "pmq.h"

#define MSGDUMP_KIND         "queues"
#define MSGDUMP_KIND_TRAFFIC "traffic"

/**
 * struct msgdump_queue - a queue as a dump has it
 * @name: with its slash
 * @maxmsg, @msgsize, @mode, @uid, @gid: its attributes when it was saved
 * @unlinked: it had no name any more; @name is the last one
 * @torn: messages moved while it was read, so that the content is a mixture of several moments
 * @ipc_ns: its IPC namespace, 0 for the saver's own
 * @line: its line in the dump
 */
struct msgdump_queue {
    char name[PMQ_NAME_MAX + 2];
    uint64_t maxmsg;
    uint64_t msgsize;
    uint32_t mode;
    uint32_t uid;
    uint32_t gid;
    bool unlinked;
    bool torn;
    uint64_t ipc_ns;
    uint64_t line;
};

/* ---- saving ---- */

/**
 * msgdump_save_queue() - write a queue and its messages
 * @w: the dump
 * @p: the peeker
 * @q: the queue
 * @ipc_ns: as in struct msgdump_queue
 * @info: describes the snapshot, on success
 * @e: the reason of a failure
 *
 * A failed write is kept in @w and is not reported here.
 */
int msgdump_save_queue(struct dump_writer *w, struct msgq_peeker *p, const struct pmq_queue *q,
                       uint64_t ipc_ns, struct msgq_snapshot_info *info, struct err *e);

/* ---- walking ---- */

/**
 * struct msgdump_visitor - called for each queue, for each of its messages, and at its end
 *
 * @other is called for records of other types, between the end of a queue and the next one.
 *
 * A result other than 0 stops the walk and is returned. The callbacks set a reason themselves.
 */
struct msgdump_visitor {
    int (*queue)(void *ctx, const struct msgdump_queue *q, struct err *e);
    int (*message)(void *ctx, const struct msgdump_queue *q, const struct msgq_message *m,
                   struct err *e);
    int (*queue_end)(void *ctx, const struct msgdump_queue *q, uint64_t messages, uint64_t bytes,
                     struct err *e);
    int (*other)(void *ctx, struct dump_record *rec, struct err *e);
};

/**
 * msgdump_walk() - read a dump of queues to its end, and check all of it
 * @r: just opened or rewound
 * @v: may have NULL members
 *
 * Every error in the file is found: names, priorities, sizes, more messages than the queue holds,
 * and the errors that dump_reader_next() finds.
 */
int msgdump_walk(struct dump_reader *r, const struct msgdump_visitor *v, void *ctx, struct err *e);

/* ---- restoring ---- */

enum msgdump_action {
    MSGDUMP_CREATE,
    MSGDUMP_REPLACE, /* save the queue that exists, unlink it, create */
    MSGDUMP_APPEND,
    MSGDUMP_KEEP, /* the existing queue is equal */
    MSGDUMP_SKIP, /* not to be restored */
};

/* "create", "replace", "append", "keep", "skip" */
const char *msgdump_action_name(enum msgdump_action a);

/**
 * struct msgdump_item - the action for one queue of a dump
 * @name: the name that it will get
 * @queue: the queue in the dump
 * @messages, @bytes: its messages in the dump
 * @action: the action
 * @saved: file with the queue that it replaced; NULL if it replaced none
 * @done: number of messages that are in the queue
 * @foreign_owner: it belongs to the caller instead of its owner, because only root can change that
 */
struct msgdump_item {
    char *name;
    struct msgdump_queue queue;
    uint64_t messages;
    uint64_t bytes;
    enum msgdump_action action;
    char *saved;
    uint64_t done;
    bool foreign_owner;
    /* private */
    int fd;
    uint64_t dev, ino;
    uint32_t digest;
    bool unlinked_old;
    bool unsure; /* unknown whether it was created: the child that creates it was killed */
};

/**
 * struct msgdump_opts - how to restore
 * @only, @n_only: names (in the dump) of the queues to restore; none: all
 * @renames, @n_renames: "OLD=NEW"
 * @replace, @append: what to do with queues that exist
 * @keep: use a queue that exists as it is when its attributes and messages are equal
 * @leave: by number of a queue: a queue that exists and differs is left as it is; NULL: none is
 * @hide_unlinked: queues that had no name are created under a temporary one, which is removed again
 * @ipc_ns: only queues of this namespace; 0: of all
 * @puts_back: the dump's file, which contains a queue that was replaced: it is removed when that
 *   queue exists again, and SIGINT, SIGTERM and SIGHUP are not handled; NULL: these signals end the
 *   restore as a failure
 * @timeout: how long an append waits for room, ns
 * @peek: for saving queues that are replaced; NULL where none is
 * @tool: the applet's name, which is written into dumps
 */
struct msgdump_opts {
    const char *const *only;
    size_t n_only;
    const char *const *renames;
    size_t n_renames;
    bool replace;
    bool append;
    bool keep;
    const bool *leave;
    bool hide_unlinked;
    const char *puts_back;
    uint64_t ipc_ns;
    uint64_t timeout;
    const struct msgq_peek_opts *peek;
    const char *tool;
};

struct msgdump_plan;

/**
 * msgdump_plan_new() - read the whole dump; check it, the limits, and the existing queues
 * @r: opened with DUMP_REWIND; must outlive the plan
 * @opts: must outlive the plan
 *
 * Nothing is changed. Return: 0; -EEXIST, -EBADMSG, -ENOSPC, …
 */
int msgdump_plan_new(struct dump_reader *r, const struct msgdump_opts *opts,
                     struct msgdump_plan **ret, struct err *e);

const struct msgdump_item *msgdump_plan_items(const struct msgdump_plan *p, size_t *n);

/**
 * msgdump_plan_run() - carry out the plan, all of it or nothing
 *
 * Queues are created with mode 0000, filled, and get their modes when all are full. On a failure,
 * including a signal (-EINTR), created queues are removed, and replaced ones are put back. Appended
 * messages stay: @e says how many. A journal is kept, so that msgdump_recover() can do the same
 * after a kill.
 */
int msgdump_plan_run(struct msgdump_plan *p, struct err *e);

/* The descriptor (O_RDWR) of a queue that was created or kept, owned by the plan; -1 for none. */
int msgdump_plan_fd(const struct msgdump_plan *p, size_t item);
void msgdump_plan_free(struct msgdump_plan *p);
void msgdump_plan_freep(struct msgdump_plan **p);

/**
 * struct msgdump_recovered - the result for one queue of an interrupted restore
 * @name: the queue
 * @what: "finished", "removed", "put back", "append interrupted", …
 * @detail: more about it, or ""
 * @elsewhere: nothing was done, because the queue belongs to another IPC namespace
 */
struct msgdump_recovered {
    const char *name;
    const char *what;
    const char *detail;
    bool elsewhere;
};

/* Finishes or undoes restores that were killed; calls @tell for each queue. Return: 0 or -errno. */
int msgdump_recover(void (*tell)(void *ctx, const struct msgdump_recovered *what), void *ctx,
                    struct err *e);
