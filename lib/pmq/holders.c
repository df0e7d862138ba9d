// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Who has queues open, from the kernel's own tables: also processes that /proc does not show,
 * because they are in another pid namespace or may not be looked into. For root alone.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "array.h"
#include "cleanup.h"
#include "holders_abi.h"
#include "kbpf.h"
#include "kdev.h"
#include "pmq_inspect.h"
#include "scan.h"

#include "holders.skel.h"

enum { TRIES = 20 };

static int load(struct holders_bpf **ret, struct err *e)
{
    _cleanup_(kbpf_done) struct kbpf k = KBPF_INIT;
    int r = kbpf_begin(&k, KBPF_SYSCALL, e);

    if (r < 0)
        return r;
    LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = kbpf_btf_path(&k));
    *ret = holders_bpf__open_opts(&opts);
    return kbpf_load(&k, *ret ? (*ret)->skeleton : NULL, e);
}

/* Walks until the lists stand still for the time of a walk. */
static int walk(struct holders_bpf *s, struct err *e)
{
    for (int i = 0; i < TRIES; i++) {
        LIBBPF_OPTS(bpf_test_run_opts, once);
        int r = bpf_prog_test_run_opts(bpf_program__fd(s->progs.holders), &once);

        if (r < 0)
            return err_set(e, r, NULL, "cannot run the BPF program: %s", err_text(NULL, r));
        if (s->bss->answer.status != HOLDERS_MOVED)
            break;
    }
    if (s->bss->answer.status == HOLDERS_MOVED)
        return err_set(e, -EAGAIN, "try again", "processes came and went all the time");
    if (s->bss->answer.status == HOLDERS_FULL)
        return err_set(e, -E2BIG, NULL, "queues are open under more than %d descriptors",
                       (int)HOLDERS_MAX);
    return 0;
}

static int by_table(const void *pa, const void *pb)
{
    const struct holders_entry *a = pa, *b = pb;

    if (a->table != b->table)
        return a->table < b->table ? -1 : 1;
    return (a->fd > b->fd) - (a->fd < b->fd);
}

static int by_process(const void *pa, const void *pb)
{
    const struct pmq_holder *a = pa, *b = pb;

    if (a->pid != b->pid)
        return a->pid < b->pid ? -1 : 1;
    return (a->fd > b->fd) - (a->fd < b->fd);
}

/* Threads share tables: each descriptor of a table counts once. */
static int take(const struct set_builder *b, const struct holders_entry *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct pmq_info *q = set_find(b, kdev_for_user(v[i].dev), v[i].ino);
        struct pmq_holder h = {
            .pid = v[i].pid,
            .tid = v[i].tid,
            .fd = v[i].fd,
            .access = (int)v[i].flags & (O_ACCMODE | O_PATH),
            .nonblock = v[i].flags & O_NONBLOCK,
        };
        int r;

        if (!q || (i && by_table(&v[i - 1], &v[i]) == 0))
            continue;
        memcpy(h.comm, v[i].comm, sizeof(h.comm));
        h.comm[sizeof(h.comm) - 1] = '\0';
        r = set_add_holder(q, &h);
        if (r < 0)
            return r;
    }
    return 0;
}

static int replace(const struct set_builder *b, struct holders_entry *v, size_t n)
{
    int r;

    if (n)
        array_sort(v, n, sizeof(*v), by_table);
    for (size_t i = 0; i < b->set->n; i++)
        b->set->v[i].n_holders = 0;
    r = take(b, v, n);
    for (size_t i = 0; i < b->set->n; i++)
        if (b->set->v[i].n_holders)
            array_sort(b->set->v[i].holders, b->set->v[i].n_holders, sizeof(*b->set->v[i].holders),
                       by_process);
    return r;
}

/* ---- blocked threads ---- */

static bool has_hidden_holder(const struct pmq_info *q, size_t seen)
{
    return q->n_holders != seen;
}

static int replace_waiters(struct pmq_info *q, struct pmq_inspector *in, struct err *e)
{
    _cleanup_(pmq_inspect_freep) struct pmq_inspect *got = NULL;
    _cleanup_(pmq_queue_closep) struct pmq_queue *queue = NULL;
    struct pmq_ref ref;
    int r = pmq_info_ref(q, &ref) ? pmq_queue_open(&ref, PMQ_OPEN_READ, &queue, e) : -ENOENT;

    if (r == 0)
        r = pmq_inspector_look(in, queue, &got, e);
    if (r < 0)
        return r;
    if (!got->waiters_complete)
        return -EAGAIN;
    q->n_waiters = 0;
    for (size_t i = 0; i < got->n_waiters && r == 0; i++)
        r = set_add_waiter(q, &got->waiters[i]);
    return r;
}

/* @seen: how many holders of each queue /proc showed; @all: it did not show every thread of these.
 */
static void ask_waiters(struct pmq_set *set, const size_t *seen, bool all)
{
    _cleanup_(pmq_inspector_freep) struct pmq_inspector *in = NULL;
    struct err e = ERR_INIT;

    set->waiters_complete = true;
    for (size_t i = 0; i < set->n && set->waiters_complete; i++) {
        struct pmq_info *q = &set->v[i];

        if (!q->n_holders || (!all && !has_hidden_holder(q, seen[i])))
            continue;
        set->waiters_complete = (in || pmq_inspector_new(&in, &e) == 0) &&
                                replace_waiters(q, in, &e) == 0;
    }
}

int holders_ask(struct set_builder *b, bool waiters, bool threads_denied, struct err *e)
{
    _cleanup_(freep) size_t *seen = calloc(b->set->n + 1, sizeof(*seen));
    const size_t size = HOLDERS_MAX * sizeof(struct holders_entry);
    struct holders_bpf *s = NULL;
    void *v = MAP_FAILED;
    int r = seen ? load(&s, e) : -ENOMEM;

    if (r == 0)
        r = walk(s, e);
    if (r == 0) {
        v = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(s->maps.entries), 0);
        r = v == MAP_FAILED ? -errno : 0;
    }
    for (size_t i = 0; r == 0 && i < b->set->n; i++)
        seen[i] = b->set->v[i].n_holders;
    if (r == 0)
        r = replace(b, v, s->bss->answer.n);
    if (v != MAP_FAILED)
        munmap(v, size);
    holders_bpf__destroy(s);
    if (r < 0)
        return r;
    b->set->holders_complete = true;
    if (waiters)
        ask_waiters(b->set, seen, threads_denied);
    return 0;
}
