/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The BPF backend's own: a map that grows with the queue, and windows where it may not grow. */
#include <mqueue.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "check.h"
#include "pmq.h"

enum { SMALL = 40, LARGE = 300, BYTES = 1000 };

struct walk {
    uint64_t n;
    uint64_t bytes;
    bool heads;
    bool wrong;
};

/* Message i has priority (i % 3), so that the order of receiving is known. */
static void fill(mqd_t q, unsigned int n)
{
    char buf[BYTES];

    for (unsigned int i = 0; i < n; i++) {
        memset(buf, (int)(i % 251), sizeof(buf));
        CHECK_INT(mq_send(q, buf, BYTES - i % 13, i % 3), 0);
    }
}

static unsigned int nth(unsigned int index, unsigned int n)
{
    for (unsigned int p = 3; p-- > 0;)
        for (unsigned int i = p; i < n; i += 3)
            if (index-- == 0)
                return i;
    return n;
}

static unsigned int total;

static int look(const struct pmq_message *m, void *ctx)
{
    struct walk *w = ctx;
    unsigned int i = nth((unsigned int)w->n, total);
    const unsigned char *p = m->data;

    if (m->index != w->n++ || m->priority != i % 3 || m->length != BYTES - i % 13)
        w->wrong = true;
    if (w->heads != !m->data)
        w->wrong = true;
    for (size_t b = 0; p && b < m->length; b++)
        if (p[b] != i % 251)
            w->wrong = true;
    w->bytes += m->length;
    return 0;
}

static void peek(struct pmq_peeker *p, const struct pmq_queue *q, enum pmq_consistency consistency,
                 bool heads)
{
    const struct pmq_snapshot_info *info;
    struct walk w = {.heads = heads};
    struct pmq_snapshot *s = NULL;
    struct err e = ERR_INIT;
    bool windows = consistency == PMQ_TORN;

    CHECK_INT(pmq_peek(p, q, &s, &e), 0);
    if (!s)
        return;
    info = pmq_snapshot_info(s);
    CHECK_INT(info->consistency, consistency);
    CHECK_INT(pmq_snapshot_visit(s, look, &w, &e), 0);
    CHECK_INT(w.n, total);
    CHECK(!w.wrong);
    CHECK(windows || (info->messages == total && info->bytes == w.bytes));
    CHECK(!windows || (info->messages == PMQ_UNKNOWN && info->bytes == PMQ_UNKNOWN));
    /* Again, from the beginning. */
    w = (struct walk){.heads = heads};
    CHECK_INT(pmq_snapshot_visit(s, look, &w, &e), 0);
    CHECK(w.n == total && !w.wrong);
    pmq_snapshot_free(s);
}

static void peek_all(const struct pmq_queue *const q[2], struct pmq_peek_opts opts,
                     enum pmq_consistency consistency)
{
    struct pmq_peeker *p = NULL;
    struct err e = ERR_INIT;

    opts.backend = "bpf";
    CHECK_INT(pmq_peeker_new(&opts, &p, &e), 0);
    /* One peeker for a small queue, a large one, which makes it grow, and the small one again. */
    for (unsigned int i = 0; p && i < 3; i++) {
        total = i == 1 ? LARGE : SMALL;
        peek(p, q[i == 1], consistency, opts.heads);
    }
    pmq_peeker_free(p);
}

int main(void)
{
    struct pmq_ref ref = {.kind = PMQ_REF_NAME};
    struct pmq_queue *q[2] = {NULL, NULL};
    struct err e = ERR_INIT;
    FILE *f;

    CHECK_INT(unshare(CLONE_NEWIPC), 0);
    f = fopen("/proc/sys/fs/mqueue/msg_max", "w");
    CHECK(f && fputs("1000", f) >= 0 && fclose(f) == 0);
    for (int i = 0; i < 2; i++) {
        struct mq_attr attr = {.mq_maxmsg = i ? LARGE : SMALL, .mq_msgsize = BYTES};
        mqd_t fd;

        snprintf(ref.name, sizeof(ref.name), "/test-peekbpf-%d-%d", getpid(), i);
        fd = mq_open(ref.name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
        CHECK(fd >= 0);
        fill(fd, i ? LARGE : SMALL);
        CHECK_INT(pmq_queue_open(&ref, PMQ_OPEN_READ, &q[i], &e), 0);
        mq_close(fd);
        mq_unlink(ref.name);
    }
    if (q[0] && q[1]) {
        const struct pmq_queue *const both[2] = {q[0], q[1]};

        peek_all(both, (struct pmq_peek_opts){.heads = false}, PMQ_VERIFIED);
        peek_all(both, (struct pmq_peek_opts){.heads = true}, PMQ_VERIFIED);
        peek_all(both, (struct pmq_peek_opts){.max_snapshot = 10000}, PMQ_TORN);
        peek_all(both, (struct pmq_peek_opts){.max_snapshot = 1}, PMQ_TORN);
    }
    pmq_queue_close(q[0]);
    pmq_queue_close(q[1]);
    return check_done();
}
