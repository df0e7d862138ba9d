/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A command that is started in two steps. */
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"

_noreturn_ static void child(const int go[2], const int failed[2], char *const argv[])
{
    char byte;
    int error;

    close(go[1]);
    close(failed[0]);
    if (read(go[0], &byte, 1) != 1)
        _exit(127);
    signal(SIGPIPE, SIG_DFL);
    execvp(argv[0], argv);
    error = errno;
    /* nobody may be reading any more: then the failure does not matter */
    (void)!write(failed[1], &error, sizeof(error));
    _exit(127);
}

int traced_fork(struct traced *t, char *const argv[])
{
    int go[2], failed[2], r = 0;

    if (pipe2(go, O_CLOEXEC) < 0)
        return -errno;
    if (pipe2(failed, O_CLOEXEC) < 0) {
        r = -errno;
        close(go[0]);
        close(go[1]);
        return r;
    }
    t->pid = fork();
    if (t->pid == 0)
        child(go, failed, argv);
    if (t->pid < 0) {
        r = -errno;
        t->pid = 0;
    }
    close(go[0]);
    close(failed[1]);
    t->go = go[1];
    t->failed = failed[0];
    if (r == 0)
        t->pidfd = (int)syscall(SYS_pidfd_open, t->pid, 0);
    if (r == 0 && t->pidfd < 0)
        r = -errno;
    return r;
}

int traced_go(struct traced *t)
{
    int error = 0;
    ssize_t n;

    if (write(t->go, "g", 1) != 1)
        return -errno;
    do
        n = read(t->failed, &error, sizeof(error));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    return n == sizeof(error) ? -error : 0;
}

bool traced_ended(struct traced *t, int *status)
{
    if (!t->pid || waitpid(t->pid, status, WNOHANG) != t->pid)
        return false;
    t->pid = 0;
    return true;
}

void traced_done(struct traced *t)
{
    closep(&t->go);
    closep(&t->failed);
    closep(&t->pidfd);
}
