/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A queue as list, info and metrics show it: one structure, so that they never disagree. */
#pragma once

#include "out.h"
#include "pmq.h"
#include "sysv.h"

/**
 * struct queue_row - what is shown of a queue
 * @kind: "posix" or "sysv"
 * @id, @key, @limit: only of System V queues
 * @owner: the user's name, or the number where it has none
 * @notify: "signal", "thread" or "none" for a registration; NULL for no registration or unknown
 * @age: time since @attr.changed, ns, with the same resolution
 * @charged: bytes that are charged to its creator
 * @holders: descriptors that were seen; OUT_UNKNOWN_U64 where they were not looked for
 * @senders, @receivers: blocked threads, likewise
 * @holders_complete, @waiters_complete: there are no others; otherwise the numbers are lower bounds
 * @incomplete: it is being restored, or the restore was killed
 * @reference: the operand that names it; "" when none does
 * @label: its name in a table: @name, with " (unlinked)" when it has lost that name, or @reference
 *   for a queue of another IPC namespace
 *
 * @label may point into the row, so rows must not be copied.
 */
struct queue_row {
    struct pmq_attr attr;
    const char *kind;
    uint64_t id;
    char key[SYSV_KEY_SIZE];
    uint64_t limit;
    const char *name;
    uint64_t ipc_ns;
    char owner[40];
    const char *notify;
    uint32_t notify_pid;
    uint32_t notify_signo;
    uint64_t age;
    uint64_t charged;
    uint64_t holders;
    uint64_t senders;
    uint64_t receivers;
    bool holders_complete;
    bool waiters_complete;
    bool incomplete;
    char reference[PMQ_REF_SIZE];
    const char *label;
    char unlinked_label[PMQ_NAME_MAX + sizeof("/ (unlinked)")];
};

/* The columns of a list of queues. */
extern const struct out_col queue_row_cols[];

/* Fills @row from @q, an entry of @set. @now: CLOCK_REALTIME. */
void queue_row_fill(struct queue_row *row, const struct pmq_set *set, const struct pmq_info *q,
                    uint64_t now);

/*
 * Fills @row from a System V queue; @attr gets the attributes that both kinds of queue have.
 * @msgmax: the largest message that its IPC namespace allows, in bytes.
 */
void queue_row_fill_sysv(struct queue_row *row, const struct sysv_set *set,
                         const struct sysv_info *q, uint64_t msgmax, uint64_t now);

/* The name of a user, or the number. */
void queue_row_user(uint32_t uid, char *out, size_t size);

/* "send" or "recv" */
const char *queue_row_direction(enum pmq_direction d);

/* How complete a listing is: members of the JSON object that contains it. */
struct set_state {
    bool names_complete;
    bool holders_complete;
    bool waiters_complete;
    const char *note;
};

extern const struct out_col set_state_cols[];
struct set_state set_state_of(const struct pmq_set *set);
