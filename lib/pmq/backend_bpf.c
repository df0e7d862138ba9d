// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Peeking at a POSIX queue with BPF (walk.h): through a descriptor of this process, so that it is
 * the kernel that has checked the permission. Its inode, mode and limits are known from system
 * calls as well.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <mqueue.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "peek_abi.h"
#include "pmq_backends.h"
#include "pmq_inspect.h"
#include "walk.h"

#include "peek.skel.h"

struct bpf_state {
    const struct pmq_queue *q;
    struct mq_attr attr;
    struct stat st;
};

static int open_skeleton(const struct bpf_object_open_opts *opts, struct msgq_programs *ret)
{
    struct peek_bpf *s = peek_bpf__open_opts(opts);

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
    struct peek_bpf *s = skel;

    return &s->bss->req.walk;
}

static void close_skeleton(void *skel)
{
    peek_bpf__destroy(skel);
}

static int begin(void *domain, const void *queue, struct msgq_limits *out, struct err *e)
{
    struct bpf_state *s = domain;

    s->q = queue;
    if (mq_getattr(pmq_queue_fd(s->q), &s->attr) < 0 || fstat(pmq_queue_fd(s->q), &s->st) < 0)
        return err_set(e, -errno, NULL, "cannot ask for its attributes: %s",
                       err_text(NULL, -errno));
    *out = (struct msgq_limits){
        .messages = (uint64_t)s->attr.mq_maxmsg,
        .msgsize = (uint64_t)s->attr.mq_msgsize,
        .type = PMQ_PRIO_MAX - 1,
        .by_type = true,
    };
    return 0;
}

static void ask(void *domain, struct walk_request *walk)
{
    const struct bpf_state *s = domain;

    container_of(walk, struct peek_request, walk)->fd = (uint32_t)pmq_queue_fd(s->q);
}

static int check(void *domain, struct walk_request *walk, struct err *e)
{
    const struct peek_request *req = container_of(walk, struct peek_request, walk);
    const struct bpf_state *s = domain;

    if (req->inode != s->st.st_ino)
        return msgq_walk_wrong(e, "another inode number");
    /* The permission bits may be changed at any time. */
    if ((req->mode & S_IFMT) != (s->st.st_mode & S_IFMT))
        return msgq_walk_wrong(e, "another file type");
    if (walk->maxmsg != (uint64_t)s->attr.mq_maxmsg ||
        walk->msgsize != (uint64_t)s->attr.mq_msgsize)
        return msgq_walk_wrong(e, "another maxmsg or msgsize");
    return 0;
}

/* Reading the queue's line of numbers locks it: mqueue_read_file(). */
static int touch(void *domain)
{
    const struct bpf_state *s = domain;
    char line[128];

    return pread(pmq_queue_fd(s->q), line, sizeof(line), 0) < 0 ? -errno : 0;
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

/* Peeking, and what mqpeek info looks at. */
static int bpf_check(const struct msgq_peek_opts *opts _unused_, struct err *e)
{
    _cleanup_(pmq_inspector_freep) struct pmq_inspector *in = NULL;
    int r = msgq_walk_check(&walk_ops, e);

    return r < 0 ? r : pmq_inspector_new(&in, e);
}

const struct msgq_ops pmq_bpf_ops = {
    .name = "bpf",
    .caps = MSGQ_CAP_HEADS | MSGQ_CAP_ATOMIC | MSGQ_CAP_WINDOWS,
    .needs = "Linux 5.10 with BTF, CAP_BPF and CAP_PERFMON",
    .probe = msgq_walk_probe,
    .check = bpf_check,
    .open = bpf_open,
    .snapshot = msgq_walk_snapshot,
    .visit = msgq_walk_visit,
    .close = msgq_walk_close,
};
