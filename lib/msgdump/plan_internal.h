/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside a restore: the plan, and what making queues shares. */
#pragma once

#include <stddef.h>

#include "msgdump.h"
#include "pmq_restoring.h"

struct msgdump_plan {
    struct dump_reader *reader;
    const struct msgdump_opts *opts;
    struct msgdump_item *items; /* in the order of the dump */
    size_t n;
    uint32_t crc; /* of the dump when it was checked */
    struct pmq_restoring *journal;
    char failed[PMQ_NAME_MAX + 2]; /* the queue at which it failed */
    int signals;                   /* readable when it is to stop */
};

/**
 * msgdump_make() - create a queue with mode 0000
 * @owned: it belongs to its owner, as it should
 *
 * As root it is created by a child with the owner's ids, to whose account it is charged.
 *
 * Return: a descriptor (O_RDWR, O_NONBLOCK) or -errno with a reason.
 */
int msgdump_make(const char *name, const struct msgdump_queue *q, bool *owned, struct err *e);

/* Whether the queues can be made for their owners: in a user namespace some may not exist. */
int msgdump_check_owners(const struct msgdump_plan *p, struct err *e);

/* Saves what is there and unlinks it; @item->saved is where. */
int msgdump_replace(struct msgdump_plan *p, struct msgdump_item *item, struct err *e);

/* Creates again what msgdump_replace() saved to @path. */
int msgdump_put_back(const char *path, struct err *e);

/* Continues a digest: equal for the same messages in the same order. A first @crc is 0. */
uint32_t msgdump_digest(uint32_t crc, const struct msgq_message *m);

/* Whether the queue that exists is what the dump says. Return: 1, 0 or -errno with a reason. */
int msgdump_is_equal(const struct msgdump_plan *p, const struct msgdump_item *item, struct err *e);

/* The checks against the kernel's limits. */
int msgdump_check_limits(const struct msgdump_plan *p, struct err *e);
