/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The BPF backend's own: a map that grows with the queue, windows where it may not grow, and
 * messages of each length next to one another.
 */
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

static int look(const struct msgq_message *m, void *ctx)
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

static void peek(struct msgq_peeker *p, const struct pmq_queue *q,
                 enum msgq_consistency consistency, bool heads)
{
    const struct msgq_snapshot_info *info;
    struct walk w = {.heads = heads};
    struct msgq_snapshot *s = NULL;
    struct err e = ERR_INIT;
    bool windows = consistency == MSGQ_TORN;

    CHECK_INT(pmq_peek(p, q, &s, &e), 0);
    if (!s)
        return;
    info = msgq_snapshot_info(s);
    CHECK_INT(info->consistency, consistency);
    CHECK_INT(msgq_snapshot_visit(s, look, &w, &e), 0);
    CHECK_INT(w.n, total);
    CHECK(!w.wrong);
    CHECK(windows || (info->messages == total && info->bytes == w.bytes));
    CHECK(!windows || (info->messages == PMQ_UNKNOWN && info->bytes == PMQ_UNKNOWN));
    /* Again, from the beginning. */
    w = (struct walk){.heads = heads};
    CHECK_INT(msgq_snapshot_visit(s, look, &w, &e), 0);
    CHECK(w.n == total && !w.wrong);
    msgq_snapshot_free(s);
}

static void peek_all(const struct pmq_queue *const q[2], struct msgq_peek_opts opts,
                     enum msgq_consistency consistency)
{
    struct msgq_peeker *p = NULL;
    struct err e = ERR_INIT;

    opts.backend = "bpf";
    CHECK_INT(pmq_peeker_new(&opts, &p, &e), 0);
    /* One peeker for a small queue, a large one, which makes it grow, and the small one again. */
    for (unsigned int i = 0; p && i < 3; i++) {
        total = i == 1 ? LARGE : SMALL;
        peek(p, q[i == 1], consistency, opts.heads);
    }
    msgq_peeker_free(p);
}

/* ---- messages of odd lengths ---- */

/* Message @i of @n: lengths from @base on, by turns from below and from above; no two the same. */
struct lengths {
    unsigned int base;
    unsigned int n;
    struct walk seen;
};

enum { LONGEST = 8192 };

static size_t odd_message(const struct lengths *l, unsigned int i, char *buf)
{
    size_t n = l->base + (i % 2 ? i : l->n - i);

    for (size_t b = 0; b < n; b++)
        buf[b] = (char)(i * 7 + b * 3 + 1);
    return n;
}

static int look_odd(const struct msgq_message *m, void *ctx)
{
    struct lengths *l = ctx;
    char want[LONGEST];

    if (m->index != l->seen.n || m->priority != 0 ||
        m->length != odd_message(l, (unsigned int)l->seen.n, want) ||
        memcmp(m->data, want, m->length) != 0)
        l->seen.wrong = true;
    l->seen.n++;
    return 0;
}

static void odd_lengths(unsigned int base, unsigned int n)
{
    struct mq_attr attr = {.mq_maxmsg = n, .mq_msgsize = base + n};
    const struct msgq_peek_opts opts = {.backend = "bpf"};
    struct pmq_ref ref = {.kind = PMQ_REF_NAME};
    struct lengths l = {.base = base, .n = n};
    struct msgq_snapshot *s = NULL;
    struct msgq_peeker *p = NULL;
    struct pmq_queue *q = NULL;
    struct err e = ERR_INIT;
    char buf[LONGEST];
    mqd_t fd;

    snprintf(ref.name, sizeof(ref.name), "/test-peekbpf-%d", getpid());
    fd = mq_open(ref.name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
    CHECK(fd >= 0);
    for (unsigned int i = 0; i < n; i++)
        CHECK_INT(mq_send(fd, buf, odd_message(&l, i, buf), 0), 0);
    CHECK_INT(pmq_queue_open(&ref, PMQ_OPEN_READ, &q, &e), 0);
    CHECK_INT(pmq_peeker_new(&opts, &p, &e), 0);
    CHECK_INT(pmq_peek(p, q, &s, &e), 0);
    if (s) {
        CHECK_INT(msgq_snapshot_info(s)->consistency, MSGQ_VERIFIED);
        CHECK_INT(msgq_snapshot_visit(s, look_odd, &l, &e), 0);
        CHECK(l.seen.n == n && !l.seen.wrong);
        msgq_snapshot_free(s);
    }
    msgq_peeker_free(p);
    pmq_queue_close(q);
    mq_close(fd);
    mq_unlink(ref.name);
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

        peek_all(both, (struct msgq_peek_opts){.heads = false}, MSGQ_VERIFIED);
        peek_all(both, (struct msgq_peek_opts){.heads = true}, MSGQ_VERIFIED);
        peek_all(both, (struct msgq_peek_opts){.max_snapshot = 10000}, MSGQ_TORN);
        peek_all(both, (struct msgq_peek_opts){.max_snapshot = 1}, MSGQ_TORN);
    }
    pmq_queue_close(q[0]);
    pmq_queue_close(q[1]);
    odd_lengths(0, 200);
    /* A message has some 4048 bytes in the first page of memory, and in the next some 8 more. */
    odd_lengths(4024, 40);
    odd_lengths(8120, 32);
    return check_done();
}
