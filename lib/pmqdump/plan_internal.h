/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside a restore: the plan, and what making queues shares. */
#pragma once

#include <stddef.h>

#include "pmq_restoring.h"
#include "pmqdump.h"

struct pmqdump_plan {
    struct dump_reader *reader;
    const struct pmqdump_opts *opts;
    struct pmqdump_item *items; /* in the order of the dump */
    size_t n;
    uint32_t crc; /* of the dump when it was checked */
    struct pmq_restoring *journal;
    char failed[PMQ_NAME_MAX + 2]; /* the queue at which it failed */
    int signals;                   /* readable when it is to stop */
};

/**
 * pmqdump_make() - create a queue with mode 0000
 * @owned: it belongs to its owner, as it should
 *
 * As root it is created by a child with the owner's ids, to whose account it is charged.
 *
 * Return: a descriptor (O_RDWR, O_NONBLOCK) or -errno with a reason.
 */
int pmqdump_make(const char *name, const struct pmqdump_queue *q, bool *owned, struct err *e);

/* Saves what is there and unlinks it; @item->saved is where. */
int pmqdump_set_aside(struct pmqdump_plan *p, struct pmqdump_item *item, struct err *e);

/* Creates again what set_aside() saved to @path. */
int pmqdump_put_back(const char *path, struct err *e);

/* Continues a digest: equal for the same messages in the same order. A first @crc is 0. */
uint32_t pmqdump_digest(uint32_t crc, const struct msgq_message *m);

/* Whether the queue that exists is what the dump says. Return: 1, 0 or -errno with a reason. */
int pmqdump_is_equal(const struct pmqdump_plan *p, const struct pmqdump_item *item, struct err *e);

/* The checks against the kernel's limits. */
int pmqdump_check_limits(const struct pmqdump_plan *p, struct err *e);
