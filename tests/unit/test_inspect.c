/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who sleeps on a queue, who is notified, who is charged: real processes that really sleep. */
#include <errno.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "pmq.h"
#include "pmq_inspect.h"

static char name[64];

/* A child that blocks in one of the two calls. */
static pid_t block(enum pmq_direction direction, const char *comm)
{
    pid_t pid = fork();

    if (pid == 0) {
        mqd_t q = mq_open(name, O_RDWR);
        char buf[16] = "";

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_NAME, comm);
        if (direction == PMQ_SEND)
            mq_send(q, buf, 1, 0);
        else
            mq_receive(q, buf, sizeof(buf), NULL);
        _exit(0);
    }
    return pid;
}

static const struct pmq_waiter *find(const struct pmq_inspect *i, pid_t pid)
{
    for (size_t n = 0; i && n < i->n_waiters; n++)
        if (i->waiters[n].pid == pid)
            return &i->waiters[n];
    return NULL;
}

/* One for all looks, of the parent and of children. */
static struct pmq_inspector *inspector;

/* Looks until @want threads sleep, for ten seconds at most. */
static struct pmq_inspect *look(size_t want)
{
    struct pmq_ref ref = {.kind = PMQ_REF_NAME};
    struct pmq_inspect *i = NULL;
    struct pmq_queue *q = NULL;
    struct err e = ERR_INIT;

    snprintf(ref.name, sizeof(ref.name), "%s", name);
    CHECK_INT(pmq_queue_open(&ref, PMQ_OPEN_READ, &q, &e), 0);
    for (unsigned int n = 0; q && n < 500; n++) {
        int r = inspector ? 0 : pmq_inspector_new(&inspector, &e);

        if (r == 0)
            r = pmq_inspector_look(inspector, q, &i, &e);
        if (r < 0) {
            fprintf(stderr, "inspect: %s\n", err_text(&e, r));
            CHECK_INT(r, 0);
            break;
        }
        if (i->n_waiters == want && i->waiters_complete)
            break;
        pmq_inspect_free(i);
        i = NULL;
        usleep(20000);
    }
    pmq_queue_close(q);
    CHECK(i != NULL);
    return i;
}

static void check_waiter(const struct pmq_inspect *i, pid_t pid, enum pmq_direction direction,
                         const char *comm)
{
    const struct pmq_waiter *w = find(i, pid);

    CHECK(w != NULL);
    if (!w)
        return;
    CHECK_INT(w->tid, pid);
    CHECK_INT(w->direction, direction);
    CHECK_STR(w->comm, comm);
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void receivers(mqd_t q _unused_)
{
    pid_t a = block(PMQ_RECEIVE, "first"), b;
    struct pmq_inspect *i, *later;
    const struct pmq_waiter *was, *is;

    /* From when a thread last got the processor to when the caller did: it is not to get it again
     * for having been seen before it slept, and the caller is. */
    usleep(100000);
    i = look(1);
    check_waiter(i, a, PMQ_RECEIVE, "first");
    b = block(PMQ_RECEIVE, "second\n");
    usleep(20000);
    later = look(2);
    check_waiter(later, a, PMQ_RECEIVE, "first");
    check_waiter(later, b, PMQ_RECEIVE, "second\n");
    /* Of equal priority the one that came first is served first. */
    CHECK(later && later->n_waiters == 2 && later->waiters[0].pid == a);
    was = find(i, a);
    is = find(later, a);
    CHECK(was && is && (is->since == PMQ_UNKNOWN || is->since > was->since));
    pmq_inspect_free(i);
    pmq_inspect_free(later);
    end(a);
    end(b);
}

static void senders(mqd_t q)
{
    struct pmq_inspect *i;
    pid_t a;

    CHECK_INT(mq_send(q, "x", 1, 0), 0);
    CHECK_INT(mq_send(q, "x", 1, 0), 0);
    a = block(PMQ_SEND, "sender");
    i = look(1);
    check_waiter(i, a, PMQ_SEND, "sender");
    pmq_inspect_free(i);
    end(a);
    i = look(0);
    pmq_inspect_free(i);
}

/* In a pid namespace of its own, a process sees its children by its own numbers for them. */
static void container(mqd_t q)
{
    int status = 1;
    pid_t pid;

    pid = fork();
    if (pid == 0) {
        check_failed = 0;
        if (unshare(CLONE_NEWPID) < 0)
            _exit(2);
        pid = fork();
        if (pid == 0) {
            pid_t a = block(PMQ_SEND, "inside");
            struct pmq_inspect *i = look(1);

            check_waiter(i, a, PMQ_SEND, "inside");
            CHECK(a < 10);
            end(a);
            _exit(check_failed != 0);
        }
        waitpid(pid, &status, 0);
        _exit(status != 0);
    }
    waitpid(pid, &status, 0);
    CHECK_INT(status, 0);
    (void)q;
}

static void notification(mqd_t q)
{
    struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
    struct pmq_inspect *i = look(0);

    CHECK(i && i->notify == PMQ_NOTIFY_NONE && i->notify_pid == 0 && i->notify_signo == 0);
    pmq_inspect_free(i);
    CHECK_INT(mq_notify(q, &ev), 0);
    i = look(0);
    CHECK(i && i->notify == PMQ_NOTIFY_SIGNAL && i->notify_pid == getpid() &&
          i->notify_signo == SIGUSR2);
    pmq_inspect_free(i);
    CHECK_INT(mq_notify(q, NULL), 0);
    ev = (struct sigevent){.sigev_notify = SIGEV_NONE};
    CHECK_INT(mq_notify(q, &ev), 0);
    i = look(0);
    CHECK(i && i->notify == PMQ_NOTIFY_SILENT && i->notify_pid == getpid());
    pmq_inspect_free(i);
    CHECK_INT(mq_notify(q, NULL), 0);
}

/* A user whose account nobody else touches: what a queue adds to it is known to the byte. */
static void account(void)
{
    struct mq_attr attr = {.mq_maxmsg = 3, .mq_msgsize = 100};
    const uid_t uid = 63217;
    struct pmq_inspect *one, *two;
    char other[80];
    mqd_t a, b;

    snprintf(other, sizeof(other), "%s-other", name);
    mq_unlink(name);
    CHECK_INT(setresuid(uid, 0, 0), 0);
    umask(0);
    a = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0666, &attr);
    CHECK(a >= 0);
    one = look(0);
    b = mq_open(other, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
    CHECK(b >= 0);
    two = look(0);
    CHECK(one && one->charged_uid == uid && one->charged_bytes == 3 * (100 + 48 + 48));
    CHECK(two && two->charged_bytes == 2 * one->charged_bytes);
    pmq_inspect_free(one);
    pmq_inspect_free(two);
    mq_close(a);
    mq_close(b);
    mq_unlink(other);
    CHECK_INT(setresuid(0, 0, 0), 0);
}

int main(void)
{
    struct mq_attr attr = {.mq_maxmsg = 2, .mq_msgsize = 16};
    mqd_t q;

    snprintf(name, sizeof(name), "/test-inspect-%d", getpid());
    q = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
    CHECK(q >= 0);
    notification(q);
    receivers(q);
    senders(q);
    container(q);
    account();
    mq_unlink(name);
    pmq_inspector_free(inspector);
    return check_done();
}
