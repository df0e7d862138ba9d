/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lib/proc: the texts of /proc, a made-up /proc, and the real one. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "cleanup.h"
#include "proc.h"
#include "proc_events.h"

static void test_id(void)
{
    static const char *const bad[] = {"",   "0",  "-1",         "+1",
                                      "1x", " 1", "2147483648", "99999999999999999999999"};
    pid_t id = 7;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        CHECK_INT(proc_parse_id(bad[i], &id), -EBADMSG);
    CHECK_INT(id, 7);
    CHECK_INT(proc_parse_id("2147483647", &id), 0);
    CHECK_INT(id, 2147483647);
}

static void test_fd_flags(void)
{
    int flags = 0;

    CHECK_INT(proc_parse_fd_flags("pos:\t0\nflags:\t0100002\nmnt_id:\t15\n", &flags), 0);
    CHECK_INT(flags, 0100002);
    CHECK_INT(proc_parse_fd_flags("flags:\t04000", &flags), 0);
    CHECK_INT(flags, 04000);
    CHECK_INT(proc_parse_fd_flags("", &flags), -EBADMSG);
    CHECK_INT(proc_parse_fd_flags("pos:\t0\n", &flags), -EBADMSG);
    CHECK_INT(proc_parse_fd_flags("flags:\t\n", &flags), -EBADMSG);
    CHECK_INT(proc_parse_fd_flags("flags:\t09\n", &flags), -EBADMSG);
    CHECK_INT(proc_parse_fd_flags("xflags:\t01\n", &flags), -EBADMSG);
    CHECK_INT(proc_parse_fd_flags("flags:\t7777777777777777777777777\n", &flags), -EBADMSG);
}

static void test_call(void)
{
    struct proc_call c;

    CHECK_INT(proc_parse_call("running\n", &c), 0);
    CHECK_INT(c.state, PROC_CALL_RUNNING);
    CHECK_INT(proc_parse_call("-1 0x7ffd 0x7f0e\n", &c), 0);
    CHECK_INT(c.state, PROC_CALL_OUTSIDE);
    CHECK_INT(proc_parse_call("243 0x3 0x7ffc 0x10 0x0 0xffffffffffffffff 0x5 0x7ffd 0x7f1e\n", &c),
              0);
    CHECK_INT(c.state, PROC_CALL_BLOCKED);
    CHECK_INT(c.nr, 243);
    CHECK_INT(c.args[0], 3);
    CHECK_INT(c.args[2], 16);
    CHECK(c.args[4] == UINT64_MAX);
    CHECK_INT(c.args[5], 5);
    CHECK_INT(proc_parse_call("", &c), -EBADMSG);
    CHECK_INT(proc_parse_call("243", &c), -EBADMSG);
    CHECK_INT(proc_parse_call("243 0x1 0x2 0x3 0x4 0x5\n", &c), -EBADMSG);
    CHECK_INT(proc_parse_call("243 0x1 0x2 0x3 0x4 0x5 0x12345678901234567", &c), -EBADMSG);
    CHECK_INT(proc_parse_call("99999999999999999999 0x1", &c), -EBADMSG);
}

static void test_thread_flags(void)
{
    static const char *const bad[] = {
        "",
        "12",
        "12 (a)",
        "12 (a) S 1 2 3 4 -1",
        "12 (a) S 1 2 3 4 -1 ",
        "12 (a) S 1 2 3 4 -1 77",
        "12 (a) S 1 2 3 4 -1 x ",
        "12 (a) S 1 2 3 4 -1 4294967296 0",
    };
    unsigned int flags = 7;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        CHECK_INT(proc_parse_thread_flags(bad[i], &flags), -EBADMSG);
    CHECK_INT(flags, 7);
    CHECK_INT(proc_parse_thread_flags("12 (a) S) S 1 2 3 4 -1 4194560 103 0", &flags), 0);
    CHECK_INT(flags, 4194560);
}

static void test_ns(void)
{
    uint64_t ns = 0;

    CHECK_INT(proc_parse_ns("ipc:[4026531839]", "ipc", &ns), 0);
    CHECK(ns == UINT64_C(4026531839));
    CHECK_INT(proc_parse_ns("ipc:[4026531839", "ipc", &ns), -EBADMSG);
    CHECK_INT(proc_parse_ns("ipc:[]", "ipc", &ns), -EBADMSG);
    CHECK_INT(proc_parse_ns("pid:[1]", "ipc", &ns), -EBADMSG);
    CHECK_INT(proc_parse_ns("ipc", "ipc", &ns), -EBADMSG);
}

static void test_state(void)
{
    char state = 0, comm[PROC_COMM_SIZE];

    CHECK_INT(proc_parse_state("12 (a) S) Z 1 2", comm, &state), 0);
    CHECK_INT(state, 'Z');
    CHECK_STR(comm, "a) S");
    CHECK_INT(proc_parse_state("12 (a)", comm, &state), -EBADMSG);
    CHECK_INT(proc_parse_state("12 (a) ", comm, &state), -EBADMSG);
    CHECK_INT(proc_parse_state("12 )a( S 1", comm, &state), -EBADMSG);
    CHECK_INT(proc_parse_state("", comm, &state), -EBADMSG);
}

static void test_mount(void)
{
    static const char *const bad[] = {
        "",
        "21 26 0:20 / /proc rw,relatime",
        "21 26 0:20 / /proc rw,relatime -",
        "21 26 0 / /proc rw - proc proc rw",
        "21 26 0:20  /proc rw - proc proc rw",
    };
    struct proc_mount m = {0};
    char line[256];

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        snprintf(line, sizeof(line), "%s", bad[i]);
        CHECK_INT(proc_parse_mount(line, &m), -EBADMSG);
    }
    strcpy(
        line,
        "36 35 98:7 /a\\134b /my\\040mq\\011\\012\\x rw shared:1 master:2 - mqueue  rw,hidepid=2");
    CHECK_INT(proc_parse_mount(line, &m), 0);
    CHECK(m.dev == makedev(98, 7));
    CHECK_STR(m.root, "/a\\b");
    CHECK_STR(m.point, "/my mq\t\n\\x");
    CHECK_STR(m.type, "mqueue");
    CHECK_STR(m.options, "rw,hidepid=2");
    strcpy(line, "36 35 0:4 ipc:[4026532000] /run/ipc rw - nsfs nsfs rw");
    CHECK_INT(proc_parse_mount(line, &m), 0);
    CHECK_STR(m.root, "ipc:[4026532000]");
}

/* ---- a made-up tree ---- */

static void put(const char *root, const char *name, const char *text, size_t n)
{
    char path[256];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", root, name);
    for (char *p = path + strlen(root) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        mkdir(path, 0700);
        *p = '/';
    }
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK(fd >= 0 && write(fd, text, n) == (ssize_t)n);
    close(fd);
}

static void put_link(const char *root, const char *name, const char *target)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", root, name);
    CHECK(!symlink(target, path));
}

struct seen {
    size_t n;
    int64_t sum;
    char links[512];
};

static int see_id(pid_t id, void *ctx)
{
    struct seen *s = ctx;

    s->n++;
    s->sum += id;
    return 0;
}

static int see_fd(const struct proc_fd *f, void *ctx)
{
    struct seen *s = ctx;
    size_t used = strlen(s->links);

    s->n++;
    s->sum += f->fd;
    snprintf(s->links + used, sizeof(s->links) - used, "%s|", f->link);
    return 0;
}

static int stop_at_once(pid_t id, void *ctx)
{
    (void)ctx;
    return id > 0 ? 42 : 0;
}

static void test_made_up(void)
{
    char root[] = "/tmp/unit-proc-XXXXXX", command[64], comm[PROC_COMM_SIZE], deep[PATH_MAX];
    struct proc_call c;
    struct seen s = {0};
    uint64_t ns = 0;
    int proc, flags = 0;

    CHECK(mkdtemp(root));
    put(root, "uptime", "1", 1);
    put(root, "self-made", "1", 1);
    put(root, "12/task/12/comm", "a\nb\033[31m\n", 9);
    put(root, "12/task/12/syscall", "242 0x4 0x0 0x0 0x0 0x0 0x0 0x0 0x0\n", 36);
    put(root, "12/task/13/comm", "0123456789abcdefgh", 18);
    put(root, "12/task/13/syscall", "\0\1\2", 3);
    put(root, "12/fd/x", "", 0);
    put(root, "12/ns/x", "", 0);
    put(root, "12/fdinfo/4", "pos:\t0\nflags:\t02\n", 17);
    put(root, "99999999999/comm", "", 0);
    put(root, "7/x", "", 0);
    put_link(root, "12/fd/0", "/jobs");
    put_link(root, "12/fd/4", "/a\nb (deleted)");
    put_link(root, "12/ns/ipc", "ipc:[77]");
    put_link(root, "12/ns/pid", "nonsense");
    memset(deep, 'y', sizeof(deep));
    deep[0] = '/';
    deep[sizeof(deep) - 1] = '\0';
    put_link(root, "12/fd/5", deep);

    CHECK_INT(proc_open("/does/not/exist"), -ENOENT);
    proc = proc_open(root);
    CHECK(proc >= 0);
    CHECK_INT(proc_visit_pids(proc, see_id, &s), 0);
    CHECK_INT(s.n, 2);
    CHECK_INT(s.sum, 19);
    CHECK_INT(proc_visit_pids(proc, stop_at_once, NULL), 42);
    s = (struct seen){0};
    CHECK_INT(proc_visit_tids(proc, 12, see_id, &s), 0);
    CHECK_INT(s.sum, 25);
    CHECK_INT(proc_visit_tids(proc, 7, see_id, &s), -ESRCH);
    s = (struct seen){0};
    CHECK_INT(proc_visit_fds(proc, 12, see_fd, &s), 0);
    CHECK_INT(s.n, 3);
    CHECK_INT(s.sum, 9);
    CHECK(strstr(s.links, "/jobs|") || strlen(s.links) == sizeof(s.links) - 1);
    CHECK_INT(proc_visit_fds(proc, 8, see_fd, &s), -ESRCH);
    CHECK_INT(proc_fd_flags(proc, 12, 4, &flags), 0);
    CHECK_INT(flags, O_RDWR);
    CHECK_INT(proc_fd_flags(proc, 12, 5, &flags), -ESRCH);
    CHECK_INT(proc_comm(proc, 12, 12, comm), 0);
    CHECK_STR(comm, "a\nb\033[31m");
    CHECK_INT(proc_comm(proc, 12, 13, comm), 0);
    CHECK_STR(comm, "0123456789abcde");
    CHECK_INT(proc_comm(proc, 12, 14, comm), -ESRCH);
    CHECK_INT(proc_thread_call(proc, 12, 12, &c), 0);
    CHECK_INT(c.nr, 242);
    CHECK_INT(proc_thread_call(proc, 12, 13, &c), -EBADMSG);
    CHECK_INT(proc_ns(proc, 12, "ipc", &ns), 0);
    CHECK_INT(ns, 77);
    CHECK_INT(proc_ns(proc, 12, "pid", &ns), -EBADMSG);
    CHECK_INT(proc_ns(proc, 7, "ipc", &ns), -ESRCH);
    close(proc);
    snprintf(command, sizeof(command), "rm -r %s", root);
    CHECK_INT(system(command), 0);
}

/* ---- the real one ---- */

struct child {
    pid_t pid;
    int wake;
};

/* A child that sleeps in read() on descriptor 0. */
static struct child child_start(void)
{
    struct child c = {0};
    int p[2];

    CHECK(!pipe(p));
    c.wake = p[1];
    fflush(NULL);
    c.pid = fork();
    if (c.pid == 0) {
        char x;

        close(p[1]);
        dup2(p[0], 0);
        _exit(read(0, &x, 1) == 0 ? 9 : 1);
    }
    close(p[0]);
    return c;
}

static void wait_until_blocked(int proc, pid_t pid, struct proc_call *call)
{
    for (int i = 0; i < 30000; i++) {
        if (proc_thread_call(proc, pid, pid, call) == 0 && call->state == PROC_CALL_BLOCKED &&
            call->nr == SYS_read)
            return;
        usleep(1000);
    }
    CHECK_FAIL("the child never blocked");
}

static void test_real(void)
{
    struct child child = child_start();
    struct err e = ERR_INIT;
    struct proc_call c = {0};
    uint64_t a = 0, b = 1;
    int proc = proc_open(NULL);
    int fd, flags = -1, status;

    CHECK(proc >= 0);
    wait_until_blocked(proc, child.pid, &c);
    CHECK_INT(c.args[0], 0);
    CHECK_INT(c.args[2], 1);
    CHECK_INT(proc_fd_flags(proc, child.pid, 0, &flags), 0);
    CHECK_INT(flags & O_ACCMODE, O_RDONLY);
    CHECK_INT(proc_ns(proc, child.pid, "ipc", &a), 0);
    CHECK_INT(proc_ns(proc, getpid(), "ipc", &b), 0);
    CHECK(a == b);
    fd = proc_fd_take(child.pid, 0, &e);
    CHECK(fd >= 0);
    CHECK_INT(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    close(fd);
    CHECK_INT(proc_fd_take(child.pid, 12345, &e), -EBADF);
    CHECK(strstr(e.why, "12345"));
    close(child.wake);
    CHECK_INT(waitpid(child.pid, &status, 0), child.pid);
    CHECK_INT(proc_fd_take(child.pid, 0, &e), -ESRCH);
    CHECK_INT(proc_visit_tids(proc, child.pid, see_id, &(struct seen){0}), -ESRCH);
    close(proc);
}

/* ---- a process that outlives its first thread ---- */

static int gate;

static void *outlive(void *arg)
{
    char x;

    (void)arg;
    _exit(read(gate, &x, 1) == 0 ? 9 : 1);
}

struct ends {
    pid_t pid;
    int n;
};

static int count_end(const struct proc_exit *x, void *ctx)
{
    struct ends *ends = ctx;

    if (x->pid == ends->pid) {
        ends->n++;
        CHECK(WIFEXITED(x->status) && WEXITSTATUS(x->status) == 9);
    }
    return 0;
}

static int see_state(pid_t tid, void *ctx)
{
    char path[64], state = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", (int)*(pid_t *)ctx, (int)tid);
    f = fopen(path, "r");
    if (!f || fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
        state = 0;
    if (f)
        fclose(f);
    return tid == *(pid_t *)ctx && state == 'Z';
}

static void test_late_thread(struct proc_events *ev)
{
    struct ends ends = {0};
    int p[2], proc = proc_open(NULL), status;

    CHECK(!pipe(p));
    fflush(NULL);
    ends.pid = fork();
    if (ends.pid == 0) {
        pthread_t thread;

        close(p[1]);
        gate = p[0];
        if (pthread_create(&thread, NULL, outlive, NULL))
            _exit(2);
        pthread_exit(NULL);
    }
    close(p[0]);
    for (int i = 0; i < 30000 && proc_visit_tids(proc, ends.pid, see_state, &ends.pid) != 1; i++)
        usleep(1000);
    CHECK(!proc_is_ending(proc, ends.pid));
    CHECK_INT(proc_events_read(ev, count_end, &ends), 0);
    CHECK_INT(ends.n, 0);
    close(p[1]);
    CHECK_INT(waitpid(ends.pid, &status, 0), ends.pid);
    CHECK(proc_is_ending(proc, ends.pid));
    for (int i = 0; i < 30000 && !ends.n; i++) {
        CHECK_INT(proc_events_read(ev, count_end, &ends), 0);
        usleep(1000);
    }
    CHECK_INT(ends.n, 1);
    close(proc);
}

static int see_exit(const struct proc_exit *x, void *ctx)
{
    const pid_t *want = ctx;

    if (x->pid != *want)
        return 0;
    CHECK(WIFEXITED(x->status) && WEXITSTATUS(x->status) == 9);
    return 1;
}

static void test_events(void)
{
    _cleanup_(proc_events_closep) struct proc_events *ev = NULL;
    struct err e = ERR_INIT;
    struct child child;
    struct pollfd p;
    int r = proc_events_open(&ev, &e), status;

    if (r < 0) {
        /* Refused (a container, a kernel without it): then it must say so in words. */
        CHECK(r == -EPERM || r == -EOPNOTSUPP);
        CHECK(e.why[0] && e.remedy[0]);
        return;
    }
    child = child_start();
    CHECK_INT(proc_events_read(ev, see_exit, &child.pid), 0);
    close(child.wake);
    CHECK_INT(waitpid(child.pid, &status, 0), child.pid);
    p = (struct pollfd){.fd = proc_events_fd(ev), .events = POLLIN};
    do {
        r = poll(&p, 1, 30000);
        CHECK(r == 1);
        if (r == 1)
            r = proc_events_read(ev, see_exit, &child.pid);
        else
            r = -ETIMEDOUT;
    } while (r == 0);
    CHECK_INT(r, 1);
    test_late_thread(ev);
}

int main(void)
{
    test_id();
    test_fd_flags();
    test_call();
    test_thread_flags();
    test_ns();
    test_state();
    test_mount();
    test_made_up();
    test_real();
    test_events();
    return check_done();
}
