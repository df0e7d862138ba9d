/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * System V queues as records of a dump, and back. In a dump of kind "queues" a "sysv_queue" record
 * is followed by its "sysv_message" records, in the order of sending. Such a dump has a version of
 * its own, so that a reader that would pass them over refuses it.
 */
#pragma once

#include "dump.h"
#include "sysv.h"

/**
 * sysvdump_save() - write a queue and its messages
 * @w: the dump, of DUMP_VERSION_SYSV
 * @p: a peeker of sysv_peeker_new()
 * @q: the queue
 * @info: what the snapshot was, on success
 * @e: why not
 *
 * A failed write latches in @w and is not reported here.
 */
int sysvdump_save(struct dump_writer *w, struct msgq_peeker *p, const struct sysv_queue *q,
                  struct msgq_snapshot_info *info, struct err *e);

/**
 * struct sysvdump_item - a queue of a dump
 * @attr: what it was; its depth and bytes are those of the messages in the dump
 * @torn: messages moved while it was read
 * @line: where it stands
 * @wanted: it is to be restored
 * @made: it is there, and ours, until it is published
 */
struct sysvdump_item {
    struct sysv_attr attr;
    bool torn;
    uint64_t line;
    bool wanted;
    bool made;
};

/* What is to be restored of a dump. */
struct sysvdump_plan {
    struct sysvdump_item *v;
    size_t n;
    uint32_t crc;
};

/**
 * sysvdump_plan_new() - read the whole dump, check it, the limits, and what exists
 * @r: opened with DUMP_REWIND; rewound afterwards
 * @only, @n_only: names ("sysv:ID") of those to take
 * @all: take all of them
 * @ret: the plan; release with sysvdump_plan_free()
 * @e: why it cannot be done
 *
 * Nothing is changed. Return: 0; -EEXIST, -EBADMSG, -ENOSPC, -EPERM, -ENOENT (not in the dump), ...
 */
int sysvdump_plan_new(struct dump_reader *r, char *const *only, size_t n_only, bool all,
                      struct sysvdump_plan **ret, struct err *e);

/**
 * sysvdump_make() - make the queues and fill them
 * @p: the plan
 * @r: the dump, which is rewound
 * @e: why not
 *
 * They get the id that they had, and mode 0000 until sysvdump_publish(). After an error, and before
 * that, sysvdump_undo() removes what was made.
 */
int sysvdump_make(struct sysvdump_plan *p, struct dump_reader *r, struct err *e);

/* Owner, mode and limit of all. Return: 0 or -errno with a reason. */
int sysvdump_publish(struct sysvdump_plan *p, struct err *e);
void sysvdump_undo(struct sysvdump_plan *p);
void sysvdump_plan_free(struct sysvdump_plan *p);
void sysvdump_plan_freep(struct sysvdump_plan **p);
