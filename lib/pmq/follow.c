// SPDX-License-Identifier: LGPL-2.1-or-later
/* Following POSIX queues: the programs, and the proof that they read the memory of this kernel. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "follow.h"
#include "kbpf.h"
#include "kdev.h"
#include "pmq_attr.h"
#include "pmq_backends.h"
#include "pmq_follow.h"
#include "privileges.h"

#include "mqfollow.skel.h"

static int open_skeleton(const struct bpf_object_open_opts *opts, struct msgq_follow_programs *ret)
{
    struct mqfollow_bpf *s = mqfollow_bpf__open_opts(opts);

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
    mqfollow_bpf__destroy(skel);
}

static struct follow_shared *shared(void *skel)
{
    struct mqfollow_bpf *s = skel;

    return &s->bss->shared;
}

static int choose_programs(struct msgq_follow *f, bool fexit)
{
    struct mqfollow_bpf *s = f->programs.skel;
    struct bpf_program **list = f->programs.attach;
    const struct msgq_peek_opts any = {0};
    bool raw = f->programs.config->no_btf;
    long receive2;

    /* A wrong number has been refused before; the largest stands for no call. */
    if (pmq_syscall_number(&any, &receive2, NULL) < 0)
        receive2 = UINT32_MAX;
    f->programs.config->receive2 = (uint32_t)receive2;
    if (fexit) {
        *list++ = s->progs.send_begins;
        *list++ = s->progs.receive_begins;
        *list++ = s->progs.receive_copies;
        *list++ = s->progs.send_ends;
        *list++ = s->progs.receive_ends;
    } else {
        *list++ = raw ? s->progs.raw_enter : s->progs.call_enter;
    }
    *list = raw ? s->progs.raw_exit : s->progs.call_exit;
    f->programs.last = *list;
    return 0;
}

/* With the BTF of another kernel the programs would see nothing. */
static int prove(const struct follow_proof *p, int fd, struct err *e)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (p->ino == st.st_ino && p->dev == kdev_in_kernel(st.st_dev) && p->mode == st.st_mode &&
        p->magic == PMQ_FS_MAGIC)
        return 0;
    return err_set(e, -EIO, "use the BTF of the running kernel (ipcbox btf --help)",
                   "what BPF read is not this process: the BTF is that of another kernel");
}

/* Runs the program that looks at its user once. */
static int set_up(struct msgq_follow *f, const struct kbpf *k, struct err *e)
{
    _cleanup_(closep) int fd = memfd_create("ipcbox-proof", MFD_CLOEXEC);
    struct mqfollow_bpf *s = f->programs.skel;
    LIBBPF_OPTS(bpf_test_run_opts, once);
    int r;

    if (fd < 0)
        return -errno;
    s->bss->proof.fd = (uint64_t)fd;
    r = bpf_prog_test_run_opts(bpf_program__fd(s->progs.follow_setup), &once);
    return r < 0 ? kbpf_explain(k, r, "cannot run the BPF program", e)
                 : prove(&s->bss->proof, fd, e);
}

static void label(const struct follow_announce *a, char out[static FOLLOW_LABEL])
{
    out[0] = '/';
    memcpy(out + 1, a->name, sizeof(a->name));
    out[sizeof(a->name)] = '\0';
}

static const struct msgq_follow_ops pmq_follow_ops = {
    .open = open_skeleton,
    .choose = choose_programs,
    .shared = shared,
    .set_up = set_up,
    .label = label,
    .close = close_skeleton,
};

int pmq_follow_new(const struct msgq_follow_opts *opts, struct msgq_follow **ret, struct err *e)
{
    return msgq_follow_new(&pmq_follow_ops, opts, ret, e);
}

/* Loads what would be loaded: nothing less tells whether the kernel takes it. */
int pmq_follow_probe(const char *backend, struct err *e)
{
    const struct msgq_follow_opts opts = {.all = true, .backend = backend, .ring_bytes = 1};
    _cleanup_(msgq_follow_freep) struct msgq_follow *f = NULL;

    return pmq_follow_new(&opts, &f, e);
}

int pmq_follow_add(struct msgq_follow *f, const struct pmq_queue *q, void *cookie, struct err *e)
{
    struct follow_key key;
    struct stat st;

    if (fstat(pmq_queue_fd(q), &st) < 0)
        return -errno;
    key = (struct follow_key){.dev = kdev_in_kernel(st.st_dev), .ino = st.st_ino};
    return msgq_follow_add(f, &key, pmq_queue_label(q), cookie, e);
}

int pmq_keep_privileges(bool load)
{
    return privileges_keep(PRIVILEGES_LOOK | kbpf_privileges_loaded(),
                           load ? kbpf_privileges() : 0);
}
