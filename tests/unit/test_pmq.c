/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Naming and opening queues, and what is read from an open one. Real queues, named by this pid. */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "pmq.h"

static void refs(void)
{
    static const struct {
        const char *text;
        int r;
        enum pmq_ref_kind kind;
        pid_t pid;
        int fd;
        const char *again;
    } cases[] = {
        {"/jobs", 0, PMQ_REF_NAME, 0, -1, "/jobs"},
        {"jobs", 0, PMQ_REF_NAME, 0, -1, "/jobs"},
        {"/pid:1:2", 0, PMQ_REF_NAME, 0, -1, "/pid:1:2"},
        {"/...", 0, PMQ_REF_NAME, 0, -1, "/..."},
        {"/a\nb\033[2J", 0, PMQ_REF_NAME, 0, -1, "/a\nb\033[2J"},
        {"pid:12:3", 0, PMQ_REF_PID_FD, 12, 3, "pid:12:3"},
        {"pid:12:0", 0, PMQ_REF_PID_FD, 12, 0, "pid:12:0"},
        {"pid:2147483647:2147483647", 0, PMQ_REF_PID_FD, 2147483647, 2147483647,
         "pid:2147483647:2147483647"},
        {"pid:12:/jobs", 0, PMQ_REF_PID_NAME, 12, -1, "pid:12:/jobs"},
        {"", -EINVAL, 0, 0, 0, NULL},
        {"/", -EINVAL, 0, 0, 0, NULL},
        {"/.", -EINVAL, 0, 0, 0, NULL},
        {"/..", -EINVAL, 0, 0, 0, NULL},
        {"//a", -EINVAL, 0, 0, 0, NULL},
        {"/a/b", -EINVAL, 0, 0, 0, NULL},
        {"a/", -EINVAL, 0, 0, 0, NULL},
        {"pid:", -EINVAL, 0, 0, 0, NULL},
        {"pid:1", -EINVAL, 0, 0, 0, NULL},
        {"pid:0:1", -EINVAL, 0, 0, 0, NULL},
        {"pid:-1:1", -EINVAL, 0, 0, 0, NULL},
        {"pid:1:-1", -EINVAL, 0, 0, 0, NULL},
        {"pid:1:", -EINVAL, 0, 0, 0, NULL},
        {"pid:1:x", -EINVAL, 0, 0, 0, NULL},
        {"pid:1:2x", -EINVAL, 0, 0, 0, NULL},
        {"pid: 1:2", -EINVAL, 0, 0, 0, NULL},
        {"pid:1:/", -EINVAL, 0, 0, 0, NULL},
        {"pid:1:/a/b", -EINVAL, 0, 0, 0, NULL},
        {"ns:", -EINVAL, 0, 0, 0, NULL},
        {"ns:/a", -EINVAL, 0, 0, 0, NULL},
        {"ns::/a", -EINVAL, 0, 0, 0, NULL},
        {"ns:/run/x:a", -EINVAL, 0, 0, 0, NULL},
        {"ns:/run/x:/", -EINVAL, 0, 0, 0, NULL},
        {"ns:/run/x y:z:/a:b", 0, PMQ_REF_NS_NAME, 0, -1, "ns:/run/x y:z:/a:b"},
        {"pid:2147483648:1", -EINVAL, 0, 0, 0, NULL},
        {"pid:99999999999999999999999999999999999999:1", -EINVAL, 0, 0, 0, NULL},
        {"pid:1:99999999999", -EINVAL, 0, 0, 0, NULL},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct err e = ERR_INIT;
        struct pmq_ref ref = {.pid = 0};
        char again[PMQ_REF_SIZE];

        CHECK_INT(pmq_ref_parse(cases[i].text, &ref, &e), cases[i].r);
        if (cases[i].r < 0) {
            CHECK(e.why[0]);
            continue;
        }
        CHECK_INT(ref.kind, cases[i].kind);
        CHECK_INT(ref.pid, cases[i].pid);
        CHECK_INT(ref.fd, cases[i].fd);
        pmq_ref_format(&ref, again);
        CHECK_STR(again, cases[i].again);
    }
}

static void long_names(void)
{
    char name[PMQ_NAME_MAX + 3], again[PMQ_REF_SIZE], text[PMQ_REF_SIZE + 8];
    struct pmq_ref ref;

    memset(name, 'x', sizeof(name));
    name[0] = '/';
    name[PMQ_NAME_MAX + 1] = '\0';
    CHECK_INT(pmq_ref_parse(name, &ref, NULL), 0);
    CHECK_STR(ref.name, name);
    snprintf(text, sizeof(text), "pid:2147483647:%s", name);
    CHECK_INT(pmq_ref_parse(text, &ref, NULL), 0);
    pmq_ref_format(&ref, again);
    CHECK_STR(again, text);
    name[PMQ_NAME_MAX + 1] = 'x';
    name[PMQ_NAME_MAX + 2] = '\0';
    CHECK_INT(pmq_ref_parse(name, &ref, NULL), -ENAMETOOLONG);
}

static void lines(void)
{
    struct pmq_attr a;

    CHECK_INT(
        pmq_attr_parse_line("QSIZE:129       NOTIFY:2     SIGNO:0     NOTIFY_PID:8260  \n", &a), 0);
    CHECK_INT(a.bytes, 129);
    CHECK_INT(a.notify, PMQ_NOTIFY_THREAD);
    CHECK_INT(a.notify_pid, 8260);
    CHECK_INT(pmq_attr_parse_line("QSIZE:0 NOTIFY:0 SIGNO:10 NOTIFY_PID:0\n", &a), 0);
    CHECK_INT(a.notify, PMQ_NOTIFY_SIGNAL);
    CHECK_INT(a.notify_signo, 10);
    CHECK_INT(pmq_attr_parse_line("QSIZE:0 NOTIFY:0 SIGNO:0 NOTIFY_PID:0\n", &a), 0);
    CHECK_INT(a.notify, PMQ_NOTIFY_NONE);
    CHECK_INT(pmq_attr_parse_line("QSIZE:0 NOTIFY:1 SIGNO:0 NOTIFY_PID:7\n", &a), 0);
    CHECK_INT(a.notify, PMQ_NOTIFY_SILENT);
    CHECK_INT(pmq_attr_parse_line("QSIZE:0 NOTIFY:9 SIGNO:0 NOTIFY_PID:7\n", &a), 0);
    CHECK_INT(a.notify, PMQ_NOTIFY_UNKNOWN);
    CHECK_INT(pmq_attr_parse_line("", &a), -EBADMSG);
    CHECK_INT(pmq_attr_parse_line("QSIZE:1 NOTIFY:", &a), -EBADMSG);
}

static char queue_name[64];
static mqd_t queue;

static void attributes(void)
{
    struct pmq_ref ref;
    struct pmq_queue *q = NULL, *again = NULL;
    struct pmq_attr a;
    struct stat before, after;
    struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};

    CHECK_INT(pmq_ref_parse(queue_name, &ref, NULL), 0);
    CHECK_INT(pmq_queue_open(&ref, PMQ_OPEN_READ, &q, NULL), 0);
    if (!q)
        return;
    CHECK_STR(pmq_queue_label(q), queue_name);
    CHECK_INT(fcntl(pmq_queue_fd(q), F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDONLY | O_NONBLOCK);
    CHECK_INT(fcntl(pmq_queue_fd(q), F_GETFD), FD_CLOEXEC);

    CHECK_INT(fstat(queue, &before), 0);
    CHECK_INT(pmq_queue_attr_basic(q, &a), 0);
    CHECK_INT(a.bytes, PMQ_UNKNOWN);
    CHECK_INT(a.notify, PMQ_NOTIFY_UNKNOWN);
    CHECK_INT(fstat(queue, &after), 0);
    CHECK(!memcmp(&before.st_atim, &after.st_atim, sizeof(before.st_atim)));
    CHECK(!memcmp(&before.st_ctim, &after.st_ctim, sizeof(before.st_ctim)));

    CHECK_INT(mq_notify(queue, &ev), 0);
    CHECK_INT(pmq_queue_attr(q, &a), 0);
    CHECK_STR(a.name, queue_name);
    CHECK_INT(a.dev, before.st_dev);
    CHECK_INT(a.ino, before.st_ino);
    CHECK_INT(a.curmsgs, 2);
    CHECK_INT(a.maxmsg, 5);
    CHECK_INT(a.msgsize, 100);
    CHECK_INT(a.bytes, 7);
    CHECK_INT(a.mode, 0640);
    CHECK_INT(a.uid, getuid());
    CHECK(!a.unlinked);
    CHECK_INT(a.notify, PMQ_NOTIFY_SIGNAL);
    CHECK_INT(a.notify_signo, SIGUSR1);
    CHECK_INT(a.notify_pid, getpid());
    CHECK_INT(mq_notify(queue, NULL), 0);

    CHECK_INT(pmq_queue_reopen(q, PMQ_OPEN_WRITE, &again, NULL), 0);
    if (again) {
        CHECK_STR(pmq_queue_label(again), queue_name);
        CHECK_INT(fcntl(pmq_queue_fd(again), F_GETFL) & O_ACCMODE, O_RDWR);
    }
    pmq_queue_close(again);
    pmq_queue_close(q);
}

static int try_open(const char *text, struct pmq_attr *a)
{
    struct pmq_queue *q = NULL;
    struct err e = ERR_INIT;
    struct pmq_ref ref;
    int r = pmq_ref_parse(text, &ref, &e);

    if (r < 0)
        return r;
    r = pmq_queue_open(&ref, PMQ_OPEN_READ, &q, &e);
    CHECK(r == 0 || e.why[0]);
    if (r == 0)
        CHECK_INT(pmq_queue_attr(q, a), 0);
    pmq_queue_close(q);
    return r;
}

static void by_pid(void)
{
    char text[128];
    struct pmq_attr a;
    int p[2];
    pid_t gone = fork();

    if (gone == 0)
        _exit(0);
    waitpid(gone, NULL, 0);
    snprintf(text, sizeof(text), "pid:%d:0", (int)gone);
    CHECK_INT(try_open(text, &a), -ESRCH);
    snprintf(text, sizeof(text), "pid:%d:%s", (int)gone, queue_name);
    CHECK_INT(try_open(text, &a), -ESRCH);

    snprintf(text, sizeof(text), "pid:%d:999", (int)getpid());
    CHECK_INT(try_open(text, &a), -ENOENT);
    CHECK_INT(pipe(p), 0);
    snprintf(text, sizeof(text), "pid:%d:%d", (int)getpid(), p[0]);
    CHECK_INT(try_open(text, &a), -ENOENT);
    close(p[0]);
    close(p[1]);

    snprintf(text, sizeof(text), "pid:%d:%s", (int)getpid(), queue_name);
    CHECK_INT(try_open(text, &a), 0);
    CHECK_STR(a.name, queue_name);
    snprintf(text, sizeof(text), "pid:%d:%d", (int)getpid(), queue);
    CHECK_INT(try_open(text, &a), 0);
    CHECK_STR(a.name, queue_name);
    CHECK_INT(a.curmsgs, 2);
    CHECK_INT(mq_unlink(queue_name), 0);
    CHECK_INT(try_open(text, &a), 0);
    CHECK(a.unlinked);
    CHECK_STR(a.name, queue_name);
    CHECK_INT(try_open(queue_name, &a), -ENOENT);
}

/* A queue of the same name in a namespace of a child. Needs privilege to make one. */
static void other_namespace(void)
{
    struct mq_attr attr = {.mq_maxmsg = 3, .mq_msgsize = 10};
    char text[128], c = 0;
    struct pmq_attr a;
    int up[2], down[2];
    pid_t child;

    if (geteuid() != 0)
        return;
    CHECK_INT(pipe(up) | pipe(down), 0);
    child = fork();
    if (child == 0) {
        mqd_t q;

        close(down[1]);
        if (unshare(CLONE_NEWIPC) < 0)
            c = 'x';
        q = mq_open(queue_name, O_CREAT | O_EXCL | O_RDWR, 0600, &attr);
        if (q < 0 || mq_send(q, "there", 5, 1) < 0)
            c = 'x';
        if (write(up[1], &c, 1) == 1)
            (void)!read(down[0], &c, 1);
        _exit(0);
    }
    CHECK_INT(read(up[0], &c, 1), 1);
    CHECK_INT(c, 0);
    snprintf(text, sizeof(text), "pid:%d:%s", (int)child, queue_name);
    CHECK_INT(try_open(text, &a), 0);
    CHECK_INT(a.curmsgs, 1);
    CHECK_INT(a.msgsize, 10);
    snprintf(text, sizeof(text), "pid:%d:/not%s", (int)child, queue_name + 1);
    CHECK_INT(try_open(text, &a), -ENOENT);
    close(down[1]);
    waitpid(child, NULL, 0);
    close(up[0]);
    close(up[1]);
    close(down[0]);
}

int main(void)
{
    struct mq_attr attr = {.mq_maxmsg = 5, .mq_msgsize = 100};

    refs();
    long_names();
    lines();
    snprintf(queue_name, sizeof(queue_name), "/unit-pmq-%d", (int)getpid());
    queue = mq_open(queue_name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0640, &attr);
    CHECK(queue >= 0);
    CHECK_INT(mq_send(queue, "abc", 3, 0), 0);
    CHECK_INT(mq_send(queue, "defg", 4, 9), 0);
    attributes();
    by_pid();
    other_namespace();
    mq_close(queue);
    mq_unlink(queue_name);
    return check_done();
}
