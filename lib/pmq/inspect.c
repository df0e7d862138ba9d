// SPDX-License-Identifier: LGPL-2.1-or-later
/* Looking closely: two looks that agree are one moment. */
#include <bpf/bpf.h>
#include <errno.h>
#include <mqueue.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "cleanup.h"
#include "inspect_abi.h"
#include "kbpf.h"
#include "pmq_inspect.h"
#include "timefmt.h"

#include "inspect.skel.h"

enum {
    TRIES = 20,
    FRESH_NS = 10 * 1000 * 1000, /* so old may the scheduler's note of the time be */
};

struct pmq_inspector {
    struct inspect_bpf *skel;
    struct inspect_waiter before[INSPECT_WAITERS]; /* of the look before */
    uint64_t slept;                                /* when, CLOCK_MONOTONIC */
};

static int load(struct inspect_bpf **ret, struct err *e)
{
    _cleanup_(kbpf_done) struct kbpf k = KBPF_INIT;
    int r = kbpf_begin(&k, KBPF_SYSCALL, e);

    if (r < 0)
        return r;
    LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = kbpf_btf_path(&k));
    *ret = inspect_bpf__open_opts(&opts);
    return kbpf_load(&k, *ret ? (*ret)->skeleton : NULL, e);
}

int pmq_inspector_new(struct pmq_inspector **ret, struct err *e)
{
    _cleanup_(pmq_inspector_freep) struct pmq_inspector *in = calloc(1, sizeof(*in));
    int r = in ? load(&in->skel, e) : -ENOMEM;

    if (r == 0)
        *ret = TAKE_PTR(in);
    return r;
}

void pmq_inspector_free(struct pmq_inspector *in)
{
    if (!in)
        return;
    inspect_bpf__destroy(in->skel);
    free(in);
}

void pmq_inspector_freep(struct pmq_inspector **in)
{
    pmq_inspector_free(*in);
}

static int look(struct inspect_bpf *s, const struct pmq_queue *q, struct err *e)
{
    struct inspect_answer *a = &s->bss->answer;
    LIBBPF_OPTS(bpf_test_run_opts, once);
    struct mq_attr attr;
    struct stat st;
    int r;

    a->fd = (uint32_t)pmq_queue_fd(q);
    r = bpf_prog_test_run_opts(bpf_program__fd(s->progs.inspect), &once);
    if (r < 0)
        return err_set(e, r, NULL, "cannot run the BPF program: %s", err_text(NULL, r));
    if (mq_getattr(pmq_queue_fd(q), &attr) < 0 || fstat(pmq_queue_fd(q), &st) < 0)
        return -errno;
    if (!a->found || a->inode != st.st_ino || a->maxmsg != (uint64_t)attr.mq_maxmsg ||
        a->msgsize != (uint64_t)attr.mq_msgsize)
        return err_set(e, -EIO, "report it with the kernel's version",
                       "what BPF read is not this queue");
    return 0;
}

/* Whether two looks saw the same waiters. */
static bool same(const struct inspect_answer *a, const struct inspect_waiter *before, uint32_t n)
{
    return !a->locked && a->n_waiters == n && memcmp(a->waiters, before, n * sizeof(*before)) == 0;
}

static int look_twice(struct pmq_inspector *in, const struct pmq_queue *q, bool *agreed,
                      struct err *e)
{
    const struct inspect_answer *a = &in->skel->bss->answer;
    uint32_t n;
    int r = look(in->skel, q, e);

    *agreed = r == 0 && !a->locked && a->n_waiters == 0;
    for (unsigned int i = 0; r == 0 && !*agreed && i < TRIES; i++) {
        n = MIN(a->n_waiters, (uint32_t)INSPECT_WAITERS);
        memcpy(in->before, a->waiters, n * sizeof(*in->before));
        r = look(in->skel, q, e);
        *agreed = r == 0 && same(a, in->before, n);
    }
    return r;
}

static enum pmq_notify_method notify_method(const struct inspect_answer *a)
{
    if (!a->notify_set)
        return PMQ_NOTIFY_NONE;
    switch (a->notify_method) {
    case SIGEV_SIGNAL:
        return PMQ_NOTIFY_SIGNAL;
    case SIGEV_NONE:
        return PMQ_NOTIFY_SILENT;
    case SIGEV_THREAD:
        return PMQ_NOTIFY_THREAD;
    default:
        return PMQ_NOTIFY_UNKNOWN;
    }
}

static struct pmq_inspect *make(const struct inspect_answer *a, bool agreed)
{
    struct pmq_inspect *out = calloc(1, sizeof(*out));
    size_t n = MIN(a->n_waiters, (uint32_t)INSPECT_WAITERS);

    if (!out)
        return NULL;
    *out = (struct pmq_inspect){
        .waiters = calloc(n + 1, sizeof(*out->waiters)),
        .n_waiters = n,
        .waiters_complete = agreed && n < INSPECT_WAITERS,
        .notify = notify_method(a),
        .notify_pid = a->notify_pid,
        .notify_signo = a->notify_set && a->notify_method == SIGEV_SIGNAL ? a->notify_signo : 0,
        .charged_uid = a->charged_uid,
        .charged_bytes = a->charged_known ? (uint64_t)a->charged : PMQ_UNKNOWN,
    };
    if (!out->waiters) {
        free(out);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        const struct inspect_waiter *w = &a->waiters[i];
        struct pmq_waiter *to = &out->waiters[i];

        *to = (struct pmq_waiter){
            .tid = w->tid,
            .pid = w->pid,
            .direction = w->direction ? PMQ_RECEIVE : PMQ_SEND,
            .since = w->ran && a->ran > w->ran ? a->ran - w->ran : PMQ_UNKNOWN,
        };
        memcpy(to->comm, w->comm, sizeof(to->comm));
        to->comm[sizeof(to->comm) - 1] = '\0';
    }
    return out;
}

/* A short sleep, after which the scheduler has just noted the time for this thread. */
static void note_time(struct pmq_inspector *in)
{
    const struct timespec moment = {.tv_nsec = 1000};

    if (in->slept && timefmt_now(CLOCK_MONOTONIC) - in->slept < FRESH_NS)
        return;
    nanosleep(&moment, NULL);
    in->slept = timefmt_now(CLOCK_MONOTONIC);
}

int pmq_inspector_look(struct pmq_inspector *in, const struct pmq_queue *q,
                       struct pmq_inspect **ret, struct err *e)
{
    struct pmq_inspect *out;
    bool agreed;
    int r;

    note_time(in);
    r = look_twice(in, q, &agreed, e);
    if (r < 0)
        return r;
    out = make(&in->skel->bss->answer, agreed);
    if (!out)
        return -ENOMEM;
    *ret = out;
    return 0;
}

int pmq_inspector_account(struct pmq_inspector *in, struct pmq_account *out, struct err *e)
{
    const struct inspect_answer *a = &in->skel->bss->answer;
    LIBBPF_OPTS(bpf_test_run_opts, once);
    int r = bpf_prog_test_run_opts(bpf_program__fd(in->skel->progs.account), &once);

    if (r < 0)
        return err_set(e, r, NULL, "cannot run the BPF program: %s", err_text(NULL, r));
    *out = (struct pmq_account){
        .uid = a->charged_uid,
        .charged = a->charged_known ? (uint64_t)a->charged : PMQ_UNKNOWN,
        .queues = a->queues,
    };
    return 0;
}

void pmq_inspect_free(struct pmq_inspect *i)
{
    if (!i)
        return;
    free(i->waiters);
    free(i);
}

void pmq_inspect_freep(struct pmq_inspect **i)
{
    pmq_inspect_free(*i);
}
