/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a peek backend is. A new one is one file with a struct pmq_ops, and one line in select.c.
 */
#pragma once

#include "pmq.h"

enum pmq_caps {
    PMQ_CAP_HEADS = 1 << 0,   /* lengths and priorities without reading payloads */
    PMQ_CAP_ATOMIC = 1 << 1,  /* can take locked snapshots */
    PMQ_CAP_WINDOWS = 1 << 2, /* can read a queue that is larger than max_snapshot */
};

/**
 * struct pmq_ops - a backend
 * @name: for --backend and output
 * @caps: enum pmq_caps
 * @explicit_only: taken only when it is named
 * @needs: privileges and kernel in a phrase, for the list of backends
 * @probe: whether it can be used here and now, without side effects. Return: 0, or -errno with a
 * reason and a remedy
 * @open: make it ready. @state is the backend's own
 * @snapshot: collect @q's messages; fills @info; the snapshot's data belongs to @state until the
 * next one
 * @visit: walk what was collected
 * @release: forget the snapshot; may be NULL
 * @close: undo @open
 */
struct pmq_ops {
    const char *name;
    unsigned int caps;
    bool explicit_only;
    const char *needs;
    int (*probe)(const struct pmq_peek_opts *opts, struct err *e);
    int (*open)(const struct pmq_peek_opts *opts, void **state, struct err *e);
    int (*snapshot)(void *state, const struct pmq_queue *q, struct pmq_snapshot_info *info,
                    struct err *e);
    int (*visit)(void *state, pmq_visit_fn visit, void *ctx, struct err *e);
    void (*release)(void *state);
    void (*close)(void *state);
};

extern const struct pmq_ops pmq_syscall_ops;
extern const struct pmq_ops pmq_fcntl_ops;
extern const struct pmq_ops pmq_ioctl_ops;
extern const struct pmq_ops pmq_bpf_ops;
extern const struct pmq_ops pmq_drain_ops;

/*
 * The number of mq_timedreceive2: of the options, of IPCBOX_MQ_SYSCALL, or the default. Return: 0,
 * or -EINVAL for what cannot be it.
 */
int pmq_syscall_number(const struct pmq_peek_opts *opts, long *out, struct err *e);

/* Those of this build in order of preference, ended by NULL. */
extern const struct pmq_ops *const pmq_backends[];
