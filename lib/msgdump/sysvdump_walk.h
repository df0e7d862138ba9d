/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads the records of System V queues in a dump, and no others. */
#pragma once

#include "sysvdump.h"

/*
 * A negative result of a callback stops the walk and is returned; the callback sets the reason
 * itself.
 */
struct sysvdump_visitor {
    int (*queue)(void *ctx, const struct sysvdump_item *item, struct err *e);
    int (*message)(void *ctx, const struct msgq_message *m, struct err *e);
};

/* State of a walk: the queue that the next messages belong to; all zero before the first queue. */
struct sysvdump_state {
    struct sysvdump_item item; /* its depth and bytes are those of the messages so far */
    bool open;
};

/* Handles a record of any type. Return: 0 or -errno with a reason. */
int sysvdump_take(struct sysvdump_state *s, struct dump_record *rec,
                  const struct sysvdump_visitor *v, void *ctx, struct err *e);

/* Reads to the end of the dump, with every check. Return: 0 or -errno with a reason. */
int sysvdump_walk(struct dump_reader *r, const struct sysvdump_visitor *v, void *ctx,
                  struct err *e);
