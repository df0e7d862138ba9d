/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * System V queues as records of a dump. In a dump of kind "queues" a "sysv_queue" record is
 * followed by its "sysv_message" records, in the order of sending. Such a dump has its own version
 * number, so that a reader that does not know these records refuses it instead of skipping them.
 */
#pragma once

#include "dump.h"
#include "sysv.h"

/**
 * sysvdump_save() - write a queue and its messages
 * @w: the dump, of DUMP_VERSION_SYSV
 * @p: a peeker of sysv_peeker_new()
 * @q: the queue
 * @info: describes the snapshot, on success
 * @e: the reason of a failure
 *
 * A failed write is kept in @w and is not reported here.
 */
int sysvdump_save(struct dump_writer *w, struct msgq_peeker *p, const struct sysv_queue *q,
                  struct msgq_snapshot_info *info, struct err *e);

/**
 * struct sysvdump_item - a queue of a dump
 * @attr: its attributes when it was saved; depth and bytes are those of the messages in the dump
 * @torn: messages moved while it was saved
 * @line: its line in the dump
 * @wanted: it is to be restored
 * @made: it has been created by this restore and is not published yet
 */
struct sysvdump_item {
    struct sysv_attr attr;
    bool torn;
    uint64_t line;
    bool wanted;
    bool made;
};

/* The queues of a dump that are to be restored. */
struct sysvdump_plan {
    struct sysvdump_item *v;
    size_t n;
    uint32_t crc;
};

/**
 * sysvdump_plan_new() - read the whole dump; check it, the limits, and the existing queues
 * @r: opened with DUMP_REWIND; rewound afterwards
 * @only, @n_only: names ("sysv:ID") of the queues to restore
 * @all: restore all of them
 * @ret: the plan; release with sysvdump_plan_free()
 * @e: why it cannot be restored
 *
 * Nothing is changed. Return: 0; -EEXIST, -EBADMSG, -ENOSPC, -EPERM, -ENOENT (not in the dump), …
 */
int sysvdump_plan_new(struct dump_reader *r, char *const *only, size_t n_only, bool all,
                      struct sysvdump_plan **ret, struct err *e);

/**
 * sysvdump_make() - create the queues and fill them
 * @p: the plan
 * @r: the dump, which is rewound
 * @e: the reason of a failure
 *
 * The queues get the ids that they had, and mode 0000 until sysvdump_publish(). After an error, and
 * until then, sysvdump_undo() removes the created queues.
 */
int sysvdump_make(struct sysvdump_plan *p, struct dump_reader *r, struct err *e);

/* Sets owner, mode and limit of all queues. Return: 0 or -errno with a reason. */
int sysvdump_publish(struct sysvdump_plan *p, struct err *e);
void sysvdump_undo(struct sysvdump_plan *p);
void sysvdump_plan_free(struct sysvdump_plan *p);
void sysvdump_plan_freep(struct sysvdump_plan **p);
