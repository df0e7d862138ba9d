/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading the records of System V queues, and nothing else of a dump. */
#pragma once

#include "sysvdump.h"

/* What they return below 0 stops the walk and is returned; they set a reason themselves. */
struct sysvdump_visitor {
    int (*queue)(void *ctx, const struct sysvdump_item *item, struct err *e);
    int (*message)(void *ctx, const struct msgq_message *m, struct err *e);
};

/* Of a walk: the queue whose messages come; all zero before the first. */
struct sysvdump_state {
    struct sysvdump_item item; /* its depth and bytes count the messages so far */
    bool open;
};

/* Takes a record of any type. Return: 0 or -errno with a reason. */
int sysvdump_take(struct sysvdump_state *s, struct dump_record *rec,
                  const struct sysvdump_visitor *v, void *ctx, struct err *e);

/* To the end of the dump, with every check. Return: 0 or -errno with a reason. */
int sysvdump_walk(struct dump_reader *r, const struct sysvdump_visitor *v, void *ctx,
                  struct err *e);
