/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Nothing is lost when a drain, or a recovery from one, is killed: stopped with ptrace at every
 * system call that acts (at its entry, and at its return, where the kernel has acted and the
 * program knows nothing yet) and killed there with SIGKILL; and killed at random moments.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "pmq.h"
#include "pmq_journal.h"

#include <linux/ptrace.h>

enum { MSGSIZE = 300, DEPTH_MAX = 400, ANY = -1 };

static char queue_name[64];
static unsigned int rounds_done, kills_done, receives_cut, sends_cut, random_cut;

struct message {
    size_t n;
    unsigned int priority;
    char data[MSGSIZE];
};

static struct message sent[DEPTH_MAX]; /* in receive order */
static unsigned int depth;
static unsigned int depth_max = 10; /* the kernel's own limit for users */

static unsigned int rnd(unsigned int n)
{
    return (unsigned int)random() % n;
}

/* ---- the queue ---- */

static void insert(const struct message *m)
{
    unsigned int at = depth++;

    for (; at > 0 && sent[at - 1].priority < m->priority; at--)
        sent[at] = sent[at - 1];
    sent[at] = *m;
}

static void make_queue(unsigned int n)
{
    struct mq_attr attr = {.mq_maxmsg = (long)depth_max, .mq_msgsize = MSGSIZE};
    mqd_t q = mq_open(queue_name, O_CREAT | O_EXCL | O_RDWR | O_NONBLOCK, 0600, &attr);

    CHECK(q >= 0);
    depth = 0;
    for (unsigned int i = 0; i < n; i++) {
        static const size_t lengths[] = {0, 1, 15, 16, 17, MSGSIZE};
        struct message m = {.priority = rnd(3) * 16383};

        m.n = rnd(2) ? lengths[rnd(ARRAY_SIZE(lengths))] : rnd(MSGSIZE + 1);
        for (size_t k = 0; k < m.n; k++)
            m.data[k] = (char)rnd(256);
        CHECK_INT(mq_send(q, m.data, m.n, m.priority), 0);
        insert(&m);
    }
    mq_close(q);
}

/* Everything is there again, in its order; then the queue goes. */
static void check_queue(void)
{
    mqd_t q = mq_open(queue_name, O_RDWR | O_NONBLOCK);
    char data[MSGSIZE];
    unsigned int priority;

    CHECK(q >= 0);
    for (unsigned int i = 0; i < depth; i++) {
        ssize_t n = mq_receive(q, data, sizeof(data), &priority);

        CHECK_INT(n, sent[i].n);
        CHECK_INT(priority, sent[i].priority);
        CHECK(n < 0 || !memcmp(data, sent[i].data, (size_t)n));
    }
    CHECK_INT(mq_receive(q, data, sizeof(data), &priority), -1);
    mq_close(q);
    CHECK_INT(mq_unlink(queue_name), 0);
}

/* ---- what is killed ---- */

static struct pmq_queue *open_queue(void)
{
    struct pmq_queue *q = NULL;
    struct pmq_ref ref;

    if (pmq_ref_parse(queue_name, &ref, NULL) < 0 ||
        pmq_queue_open(&ref, PMQ_OPEN_READ, &q, NULL) < 0)
        return NULL;
    return q;
}

static int count(const struct msgq_message *m, void *ctx)
{
    (void)m;
    (*(unsigned int *)ctx)++;
    return 0;
}

static int do_drain(void)
{
    const struct msgq_peek_opts opts = {.backend = "drain", .force = true};
    struct msgq_snapshot *s = NULL;
    struct msgq_peeker *p = NULL;
    struct pmq_queue *q = open_queue();
    unsigned int n = 0;
    int r = q ? pmq_peeker_new(&opts, &p, NULL) : -ENOENT;

    if (r == 0)
        r = pmq_peek(p, q, &s, NULL);
    if (r == 0)
        r = msgq_snapshot_visit(s, count, &n, NULL);
    if (r == 0 && n != depth)
        r = -EIO;
    msgq_snapshot_free(s);
    msgq_peeker_free(p);
    pmq_queue_close(q);
    return r;
}

static int find(struct pmq_queue *q, struct pmq_journal_info *j)
{
    struct pmq_attr a;

    return pmq_queue_attr_basic(q, &a) < 0 ? -1 : pmq_journal_pending(&a, j);
}

static int do_recover(void)
{
    struct pmq_queue *q = open_queue();
    struct pmq_recovered done = {.sent = 0};
    struct pmq_journal_info j;
    int r = q ? find(q, &j) : -ENOENT;

    if (r > 0)
        r = pmq_recover(q, j.path, true, &done, NULL);
    if (r == 0 && (done.uncertain || done.guessed))
        r = -EILSEQ; /* nobody else was there: nothing may be in doubt */
    pmq_queue_close(q);
    return r;
}

/* ---- killing ---- */

static pid_t start(int (*what)(void), bool traced)
{
    pid_t pid = fork();
    int r;

    if (pid)
        return pid;
    if (traced) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
            _exit(99);
        raise(SIGSTOP);
    }
    r = what();
    if (r < 0)
        fprintf(stderr, "failed without being killed: %s\n", strerror(-r));
    _exit(r < 0);
}

static void kill_and_reap(pid_t pid)
{
    int status = 0;

    kill(pid, SIGKILL);
    while (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status))
        ;
    kills_done++;
}

/* What moves a message, or the journal from one state to the next. The rest lies between these. */
static bool acts(uint64_t nr)
{
    static const uint64_t calls[] = {
        SYS_mq_open, SYS_mq_timedreceive, SYS_mq_timedsend, SYS_fallocate, SYS_ftruncate,
        SYS_flock,   SYS_mlock,           SYS_pread64,      SYS_mkdirat,   SYS_unlinkat,
#ifdef SYS_mkdir /* what libc uses where the processor's table has it */
        SYS_mkdir,   SYS_unlink,
#endif
    };

    for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
        if (nr == calls[i])
            return true;
    return false;
}

/* Whether a traced process, stopped at a system call, is where it shall die. */
static bool is_place(pid_t pid, long nr, uint64_t *entered)
{
    struct __ptrace_syscall_info info = {.op = 0};

    if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof(info), &info) < 0)
        return false;
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
        *entered = info.entry.nr;
    if (nr == ANY)
        return acts(*entered);
    return info.op == PTRACE_SYSCALL_INFO_EXIT && *entered == (uint64_t)nr && !info.exit.is_error;
}

static void count_cut(pid_t pid, uint64_t entered)
{
    if (is_place(pid, SYS_mq_timedreceive, &entered))
        receives_cut++;
    if (is_place(pid, SYS_mq_timedsend, &entered))
        sends_cut++;
}

/*
 * Kills at the @at-th stop: of all that act, or of the successful returns of system call @nr.
 * Return: whether it lived that long.
 */
static bool kill_at(int (*what)(void), long nr, unsigned int at)
{
    pid_t pid = start(what, true);
    uint64_t entered = 0;
    int status = 0;

    CHECK(pid > 0 && waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status));
    CHECK_INT(
        ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)),
        0);
    for (;;) {
        if (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) < 0 || waitpid(pid, &status, __WALL) != pid) {
            CHECK_FAIL("the traced process vanished");
            return false;
        }
        if (WIFEXITED(status)) {
            CHECK_INT(WEXITSTATUS(status), 0);
            return false;
        }
        if (is_place(pid, nr, &entered) && --at == 0) {
            count_cut(pid, entered);
            kill_and_reap(pid);
            return true;
        }
    }
}

static unsigned int depth_now(void)
{
    mqd_t q = mq_open(queue_name, O_RDONLY);
    struct mq_attr attr = {.mq_curmsgs = 0};

    CHECK(q >= 0 && mq_getattr(q, &attr) == 0);
    mq_close(q);
    return (unsigned int)attr.mq_curmsgs;
}

/* Kills when the queue has changed to about @target messages, or a moment later. */
static void kill_around(int (*what)(void), unsigned int target)
{
    unsigned int spins = rnd(3) * rnd(2000);
    pid_t pid = start(what, false);
    siginfo_t gone;

    CHECK(pid > 0);
    for (;;) {
        unsigned int now = depth_now();

        gone.si_pid = 0;
        if (now < depth && now <= target)
            break;
        if (waitid(P_PID, (id_t)pid, &gone, WEXITED | WNOHANG | WNOWAIT) < 0 || gone.si_pid)
            break;
    }
    for (volatile unsigned int i = 0; i < spins; i++)
        ;
    kill_and_reap(pid);
}

/* ---- after a kill ---- */

/* What is out of the queue is in a journal that the next run of any verb is told of. */
static bool check_pending(void)
{
    struct pmq_journal_info j = {.held = 0};
    struct pmq_queue *q = open_queue();
    struct pmq_attr a = {.curmsgs = 0};
    int r;

    CHECK(q != NULL);
    if (!q)
        return false;
    r = find(q, &j);
    CHECK_INT(pmq_queue_attr(q, &a), 0);
    CHECK(r >= 0);
    if (a.curmsgs < depth)
        CHECK_INT(r, 1);
    if (r == 1) {
        CHECK(!j.busy);
        CHECK(j.readable);
        CHECK_STR(j.label, queue_name);
        CHECK(j.this_boot);
        CHECK(j.held >= depth - a.curmsgs && j.held <= depth - a.curmsgs + 1);
    }
    pmq_queue_close(q);
    return r == 1;
}

static int no_journal(const struct pmq_journal_info *j, void *ctx)
{
    (void)ctx;
    fprintf(stderr, "left: %s\n", j->path);
    return 1;
}

static void finish_round(void)
{
    if (check_pending())
        CHECK_INT(do_recover(), 0);
    CHECK_INT(pmq_journal_list(false, no_journal, NULL, NULL), 0);
    check_queue();
    rounds_done++;
}

static void sweep_drain(unsigned int n)
{
    for (unsigned int at = 1;; at++) {
        bool killed;

        make_queue(n);
        killed = kill_at(do_drain, ANY, at);
        finish_round();
        if (!killed)
            break;
    }
}

/* A drain killed at the @at-th return of a call; then its recovery, killed everywhere. */
static void sweep_recovery(long nr, unsigned int at)
{
    for (unsigned int k = 1;; k++) {
        bool killed;

        make_queue(3);
        CHECK(kill_at(do_drain, nr, at));
        CHECK(check_pending());
        killed = kill_at(do_recover, ANY, k);
        finish_round();
        if (!killed)
            break;
    }
}

static void at_random(unsigned int rounds)
{
    for (unsigned int i = 0; i < rounds; i++) {
        make_queue(depth_max / 2 + rnd(depth_max / 2));
        kill_around(do_drain, rnd(depth));
        if (check_pending())
            random_cut++;
        for (unsigned int k = rnd(3); k > 0 && check_pending(); k--)
            kill_around(do_recover, rnd(depth));
        finish_round();
    }
}

/* ---- a place of our own ---- */

static bool separate(void)
{
    static char home[] = "/tmp/draincrash-XXXXXX";

    if (geteuid() != 0) {
        if (!mkdtemp(home))
            return false;
        setenv("XDG_STATE_HOME", home, 1);
        return true;
    }
    return unshare(CLONE_NEWNS | CLONE_NEWIPC) == 0 &&
           mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", "/var/lib", "tmpfs", 0, "mode=0755") == 0;
}

/* Longer queues take longer to drain: more random kills fall into it. */
static void raise_limit(void)
{
    FILE *f = geteuid() == 0 ? fopen("/proc/sys/fs/mqueue/msg_max", "w") : NULL;

    if (!f)
        return;
    if (fprintf(f, "%d", DEPTH_MAX) > 0 && fflush(f) == 0)
        depth_max = DEPTH_MAX;
    fclose(f);
}

int main(void)
{
    bool whole = getenv("IPCBOX_TEST_LONG") != NULL;
    unsigned int seed = (unsigned int)getpid();

    if (!separate()) {
        perror("cannot set a place apart");
        return 1;
    }
    srandom(seed);
    snprintf(queue_name, sizeof(queue_name), "/draincrash-%d", (int)getpid());
    for (unsigned int n = 0; n < (whole ? 6 : 3); n++)
        sweep_drain(n);
    for (unsigned int at = 1; at <= 3; at++) {
        sweep_recovery(SYS_mq_timedreceive, at);
        if (at < 3) /* after the last send the journal is as good as gone */
            sweep_recovery(SYS_mq_timedsend, at);
    }
    raise_limit();
    at_random(whole ? 300 : 40);
    printf("seed %u: %u rounds, %u kills: %u between receive and commit, %u between send and mark, "
           "%u random ones left a journal\n",
           seed, rounds_done, kills_done, receives_cut, sends_cut, random_cut);
    CHECK(receives_cut > 0);
    CHECK(sends_cut > 0);
    return check_done();
}
