/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between peek.c and the backends. */
#pragma once

#include "buf.h"
#include "fdq_peek.h"
#include "peek_abi.h"

/**
 * struct fdq_catch - what a backend found
 * @records: of peek_abi.h, borrowed from the backend until it is asked again
 * @bytes: of @records
 * @messages: how many records
 */
struct fdq_catch {
    const char *records;
    uint64_t bytes;
    uint64_t messages;
};

/**
 * struct fdq_ops - a way to look into a queue
 * @name: for --backend
 * @probe: whether it can work here at all
 * @check: the same for certain, by loading what would be loaded; NULL where @probe is certain
 * @open: its state, released by @close
 * @serves: whether it is one for this queue
 * @look: reads @q through a holder; fills the parts of @info that it knows
 */
struct fdq_ops {
    const char *name;
    int (*probe)(struct err *e);
    int (*check)(struct err *e);
    int (*open)(const struct fdq_peek_opts *opts, void **state);
    bool (*serves)(const struct fdq_queue *q);
    int (*look)(void *state, const struct fdq_queue *q, struct fdq_catch *found,
                struct fdq_peek_info *info, struct err *e);
    void (*close)(void *state);
};

extern const struct fdq_ops fdq_bpf_ops;
extern const struct fdq_ops fdq_recv_ops;
extern const struct fdq_ops fdq_tee_ops;

/* A record whose payload is in @data; for backends that have no records of their own. */
void fdq_add_record(struct buf *records, const void *data, size_t n, uint32_t flags);

/**
 * fdq_open_holder() - a descriptor that leads to the queue
 * @q: the queue
 * @h: who has it open
 * @duplicate: pidfd_getfd(2); else O_PATH, which nobody notices
 * @e: why not, when no holder would do
 *
 * With the rights of the real user, of a process that they may trace, and of the same inode.
 *
 * Return: a descriptor; -EPERM, -ESRCH.
 */
int fdq_open_holder(const struct fdq_queue *q, const struct fdq_holders *h, bool duplicate,
                    struct err *e);
