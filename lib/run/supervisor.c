/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Starts the command under the filter, answers what it traps, and ends as it ends.
 *
 * The command's process installs the filter on itself, hands the listener over, waits for the word
 * to go on, and becomes the command.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "descriptors.h"
#include "mqpeek_abi.h"
#include "run_internal.h"

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS /* Linux 6.6 */
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS      _IOW('!', 4, uint64_t)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP 1
#endif

void run_log(const struct run *run, const char *fmt, ...)
{
    char line[256];
    va_list ap;

    if (!run->opts.log)
        return;
    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    run->opts.log(run->opts.log_ctx, line);
}

void run_say(const struct run *run, const char *fmt, ...)
{
    char line[768];
    va_list ap;

    if (!run->opts.say)
        return;
    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    run->opts.say(run->opts.log_ctx, line);
}

/* ---- the command's side ---- */

/* What the child reports before it becomes the command. */
struct child_report {
    int error; /* -errno of @step; with 0 the listener is attached */
    enum child_step { STEP_FILTER, STEP_EXEC } step;
};

/* Return: 1 with a report, and *@fd when one came; 0 at the end; -errno. */
static int receive_report(int sock, struct child_report *report, int *fd)
{
    int got;
    ssize_t n = descriptor_receive(sock, report, sizeof(*report), &got);

    if (n <= 0)
        return (int)n;
    if (n != (ssize_t)sizeof(*report))
        return -EPROTO;
    if (got >= 0)
        *fd = got;
    return 1;
}

static int install_filter(const struct run_opts *opts)
{
    struct sock_filter code[FILTER_MAX];
    struct sock_fprog prog = {.len = (unsigned short)filter_build(opts, code), .filter = code};
    /* The filter forbids nothing: the command need not be slowed down as a confined one is. */
    unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    long fd;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    /* A signal that does not kill does not interrupt a call that is being answered (5.19). */
    fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                 flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &prog);
    if (fd < 0 && errno == EINVAL)
        fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
    return fd < 0 ? -errno : (int)fd;
}

static _noreturn_ void become_command(const struct run_opts *opts, char *const argv[], int sock,
                                      const sigset_t *mask, pid_t parent)
{
    struct child_report report = {0};
    char go;
    int fd;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(125);
    fd = install_filter(opts);
    report.error = fd < 0 ? fd : 0;
    report.step = STEP_FILTER;
    if (descriptor_send(sock, &report, sizeof(report), fd) < 0 || fd < 0)
        _exit(125);
    close(fd);
    if (read(sock, &go, 1) != 1) /* the supervisor has gone */
        _exit(125);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, mask, NULL);
    execvp(argv[0], argv);
    report.error = -errno;
    report.step = STEP_EXEC;
    (void)descriptor_send(sock, &report, sizeof(report), -1);
    _exit(report.error == -ENOENT ? 127 : 126);
}

/* ---- answering ---- */

/* Every call that the filter traps has its function here, and only parts that exist are trapped. */
static int64_t dispatch(struct run *run, const struct call *c)
{
    switch (c->nr) {
    case SYS_fcntl:
        return mq_fcntl_peek(run->mq, c);
    case SYS_ioctl:
        return call_u32(c, 1) == XLAT_MQ_IOC_BULK_PEEK ? mq_bulk_peek(run->mq, c)
                                                       : bus1_ioctl(run->bus1, c);
    case SYS_io_uring_setup:
        return uring_setup(run->uring, c);
    case SYS_io_uring_enter:
        return uring_enter(run->uring, c);
    case SYS_io_uring_register:
        return uring_register(run->uring, c);
    case SYS_mmap:
        return uring_mmap(run->uring, c);
    case SYS_readlinkat:
#ifdef SYS_readlink
    case SYS_readlink:
#endif
        return uring_readlink(run->uring, c);
    case SYS_openat:
    case SYS_openat2:
#ifdef SYS_open
    case SYS_open:
#endif
        return bus1_open(run->bus1, c);
    default:
        return mq_timedreceive2(run->mq, c);
    }
}

/* A program of another architecture cannot be answered: it is killed, and the user is told why. */
static void refuse_foreign(const struct run *run, const struct call *c)
{
    pid_t process = call_process(c);

    if (process > 0 && call_alive(c) && kill(process, SIGKILL) == 0)
        run_say(run, "process %d killed: 32-bit programs (i386, x32) cannot run under ipcbox run",
                process);
}

void run_answer(struct run *run, const struct seccomp_notif *n, uint64_t term,
                struct call_thread *kept, struct seccomp_notif_resp *resp)
{
    struct call c = {
        .run = run,
        .id = n->id,
        .term = term,
        .tid = (pid_t)n->pid,
        .nr = n->data.nr,
        .kept = kept,
    };
    int64_t r;

    memcpy(c.args, n->data.args, sizeof(c.args));
    if (filter_foreign(&n->data)) {
        refuse_foreign(run, &c);
        r = -ENOSYS;
    } else {
        r = dispatch(run, &c);
    }
    resp->id = n->id;
    if (r == CALL_CONTINUE)
        resp->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    else if (r < 0)
        resp->error = (int)r;
    else
        resp->val = r;
    /* ENOENT: the caller was killed meanwhile. Otherwise it would wait for ever without an answer.
     */
    for (int tries = 0; tries < NOTIF_TRIES; tries++)
        if (ioctl(run->listener, SECCOMP_IOCTL_NOTIF_SEND, resp) == 0 || errno == ENOENT)
            return;
    if (errno != EINPROGRESS) /* it was given after all */
        run_say(run, "a call of thread %d stays without its answer: %s", c.tid,
                err_text(NULL, -errno));
}

/* ---- signals and the end ---- */

static int block_signals(sigset_t *old, int *fd)
{
    static const int forwarded[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM,  SIGUSR1,
                                    SIGUSR2, SIGCONT, SIGALRM, SIGWINCH, SIGCHLD};
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_SIZE(forwarded); i++)
        sigaddset(&set, forwarded[i]);
    if (sigprocmask(SIG_BLOCK, &set, old) < 0)
        return -errno;
    *fd = signalfd(-1, &set, SFD_CLOEXEC);
    return *fd < 0 ? -errno : 0;
}

/* Whether the command has ended, with its status. Orphans that became our children are reaped. */
static bool reap(pid_t command, int *status)
{
    for (;;) {
        int s;
        pid_t pid = (pid_t)TEMP_FAILURE_RETRY(waitpid(-1, &s, WNOHANG | WUNTRACED));

        if (pid <= 0)
            return false;
        if (pid != command)
            continue;
        if (WIFSTOPPED(s)) {
            /* The shell sees only us: we stop when the command stops. */
            kill(getpid(), SIGSTOP);
            continue;
        }
        *status = s;
        return true;
    }
}

/* Until the command has ended. Return: 0, or -errno when it can go on no longer. */
static int supervise(const struct run *run, pid_t command, int signals, int *status)
{
    for (;;) {
        struct signalfd_siginfo si;
        ssize_t n = read(signals, &si, sizeof(si));

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n != (ssize_t)sizeof(si))
            continue;
        if (si.ssi_signo == SIGCHLD) {
            int failed;

            if (reap(command, status))
                return 0;
            failed = __atomic_load_n(&run->failed, __ATOMIC_SEQ_CST);
            if (failed)
                return failed;
        } else if (si.ssi_code <= 0 || si.ssi_signo == SIGCONT) {
            /* A process sent it to us and means the command. The keys of a terminal reach the
             * command by themselves. */
            kill(command, (int)si.ssi_signo);
        }
    }
}

/* ---- starting ---- */

static int explain_start(int r, enum child_step step, const char *command, struct err *e)
{
    if (step == STEP_EXEC) {
        err_set(e, r, NULL, "%s: %s", command, err_text(NULL, r));
        return RUN_NO_COMMAND;
    }
    switch (r) {
    case -EBUSY:
        return err_set(e, r, "run it outside of that one",
                       "a supervisor answers this process's system calls already");
    case -ENOSYS:
    case -EINVAL:
        return err_set(e, -EOPNOTSUPP, NULL, "this kernel has no seccomp user notification");
    default:
        return err_set(e, r, NULL, "cannot install the filter: %s", err_text(NULL, r));
    }
}

/* Receives the listener from the child. @sock is the parent's end. */
static int start(struct run *run, int sock, const char *command, struct err *e)
{
    struct child_report report;
    int r = receive_report(sock, &report, &run->listener);

    if (r > 0 && report.error)
        return explain_start(report.error, report.step, command, e);
    if (r <= 0 || run->listener < 0)
        return err_set(e, r < 0 ? r : -ECHILD, NULL, "the command's process ended too early");
    /* Wakes the answered thread on this processor, which halves the latency (6.6). */
    (void)ioctl(run->listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS,
                (uint64_t)SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
    return 0;
}

static int run_started(struct run *run, pid_t child, int sock, int signals, const char *command,
                       int *status, struct err *e)
{
    struct child_report report = {0};
    int none = -1, s = 0, failed, r;

    r = start(run, sock, command, e);
    if (r == 0)
        r = run_threads_start(run);
    if (r == 0 && write(sock, "g", 1) != 1)
        r = -EPIPE;
    if (r == 0 && receive_report(sock, &report, &none) > 0)
        r = explain_start(report.error, report.step, command, e);
    if (r == 0) {
        r = supervise(run, child, signals, &s);
        *status = s;
    }
    failed = __atomic_load_n(&run->failed, __ATOMIC_SEQ_CST);
    if (r < 0 && failed)
        r = err_set(e, failed, NULL, "calls can no longer be answered: %s", err_text(NULL, failed));
    if (r != 0) {
        kill(child, SIGKILL);
        waitpid(child, &s, 0);
    }
    run_threads_stop(run);
    return r;
}

/* Leaves interfaces out that cannot be answered, if the command can do without. Return: 0 or @r. */
static int leave_out(struct run *run, unsigned int parts, const char *what, int r, struct err *e)
{
    struct run_opts *opts = &run->opts;

    if (r == 0 || opts->parts & opts->required & parts)
        return r;
    if (!(opts->parts & ~parts) && !opts->native)
        return r; /* nothing would be left to answer */
    opts->parts &= ~parts;
    run_say(run, "%s: not emulated: %s%s%s", what, err_text(e, r), e->remedy[0] ? "; " : "",
            e->remedy);
    *e = (struct err)ERR_INIT;
    return 0;
}

static void free_emulators(struct run *run)
{
    uring_emulator_free(run->uring);
    bus1_emulator_free(run->bus1);
    mq_emulator_free(run->mq);
}

static int make_emulators(struct run *run, struct err *e)
{
    int r = 0;

    if (run->opts.parts & RUN_MQ)
        r = leave_out(run, RUN_MQ, "message queues", mq_emulator_new(&run->opts, &run->mq, e), e);
    if (r == 0 && run->opts.parts & RUN_BUS1)
        r = leave_out(run, RUN_BUS1, "bus1", bus1_emulator_new(&run->opts, &run->bus1, e), e);
    if (r == 0 && run->opts.parts & RUN_URING)
        r = leave_out(run, RUN_URING, "io_uring channels", uring_emulator_new(&run->uring, e), e);
    return r;
}

/* Whether a filter can be installed, tried in a child. */
static int probe_filter(struct err *e)
{
    const struct run_opts nothing = {0};
    pid_t child = fork();
    int status = 0;

    if (child == 0) {
        int fd = install_filter(&nothing);

        _exit(fd < 0 ? -fd : 0);
    }
    if (child < 0 || waitpid(child, &status, 0) < 0)
        return -errno;
    return status ? explain_start(-WEXITSTATUS(status), STEP_FILTER, "", e) : 0;
}

int run_probe(unsigned int part, struct err *e)
{
    struct run run = {.opts = {.parts = part, .required = part}};
    int r = part ? make_emulators(&run, e) : probe_filter(e);

    free_emulators(&run);
    return r;
}

/* With nothing to answer this process becomes the command. Does not return when it succeeds. */
static int become(char *const argv[], struct err *e)
{
    signal(SIGPIPE, SIG_DFL);
    execvp(argv[0], argv);
    err_set(e, -errno, NULL, "%s: %s", argv[0], err_text(NULL, -errno));
    return RUN_NO_COMMAND;
}

int run_command(const struct run_opts *opts, char *const argv[], int *status, struct err *e)
{
    struct run run = {.opts = *opts, .listener = -1, .stop = -1};
    _cleanup_(closep) int signals = -1;
    int sock[2] = {-1, -1};
    sigset_t old;
    pid_t child = -1, self = getpid();
    int r;

    r = block_signals(&old, &signals);
    if (r < 0)
        return r;
    r = make_emulators(&run, e);
    if (r < 0)
        goto out;
    run_log_parts(&run, "left to the kernel, which has it", run.opts.native);
    run_log_parts(&run, "answered by ipcbox", run.opts.parts);
    if (!run.opts.parts) {
        sigprocmask(SIG_SETMASK, &old, NULL);
        r = become(argv, e);
        goto out;
    }
    run.stop = eventfd(0, EFD_CLOEXEC);
    if (run.stop < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock) < 0) {
        r = -errno;
        goto out;
    }
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    child = fork();
    if (child == 0) {
        close(sock[0]);
        become_command(&run.opts, argv, sock[1], &old, self);
    }
    if (child < 0)
        r = -errno;
    descriptors_raise_limit();
        /* one for each peer, ring and channel of all programs */ /* ours, not the command's */
    closep(&sock[1]);
    sock[1] = -1;
    if (r == 0)
        r = run_started(&run, child, sock[0], signals, argv[0], status, e);
out:
    closep(&sock[0]);
    closep(&sock[1]);
    closep(&run.listener);
    closep(&run.stop);
    free_emulators(&run);
    sigprocmask(SIG_SETMASK, &old, NULL);
    return r;
}
