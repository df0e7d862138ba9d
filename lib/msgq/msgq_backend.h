/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a peek backend is. A new one is one file with a struct msgq_ops in its domain, and one line
 * in that domain's list of backends.
 */
#pragma once

#include "msgq.h"

enum msgq_caps {
    MSGQ_CAP_HEADS = 1 << 0,   /* lengths and priorities without reading payloads */
    MSGQ_CAP_ATOMIC = 1 << 1,  /* can take locked snapshots */
    MSGQ_CAP_WINDOWS = 1 << 2, /* can read a queue that is larger than max_snapshot */
};

/**
 * struct msgq_ops - a backend
 * @name: for --backend and output
 * @caps: enum msgq_caps
 * @explicit_only: taken only when it is named
 * @needs: privileges and kernel in a phrase, for the list of backends
 * @probe: whether it can be used here and now, without side effects. Return: 0, or -errno with a
 * reason and a remedy
 * @check: the same for certain, by loading whatever would be loaded; NULL where @probe is certain
 * @open: make it ready. @state is the backend's own
 * @snapshot: collect the messages of @queue, which is of the domain's type; fills @info; the
 * snapshot's data belongs to @state until the next one
 * @visit: walk what was collected
 * @release: forget the snapshot; may be NULL
 * @close: undo @open
 */
struct msgq_ops {
    const char *name;
    unsigned int caps;
    bool explicit_only;
    const char *needs;
    int (*probe)(const struct msgq_peek_opts *opts, struct err *e);
    int (*check)(const struct msgq_peek_opts *opts, struct err *e);
    int (*open)(const struct msgq_peek_opts *opts, void **state, struct err *e);
    int (*snapshot)(void *state, const void *queue, struct msgq_snapshot_info *info, struct err *e);
    int (*visit)(void *state, msgq_visit_fn visit, void *ctx, struct err *e);
    void (*release)(void *state);
    void (*close)(void *state);
};

/**
 * msgq_peeker_new() - choose a backend and make it ready
 * @backends: those of the domain in order of preference, ended by NULL
 * @opts: how; borrowed until the peeker is freed. Between two snapshots @first and @count may be
 * changed
 * @ret: release with msgq_peeker_free()
 * @e: why none can be used, with what would help
 *
 * Return: 0; -EPERM, -EOPNOTSUPP, -EINVAL (no such backend), …
 */
int msgq_peeker_new(const struct msgq_ops *const *backends, const struct msgq_peek_opts *opts,
                    struct msgq_peeker **ret, struct err *e);
