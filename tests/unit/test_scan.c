/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Listings and limits against the real kernel: costs are right when one byte less is refused. */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "pmq.h"
#include "pmq_attr.h"
#include "pmq_set.h"

static void name_it(char name[64], const char *what)
{
    snprintf(name, 64, "/unit-scan-%s-%d", what, (int)getpid());
}

static void test_charge(void)
{
    CHECK_INT(pmq_charge(1, 1), 97);
    CHECK_INT(pmq_charge(10, 8192), 82880);
    CHECK_INT(pmq_charge(32768, 1), 32768 * (1 + 48 + 48));
    CHECK_INT(pmq_charge(65536, 1), 65536 * (1 + 48) + 32768 * 48);
    CHECK_INT(pmq_charge(0, 5), 0);
    CHECK(pmq_charge(UINT64_MAX, 1) == PMQ_UNKNOWN);
    CHECK(pmq_charge(1, UINT64_MAX) == PMQ_UNKNOWN);
    CHECK(pmq_charge(2, UINT64_MAX / 2) == PMQ_UNKNOWN);
}

/* Whether mq_open() lets @queues of a shape be made under a limit of @bytes: how many it did. */
static int make_under(uint64_t bytes, long maxmsg, long msgsize, int queues)
{
    struct mq_attr attr = {.mq_maxmsg = maxmsg, .mq_msgsize = msgsize};
    struct rlimit rl, old;
    char name[64], what[16];
    int made = 0;

    getrlimit(RLIMIT_MSGQUEUE, &old);
    rl = old;
    rl.rlim_cur = bytes;
    CHECK(!setrlimit(RLIMIT_MSGQUEUE, &rl));
    for (; made < queues; made++) {
        mqd_t q;

        snprintf(what, sizeof(what), "c%d", made);
        name_it(name, what);
        q = mq_open(name, O_CREAT | O_EXCL | O_RDONLY, 0600, &attr);
        if (q < 0) {
            CHECK_INT(errno, EMFILE);
            break;
        }
        mq_close(q);
    }
    for (int i = 0; i < made; i++) {
        snprintf(what, sizeof(what), "c%d", i);
        name_it(name, what);
        mq_unlink(name);
    }
    setrlimit(RLIMIT_MSGQUEUE, &old);
    return made;
}

static int limits_are_low(void)
{
    struct pmq_limits l;

    return pmq_limits_read(&l) < 0 || l.msg_max < 8192 || l.msgsize_max < 300000;
}

/* A user who has no other queue: only then is the limit met by these alone. */
static int prove_charges(void)
{
    static const long shapes[][2] = {{1, 1}, {10, 8192}, {10, 1}, {1, 8192}, {3, 77}, {7, 4096}};
    static const long large[][2] = {{8000, 1}, {100, 5000}, {2, 300000}, {8192, 3}};

    for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
        long n = shapes[i][0], size = shapes[i][1];
        uint64_t cost = pmq_charge((uint64_t)n, (uint64_t)size);

        CHECK_INT(make_under(cost, n, size, 2), 1);
        CHECK_INT(make_under(cost - 1, n, size, 1), 0);
        CHECK_INT(make_under(5 * cost, n, size, 9), 5);
        CHECK_INT(make_under(5 * cost - 1, n, size, 9), 4);
    }
    if (limits_are_low())
        return check_failed != 0;
    for (size_t i = 0; i < ARRAY_SIZE(large); i++) {
        long n = large[i][0], size = large[i][1];
        uint64_t cost = pmq_charge((uint64_t)n, (uint64_t)size);

        CHECK_INT(make_under(cost, n, size, 2), 1);
        CHECK_INT(make_under(cost - 1, n, size, 1), 0);
    }
    return check_failed != 0;
}

static void write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);

    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static void test_charge_in_kernel(void)
{
    int status = -1;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        /* Root takes a user of its own and raises the sizes in an IPC namespace of its own. */
        if (geteuid() == 0) {
            uid_t uid = 1000000 + (uid_t)getpid();

            CHECK(!unshare(CLONE_NEWIPC));
            write_text("/proc/sys/fs/mqueue/msg_max", "10000");
            write_text("/proc/sys/fs/mqueue/msgsize_max", "400000");
            CHECK(!setresuid(uid, uid, uid));
        }
        _exit(prove_charges());
    }
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_limits(void)
{
    struct rlimit rl;
    struct pmq_limits l;

    CHECK_INT(pmq_limits_read(&l), 0);
    CHECK(l.queues_max >= 1 && l.msg_max >= 1 && l.msgsize_max >= 128);
    CHECK(l.msg_default >= 1 && l.msgsize_default >= 128);
    getrlimit(RLIMIT_MSGQUEUE, &rl);
    CHECK(l.rlimit_soft == (rl.rlim_cur == RLIM_INFINITY ? PMQ_UNLIMITED : rl.rlim_cur));
}

static void test_usage(void)
{
    struct pmq_info v[] = {
        {.known = true, .attr = {.uid = 7, .maxmsg = 1, .msgsize = 1}},
        {.known = true, .attr = {.uid = 3, .maxmsg = 10, .msgsize = 8192}},
        {.known = false, .attr = {.uid = 7, .maxmsg = PMQ_UNKNOWN, .msgsize = PMQ_UNKNOWN}},
    };
    struct pmq_set set = {.v = v, .n = ARRAY_SIZE(v)};
    struct pmq_usage *u = NULL;
    size_t n = 0;

    CHECK_INT(pmq_usage_estimate(&set, &u, &n), 0);
    CHECK_INT(n, 2);
    CHECK(u[0].uid == 3 && u[0].queues == 1 && u[0].charged == 82880 && u[0].unread == 0);
    CHECK(u[1].uid == 7 && u[1].queues == 2 && u[1].charged == 97 && u[1].unread == 1);
    free(u);
    set.n = 0;
    CHECK_INT(pmq_usage_estimate(&set, &u, &n), 0);
    CHECK_INT(n, 0);
    free(u);
}

static void check_link(const char *link, bool unlinked, const char *want)
{
    char name[PMQ_NAME_MAX + 2] = "old";

    pmq_name_from_link(link, unlinked, name);
    CHECK_STR(name, want);
}

static void test_links(void)
{
    char big[400];

    check_link("/jobs", false, "/jobs");
    check_link("/dev/mqueue/jobs", false, "/jobs");
    check_link("/jobs (deleted)", true, "/jobs");
    check_link("/jobs (deleted)", false, "/jobs (deleted)");
    check_link("/ (deleted)", true, "/ (deleted)");
    check_link("/", false, "");
    check_link("", true, "");
    check_link("socket:[1]", false, "");
    memset(big, 'x', sizeof(big));
    big[0] = '/';
    big[sizeof(big) - 1] = '\0';
    check_link(big, false, "");
    big[256] = '\0';
    check_link(big, false, big);
}

/* The most entries that a search can look at: a search ends at the first free one. */
static size_t longest_run(const struct set_builder *b)
{
    size_t longest = 0, run = 0;

    /* Twice around, for the run that goes across the end. */
    for (size_t i = 0; i < 2 * b->n_slots; i++) {
        run = b->slots[i % b->n_slots] ? run + 1 : 0;
        longest = MAX(longest, run);
    }
    return longest;
}

static void test_set(void)
{
    struct set_builder b;

    CHECK_INT(set_builder_init(&b), 0);
    for (uint64_t i = 0; i < 20000; i++) {
        struct pmq_info q = {.attr = {.dev = i % 3, .ino = i}};

        CHECK(!set_find(&b, q.attr.dev, q.attr.ino));
        CHECK_INT(set_add(&b, &q), 0);
        /* Finding one takes as long among many as among few. */
        if ((i & (i + 1)) == 0 || i == 5000 || i == 19999)
            CHECK(longest_run(&b) <= 8);
    }
    for (uint64_t i = 0; i < 20000; i++) {
        struct pmq_info *q = set_find(&b, i % 3, i);
        struct pmq_holder h = {.pid = (pid_t)(i % 5)};

        CHECK(q && q->attr.ino == i);
        for (uint64_t k = 0; q && k < i % 7; k++)
            CHECK_INT(set_add_holder(q, &h), 0);
    }
    CHECK(!set_find(&b, 1, 0));
    set_finish(&b, 3);
    /* Those with i % 5 == 3 and i % 7 != 0. */
    CHECK_INT(b.set->n, 3429);
    for (int i = 0; i < 100; i++)
        set_note(b.set, "sentence %d", i);
    CHECK(strlen(b.set->note) < sizeof(b.set->note));
    set_builder_done(&b);
}

static const struct pmq_info *find(const struct pmq_set *set, const char *name)
{
    for (size_t i = 0; i < set->n; i++)
        if (!strcmp(set->v[i].attr.name, name))
            return &set->v[i];
    return NULL;
}

static void test_scan(void)
{
    struct mq_attr attr = {.mq_maxmsg = 3, .mq_msgsize = 16};
    struct err e = ERR_INIT;
    struct pmq_set *set = NULL;
    const struct pmq_info *q;
    char name[64];
    mqd_t fd;

    name_it(name, "own");
    fd = mq_open(name, O_CREAT | O_EXCL | O_RDWR | O_NONBLOCK, 0600, &attr);
    CHECK(fd >= 0 && !mq_send(fd, "abc", 3, 1));
    CHECK_INT(pmq_scan(PMQ_SCAN_HOLDERS, 0, &set, &e), 0);
    q = set ? find(set, name) : NULL;
    CHECK(q && q->known && q->attr.curmsgs == 1 && q->attr.bytes == 3 && q->n_holders == 1);
    if (q && q->n_holders == 1) {
        CHECK_INT(q->holders[0].pid, getpid());
        CHECK_INT(q->holders[0].fd, fd);
        CHECK_INT(q->holders[0].access, O_RDWR);
        CHECK(q->holders[0].nonblock);
        CHECK_STR(q->holders[0].comm, "test_scan");
    }
    pmq_set_free(set);
    CHECK(!mq_unlink(name));
    CHECK_INT(pmq_scan(PMQ_SCAN_HOLDERS, 0, &set, &e), 0);
    CHECK(!find(set, name));
    pmq_set_free(set);
    CHECK_INT(pmq_scan(PMQ_SCAN_UNLINKED, getpid(), &set, &e), 0);
    q = find(set, name);
    CHECK(q && q->attr.unlinked && q->attr.curmsgs == 1 && set->n == 1);
    pmq_set_free(set);
    mq_close(fd);
    CHECK_INT(pmq_scan(0, 0x7ffffffe, &set, &e), -ESRCH);
    CHECK(strstr(e.why, "2147483646"));
}

int main(void)
{
    test_charge();
    test_charge_in_kernel();
    test_limits();
    test_usage();
    test_links();
    test_set();
    test_scan();
    return check_done();
}
