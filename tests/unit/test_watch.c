// SPDX-License-Identifier: LGPL-2.1-or-later
/* Queues over time: real queues and messages, a clock of the test's own. */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "pmq_watch.h"
#include "timefmt.h"

static char prefix[64];

static mqd_t make(const char *suffix, long maxmsg)
{
    struct mq_attr attr = {.mq_maxmsg = maxmsg, .mq_msgsize = 16};
    char name[128];
    mqd_t q;

    snprintf(name, sizeof(name), "%s%s", prefix, suffix);
    mq_unlink(name);
    q = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK, 0600, &attr);
    CHECK(q >= 0);
    return q;
}

static void destroy(mqd_t q, const char *suffix)
{
    char name[128];

    snprintf(name, sizeof(name), "%s%s", prefix, suffix);
    mq_close(q);
    mq_unlink(name);
}

static void send_some(mqd_t q, int n)
{
    for (int i = 0; i < n; i++)
        CHECK_INT(mq_send(q, "x", 1, 0), 0);
}

static void receive_some(mqd_t q, int n)
{
    char buf[16];

    for (int i = 0; i < n; i++)
        CHECK_INT(mq_receive(q, buf, sizeof(buf), NULL), 1);
}

static const struct pmq_watched *get(struct pmq_watch *w, const char *suffix)
{
    const struct pmq_watched **v;
    char name[128];
    size_t n;

    snprintf(name, sizeof(name), "%s%s", prefix, suffix);
    n = pmq_watch_select(w, PMQ_WATCH_BY_NAME, false, prefix, &v);
    for (size_t i = 0; i < n; i++)
        if (!strcmp(v[i]->attr.name, name))
            return v[i];
    return NULL;
}

/* Seconds of the test's clock. It begins late enough that nothing is before it. */
static uint64_t at(double seconds)
{
    return 1000 * NSEC_PER_SEC + (uint64_t)(seconds * (double)NSEC_PER_SEC);
}

static void test_sampled(void)
{
    const struct pmq_watch_opts opts = {.sample = NSEC_PER_SEC / 4, .scan = 3 * NSEC_PER_SEC};
    struct pmq_watch *w = NULL;
    const struct pmq_watched *q;
    struct err e = ERR_INIT;
    mqd_t a = make("-a", 8);
    uint64_t next = 0;

    send_some(a, 2);
    CHECK_INT(pmq_watch_new(&opts, &w), 0);
    CHECK_INT(pmq_watch_look(w, at(0), &next, &e), 0);
    CHECK(next >= at(0.25));
    q = get(w, "-a");
    CHECK(q && q->known && q->attr.curmsgs == 2 && q->attr.maxmsg == 8 && q->sent == PMQ_UNKNOWN);
    CHECK_INT(pmq_watch_interval(w, at(0), &e), 0);

    /* Up by three and down by four, seen one after the other. */
    send_some(a, 3);
    CHECK_INT(pmq_watch_look(w, at(50), &next, &e), 0);
    receive_some(a, 4);
    CHECK_INT(pmq_watch_interval(w, at(52), &e), 0);
    q = get(w, "-a");
    CHECK(q != NULL);
    if (q) {
        CHECK_INT(q->sent, 3);
        CHECK_INT(q->received, 4);
        CHECK_INT(q->interval, 52 * NSEC_PER_SEC);
        CHECK_INT(q->attr.curmsgs, 1);
    }
    /* The next interval begins with nothing. */
    CHECK_INT(pmq_watch_interval(w, at(53), &e), 0);
    q = get(w, "-a");
    CHECK(q && q->sent == 0 && q->received == 0 && q->interval == NSEC_PER_SEC);
    pmq_watch_free(w);
    destroy(a, "-a");
}

static void test_come_and_go(void)
{
    const struct pmq_watch_opts opts = {.sample = NSEC_PER_SEC, .scan = NSEC_PER_SEC};
    struct pmq_watch *w = NULL;
    struct err e = ERR_INIT;
    mqd_t a = make("-a", 4), b;
    const struct pmq_watched *q;
    uint64_t next, ino = 0;
    struct pmq_ref ref;

    CHECK_INT(pmq_watch_new(&opts, &w), 0);
    CHECK_INT(pmq_watch_look(w, at(0), &next, &e), 0);
    q = get(w, "-a");
    CHECK(q != NULL);
    CHECK(get(w, "-b") == NULL);
    if (q) {
        ino = q->attr.ino;
        CHECK_INT(pmq_watch_ref(q, &ref), 0);
        CHECK_INT(ref.kind, PMQ_REF_NAME);
        CHECK_STR(ref.name, q->attr.name);
    }
    b = make("-b", 4);
    CHECK_INT(pmq_watch_look(w, at(1000), &next, &e), 0);
    CHECK(get(w, "-b") != NULL);
    q = get(w, "-a");
    CHECK(q && q->attr.ino == ino);
    destroy(a, "-a");
    /* Another one under the same name is another queue. */
    a = make("-a", 2);
    CHECK_INT(pmq_watch_look(w, at(2000), &next, &e), 0);
    q = get(w, "-a");
    CHECK(q && q->attr.ino != ino && q->attr.maxmsg == 2);
    destroy(a, "-a");
    destroy(b, "-b");
    CHECK_INT(pmq_watch_look(w, at(3000), &next, &e), 0);
    CHECK(get(w, "-a") == NULL);
    CHECK(get(w, "-b") == NULL);
    pmq_watch_free(w);
}

static void test_unlinked(void)
{
    const struct pmq_watch_opts opts = {.sample = NSEC_PER_SEC, .scan = NSEC_PER_SEC};
    struct pmq_watch *w = NULL;
    struct err e = ERR_INIT;
    mqd_t a = make("-gone", 4);
    const struct pmq_watched *q;
    uint64_t next;
    struct pmq_ref ref;
    char name[128];

    send_some(a, 3);
    snprintf(name, sizeof(name), "%s-gone", prefix);
    mq_unlink(name);
    CHECK_INT(pmq_watch_new(&opts, &w), 0);
    CHECK_INT(pmq_watch_look(w, at(0), &next, &e), 0);
    q = get(w, "-gone");
    CHECK(q != NULL);
    if (q) {
        CHECK(q->attr.unlinked);
        CHECK_INT(q->attr.curmsgs, 3);
        CHECK(q->holders >= 1);
        CHECK_INT(pmq_watch_ref(q, &ref), 0);
        CHECK_INT(ref.kind, PMQ_REF_PID_FD);
    }
    mq_close(a);
    CHECK_INT(pmq_watch_look(w, at(1000), &next, &e), 0);
    CHECK(get(w, "-gone") == NULL); /* watching has not kept it alive */
    pmq_watch_free(w);
}

static void test_history(void)
{
    const struct pmq_watch_opts opts = {.sample = 1, .scan = 1000000 * NSEC_PER_SEC};
    struct pmq_watch *w = NULL;
    struct err e = ERR_INIT;
    mqd_t a = make("-a", 4);
    const struct pmq_watched *q;
    int levels[PMQ_WATCH_SECONDS];

    CHECK_INT(pmq_watch_new(&opts, &w), 0);
    /* One message more each second, four at last. */
    for (int second = 0; second < 5; second++) {
        if (second)
            send_some(a, 1);
        CHECK_INT(pmq_watch_interval(w, at(second), &e), 0);
    }
    q = get(w, "-a");
    CHECK(q != NULL);
    if (q) {
        pmq_watch_history(q, levels, 60);
        CHECK_INT(levels[54], -1);
        for (int i = 0; i < 5; i++)
            CHECK_INT(levels[55 + i], 250 * i);
        pmq_watch_history(q, levels, 6);
        CHECK_INT(levels[5], 1000);
        CHECK_INT(levels[4], -1);
        pmq_watch_history(q, levels, 1);
        CHECK_INT(levels[0], 1000);
    }
    /* The deepest of a second counts, also when it has gone down since. */
    receive_some(a, 4);
    CHECK_INT(pmq_watch_interval(w, at(4.5), &e), 0);
    /* A second in which nobody looked is taken as the one before; a long time is not known. */
    CHECK_INT(pmq_watch_interval(w, at(6), &e), 0);
    q = get(w, "-a");
    if (q) {
        pmq_watch_history(q, levels, 60);
        CHECK_INT(levels[57], 1000);
        CHECK_INT(levels[58], 1000);
        CHECK_INT(levels[59], 0);
    }
    CHECK_INT(pmq_watch_interval(w, at(30), &e), 0);
    q = get(w, "-a");
    if (q) {
        pmq_watch_history(q, levels, 60);
        CHECK_INT(levels[59], 0);
        CHECK_INT(levels[58], -1);
        CHECK_INT(levels[36], -1);
        CHECK_INT(levels[35], 0);
    }
    CHECK_INT(pmq_watch_interval(w, at(500), &e), 0);
    q = get(w, "-a");
    if (q) {
        pmq_watch_history(q, levels, 60);
        CHECK_INT(levels[59], 0);
        for (int i = 0; i < 59; i++)
            CHECK_INT(levels[i], -1);
    }
    pmq_watch_free(w);
    destroy(a, "-a");
}

/* ---- counted ---- */

static struct msgq_counters counters;
static int counters_error;

static int count(void *ctx, uint64_t dev, uint64_t ino, struct msgq_counters *out)
{
    CHECK(ctx == &counters && dev && ino);
    *out = counters;
    return counters_error;
}

static void test_counted(void)
{
    const struct pmq_watch_opts opts = {
        .sample = NSEC_PER_SEC,
        .scan = NSEC_PER_SEC,
        .count = count,
        .count_ctx = &counters,
    };
    struct pmq_watch *w = NULL;
    const struct pmq_watched *q;
    struct err e = ERR_INIT;
    mqd_t a = make("-a", 4);

    counters = (struct msgq_counters){.sent = 100, .received = 90};
    CHECK_INT(pmq_watch_new(&opts, &w), 0);
    CHECK_INT(pmq_watch_interval(w, at(0), &e), 0);
    q = get(w, "-a");
    CHECK(q && q->sent == PMQ_UNKNOWN);
    counters = (struct msgq_counters){.sent = 150, .received = 120};
    CHECK_INT(pmq_watch_interval(w, at(2), &e), 0);
    q = get(w, "-a");
    CHECK(q && q->sent == 50 && q->received == 30);
    CHECK(q && pmq_watch_rate(q->sent, q->interval) == 25.0);
    counters_error = -EIO;
    CHECK_INT(pmq_watch_interval(w, at(3), &e), 0);
    q = get(w, "-a");
    CHECK(q && q->sent == PMQ_UNKNOWN && pmq_watch_rate(q->sent, q->interval) < 0);
    counters_error = 0;
    pmq_watch_free(w);
    destroy(a, "-a");
}

static void check_order(struct pmq_watch *w, enum pmq_watch_key by, bool reverse, const char *want)
{
    const struct pmq_watched **v;
    size_t n = pmq_watch_select(w, by, reverse, prefix, &v);
    char got[16] = "";

    for (size_t i = 0; i < n && i < sizeof(got) - 1; i++)
        got[i] = v[i]->attr.name[strlen(v[i]->attr.name) - 1];
    CHECK_STR(got, want);
}

static void test_order(void)
{
    const struct pmq_watch_opts opts = {.sample = 1, .scan = NSEC_PER_SEC};
    struct pmq_watch *w = NULL;
    const struct pmq_watched **v;
    struct err e = ERR_INIT;
    mqd_t a = make("-a", 4), b = make("-b", 8), c = make("-c", 4);
    char upper[80];
    uint64_t next;

    CHECK_INT(pmq_watch_new(&opts, &w), 0);
    CHECK_INT(pmq_watch_interval(w, at(0), &e), 0);
    send_some(a, 2);
    send_some(b, 3);
    send_some(c, 1);
    CHECK_INT(pmq_watch_look(w, at(0.1), &next, &e), 0);
    receive_some(c, 1);
    CHECK_INT(pmq_watch_interval(w, at(0.2), &e), 0);
    check_order(w, PMQ_WATCH_BY_FILL, false, "abc");
    check_order(w, PMQ_WATCH_BY_FILL, true, "cba");
    check_order(w, PMQ_WATCH_BY_DEPTH, false, "bac");
    check_order(w, PMQ_WATCH_BY_NAME, false, "abc");
    check_order(w, PMQ_WATCH_BY_NAME, true, "cba");
    check_order(w, PMQ_WATCH_BY_IN, false, "bac");
    check_order(w, PMQ_WATCH_BY_OUT, false, "cab");
    check_order(w, PMQ_WATCH_BY_BLOCKED, false, "abc"); /* equal: by name */
    check_order(w, PMQ_WATCH_BY_WAIT, true, "abc");
    snprintf(upper, sizeof(upper), "%s-B", prefix);
    CHECK_INT(pmq_watch_select(w, PMQ_WATCH_BY_NAME, false, upper, &v), 1);
    CHECK_INT(pmq_watch_select(w, PMQ_WATCH_BY_NAME, false, "no such name, surely", &v), 0);
    pmq_watch_free(w);
    destroy(a, "-a");
    destroy(b, "-b");
    destroy(c, "-c");
}

/* ---- who is blocked ---- */

/* A child that sleeps in a call on the queue. */
static pid_t block(mqd_t q, enum pmq_direction direction)
{
    pid_t pid = fork();

    if (pid == 0) {
        char buf[16];

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (direction == PMQ_SEND)
            mq_send(q, "x", 1, 0);
        else
            mq_receive(q, buf, sizeof(buf), NULL);
        pause();
    }
    return pid;
}

static mqd_t make_blocking(const char *suffix)
{
    mqd_t q = make(suffix, 1);
    struct mq_attr attr = {0};

    CHECK_INT(mq_setattr(q, &attr, NULL), 0);
    return q;
}

/* Looks at the queues, not at the processes, until so many are blocked on one. */
static void wait_blocked(struct pmq_watch *w, const char *suffix, unsigned int senders,
                         unsigned int receivers)
{
    const struct pmq_watched *q = NULL;
    struct err e = ERR_INIT;

    for (int i = 0; i < 1000; i++) {
        CHECK_INT(pmq_watch_interval(w, at(1), &e), 0);
        q = get(w, suffix);
        if (!q || (q->senders == senders && q->receivers == receivers))
            break;
        usleep(10000);
    }
    CHECK(q && q->senders == senders && q->receivers == receivers && q->waiters_complete);
}

static void test_blocked(void)
{
    struct pmq_watch_opts opts = {.sample = 1, .scan = 1000000 * NSEC_PER_SEC};
    struct pmq_watch *w = NULL;
    struct err e = ERR_INIT;
    mqd_t a = make_blocking("-a"), b = make_blocking("-b");
    uint64_t next;
    pid_t pids[3];
    int r = pmq_inspector_new(&opts.inspector, &e);

    /* A build without BPF has no inspector. */
    CHECK(r == 0 || (r == -EOPNOTSUPP && strstr(e.why, "this build is without BPF")));
    if (r == 0) {
        send_some(b, 1);
        CHECK_INT(pmq_watch_new(&opts, &w), 0);
        CHECK_INT(pmq_watch_look(w, at(0), &next, &e), 0);
        pids[0] = block(a, PMQ_RECEIVE);
        wait_blocked(w, "-a", 0, 1);
        pids[1] = block(b, PMQ_SEND);
        wait_blocked(w, "-b", 1, 0);
        pids[2] = block(b, PMQ_SEND);
        wait_blocked(w, "-b", 2, 0);
        usleep(50000);
        CHECK_INT(pmq_watch_interval(w, at(2), &e), 0);
        CHECK(get(w, "-a")->oldest_wait != PMQ_UNKNOWN);
        CHECK(get(w, "-b")->oldest_wait != PMQ_UNKNOWN);
        /* It slept in the call for all of these 50 ms; a look may be 10 ms behind. */
        CHECK(get(w, "-b")->oldest_wait >= 40 * NSEC_PER_MSEC);
        CHECK(get(w, "-a")->oldest_wait > get(w, "-b")->oldest_wait);
        check_order(w, PMQ_WATCH_BY_WAIT, false, "ab");
        check_order(w, PMQ_WATCH_BY_BLOCKED, false, "ba");
        for (int i = 0; i < 3; i++) {
            kill(pids[i], SIGKILL);
            waitpid(pids[i], NULL, 0);
        }
        wait_blocked(w, "-a", 0, 0);
        CHECK(get(w, "-a")->oldest_wait == PMQ_UNKNOWN);
        pmq_watch_free(w);
    }
    pmq_inspector_free(opts.inspector);
    destroy(a, "-a");
    destroy(b, "-b");
}

int main(void)
{
    snprintf(prefix, sizeof(prefix), "/ipcbox-watch-%d", (int)getpid());
    test_sampled();
    test_come_and_go();
    test_unlinked();
    test_history();
    test_counted();
    test_order();
    test_blocked();
    return check_done();
}
