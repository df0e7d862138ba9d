/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Private to a restore: the plan, and the functions that its files share. */
#pragma once

#include <stddef.h>

#include "msgdump.h"
#include "pmq_restoring.h"

struct msgdump_plan {
    struct dump_reader *reader;
    const struct msgdump_opts *opts;
    struct msgdump_item *items; /* in the order of the dump */
    size_t n;
    uint32_t crc; /* checksum of the dump when it was checked */
    struct pmq_restoring *journal;
    char failed[PMQ_NAME_MAX + 2]; /* the queue at which the restore failed */
    int signals;                   /* readable when the restore is to stop */
};

/**
 * msgdump_make() - create a queue with mode 0000
 * @owned: set to whether it belongs to its owner, as it should
 *
 * As root it is created by a child with the owner's ids, so that the owner's account is charged.
 *
 * Return: a descriptor (O_RDWR, O_NONBLOCK) or -errno with a reason.
 */
int msgdump_make(const char *name, const struct msgdump_queue *q, bool *owned, struct err *e);

/*
 * Checks whether the queues can be created for their owners: some ids may not exist in a user
 * namespace.
 */
int msgdump_check_owners(const struct msgdump_plan *p, struct err *e);

/* Saves the existing queue and unlinks it; @item->saved is set to the file. */
int msgdump_replace(struct msgdump_plan *p, struct msgdump_item *item, struct err *e);

/* Creates the queue again that msgdump_replace() saved to @path. */
int msgdump_put_back(const char *path, struct err *e);

/* Continues a digest, which is equal for the same messages in the same order. Begin with @crc 0. */
uint32_t msgdump_digest(uint32_t crc, const struct msgq_message *m);

/* Compares the existing queue with the dump. Return: 1 if equal, 0, or -errno with a reason. */
int msgdump_is_equal(const struct msgdump_plan *p, const struct msgdump_item *item, struct err *e);

/* Checks the plan against the kernel's limits. */
int msgdump_check_limits(const struct msgdump_plan *p, struct err *e);
