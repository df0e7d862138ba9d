// SPDX-License-Identifier: LGPL-2.1-or-later
/* Who is blocked, from the queue itself: two looks that agree are one moment. */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "kbpf.h"
#include "sysv_waiters.h"
#include "sysvwait_abi.h"

#include "sysvwait.skel.h"

enum { TRIES = 20 };

static int load(struct sysvwait_bpf **ret)
{
    _cleanup_(kbpf_done) struct kbpf k = KBPF_INIT;
    struct err e = ERR_INIT;
    int r = kbpf_begin(&k, KBPF_SYSCALL, &e);

    if (r < 0)
        return r;
    LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = kbpf_btf_path(&k));
    *ret = sysvwait_bpf__open_opts(&opts);
    return kbpf_load(&k, *ret ? (*ret)->skeleton : NULL, &e);
}

static int look(struct sysvwait_bpf *s, int id)
{
    struct sysvwait_answer *a = &s->bss->answer;
    LIBBPF_OPTS(bpf_test_run_opts, once);
    int r;

    a->id = id;
    r = bpf_prog_test_run_opts(bpf_program__fd(s->progs.waiters), &once);
    if (r < 0)
        return r;
    return a->found && a->ipc_ns == sysv_own_ipc_ns() ? 0 : -EIO;
}

/* Return: 0 with two looks that agreed, -EAGAIN, -errno. */
static int look_twice(struct sysvwait_bpf *s, int id)
{
    _cleanup_(freep) struct sysvwait_waiter *before = calloc(SYSVWAIT_MAX, sizeof(*before));
    const struct sysvwait_answer *a = &s->bss->answer;
    int r = before ? look(s, id) : -ENOMEM;

    for (unsigned int i = 0; r == 0 && i < TRIES; i++) {
        uint32_t n = MIN(a->n, (uint32_t)SYSVWAIT_MAX);

        memcpy(before, a->v, n * sizeof(*before));
        r = look(s, id);
        if (r == 0 && !a->locked && a->n == n && !memcmp(before, a->v, n * sizeof(*before)))
            return 0;
    }
    return r < 0 ? r : -EAGAIN;
}

static void fill(const struct sysvwait_answer *a, const struct sysvwait_waiter *from,
                 struct sysv_waiter *to)
{
    static const enum sysv_want wants[] = {
        [SYSVWAIT_ANY] = SYSV_WANT_ANY,
        [SYSVWAIT_EQUAL] = SYSV_WANT_EQUAL,
        [SYSVWAIT_NOT] = SYSV_WANT_EXCEPT,
        [SYSVWAIT_UP_TO] = SYSV_WANT_UP_TO,
    };

    *to = (struct sysv_waiter){
        .tid = from->tid,
        .pid = from->pid,
        .sends = from->sends,
        .type = from->type,
        .size = from->size,
        .since = from->ran && a->ran > from->ran ? a->ran - from->ran : MSGQ_UNKNOWN,
    };
    if (from->mode > 0 && (size_t)from->mode < ARRAY_SIZE(wants))
        to->want = wants[from->mode];
    memcpy(to->comm, from->comm, sizeof(to->comm) - 1);
}

int sysv_waiters_bpf(struct sysv_info *q)
{
    const struct timespec moment = {.tv_nsec = 1000};
    struct sysv_info found = {.attr = q->attr};
    struct sysvwait_bpf *s = NULL;
    int r = load(&s);

    /* After a short sleep the scheduler has just noted the time for this thread. */
    nanosleep(&moment, NULL);
    if (r == 0)
        r = look_twice(s, q->attr.id);
    for (uint32_t i = 0; r == 0 && i < MIN(s->bss->answer.n, (uint32_t)SYSVWAIT_MAX); i++) {
        struct sysv_waiter w;

        if (s->bss->answer.v[i].served)
            continue;
        fill(&s->bss->answer, &s->bss->answer.v[i], &w);
        r = sysv_add_waiter(&found, &w);
    }
    found.waiters_complete = r == 0 && s->bss->answer.n < SYSVWAIT_MAX;
    sysvwait_bpf__destroy(s);
    if (r < 0) {
        sysv_info_done(&found);
        return r;
    }
    free(q->waiters);
    *q = found;
    return 0;
}
