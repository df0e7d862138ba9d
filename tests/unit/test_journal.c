/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The journal of a drain at each moment of a kill between the receiving of a message and its
 * commit: whatever its length, it is found again.
 */
#include <errno.h>
#include <mqueue.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "journal.h"

enum { MSGSIZE = 250 };

static struct pmq_queue *queue_new(const char *name)
{
    struct mq_attr attr = {.mq_maxmsg = 4, .mq_msgsize = MSGSIZE};
    struct pmq_ref ref = {.kind = PMQ_REF_NAME};
    struct pmq_queue *q = NULL;
    mqd_t fd = mq_open(name, O_CREAT | O_EXCL | O_RDWR, 0600, &attr);

    CHECK(fd >= 0);
    for (int i = 0; i < 3; i++)
        CHECK_INT(mq_send(fd, "x", 1, 0), 0);
    mq_close(fd);
    snprintf(ref.name, sizeof(ref.name), "%s", name);
    CHECK_INT(pmq_queue_open(&ref, PMQ_OPEN_READ, &q, NULL), 0);
    return q;
}

/* As the kernel fills it. Never the pattern, nor what a blank record is made of. */
static void fill(struct journal *j, size_t n)
{
    char *payload = j->map + j->end + JOURNAL_RECORD;

    journal_at(j, j->end)->priority = 7;
    for (size_t i = 0; i < n; i++)
        payload[i] = (char)(payload[i] ^ 0x55);
}

static void check_length(const struct journal *j, size_t n)
{
    CHECK_INT(journal_guess_length(j), n);
    CHECK(journal_can_be_length(j, n));
    CHECK(n == 0 || !journal_can_be_length(j, n - 1));
    CHECK(!journal_can_be_length(j, MSGSIZE + 1));
}

static void moments(const struct pmq_queue *q, const struct pmq_attr *a, size_t n)
{
    struct err e = ERR_INIT;
    struct journal j;
    char *next;
    int r = journal_create(q, a, &j, &e);

    CHECK_INT(r, 0);
    if (r < 0)
        return;
    fill(&j, n);
    check_length(&j, n);
    CHECK(!journal_can_be_length(&j, n + 9));
    /* The next record is made blank, in two halves at the worst. */
    next = j.map + j.end + journal_space(n);
    memset(next, 0xff, 4);
    memset(next + 4, 0, 4);
    check_length(&j, n);
    memset(next + 8, 0, 8);
    check_length(&j, n);
    journal_commit(&j, n);
    CHECK_INT(j.n, 1);
    CHECK_INT(j.bytes, n);
    journal_remove(&j);
    journal_close(&j);
}

/* A message that itself ends as a blank record does. */
static void lookalike(const struct pmq_queue *q, const struct pmq_attr *a)
{
    struct err e = ERR_INIT;
    struct journal j;
    char *payload;

    CHECK_INT(journal_create(q, a, &j, &e), 0);
    fill(&j, 48);
    payload = j.map + j.end + JOURNAL_RECORD;
    memset(payload + 32, 0xff, 4);
    memset(payload + 36, 0, 12);
    CHECK(journal_can_be_length(&j, 48));
    CHECK(journal_can_be_length(&j, 32));
    CHECK(!journal_can_be_length(&j, 31));
    journal_remove(&j);
    journal_close(&j);
}

int main(void)
{
    char home[] = "/tmp/test-journal-XXXXXX", name[64], dir[128];
    struct pmq_queue *q;
    struct pmq_attr a;

    /* Not root: root's journals have one place. */
    if (geteuid() == 0 && (unshare(CLONE_NEWIPC) < 0 || setresgid(65534, 65534, 65534) < 0 ||
                           setresuid(65534, 65534, 65534) < 0))
        return 1;
    CHECK(mkdtemp(home));
    setenv("XDG_STATE_HOME", home, 1);
    snprintf(name, sizeof(name), "/test-journal-%d", (int)getpid());
    q = queue_new(name);
    if (!q || pmq_queue_attr_basic(q, &a) < 0) {
        CHECK_FAIL("no queue");
        return check_done();
    }
    a.bytes = 3; /* which only /dev/mqueue tells */
    for (size_t n = 0; n <= MSGSIZE; n++)
        moments(q, &a, n);
    lookalike(q, &a);
    pmq_queue_close(q);
    mq_unlink(name);
    snprintf(dir, sizeof(dir), "%s/ipcbox", home);
    CHECK_INT(rmdir(dir), 0);
    CHECK_INT(rmdir(home), 0);
    return check_done();
}
