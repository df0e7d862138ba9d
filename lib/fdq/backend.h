/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by peek.c and the backends. */
#pragma once

#include "buf.h"
#include "fdq_peek.h"
#include "peek_abi.h"

/**
 * struct fdq_catch - what a backend found
 * @records: as in peek_abi.h, borrowed from the backend until its next call
 * @bytes: size of @records
 * @messages: number of records
 */
struct fdq_catch {
    const char *records;
    uint64_t bytes;
    uint64_t messages;
};

/**
 * struct fdq_ops - a backend
 * @name: for --backend
 * @probe: tells whether it can work here at all
 * @check: the same with certainty, by loading the programs; NULL where @probe is certain
 * @open: makes its state, which @close releases
 * @serves: tells whether it can read this queue
 * @look: reads @q through a holder, and fills in the members of @info that it knows
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

/* Adds a record whose payload is @data; for backends that do not collect records themselves. */
void fdq_add_record(struct buf *records, const void *data, size_t n, uint32_t flags);

/**
 * fdq_open_holder() - open a descriptor of the queue
 * @q: the queue
 * @h: the descriptors of processes that have it open
 * @duplicate: by pidfd_getfd(2); otherwise with O_PATH, which no process notices
 * @e: the reason, when none of them can be used
 *
 * With the rights of the real user; only of a process that the user may trace, and only if the
 * inode is still the same.
 *
 * Return: a descriptor; -EPERM, -ESRCH.
 */
int fdq_open_holder(const struct fdq_queue *q, const struct fdq_holders *h, bool duplicate,
                    struct err *e);
