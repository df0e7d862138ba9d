/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Collects the content twice by a BPF program; both results must be equal to the byte. The program
 * reaches the queue through a descriptor of O_PATH, so that the other end notices nothing, even if
 * the owner ends meanwhile.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend.h"
#include "calibrate.h"
#include "cleanup.h"
#include "kbpf.h"
#include "timefmt.h"

#include "fdqpeek.skel.h"

enum {
    FIRST_ROOM = 1 << 18,
    TRIES = 50,
    PATIENCE_NS = 200 * 1000 * 1000,
};

struct bpf_state {
    struct fdq_peek_opts opts;
    struct fdqpeek_bpf *skel;
    size_t room; /* size of each half in bytes */
    char *map;
    size_t mapped;
    struct buf children; /* the content of several connections of a listener */
};

static int bpf_probe(struct err *e)
{
    return kbpf_probe(KBPF_SYSCALL, e);
}

static int bpf_open(const struct fdq_peek_opts *opts, void **state)
{
    struct bpf_state *s = calloc(1, sizeof(*s));

    if (!s)
        return -ENOMEM;
    s->opts = *opts;
    *state = s;
    return 0;
}

static void unload(struct bpf_state *s)
{
    if (s->map)
        munmap(s->map, s->mapped);
    s->map = NULL;
    fdqpeek_bpf__destroy(s->skel);
    s->skel = NULL;
}

static void bpf_close(void *state)
{
    struct bpf_state *s = state;

    unload(s);
    buf_done(&s->children);
    free(s);
}

static bool bpf_serves(const struct fdq_queue *q)
{
    (void)q;
    return true;
}

static int run(const struct bpf_program *prog)
{
    LIBBPF_OPTS(bpf_test_run_opts, o);

    return bpf_prog_test_run_opts(bpf_program__fd(prog), &o);
}

/* ---- loading ---- */

static int load(struct bpf_state *s, size_t room, struct err *e)
{
    _cleanup_(kbpf_done) struct kbpf k = KBPF_INIT;
    size_t size = 2 * room + FDPEEK_CHUNK;
    int r = kbpf_begin(&k, KBPF_SYSCALL, e);

    if (r < 0)
        return r;
    LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = kbpf_btf_path(&k));
    s->skel = fdqpeek_bpf__open_opts(&opts);
    if (s->skel) {
        s->skel->rodata->map_mask = 2 * room - 1;
        bpf_map__set_value_size(s->skel->maps.records, (uint32_t)size);
    }
    r = kbpf_load(&k, s->skel ? s->skel->skeleton : NULL, e);
    if (r < 0)
        return r;
    s->room = room;
    s->mapped = size;
    s->map = mmap(NULL, size, PROT_READ, MAP_SHARED, bpf_map__fd(s->skel->maps.records), 0);
    if (s->map == MAP_FAILED) {
        s->map = NULL;
        return err_set(e, -errno, NULL, "cannot map the BPF map: %s", err_text(NULL, -errno));
    }
    return 0;
}

static int bpf_check(struct err *e)
{
    struct bpf_state s = {0};
    int r = load(&s, FIRST_ROOM, e);

    unload(&s);
    return r;
}

/* Loads the program with at least this much room, again if it was loaded with less. */
static int need_room(struct bpf_state *s, uint64_t bytes, struct err *e)
{
    uint64_t page_base = s->skel ? s->skel->bss->page_base : 0;
    uint64_t page_factor = s->skel ? s->skel->bss->page_factor : 0;
    size_t room = FIRST_ROOM;
    int r;

    while (room < bytes && room < FDQ_MAX_SNAPSHOT)
        room *= 2;
    if (s->skel && s->room >= room)
        return 0;
    unload(s);
    r = load(s, room, e);
    if (r < 0) {
        unload(s);
        return r;
    }
    s->skel->bss->page_base = page_base;
    s->skel->bss->page_factor = page_factor;
    return 0;
}

static int calibrate(struct bpf_state *s, struct err *e)
{
    return calibrate_pages(s->skel->progs.calibrate, &s->skel->bss->calibration,
                           &s->skel->bss->page_base, e);
}

/* ---- collecting ---- */

static int check_facts(const struct fdpeek_request *req, const struct fdq_queue *q, struct err *e)
{
    static const uint32_t types[] = {
        [FDQ_STREAM] = SOCK_STREAM, [FDQ_DGRAM] = SOCK_DGRAM, [FDQ_SEQPACKET] = SOCK_SEQPACKET};
    bool socket = fdq_is_socket(q->kind);

    if (req->status != FDPEEK_NO_QUEUE && req->inode == q->inode &&
        (socket ? S_ISSOCK(req->mode) && req->type == types[q->kind] : S_ISFIFO(req->mode)))
        return 0;
    return err_set(e, -EIO, "report it with the kernel's version; another backend may work",
                   "what BPF read is not this queue");
}

enum outcome { AGREED, DIFFERED };

/* Tries once. Return: enum outcome, or -errno. */
static int collect(struct bpf_state *s, const struct fdq_queue *q, struct err *e)
{
    struct fdpeek_request *req = &s->skel->bss->req;
    const struct fdpeek_collection *got = req->got;
    int r = run(s->skel->progs.peek);

    if (r < 0)
        return err_set(e, r, NULL, "cannot run the BPF program: %s", err_text(NULL, r));
    if (req->status == FDPEEK_PAGES || got[0].status == FDPEEK_PAGES) {
        r = calibrate(s, e);
        return r < 0 ? r : DIFFERED;
    }
    if (got[0].status == FDPEEK_DEVICE)
        return err_set(e, -EOPNOTSUPP, NULL, "its contents lie in the memory of a device");
    if (req->status == FDPEEK_NO_CHILD)
        return -ENOENT;
    if (req->status != FDPEEK_BUSY || got[0].status == FDPEEK_NOT_ASKED) {
        if (req->status != FDPEEK_BUSY)
            r = check_facts(req, q, e);
        if (r < 0)
            return r;
    }
    if (req->status != FDPEEK_DONE && req->status != FDPEEK_FULL)
        return DIFFERED;
    if (memcmp(&got[0], &got[1], sizeof(got[0])) != 0 || got[0].bytes > s->room ||
        memcmp(s->map, s->map + s->room, got[0].bytes) != 0)
        return DIFFERED;
    return AGREED;
}

static int grow(struct bpf_state *s, struct err *e)
{
    if (s->room >= FDQ_MAX_SNAPSHOT)
        return err_set(e, -EFBIG, "look at its head only (-m 0)",
                       "more waits in it than fits into a snapshot (%d MiB)",
                       FDQ_MAX_SNAPSHOT >> 20);
    return need_room(s, 2 * s->room, e);
}

/*
 * Handles content that could not be confirmed by any try. It may be memory that has another owner
 * by now, so only root may see it.
 */
static int give_up(const struct bpf_state *s, const struct fdq_peek_info *info, struct err *e)
{
    const struct fdpeek_collection *got = s->skel->bss->req.got;

    if (kbpf_is_root() && got[0].status == FDPEEK_DONE && got[0].bytes <= s->room)
        return 0;
    return err_set(e, -EAGAIN, "try again, or stop who is using it",
                   "the queue changed during each of %u tries to read it", info->tries);
}

static int collect_until_agreed(struct bpf_state *s, int fd, uint32_t child,
                                const struct fdq_queue *q, struct fdq_peek_info *info,
                                struct err *e)
{
    uint64_t patience = timefmt_now(CLOCK_MONOTONIC) + PATIENCE_NS;
    int r;

    for (info->tries = 1; info->tries <= TRIES || timefmt_now(CLOCK_MONOTONIC) < patience;
         info->tries++) {
        struct fdpeek_request *req = &s->skel->bss->req;

        req->fd = (uint32_t)fd;
        req->child = child;
        req->room = s->room;
        req->heads = s->opts.heads;
        r = collect(s, q, e);
        if (r < 0)
            return r;
        if (r == AGREED && req->got[0].status == FDPEEK_FULL) {
            r = grow(s, e);
            if (r < 0)
                return r;
        } else if (r == AGREED) {
            return 0;
        }
    }
    info->consistent = false;
    info->tries--;
    return give_up(s, info, e);
}

static void take(const struct bpf_state *s, struct fdq_catch *found)
{
    const struct fdpeek_collection *got = s->skel->bss->req.got;

    *found = (struct fdq_catch){s->map, got[0].bytes, got[0].messages};
}

/* Collects the connections of a listener, one after the other. */
static int look_at_children(struct bpf_state *s, int fd, const struct fdq_queue *q,
                            struct fdq_catch *found, struct fdq_peek_info *info, struct err *e)
{
    uint64_t messages = 0;
    uint32_t child = 1;
    int r = 0;

    buf_clear(&s->children);
    for (; child < 4096 && r == 0; child++) {
        r = collect_until_agreed(s, fd, child, q, info, e);
        if (r < 0)
            break;
        take(s, found);
        buf_add(&s->children, found->records, found->bytes);
        messages += found->messages;
    }
    if (r < 0 && r != -ENOENT)
        return r;
    if (buf_error(&s->children))
        return -ENOMEM;
    *found = (struct fdq_catch){s->children.data, s->children.len, messages};
    /* Several connections were not read at the same moment. */
    info->consistent = info->consistent && child <= 2;
    return 0;
}

static int bpf_look(void *state, const struct fdq_queue *q, struct fdq_catch *found,
                    struct fdq_peek_info *info, struct err *e)
{
    struct bpf_state *s = state;
    struct err why = ERR_INIT;
    _cleanup_(closep) int fd = fdq_open_holder(q, &q->readers, false, &why);
    int r;

    if (fd == -ESRCH && !fdq_is_socket(q->kind)) {
        why = (struct err)ERR_INIT;
        fd = fdq_open_holder(q, &q->writers, false, &why);
    }
    if (fd < 0) {
        if (e)
            *e = why;
        return fd;
    }
    r = need_room(s, s->skel ? s->room : q->bytes == FDQ_UNKNOWN ? 0 : 2 * q->bytes, e);
    if (r == 0 && !fdq_is_socket(q->kind) && !s->skel->bss->page_base)
        r = calibrate(s, e);
    if (r < 0)
        return r;
    info->consistent = info->complete = true;
    if (q->listening) {
        r = look_at_children(s, fd, q, found, info, e);
    } else {
        r = collect_until_agreed(s, fd, 0, q, info, e);
        if (r == 0)
            take(s, found);
    }
    if (r < 0)
        return r;
    info->depth = found->messages;
    if (!fdq_is_socket(q->kind))
        info->capacity = s->skel->bss->req.ring * (uint64_t)sysconf(_SC_PAGESIZE);
    return 0;
}

const struct fdq_ops fdq_bpf_ops = {
    .name = "bpf",
    .probe = bpf_probe,
    .check = bpf_check,
    .open = bpf_open,
    .serves = bpf_serves,
    .look = bpf_look,
    .close = bpf_close,
};
