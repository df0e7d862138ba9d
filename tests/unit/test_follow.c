/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Following real traffic: every event as it was made, nothing of other queues, other namespaces or
 * other users' queues, and under a storm sent = seen + lost. IPCBOX_TEST_LONG=1: longer storms.
 */
#include <errno.h>
#include <linux/capability.h>
#include <mqueue.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "pmq.h"
#include "pmq_follow.h"
#include "storm.h"
#include "timefmt.h"

enum { MAX_EVENTS = 64, SMALL = 64, LARGE = 150000 };

static const char *backend; /* that is being tested */
static char names[2][64];

static mqd_t make(const char *name, long maxmsg, long msgsize, mode_t mode)
{
    struct mq_attr attr = {.mq_maxmsg = maxmsg, .mq_msgsize = msgsize};
    mqd_t q;

    mq_unlink(name);
    q = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode, &attr);
    CHECK(q >= 0);
    return q;
}

static void sysctl(const char *file, const char *value)
{
    char path[64];
    FILE *f;

    snprintf(path, sizeof(path), "/proc/sys/fs/mqueue/%s", file);
    f = fopen(path, "w");
    CHECK(f && fputs(value, f) >= 0 && fclose(f) == 0);
}

/* ---- a follower and what it saw ---- */

struct seen {
    struct msgq_event ev[MAX_EVENTS];
    char labels[MAX_EVENTS][64];
    char *data[MAX_EVENTS];
    size_t n;
    uint64_t send, receive, lost, others, wrong;
    size_t stop_at; /* 0: never */
};

static int note(const struct msgq_event *ev, void *ctx)
{
    struct seen *seen = ctx;

    if (ev->kind == MSGQ_EVENT_SEND || ev->kind == MSGQ_EVENT_RECEIVE) {
        (*(ev->kind == MSGQ_EVENT_SEND ? &seen->send : &seen->receive))++;
        if (ev->length >= sizeof(struct storm_message) && ev->captured == ev->length &&
            !memcmp(ev->data, &(uint32_t){STORM_MAGIC}, sizeof(uint32_t)) &&
            !storm_right(ev->data, ev->captured))
            seen->wrong++;
    } else if (ev->kind == MSGQ_EVENT_LOST) {
        seen->lost += ev->count;
    } else {
        seen->others++;
    }
    if (seen->n < MAX_EVENTS) {
        size_t i = seen->n++;

        seen->ev[i] = *ev;
        snprintf(seen->labels[i], sizeof(seen->labels[i]), "%s", ev->label ? ev->label : "");
        seen->data[i] = malloc(ev->captured + 1);
        if (seen->data[i] && ev->captured)
            memcpy(seen->data[i], ev->data, ev->captured);
    }
    return seen->stop_at && seen->n >= seen->stop_at ? 77 : 0;
}

static void forget(struct seen *seen)
{
    for (size_t i = 0; i < seen->n; i++)
        free(seen->data[i]);
    *seen = (struct seen){.n = 0};
}

/* Reads what comes until @want events are there, or ten seconds have passed. */
static void gather(struct msgq_follow *f, struct seen *seen, uint64_t want)
{
    uint64_t end = timefmt_now(CLOCK_MONOTONIC) + 10 * NSEC_PER_SEC;
    struct err e = ERR_INIT;

    while (seen->send + seen->receive + seen->others < want && timefmt_now(CLOCK_MONOTONIC) < end) {
        struct pollfd p = {.fd = msgq_follow_fd(f), .events = POLLIN};

        if (poll(&p, 1, 200) > 0)
            CHECK_INT(msgq_follow_read(f, note, seen, &e), 0);
    }
}

static struct msgq_follow *follow_new(struct msgq_follow_opts opts)
{
    struct msgq_follow *f = NULL;
    struct err e = ERR_INIT;
    int r;

    opts.backend = backend;
    r = pmq_follow_new(&opts, &f, &e);
    if (r < 0)
        fprintf(stderr, "%s: %s\n", backend, err_text(&e, r));
    CHECK_INT(r, 0);
    return f;
}

static void follow_add(struct msgq_follow *f, const char *name, void *cookie)
{
    struct pmq_ref ref = {.kind = PMQ_REF_NAME};
    struct pmq_queue *q = NULL;
    struct err e = ERR_INIT;

    snprintf(ref.name, sizeof(ref.name), "%s", name);
    CHECK_INT(pmq_queue_open(&ref, PMQ_OPEN_READ, &q, &e), 0);
    if (!q)
        return;
    CHECK_INT(pmq_follow_add(f, q, cookie, &e), 0);
    CHECK_INT(pmq_follow_add(f, q, cookie, &e), -EEXIST);
    pmq_queue_close(q);
}

static struct msgq_follow *follow_one(const char *name, void *cookie, struct msgq_follow_opts opts)
{
    struct msgq_follow *f = follow_new(opts);

    if (f) {
        follow_add(f, name, cookie);
        CHECK_INT(msgq_follow_start(f, NULL), 0);
    }
    return f;
}

static void check_event(const struct seen *seen, size_t i, enum msgq_event_kind kind,
                        uint32_t priority, const char *text)
{
    const struct msgq_event *ev = &seen->ev[i];

    CHECK(i < seen->n);
    if (i >= seen->n)
        return;
    CHECK_INT(ev->kind, kind);
    CHECK_INT(ev->priority, priority);
    CHECK_INT(ev->length, strlen(text));
    CHECK_INT(ev->captured, strlen(text));
    CHECK(!memcmp(seen->data[i], text, ev->captured));
    CHECK_INT(ev->pid, getpid());
    CHECK_INT(ev->tid, gettid());
}

/* ---- tests ---- */

/* Sends and receives of this process: all that is told of them. */
static void plain(void)
{
    mqd_t q = make(names[0], 10, SMALL, 0600), other = make(names[1], 10, SMALL, 0600);
    struct seen seen = {.n = 0};
    char comm[16], buf[SMALL];
    uint64_t before = timefmt_now(CLOCK_REALTIME);
    struct msgq_follow *f = follow_one(names[0], &seen,
                                       (struct msgq_follow_opts){.capture = UINT64_MAX});
    struct stat st;
    unsigned int priority;

    if (!f)
        return;
    prctl(PR_GET_NAME, comm);
    fstat(q, &st);
    mq_send(other, "not this", 8, 1);
    mq_send(q, "hello", 5, 7);
    mq_send(q, "", 0, 32767);
    CHECK_INT(mq_receive(q, buf, 1, NULL), -1); /* fails: is no event */
    mq_receive(q, buf, sizeof(buf), &priority);
    mq_receive(q, buf, sizeof(buf), NULL);
    mq_receive(other, buf, sizeof(buf), &priority);
    gather(f, &seen, 4);
    CHECK_INT(seen.n, 4);
    check_event(&seen, 0, MSGQ_EVENT_SEND, 7, "hello");
    check_event(&seen, 1, MSGQ_EVENT_SEND, 32767, "");
    check_event(&seen, 2, MSGQ_EVENT_RECEIVE, 32767, "");
    check_event(&seen, 3, MSGQ_EVENT_RECEIVE, strcmp(backend, "fexit") ? MSGQ_PRIO_UNKNOWN : 7,
                "hello");
    for (size_t i = 0; i < seen.n; i++) {
        CHECK_STR(seen.ev[i].comm, comm);
        CHECK_STR(seen.labels[i], names[0]);
        CHECK(seen.ev[i].cookie == &seen);
        CHECK_INT(seen.ev[i].ino, st.st_ino);
        CHECK_INT(seen.ev[i].dev, st.st_dev);
        CHECK(seen.ev[i].blocked == 0);
        CHECK(seen.ev[i].time > before && seen.ev[i].time < timefmt_now(CLOCK_REALTIME));
        CHECK(i == 0 || seen.ev[i].time >= seen.ev[i - 1].time);
    }
    forget(&seen);
    msgq_follow_free(f);
    mq_close(q);
    mq_close(other);
}

/* A payload larger than one piece, and one that is cut. */
/* Before Linux 5.19 what does not fit into one piece of memory is cut off. */
static uint64_t most_captured(void)
{
    unsigned int major = 0, minor = 0;
    struct utsname u;

    if (getenv("IPCBOX_BPF_OLD"))
        return 65464;
    CHECK(uname(&u) == 0 && sscanf(u.release, "%u.%u", &major, &minor) == 2);
    return major > 5 || (major == 5 && minor >= 19) ? UINT64_MAX : 65464;
}

static void sizes(void)
{
    mqd_t q = make(names[0], 1, LARGE, 0600);
    char *large = malloc(LARGE), *buf = malloc(LARGE);
    struct seen seen = {.n = 0};
    struct msgq_follow *f = follow_one(names[0], NULL,
                                       (struct msgq_follow_opts){.capture = UINT64_MAX});

    for (size_t i = 0; i < LARGE; i++)
        large[i] = (char)(i * 31 + i / 251);
    CHECK_INT(mq_send(q, large, LARGE, 3), 0);
    CHECK_INT(mq_receive(q, buf, LARGE, NULL), LARGE);
    CHECK_INT(mq_send(q, large, 65536 - 72 + 1, 3), 0);
    gather(f, &seen, 3);
    CHECK_INT(seen.n, 3);
    for (size_t i = 0; i < seen.n; i++) {
        CHECK_INT(seen.ev[i].length, i < 2 ? LARGE : 65536 - 72 + 1);
        CHECK_INT(seen.ev[i].captured, MIN(seen.ev[i].length, most_captured()));
        CHECK(!memcmp(seen.data[i], large, seen.ev[i].captured));
    }
    forget(&seen);
    msgq_follow_free(f);
    f = follow_one(names[0], NULL, (struct msgq_follow_opts){.capture = 10, .receive = true});
    CHECK_INT(mq_receive(q, buf, LARGE, NULL), 65536 - 72 + 1);
    CHECK_INT(mq_send(q, large, LARGE, 3), 0);
    CHECK_INT(mq_receive(q, buf, LARGE, NULL), LARGE);
    gather(f, &seen, 2);
    CHECK_INT(seen.n, 2);
    CHECK_INT(seen.ev[1].kind, MSGQ_EVENT_RECEIVE);
    CHECK_INT(seen.ev[1].length, LARGE);
    CHECK_INT(seen.ev[1].captured, 10);
    CHECK(!memcmp(seen.data[1], large, 10));
    forget(&seen);
    msgq_follow_free(f);
    free(large);
    free(buf);
    mq_close(q);
}

/* A receiver that sleeps; one that slept already when following began; only one process. */
static void blocking(void)
{
    mqd_t q = make(names[0], 10, SMALL, 0600);
    struct seen seen = {.n = 0};
    struct msgq_follow *f;
    pid_t pid = fork();

    if (pid == 0) {
        char buf[SMALL];

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            mq_receive(q, buf, sizeof(buf), NULL);
    }
    usleep(
        100000); /* likely asleep by then; if not, the first event tells a span: both are right */
    f = follow_one(names[0], NULL, (struct msgq_follow_opts){.capture = 8, .pid = pid});
    mq_send(q, "one", 3, 0);
    gather(f, &seen, 1);
    usleep(50000);
    mq_send(q, "two", 3, 0);
    gather(f, &seen, 2);
    CHECK_INT(seen.n, 2);
    CHECK_INT(seen.send, 0);
    CHECK_INT(seen.ev[0].pid, pid);
    CHECK(seen.ev[1].blocked != PMQ_UNKNOWN && seen.ev[1].blocked >= 30 * NSEC_PER_MSEC);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    forget(&seen);
    msgq_follow_free(f);
    mq_close(q);
}

/* All queues: one that is there, one that is made later; none of another IPC namespace. */
static void all(void)
{
    mqd_t q = make(names[0], 10, SMALL, 0600), later;
    struct seen seen = {.n = 0};
    struct msgq_follow *f = follow_new((struct msgq_follow_opts){.all = true, .capture = 8});
    pid_t pid;

    if (!f)
        return;
    CHECK_INT(msgq_follow_start(f, NULL), 0);
    pid = fork();
    if (pid == 0) {
        unshare(CLONE_NEWIPC);
        q = mq_open(names[0], O_RDWR | O_CREAT, 0600, NULL);
        _exit(mq_send(q, "elsewhere", 9, 0) != 0);
    }
    waitpid(pid, NULL, 0);
    mq_send(q, "a", 1, 0);
    later = make(names[1], 10, SMALL, 0600);
    mq_send(later, "b", 1, 0);
    mq_unlink(names[1]);
    mq_send(later, "c", 1, 0);
    gather(f, &seen, 3);
    CHECK_INT(seen.n, 3);
    CHECK_STR(seen.labels[0], names[0]);
    CHECK_STR(seen.labels[1], names[1]);
    CHECK_STR(seen.labels[2], names[1]);
    forget(&seen);
    msgq_follow_free(f);
    mq_close(q);
    mq_close(later);
}

/* As a program with file capabilities is run by a user: only the BPF capabilities are left. */
static void become_user(uid_t uid)
{
    struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct d[2] = {0};

    prctl(PR_SET_KEEPCAPS, 1);
    CHECK_INT(setresgid(uid, uid, uid), 0);
    CHECK_INT(setresuid(uid, uid, uid), 0);
    d[1].permitted = d[1].effective = 1 << (38 - 32) | 1 << (39 - 32); /* PERFMON, BPF */
    CHECK_INT(syscall(SYS_capset, &h, d), 0);
}

static void other_users(void)
{
    mqd_t secret = make(names[0], 10, SMALL, 0600), open;
    int status = -1;
    pid_t pid;

    umask(0);
    open = make(names[1], 10, SMALL, 0604);
    pid = fork();
    if (pid == 0) {
        struct seen seen = {.n = 0};
        struct msgq_follow *f;

        check_failed = 0;
        become_user(4321);
        f = follow_new((struct msgq_follow_opts){.all = true, .capture = 8});
        if (f) {
            CHECK_INT(msgq_follow_start(f, NULL), 0);
            mq_send(secret, "secret", 6, 0);
            mq_send(open, "open", 4, 0);
            mq_send(secret, "secret", 6, 0);
            mq_send(open, "open", 4, 0);
            gather(f, &seen, 2);
            CHECK_INT(seen.n, 2);
            CHECK_STR(seen.labels[0], names[1]);
            CHECK_STR(seen.labels[1], names[1]);
            raise(SIGSTOP); /* the modes are exchanged */
            mq_send(secret, "now", 3, 0);
            mq_send(open, "no more", 7, 0);
            mq_send(secret, "now", 3, 0);
            gather(f, &seen, 4);
            CHECK_INT(seen.n, 4);
            CHECK_STR(seen.labels[2], names[0]);
            CHECK_STR(seen.labels[3], names[0]);
            forget(&seen);
            msgq_follow_free(f);
        }
        _exit(check_failed != 0);
    }
    if (waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status)) {
        CHECK_INT(fchmod(secret, 0604), 0);
        CHECK_INT(fchmod(open, 0600), 0);
        kill(pid, SIGCONT);
        waitpid(pid, &status, 0);
    }
    CHECK_INT(status, 0);
    mq_close(secret);
    mq_close(open);
}

#ifdef __x86_64__
#include "send32.h"

/* A kernel without the 32-bit entry answers it with SIGSEGV. */
static bool runs_32_bit(void)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL); /* no report by a sanitizer */
        _exit(send_32(-1, NULL, 0, 0) != -EBADF);
    }
    waitpid(pid, &status, 0);
    return status == 0;
}

static void compat(void)
{
    mqd_t q = make(names[0], 10, SMALL, 0600);
    char *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT,
                     -1, 0);
    struct msgq_follow *f = follow_one(names[0], NULL, (struct msgq_follow_opts){.capture = 8});
    struct msgq_follow_totals totals = {0};
    struct seen seen = {.n = 0};

    if (!f)
        return;
    if (!runs_32_bit()) {
        printf("%s: calls of 32-bit programs cannot be tested: this kernel runs none\n", backend);
    } else {
        strcpy(low, "old");
        CHECK_INT(send_32(q, low, 3, 2), 0);
        CHECK_INT(send_32(q, low, 3, 2), 0);
        mq_send(q, "end", 3, 0);
        if (strcmp(backend, "fexit")) {
            gather(f, &seen, 2);
            CHECK_INT(seen.n, 2);
            CHECK_INT(seen.ev[0].kind, MSGQ_EVENT_UNCOVERED);
            CHECK_INT(seen.ev[0].pid, getpid());
            msgq_follow_totals(f, &totals);
            CHECK_INT(totals.uncovered, 2);
        } else {
            gather(f, &seen, 3);
            check_event(&seen, 0, MSGQ_EVENT_SEND, 2, "old");
        }
    }
    forget(&seen);
    msgq_follow_free(f);
    mq_close(q);
}
#endif

static void counters(void)
{
    mqd_t q = make(names[0], 10, SMALL, 0600);
    struct msgq_follow *f = follow_new(
        (struct msgq_follow_opts){.all = true, .counters_only = true});
    struct msgq_counters c = {.sent = 99};
    char buf[SMALL];
    struct stat st;

    if (!f)
        return;
    fstat(q, &st);
    CHECK_INT(msgq_follow_counters(f, st.st_dev, st.st_ino, &c), 0);
    CHECK_INT(c.sent, 0);
    CHECK_INT(msgq_follow_start(f, NULL), 0);
    mq_send(q, "hello", 5, 0);
    mq_send(q, "you", 3, 0);
    mq_receive(q, buf, sizeof(buf), NULL);
    CHECK_INT(msgq_follow_counters(f, st.st_dev, st.st_ino, &c), 0);
    CHECK_INT(c.sent, 2);
    CHECK_INT(c.sent_bytes, 8);
    CHECK_INT(c.received, 1);
    CHECK_INT(c.received_bytes, 5);
    CHECK_INT(c.send_blocked, 0);
    msgq_follow_stop(f);
    mq_send(q, "more", 4, 0);
    CHECK_INT(msgq_follow_counters(f, st.st_dev, st.st_ino, &c), 0);
    CHECK_INT(c.sent, 2);
    msgq_follow_free(f);
    mq_close(q);
}

/* A visit that stops gets the rest the next time; after a stop, what was recorded can be read. */
static void stopping(void)
{
    mqd_t q = make(names[0], 10, SMALL, 0600);
    struct seen seen = {.stop_at = 2};
    struct msgq_follow *f = follow_one(names[0], NULL, (struct msgq_follow_opts){.capture = 8});
    struct msgq_follow_totals totals;
    struct err e = ERR_INIT;

    if (!f)
        return;
    for (int i = 0; i < 5; i++)
        mq_send(q, "x", 1, 0);
    msgq_follow_stop(f);
    mq_send(q, "unseen", 6, 0);
    CHECK_INT(msgq_follow_read(f, note, &seen, &e), 77);
    CHECK_INT(seen.n, 2);
    seen.stop_at = 0;
    CHECK_INT(msgq_follow_read(f, note, &seen, &e), 0);
    CHECK_INT(seen.n, 5);
    msgq_follow_totals(f, &totals);
    CHECK_INT(totals.events, 5);
    CHECK_INT(totals.lost, 0);
    CHECK(totals.span > 0);
    forget(&seen);
    msgq_follow_free(f);
    mq_close(q);
}

/* Starts the storm behind a gate, so that following begins before it does. */
static FILE *start_storm(const char *name, const char *senders, const char *count, pid_t *pid)
{
    int out[2];

    if (pipe(out) < 0)
        return NULL;
    *pid = fork();
    if (*pid == 0) {
        dup2(out[1], STDOUT_FILENO);
        close(out[0]);
        execl(TEST_STORM, "storm", name, senders, senders, "10", "1024", count, (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    return fdopen(out[0], "r");
}

static void storm(const char *what, uint64_t ring, const char *senders, const char *count)
{
    struct msgq_follow *f = follow_new(
        (struct msgq_follow_opts){.all = true, .capture = UINT64_MAX, .ring_bytes = ring});
    uint64_t sent = 0, received = 0, wrong = 1;
    struct msgq_follow_totals t = {0};
    struct seen seen = {.n = 0};
    struct err e = ERR_INIT;
    int status, r = 0;
    pid_t pid = -1;
    FILE *out;

    if (!f)
        return;
    CHECK_INT(msgq_follow_start(f, NULL), 0);
    out = start_storm(names[0], senders, count, &pid);
    CHECK(out != NULL);
    while (r == 0 && waitpid(pid, &status, WNOHANG) == 0) {
        struct pollfd p = {.fd = msgq_follow_fd(f), .events = POLLIN};

        if (poll(&p, 1, 50) > 0)
            r = msgq_follow_read(f, note, &seen, &e);
        if (ring) /* a reader that does not keep up */
            usleep(2000);
    }
    msgq_follow_stop(f);
    for (uint64_t n = UINT64_MAX; n != seen.n + seen.send + seen.receive + seen.lost;) {
        n = seen.n + seen.send + seen.receive + seen.lost;
        CHECK_INT(msgq_follow_read(f, note, &seen, &e), 0);
    }
    CHECK(out &&
          fscanf(out, "ready sent %lu received %lu wrong %lu", &sent, &received, &wrong) == 3);
    if (out)
        fclose(out);
    msgq_follow_totals(f, &t);
    printf("%s, %s: %lu sent + %lu received = %lu seen + %lu lost, %lu wrong, %.1f s\n", backend,
           what, sent, received, seen.send + seen.receive, seen.lost, seen.wrong,
           (double)t.span / 1e9);
    CHECK_INT(wrong, 0);
    CHECK(sent > 0);
    CHECK_INT(seen.send + seen.receive + seen.lost, sent + received);
    CHECK_INT(t.events, seen.send + seen.receive);
    CHECK_INT(t.lost, seen.lost);
    CHECK_INT(seen.wrong, 0);
    CHECK(ring ? seen.lost > 0 : seen.lost == 0);
    forget(&seen);
    msgq_follow_free(f);
}

static void run_all(void)
{
    const char *full = getenv("IPCBOX_TEST_LONG");
    bool is_long = full && *full && strcmp(full, "0") != 0;

    plain();
    sizes();
    blocking();
    all();
    other_users();
#ifdef __x86_64__
    compat();
#endif
    counters();
    stopping();
    storm("a reader that keeps up", 0, "1", is_long ? "1000000" : "20000");
    storm("a ring that is too small", 64 * 1024, "2", is_long ? "1000000" : "20000");
}

int main(void)
{
    struct err e = ERR_INIT;
    int tested = 0;

    /* A namespace of our own, where messages may be large. */
    CHECK_INT(unshare(CLONE_NEWIPC), 0);
    sysctl("msgsize_max", "1000000");
    for (int i = 0; i < 2; i++)
        snprintf(names[i], sizeof(names[i]), "/test-follow-%d-%c", getpid(), "ab"[i]);
    for (const char *const *b = msgq_follow_backends; *b; b++) {
        backend = *b;
        if (pmq_follow_probe(*b, &e) < 0) {
            printf("%s cannot be tested here: %s\n", *b, e.why);
            continue;
        }
        tested++;
        run_all();
    }
    CHECK(tested > 0);
    return check_done();
}
