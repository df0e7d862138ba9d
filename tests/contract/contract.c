/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What every way of peeking must do, over real queues.
 *
 *     contract [BACKEND…]     those named, which must work here; without names: all that do
 *
 * "model-syscall", "model-fcntl" and "model-ioctl" are the backends for the proposed system calls
 * with a model of those kernels under them; "model-ioctl-64k" is the version with the larger
 * buffer.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <mqueue.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "peekmodel.h"
#include "pmq_backends.h"

/* ---- what is tested ---- */

static const char *backend; /* without "model-" */
static bool modelled;
static bool drains;
static bool whole; /* IPCBOX_TEST_LONG */
static struct msgq_peeker *peeker;

static struct msgq_peek_opts base_opts(void)
{
    return (struct msgq_peek_opts){.backend = backend, .force = drains};
}

/* ---- queues ---- */

struct queue {
    char name[64];
    mqd_t fd;
    struct pmq_queue *q;
};

static unsigned int serial;

static struct pmq_queue *open_text(const char *text, int want)
{
    struct pmq_queue *q = NULL;
    struct err e = ERR_INIT;
    struct pmq_ref ref;
    int r = pmq_ref_parse(text, &ref, &e);

    CHECK_INT(r, 0);
    if (r == 0)
        r = pmq_queue_open(&ref, PMQ_OPEN_READ, &q, &e);
    if (r != want)
        fprintf(stderr, "%s: %s\n", text, err_text(&e, r));
    CHECK_INT(r, want);
    return q;
}

/* Return: whether the kernel allows such a queue. */
static bool make_if(struct queue *t, long maxmsg, long msgsize)
{
    struct mq_attr attr = {.mq_maxmsg = maxmsg, .mq_msgsize = msgsize};

    *t = (struct queue){.fd = -1};
    snprintf(t->name, sizeof(t->name), "/contract-%d-%u", (int)getpid(), serial++);
    t->fd = mq_open(t->name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600, &attr);
    if (t->fd < 0)
        return false;
    t->q = open_text(t->name, 0);
    return t->q != NULL;
}

static void make(struct queue *t, long maxmsg, long msgsize)
{
    if (!make_if(t, maxmsg, msgsize)) {
        perror("cannot make a queue");
        exit(1);
    }
}

static void done(struct queue *t)
{
    pmq_queue_close(t->q);
    mq_close(t->fd);
    mq_unlink(t->name);
    model_reset();
}

static void send_bytes(const struct queue *t, const void *data, size_t n, unsigned int priority)
{
    CHECK_INT(model_send(t->fd, data, n, priority), 0);
}

static void send_text(const struct queue *t, const char *text, unsigned int priority)
{
    send_bytes(t, text, strlen(text), priority);
}

/* ---- peeking ---- */

/* Peeks with @p and compares with the model. */
static void compare(struct msgq_peeker *p, const struct pmq_queue *q, int fd, bool heads,
                    struct msgq_snapshot_info *out)
{
    struct model_check seen = {.fd = fd, .heads = heads};
    struct msgq_snapshot *s = NULL;
    struct err e = ERR_INIT;
    struct mq_attr after;
    int r = pmq_peek(p, q, &s, &e);

    if (r < 0)
        fprintf(stderr, "%s: %s\n", backend, err_text(&e, r));
    CHECK_INT(r, 0);
    if (r < 0)
        return;
    *out = *msgq_snapshot_info(s);
    CHECK_STR(out->backend, backend);
    CHECK(out->taken > 0 && out->tries > 0);
    r = msgq_snapshot_visit(s, model_compare, &seen, &e);
    CHECK_INT(r, 0);
    CHECK_INT(seen.wrong, 0);
    CHECK_INT(seen.n, model_depth(fd));
    CHECK_INT(mq_getattr(fd, &after), 0);
    CHECK_INT(after.mq_curmsgs, model_depth(fd));
    msgq_snapshot_free(s);
}

/* The ordinary case: a quiet queue, all of it, and said to be so. */
static void look(const struct queue *t)
{
    struct msgq_snapshot_info info = {.messages = 0};

    compare(peeker, t->q, t->fd, false, &info);
    CHECK_INT(info.messages, model_depth(t->fd));
    if (!drains)
        CHECK(info.consistency == MSGQ_VERIFIED || info.consistency == MSGQ_ATOMIC);
}

/* ---- order and content ---- */

static void order(void)
{
    static const unsigned int priorities[] = {0, 32767, 5, 5, 0, 7, 5, 32767, 1, 0};
    struct queue t;
    char text[32];

    make(&t, 10, 64);
    look(&t); /* empty */
    for (unsigned int i = 0; i < ARRAY_SIZE(priorities); i++) {
        snprintf(text, sizeof(text), "message %u", i);
        send_text(&t, text, priorities[i]);
        look(&t);
    }
    /* And down again: the peeks have not moved anything. */
    for (unsigned int i = 0; i < ARRAY_SIZE(priorities); i++) {
        unsigned int priority;
        char data[64];

        CHECK(model_receive(t.fd, data, sizeof(data), &priority) >= 0);
        look(&t);
    }
    done(&t);
}

static void content(void)
{
    enum { SIZE = 8192 };
    static char data[SIZE];
    struct queue t;

    make(&t, 10, SIZE);
    send_bytes(&t, "", 0, 3);
    for (size_t i = 0; i < SIZE; i++)
        data[i] = (char)(i ^ i >> 8);
    send_bytes(&t, data, SIZE, 3);
    send_bytes(&t, "\0", 1, 3);
    /* Lengths around the pages and pieces in which kernels keep messages. */
    send_bytes(&t, data, 4095, 2);
    send_bytes(&t, data, 4096, 2);
    send_bytes(&t, data, 4097, 2);
    send_bytes(&t, data, 4096 - 48, 2);
    send_bytes(&t, data, 4096 - 48 + 1, 2);
    memset(data, 0xff, SIZE);
    send_bytes(&t, data, SIZE - 1, 32767);
    send_bytes(&t, "", 0, 0);
    look(&t);
    done(&t);
}

/* Bytes of the largest message: before Linux 5.16 BPF cannot read more than 1 MiB with its head. */
static long largest_readable(void)
{
    unsigned int major = 0, minor = 0;
    struct utsname u;

    if (strcmp(backend, "bpf") != 0)
        return 16 << 20;
    CHECK(uname(&u) == 0 && sscanf(u.release, "%u.%u", &major, &minor) == 2);
    return major > 5 || (major == 5 && minor >= 16) ? 16 << 20 : 1000000;
}

static void largest(void)
{
    long sizes[] = {largest_readable(), 700000, 65536, 8192};
    struct queue t;
    size_t i = 0;
    char *data;
    long size;

    while (!make_if(&t, 1, sizes[i]))
        if (++i == ARRAY_SIZE(sizes)) {
            CHECK_FAIL("no size is allowed");
            return;
        }
    size = sizes[i];
    data = malloc((size_t)size);
    if (!data)
        exit(1);
    for (long k = 0; k < size; k++)
        data[k] = (char)((unsigned int)k * 2654435761u >> 13);
    send_bytes(&t, data, (size_t)size, 9);
    look(&t);
    printf("  largest message: %ld bytes\n", size);
    free(data);
    done(&t);
}

/* The proposed calls tell one message each. */
static bool by_call(void)
{
    return !drains && strcmp(backend, "bpf") != 0;
}

static void longest(void)
{
    enum { HEAD = 48 }; /* bytes that BPF reads of a message besides its payload */
    static const long depths[] = {65536, 7000, 1000, 10};
    struct msgq_snapshot_info info = {.messages = 0};
    size_t i = by_call() ? (whole ? 1 : 2) : 0; /* and each walks to its message */
    struct queue t;
    long depth;

    while (!make_if(&t, depths[i], 8))
        if (++i == ARRAY_SIZE(depths)) {
            CHECK_FAIL("no depth is allowed");
            return;
        }
    depth = depths[i];
    for (long k = 0; k < depth; k++)
        send_bytes(&t, &k, (size_t)(k % 9), (unsigned int)((depth - k) / 16));
    /* Where BPF cannot hold so much at once it is read in windows: the same, but of several
     * moments. */
    if (largest_readable() < 16 << 20 && depth * HEAD > largest_readable()) {
        compare(peeker, t.q, t.fd, false, &info);
        CHECK_INT(info.consistency, MSGQ_TORN);
    } else {
        look(&t);
    }
    printf("  longest queue: %ld messages\n", depth);
    done(&t);
}

static void heads_and_windows(void)
{
    struct msgq_peek_opts opts = base_opts();
    struct msgq_snapshot_info info = {.messages = 0};
    struct msgq_peeker *p = NULL;
    struct err e = ERR_INIT;
    char data[1000];
    struct queue t;

    make(&t, 10, sizeof(data));
    for (unsigned int i = 0; i < 10; i++) {
        memset(data, (int)('a' + i), sizeof(data));
        send_bytes(&t, data, i * 100, i % 4);
    }
    opts.heads = true;
    CHECK_INT(pmq_peeker_new(&opts, &p, &e), 0);
    compare(p, t.q, t.fd, true, &info);
    msgq_peeker_free(p);

    opts = base_opts();
    opts.max_snapshot = 1500;
    p = NULL;
    CHECK_INT(pmq_peeker_new(&opts, &p, &e), 0);
    if (drains) {
        struct msgq_snapshot *s = NULL;

        CHECK_INT(pmq_peek(p, t.q, &s, &e), -EFBIG);
        CHECK(e.remedy[0]);
    } else {
        /* The queue is quiet: the windows fit together, but that cannot be promised. */
        compare(p, t.q, t.fd, false, &info);
        CHECK_INT(info.consistency, MSGQ_TORN);
        CHECK_INT(info.messages, PMQ_UNKNOWN);
    }
    msgq_peeker_free(p);
    look(&t);
    done(&t);
}

/* ---- parts of a queue ---- */

struct part {
    uint64_t next; /* index of the message that must come */
    uint64_t n;
    bool wrong;
};

static int look_at_part(const struct msgq_message *m, void *ctx)
{
    struct part *p = ctx;
    const char *data = m->data;

    /* Message i has i + 1 bytes of 'a' + i, and was sent with a priority that falls with i. */
    if (m->index != p->next || m->length != m->index + 1 || m->priority != (19 - m->index) / 4)
        p->wrong = true;
    for (size_t i = 0; data && i < m->length; i++)
        if (data[i] != (char)('a' + m->index))
            p->wrong = true;
    p->next++;
    p->n++;
    return 0;
}

static void peek_part(struct msgq_peeker *p, const struct queue *t, struct msgq_peek_opts *opts)
{
    uint64_t behind = 20 - MIN(opts->first, (uint64_t)20);
    struct part part = {.next = opts->first};
    struct msgq_snapshot *s = NULL;
    struct err e = ERR_INIT;

    CHECK_INT(pmq_peek(p, t->q, &s, &e), 0);
    if (!s)
        return;
    CHECK(drains || msgq_snapshot_info(s)->consistency != MSGQ_TORN);
    CHECK_INT(msgq_snapshot_info(s)->messages, 20);
    CHECK_INT(msgq_snapshot_visit(s, look_at_part, &part, &e), 0);
    CHECK(!part.wrong);
    CHECK_INT(part.n, opts->count ? MIN(opts->count, behind) : behind);
    msgq_snapshot_free(s);
}

/* What was not asked for is not visited, by one peeker with one range after the other. */
static void parts(void)
{
    static const uint64_t ranges[][2] = {{0, 1},  {0, 20}, {0, 21},        {0, 0},  {5, 0},
                                         {5, 7},  {19, 1}, {19, 5},        {20, 0}, {20, 3},
                                         {99, 1}, {3, 4},  {UINT64_MAX, 1}};
    struct msgq_peek_opts opts = base_opts();
    struct msgq_peeker *p = NULL;
    struct err e = ERR_INIT;
    char data[20];
    struct queue t;

    make(&t, 20, sizeof(data));
    for (unsigned int i = 0; i < 20; i++) {
        memset(data, (int)('a' + i), sizeof(data));
        send_bytes(&t, data, i + 1, (19 - i) / 4);
    }
    CHECK_INT(pmq_peeker_new(&opts, &p, &e), 0);
    for (size_t i = 0; p && i < ARRAY_SIZE(ranges); i++) {
        opts.first = ranges[i][0];
        opts.count = ranges[i][1];
        peek_part(p, &t, &opts);
    }
    msgq_peeker_free(p);
    done(&t);
}

/* ---- walking ---- */

static int stop_at_third(const struct msgq_message *m, void *ctx)
{
    (*(unsigned int *)ctx)++;
    return m->index == 2 ? 42 : 0;
}

static void visits(void)
{
    struct msgq_snapshot *s = NULL, *second = NULL;
    struct err e = ERR_INIT;
    unsigned int n = 0;
    struct queue t, other;

    make(&t, 10, 8);
    make(&other, 10, 8);
    for (unsigned int i = 0; i < 5; i++)
        send_bytes(&t, &i, sizeof(i), 0);
    send_text(&other, "other", 1);
    CHECK_INT(pmq_peek(peeker, t.q, &s, &e), 0);
    CHECK_INT(pmq_peek(peeker, other.q, &second, &e), -EBUSY);
    if (s) {
        CHECK_INT(msgq_snapshot_visit(s, stop_at_third, &n, &e), 42);
        CHECK_INT(n, 3);
        /* A second walk begins anew. */
        CHECK_INT(msgq_snapshot_visit(s, stop_at_third, &n, &e), 42);
        CHECK_INT(n, 6);
    }
    msgq_snapshot_free(s);
    look(&other);
    look(&t);
    done(&other);
    pmq_queue_close(t.q);
    mq_close(t.fd);
    mq_unlink(t.name);
}

/* ---- nothing changes ---- */

static void times_and_attributes(void)
{
    const struct timespec past[2] = {{.tv_sec = 1000}, {.tv_sec = 2000}};
    struct msgq_snapshot_info info = {.messages = 0};
    struct stat before, after;
    struct pmq_attr a, b;
    struct queue t;

    make(&t, 10, 64);
    send_text(&t, "one", 1);
    send_text(&t, "two", 2);
    CHECK_INT(pmq_queue_attr(t.q, &a), 0);
    CHECK_INT(futimens(t.fd, past), 0);
    CHECK_INT(fstat(t.fd, &before), 0);
    compare(peeker, t.q, t.fd, false, &info);
    CHECK_INT(fstat(t.fd, &after), 0);
    CHECK_INT(pmq_queue_attr(t.q, &b), 0);
    if (!drains && info.consistency == MSGQ_VERIFIED) {
        CHECK(!memcmp(&before.st_atim, &after.st_atim, sizeof(before.st_atim)));
        CHECK(!memcmp(&before.st_mtim, &after.st_mtim, sizeof(before.st_mtim)));
    }
    CHECK_INT(before.st_ino, after.st_ino);
    CHECK_INT(before.st_mode, after.st_mode);
    CHECK_INT(before.st_uid, after.st_uid);
    CHECK_INT(a.curmsgs, b.curmsgs);
    CHECK_INT(a.bytes, b.bytes);
    CHECK_INT(a.maxmsg, b.maxmsg);
    CHECK_INT(a.msgsize, b.msgsize);
    CHECK_INT(a.notify, b.notify);
    done(&t);
}

enum { INITIAL_PID_NAMESPACE = 0xEFFFFFFC }; /* PROC_PID_INIT_INO, include/linux/proc_ns.h */

/* In another pid namespace than the machine's a holder may be invisible, and drain refuses for that
 * first. */
static bool sees_every_process(void)
{
    struct stat st;

    return stat("/proc/self/ns/pid", &st) == 0 && st.st_ino == INITIAL_PID_NAMESPACE;
}

/* Drain without force, where it must refuse: the reason is told, with a remedy. */
static void refused(const struct queue *t)
{
    const struct msgq_peek_opts opts = {.backend = backend};
    struct msgq_snapshot *s = NULL;
    struct msgq_peeker *p = NULL;
    struct err e = ERR_INIT;
    int r;

    CHECK_INT(pmq_peeker_new(&opts, &p, &e), 0);
    r = pmq_peek(p, t->q, &s, &e);
    CHECK(r == -EBUSY || (r == -EPERM && !sees_every_process()));
    CHECK(e.why[0] && e.remedy[0]);
    msgq_snapshot_free(s);
    msgq_peeker_free(p);
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* A process that is to be told of the next message by a signal, which would end it. */
static pid_t registered_process(const struct queue *t)
{
    struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    int ready[2];
    char c = 1;
    pid_t pid;

    if (pipe(ready) < 0)
        exit(1);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        c = mq_notify(t->fd, &ev) == 0;
        (void)!write(ready[1], &c, 1);
        for (;;)
            pause();
    }
    c = 0;
    CHECK_INT(read(ready[0], &c, 1), 1);
    CHECK_INT(c, 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void notification(void)
{
    struct pmq_attr a;
    struct queue t;
    pid_t pid;

    make(&t, 10, 64);
    send_text(&t, "before", 0);
    pid = registered_process(&t);
    if (drains)
        refused(&t);
    else
        look(&t);
    CHECK_INT(pmq_queue_attr(t.q, &a), 0);
    CHECK_INT(a.notify, PMQ_NOTIFY_SIGNAL);
    CHECK_INT(a.notify_signo, SIGUSR1);
    CHECK_INT(a.notify_pid, pid);
    CHECK_INT(waitpid(pid, NULL, WNOHANG), 0);
    end(pid);
    done(&t);
}

/* Whether a process is blocked in the call. Waits for it when @wait. */
static bool blocked_in(pid_t pid, long nr, bool wait)
{
    const struct timespec nap = {.tv_nsec = 2000000};
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/syscall", (int)pid);
    for (int i = 0; i < (wait ? 15000 : 1); i++) {
        FILE *f = fopen(path, "re");
        long got = -1;

        if (f && fscanf(f, "%ld", &got) != 1)
            got = -1;
        if (f)
            fclose(f);
        if (got == nr)
            return true;
        nanosleep(&nap, NULL);
    }
    return false;
}

static pid_t blocked_process(const struct queue *t, bool sends)
{
    pid_t pid = fork();
    char data[64] = "late";
    int r;

    if (pid)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    r = sends ? mq_send(t->fd, data, 4, 32000) : (int)mq_receive(t->fd, data, sizeof(data), NULL);
    _exit(sends ? r != 0 : r != 4 || memcmp(data, "last", 4) != 0);
}

static void blocked_sender(void)
{
    char data[64];
    struct queue t;
    int status = -1;
    pid_t pid;

    make(&t, 2, 64);
    send_text(&t, "first", 1);
    send_text(&t, "second", 1);
    pid = blocked_process(&t, true);
    CHECK(blocked_in(pid, SYS_mq_timedsend, true));
    if (drains)
        refused(&t);
    else
        for (int i = 0; i < 20; i++)
            look(&t);
    CHECK(blocked_in(pid, SYS_mq_timedsend, false));
    /* It gets in when there is room, and not before. */
    CHECK_INT(mq_receive(t.fd, data, sizeof(data), NULL), 5);
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
    CHECK_INT(mq_receive(t.fd, data, sizeof(data), NULL), 4);
    CHECK(!memcmp(data, "late", 4));
    CHECK_INT(mq_receive(t.fd, data, sizeof(data), NULL), 6);
    done(&t);
}

static void blocked_receiver(void)
{
    struct queue t;
    int status = -1;
    pid_t pid;

    make(&t, 2, 64);
    pid = blocked_process(&t, false);
    CHECK(blocked_in(pid, SYS_mq_timedreceive, true));
    if (drains)
        refused(&t);
    for (int i = 0; i < 20; i++)
        look(&t);
    CHECK(blocked_in(pid, SYS_mq_timedreceive, false));
    CHECK_INT(mq_send(t.fd, "last", 4, 0), 0);
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
    done(&t);
}

/* ---- ways to a queue ---- */

/* A process that sleeps with what it inherits open; with a queue in a namespace of its own. */
static pid_t sleeper(const char *own_queue)
{
    struct mq_attr attr = {.mq_maxmsg = 4, .mq_msgsize = 32};
    int ready[2];
    char c = 1;
    pid_t pid;

    if (pipe(ready) < 0)
        exit(1);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (own_queue &&
            (unshare(CLONE_NEWIPC) < 0 || mq_open(own_queue, O_CREAT | O_RDWR, 0600, &attr) < 0))
            c = 0;
        (void)!write(ready[1], &c, 1);
        for (;;)
            pause();
    }
    c = 0;
    CHECK_INT(read(ready[0], &c, 1), 1);
    CHECK_INT(c, 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void descriptors(void)
{
    struct msgq_snapshot_info info = {.messages = 0};
    struct pmq_queue *q;
    char text[64];
    struct queue t;
    pid_t pid;

    make(&t, 4, 32);
    send_text(&t, "somewhere", 4);
    pid = sleeper(NULL);
    snprintf(text, sizeof(text), "pid:%d:%d", (int)pid, (int)t.fd);
    q = open_text(text, 0);
    if (q)
        compare(peeker, q, t.fd, false, &info);
    CHECK_INT(mq_unlink(t.name), 0);
    if (q)
        compare(peeker, q, t.fd, false, &info);
    pmq_queue_close(q);
    q = open_text(text, 0);
    if (q)
        compare(peeker, q, t.fd, false, &info);
    pmq_queue_close(q);
    CHECK(open_text(t.name, -ENOENT) == NULL);
    end(pid);
    CHECK(open_text(text, -ESRCH) == NULL);
    look(&t); /* by its own descriptor it is still there */
    done(&t);
}

static void other_namespace(void)
{
    struct msgq_snapshot_info info = {.messages = 0};
    struct pmq_queue *q = NULL;
    char name[64], text[128];
    struct err e = ERR_INIT;
    struct pmq_ref ref;
    pid_t pid;

    snprintf(name, sizeof(name), "/contract-apart-%d", (int)getpid());
    pid = sleeper(name);
    snprintf(text, sizeof(text), "pid:%d:%s", (int)pid, name);
    CHECK_INT(pmq_ref_parse(text, &ref, &e), 0);
    CHECK_INT(pmq_queue_open(&ref, PMQ_OPEN_WRITE, &q, &e), 0);
    CHECK(open_text(name, -ENOENT) == NULL);
    if (q) {
        CHECK_INT(model_send(pmq_queue_fd(q), "over there", 10, 1), 0);
        CHECK_INT(model_send(pmq_queue_fd(q), "urgent", 6, 2), 0);
        compare(peeker, q, pmq_queue_fd(q), false, &info);
        CHECK_INT(info.messages, 2);
    }
    pmq_queue_close(q);
    model_reset();
    end(pid);
}

/* Becomes nobody, with every capability kept. */
static bool be_nobody(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[2];

    if (prctl(PR_SET_KEEPCAPS, 1) < 0 || setresgid(65534, 65534, 65534) < 0 ||
        setresuid(65534, 65534, 65534) < 0 || syscall(SYS_capget, &head, caps) < 0)
        return false;
    caps[0].effective = caps[0].permitted;
    caps[1].effective = caps[1].permitted;
    return syscall(SYS_capset, &head, caps) == 0;
}

static void unreadable(void)
{
    struct queue t;
    int status = -1;
    pid_t pid;

    if (geteuid() != 0) {
        printf("  not root: other people's queues are not tried\n");
        return;
    }
    make(&t, 4, 32);
    send_text(&t, "secret", 0);
    pid = fork();
    if (pid == 0) {
        char text[128];

        check_failed = 0;
        if (!be_nobody())
            _exit(2);
        /* The capabilities are real: the kernel itself would let it. */
        if (mq_open(t.name, O_RDONLY) < 0)
            _exit(3);
        CHECK(open_text(t.name, -EACCES) == NULL);
        /* Nor by way of the process that has it open: that is not looked into. */
        snprintf(text, sizeof(text), "pid:%d:%d", (int)getppid(), (int)t.fd);
        CHECK(open_text(text, -EACCES) == NULL);
        snprintf(text, sizeof(text), "pid:%d:%s", (int)getppid(), t.name);
        CHECK(open_text(text, -EACCES) == NULL);
        _exit(check_failed != 0);
    }
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
    look(&t);
    done(&t);
}

/* ---- at random ---- */

static void random_rounds(unsigned int rounds)
{
    struct queue t;
    char data[512];

    make(&t, 10, sizeof(data));
    for (unsigned int i = 0; i < rounds; i++) {
        size_t n = (size_t)random() % (sizeof(data) + 1);
        unsigned int priority;

        for (size_t k = 0; k < n; k++)
            data[k] = (char)random();
        if (model_depth(t.fd) == 10 || (model_depth(t.fd) && random() % 5 < 2))
            CHECK(model_receive(t.fd, data, sizeof(data), &priority) >= 0);
        else
            send_bytes(&t, data, n, (unsigned int)random() % 4);
        if (i % 4 == 0)
            look(&t);
    }
    done(&t);
}

/* ---- while it moves ---- */

struct storm {
    mqd_t fd;
    bool stop;
    uint64_t next;
};

struct storm_message {
    uint64_t sequence;
    uint64_t words[127];
};

static struct storm_message storm_message(uint64_t sequence)
{
    struct storm_message m = {.sequence = sequence};

    for (size_t i = 0; i < ARRAY_SIZE(m.words); i++)
        m.words[i] = sequence * UINT64_C(0x9e3779b97f4a7c15) + i;
    return m;
}

static void *storm(void *argp)
{
    struct storm *s = argp;
    struct storm_message m;

    while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
        if (mq_receive(s->fd, (char *)&m, sizeof(m), NULL) != sizeof(m))
            abort();
        m = storm_message(s->next++);
        if (mq_send(s->fd, (char *)&m, sizeof(m), 0) < 0)
            abort();
    }
    return NULL;
}

struct storm_walk {
    uint64_t expected;
    unsigned int n;
    unsigned int wrong;
};

static int storm_visit(const struct msgq_message *m, void *ctx)
{
    struct storm_walk *w = ctx;
    struct storm_message got, want;

    if (m->length != sizeof(got)) {
        w->wrong++;
        return 0;
    }
    memcpy(&got, m->data, sizeof(got));
    want = storm_message(got.sequence);
    if (memcmp(&got, &want, sizeof(got)) != 0 || (w->n && got.sequence != w->expected))
        w->wrong++;
    w->expected = got.sequence + 1;
    w->n++;
    return 0;
}

static void moving(unsigned int depth, unsigned int rounds)
{
    unsigned int sure = 0, wrong = 0, busy = 0;
    struct storm s = {.next = depth};
    struct queue t;
    pthread_t thread;

    make(&t, depth, sizeof(struct storm_message));
    for (unsigned int i = 0; i < depth; i++) {
        struct storm_message m = storm_message(i);

        CHECK_INT(mq_send(t.fd, (char *)&m, sizeof(m), 0), 0);
    }
    s.fd = t.fd;
    CHECK_INT(pthread_create(&thread, NULL, storm, &s), 0);
    for (unsigned int i = 0; i < rounds; i++) {
        struct msgq_snapshot *snapshot = NULL;
        struct storm_walk w = {.n = 0};
        struct err e = ERR_INIT;
        int r = pmq_peek(peeker, t.q, &snapshot, &e);

        busy += r == -EAGAIN;
        if (r == -EAGAIN)
            continue;
        CHECK_INT(r, 0);
        if (r == 0)
            CHECK_INT(msgq_snapshot_visit(snapshot, storm_visit, &w, &e), 0);
        /* One message is on its way at most; what is called sure must be so. */
        if (r == 0 && msgq_snapshot_info(snapshot)->consistency != MSGQ_TORN) {
            sure++;
            wrong += w.wrong || w.n + 1 < depth || w.n > depth;
        }
        msgq_snapshot_free(snapshot);
    }
    __atomic_store_n(&s.stop, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    CHECK_INT(wrong, 0);
    printf("  moving, depth %u: %u snapshots, %u sure, %u wrong, %u refused\n", depth, rounds, sure,
           wrong, busy);
    done(&t);
}

/* ---- running ---- */

/* A place where limits can be raised and no journal of others lies. */
static void set_apart(void)
{
    static const char *const files[] = {"msg_max", "msgsize_max"};
    static const char *const values[] = {"65536", "16777216"};
    struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};

    (void)setrlimit(RLIMIT_MSGQUEUE, &all);
    if (geteuid() != 0)
        return;
    if (unshare(CLONE_NEWIPC | CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", "/var/lib", "tmpfs", 0, "mode=0755") < 0) {
        perror("cannot set a place apart");
        exit(1);
    }
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        char path[64];
        FILE *f;

        snprintf(path, sizeof(path), "/proc/sys/fs/mqueue/%s", files[i]);
        f = fopen(path, "w");
        if (!f || fputs(values[i], f) < 0 || fflush(f) != 0)
            printf("%s cannot be raised: queues stay small\n", path);
        if (f)
            fclose(f);
    }
}

static void choose(const char *name)
{
    modelled = !strncmp(name, "model-", 6);
    backend = modelled ? name + 6 : name;
    drains = !strcmp(backend, "drain");
    model = (struct model_quirks){.syscall = true, .fcntl = true, .ioctl = true, .bulk_cap = 8192};
    if (!strcmp(backend, "ioctl-64k")) {
        backend = "ioctl";
        model.bulk_cap = 65536;
    }
    if (modelled)
        model_install();
    else
        model_remove();
}

/* Whether drain can be sure here that it is alone. */
static void say_exclusive(void)
{
    const struct msgq_peek_opts opts = {.backend = "drain"};
    struct msgq_snapshot *s = NULL;
    struct msgq_peeker *p = NULL;
    struct err e = ERR_INIT;
    struct queue t;
    int r;

    make(&t, 1, 1);
    CHECK_INT(pmq_peeker_new(&opts, &p, &e), 0);
    r = pmq_peek(p, t.q, &s, &e);
    CHECK(r == 0 || r == -EPERM);
    if (r == 0)
        CHECK_INT(msgq_snapshot_info(s)->consistency, MSGQ_EXCLUSIVE);
    else
        printf("  only with force here: %s\n", e.why);
    msgq_snapshot_free(s);
    msgq_peeker_free(p);
    done(&t);
}

static int run(const char *name)
{
    struct msgq_peek_opts opts;
    struct err e = ERR_INIT;
    int r, before = check_count;

    choose(name);
    opts = base_opts();
    r = pmq_peeker_new(&opts, &peeker, &e);
    if (r < 0) {
        printf("%s: not here: %s\n", name, err_text(&e, r));
        return r;
    }
    printf("%s:\n", name);
    if (drains)
        say_exclusive();
    order();
    content();
    largest();
    longest();
    heads_and_windows();
    parts();
    visits();
    times_and_attributes();
    notification();
    blocked_sender();
    blocked_receiver();
    descriptors();
    if (geteuid() == 0)
        other_namespace();
    unreadable();
    random_rounds(whole ? 20000 : 1000);
    if (!modelled && !drains) {
        /* One call a message: on a queue that never rests each may take the tenth of a second. */
        unsigned int rounds = by_call() ? (whole ? 10000 : 30) : (whole ? 200000 : 3000);

        moving(1, rounds);
        moving(8, rounds);
    }
    msgq_peeker_free(peeker);
    printf("%s: ran, %d checks\n", name, check_count - before);
    return 0;
}

int main(int argc, char **argv)
{
    static const char *const models[] = {"model-syscall", "model-fcntl", "model-ioctl",
                                         "model-ioctl-64k"};
    unsigned int seed = (unsigned int)getpid();
    int ran = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    whole = getenv("IPCBOX_TEST_LONG") != NULL;
    set_apart();
    srandom(seed);
    printf("seed %u\n", seed);
    if (argc > 1) {
        for (int i = 1; i < argc; i++)
            CHECK_INT(run(argv[i]), 0);
        return check_done();
    }
    for (const struct msgq_ops *const *o = pmq_backends; *o; o++) {
        model_remove();
        ran += run((*o)->name) == 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(models); i++)
        CHECK_INT(run(models[i]), 0);
    printf("%d backends of this machine\n", ran);
    CHECK(ran > 0);
    return check_done();
}
