/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Queues in all situations, for the tests of what shows them.
 *
 *     mqscene PREFIX      makes them, prints in JSON what a correct tool must report, and keeps
 * them until SIGTERM, SIGINT or the end of its parent; then everything goes
 *
 *     /PREFIX-full        1 of 1 messages, a thread blocked in mq_send() in a process whose name is
 *                         hostile
 *     /PREFIX-empty       a second thread of a process blocked in mq_receive()
 *     /PREFIX-notify      a registered signal
 *     /PREFIX-orphan      2 messages, nobody has it open
 *     /PREFIX-gone        unlinked, 1 message, held write-only and non-blocking by this process
 */
#include <fcntl.h>
#include <mqueue.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* A terminal must never see this raw: an escape sequence, a newline, a quote. */
#define HOSTILE_NAME "\033[2J\n\"x"

static char prefix[200];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static char *name_of(const char *which)
{
    static char name[256];

    snprintf(name, sizeof(name), "/%s-%s", prefix, which);
    return name;
}

static mqd_t make(const char *which, int flags, long maxmsg, long msgsize)
{
    struct mq_attr attr = {.mq_maxmsg = maxmsg, .mq_msgsize = msgsize};
    mqd_t q = mq_open(name_of(which), O_CREAT | O_EXCL | flags, 0640, &attr);

    if (q < 0)
        die(name_of(which));
    return q;
}

static void fill(mqd_t q, int n)
{
    for (int i = 0; i < n; i++)
        if (mq_send(q, "abc", 3, 1) < 0)
            die("mq_send");
}

static void *receive(void *arg)
{
    char buf[64];

    if (mq_receive(*(mqd_t *)arg, buf, sizeof(buf), NULL) < 0)
        die("mq_receive");
    return NULL;
}

/* A process that blocks in its first thread (sender), or in a second one. */
static pid_t actor(const char *which, int flags)
{
    pid_t parent = getpid(), pid = fork();
    pthread_t thread;
    mqd_t q;

    if (pid < 0)
        die("fork");
    if (pid)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    q = mq_open(name_of(which), flags);
    if (q < 0)
        die("mq_open");
    if (flags == O_WRONLY) {
        prctl(PR_SET_NAME, HOSTILE_NAME);
        mq_send(q, "xyz", 3, 7);
        _exit(0);
    }
    prctl(PR_SET_NAME, "receiver");
    pthread_create(&thread, NULL, receive, &q);
    pthread_join(thread, NULL);
    _exit(0);
}

/* Waits until a thread of @pid is in the system call; returns its number, its descriptor in @fd. */
static int blocked(pid_t pid, long nr, int *fd)
{
    char path[64], line[256];

    for (int tries = 0; tries < 60000; tries++) {
        /* The second thread's number is not far from the first's; the first is tried, too. */
        for (int tid = pid; tid < pid + 64; tid++) {
            FILE *f;
            long got = -1;

            snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", (int)pid, tid);
            f = fopen(path, "re");
            if (!f)
                continue;
            if (fgets(line, sizeof(line), f) &&
                sscanf(line, "%ld %x", &got, (unsigned int *)fd) == 2 && got == nr) {
                fclose(f);
                return tid;
            }
            fclose(f);
        }
        usleep(1000);
    }
    fprintf(stderr, "process %d never blocked\n", (int)pid);
    exit(1);
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"full", "empty", "notify", "orphan", "gone"};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    pid_t sender, receiver, parent = getppid();
    int sender_fd, receiver_fd, tid, sig;
    mqd_t notify, gone, q;
    struct stat st;
    sigset_t ends;

    if (argc != 2)
        return 2;
    snprintf(prefix, sizeof(prefix), "%s", argv[1]);
    umask(0);
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        return 1;

    q = make("full", O_RDWR, 1, 16);
    fill(q, 1);
    mq_close(q);
    mq_close(make("empty", O_RDWR, 4, 16));
    q = make("orphan", O_RDWR, 5, 32);
    fill(q, 2);
    mq_close(q);
    gone = make("gone", O_WRONLY | O_NONBLOCK, 2, 8);
    fill(gone, 1);
    mq_unlink(name_of("gone"));
    sender = actor("full", O_WRONLY);
    receiver = actor("empty", O_RDONLY);
    notify = make("notify", O_RDONLY, 1, 1);
    if (mq_notify(notify, &event) < 0)
        die("mq_notify");
    if (blocked(sender, SYS_mq_timedsend, &sender_fd) != sender)
        die("sender");
    tid = blocked(receiver, SYS_mq_timedreceive, &receiver_fd);
    if (fstat(gone, &st) < 0)
        die("fstat");

    printf("{\"prefix\":\"%s\",\"pid\":%d,\"sender\":{\"pid\":%d,\"fd\":%d},"
           "\"receiver\":{\"pid\":%d,\"tid\":%d,\"fd\":%d},\"notify_fd\":%d,\"gone_fd\":%d,"
           "\"signo\":%d}\n",
           prefix, (int)getpid(), (int)sender, sender_fd, (int)receiver, tid, receiver_fd,
           (int)notify, (int)gone, SIGUSR1);
    if (fflush(stdout))
        die("stdout");
    sigwait(&ends, &sig);
    kill(sender, SIGKILL);
    kill(receiver, SIGKILL);
    waitpid(sender, NULL, 0);
    waitpid(receiver, NULL, 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        mq_unlink(name_of(names[i]));
    return 0;
}
