// SPDX-License-Identifier: LGPL-2.1-or-later
/* Following System V queues: the programs, and the proof that they read the memory of this kernel.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "follow.h"
#include "kbpf.h"
#include "sysv_follow.h"
#include "sysvfollow_abi.h"

#include "sysvfollow.skel.h"

static int open_skeleton(const struct bpf_object_open_opts *opts, struct msgq_follow_programs *ret)
{
    struct sysvfollow_bpf *s = sysvfollow_bpf__open_opts(opts);

    if (!s)
        return -errno;
    *ret = (struct msgq_follow_programs){
        .skel = s,
        .skeleton = s->skeleton,
        .queues = s->maps.queues,
        .ring = s->maps.ring,
        .numbers = s->maps.numbers,
        .begun_calls = s->maps.begun_calls,
        .scratches = s->maps.scratches,
        .config = &s->rodata->config,
    };
    return 0;
}

static void close_skeleton(void *skel)
{
    sysvfollow_bpf__destroy(skel);
}

static struct follow_shared *shared(void *skel)
{
    struct sysvfollow_bpf *s = skel;

    return &s->bss->shared;
}

static int choose_programs(struct msgq_follow *f, bool fexit)
{
    struct sysvfollow_bpf *s = f->programs.skel;
    struct bpf_program **list = f->programs.attach;
    bool raw = f->programs.config->no_btf;

    if (fexit) {
        *list++ = s->progs.send_begins;
        *list++ = s->progs.receive_begins;
        *list++ = s->progs.control_begins;
        *list++ = s->progs.receive_copies;
        *list++ = s->progs.send_ends;
        *list++ = s->progs.receive_ends;
        *list++ = s->progs.control_ended;
    } else {
        *list++ = raw ? s->progs.raw_enter : s->progs.call_enter;
    }
    *list = raw ? s->progs.raw_exit : s->progs.call_exit;
    f->programs.last = *list;
    return 0;
}

/* With the BTF of another kernel the programs would see nothing. */
static int set_up(struct msgq_follow *f, const struct kbpf *k, struct err *e)
{
    struct sysvfollow_bpf *s = f->programs.skel;
    LIBBPF_OPTS(bpf_test_run_opts, once);
    uint64_t ipc_ns = sysv_own_ipc_ns();
    int r = bpf_prog_test_run_opts(bpf_program__fd(s->progs.follow_setup), &once);

    if (r < 0)
        return kbpf_explain(k, r, "cannot run the BPF program", e);
    if (s->bss->proof.same_pid && (!ipc_ns || s->bss->proof.ipc_ns == ipc_ns))
        return 0;
    return err_set(e, -EIO, "use the BTF of the running kernel (ipcbox btf --help)",
                   "what BPF read is not this process: the BTF is that of another kernel");
}

static void label(const struct follow_announce *a, char out[static FOLLOW_LABEL])
{
    snprintf(out, FOLLOW_LABEL, "sysv:%" PRIu64, a->key.ino);
}

static const struct msgq_follow_ops follow_ops = {
    .open = open_skeleton,
    .choose = choose_programs,
    .shared = shared,
    .set_up = set_up,
    .label = label,
    .close = close_skeleton,
    .sysv = true,
};

int sysv_follow_new(const struct msgq_follow_opts *opts, struct msgq_follow **ret, struct err *e)
{
    return msgq_follow_new(&follow_ops, opts, ret, e);
}

int sysv_follow_probe(const char *backend, struct err *e)
{
    const struct msgq_follow_opts opts = {.all = true, .backend = backend, .ring_bytes = 1};
    _cleanup_(msgq_follow_freep) struct msgq_follow *f = NULL;

    return sysv_follow_new(&opts, &f, e);
}

int sysv_follow_add(struct msgq_follow *f, const struct sysv_queue *q, void *cookie, struct err *e)
{
    const struct follow_key key = {.dev = sysv_own_ipc_ns(), .ino = (uint64_t)q->id};

    if (!key.dev)
        return err_set(e, -EIO, "mount /proc", "without /proc the IPC namespace is not known");
    return msgq_follow_add(f, &key, q->label, cookie, e);
}
