// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Peeking at a System V queue with BPF (walk.h). BPF itself asks nobody for permission: the gate
 * (sysv_may_read) has let the caller in before, and is asked again afterwards.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/msg.h>

#include "macros.h"
#include "sysv_backends.h"
#include "sysvpeek_abi.h"
#include "walk.h"

#include "sysvpeek.skel.h"

struct bpf_state {
    struct sysv_attr attr;
    uint64_t ipc_ns;
};

static int open_skeleton(const struct bpf_object_open_opts *opts, struct msgq_programs *ret)
{
    struct sysvpeek_bpf *s = sysvpeek_bpf__open_opts(opts);

    if (!s)
        return -errno;
    *ret = (struct msgq_programs){
        .skel = s,
        .skeleton = s->skeleton,
        .records = s->maps.records,
        .peek = s->progs.peek,
        .arm = s->progs.peek_arm,
        .locked = s->progs.peek_locked,
        .contended = s->progs.peek_contended,
        .config = &s->rodata->walk_config,
    };
    return 0;
}

static struct walk_request *request(void *skel)
{
    struct sysvpeek_bpf *s = skel;

    return &s->bss->req.walk;
}

static void close_skeleton(void *skel)
{
    sysvpeek_bpf__destroy(skel);
}

static int begin(void *domain, const void *queue, struct msgq_limits *out, struct err *e)
{
    const struct sysv_queue *q = queue;
    struct bpf_state *s = domain;
    struct sysv_limits limits;
    int r = sysv_stat(q->id, &s->attr, e);

    if (r < 0)
        return r;
    s->ipc_ns = sysv_own_ipc_ns();
    sysv_limits_read(&limits);
    *out = (struct msgq_limits){
        .messages = MAX(s->attr.depth, 1U),
        /* msgmax may have been lowered since a message was sent. */
        .msgsize = MAX(limits.msgmax == UINT64_MAX ? 0 : limits.msgmax, s->attr.bytes),
        .type = INT64_MAX,
    };
    return 0;
}

static void ask(void *domain, struct walk_request *walk)
{
    const struct bpf_state *s = domain;

    container_of(walk, struct sysvpeek_request, walk)->id = (uint32_t)s->attr.id;
}

static int check(void *domain, struct walk_request *walk, struct err *e)
{
    const struct sysvpeek_request *req = container_of(walk, struct sysvpeek_request, walk);
    const struct bpf_state *s = domain;

    if (req->found != (uint32_t)s->attr.id || req->key != s->attr.key)
        return msgq_walk_wrong(e, "another id or key");
    if (req->ipc_ns != s->ipc_ns)
        return msgq_walk_wrong(e, "another IPC namespace");
    return 0;
}

static int touch(void *domain)
{
    const struct bpf_state *s = domain;
    struct msqid_ds ds;

    return msgctl(s->attr.id, IPC_STAT, &ds) < 0 ? -errno : 0;
}

static const struct msgq_walk_ops walk_ops = {
    .open = open_skeleton,
    .request = request,
    .close = close_skeleton,
    .begin = begin,
    .ask = ask,
    .check = check,
    .touch = touch,
};

static int bpf_open(const struct msgq_peek_opts *opts, void **state, struct err *e _unused_)
{
    struct bpf_state *s = calloc(1, sizeof(*s));
    struct msgq_walk *walk;
    int r = s ? msgq_walk_open(&walk_ops, s, opts, &walk) : -ENOMEM;

    if (r == 0)
        *state = walk;
    else
        free(s);
    return r;
}

static int bpf_check(const struct msgq_peek_opts *opts _unused_, struct err *e)
{
    return msgq_walk_check(&walk_ops, e);
}

/* The queue may be gone before or after: then that is what is wrong. */
static int bpf_snapshot(void *state, const void *queue, struct msgq_snapshot_info *info,
                        struct err *e)
{
    const struct sysv_queue *q = queue;
    int r = sysv_may_read(q->id, e), after;

    if (r < 0)
        return r;
    r = msgq_walk_snapshot(state, queue, info, e);
    after = sysv_may_read(q->id, r < 0 ? NULL : e);
    if (after < 0 && r < 0)
        return sysv_may_read(q->id, e);
    return r < 0 ? r : after;
}

const struct msgq_ops sysv_bpf_ops = {
    .name = "bpf",
    .caps = MSGQ_CAP_HEADS | MSGQ_CAP_ATOMIC | MSGQ_CAP_WINDOWS,
    .needs = "Linux 5.10 with BTF, CAP_BPF and CAP_PERFMON",
    .probe = msgq_walk_probe,
    .check = bpf_check,
    .open = bpf_open,
    .snapshot = bpf_snapshot,
    .visit = msgq_walk_visit,
    .close = msgq_walk_close,
};
