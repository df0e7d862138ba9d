/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Many queues and many processes that hold them.
 *
 *     mqmany PREFIX QUEUES PROCESSES EACH     makes /PREFIX-0 … of one byte, and processes of which
 *                                             each holds EACH of them; prints "ready", and keeps
 * all until SIGTERM or the end of its parent
 */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void hold(const char *prefix, long first, long each, long queues, int report)
{
    char name[256];

    for (long i = 0; i < each; i++) {
        snprintf(name, sizeof(name), "/%s-%ld", prefix, (first + i) % queues);
        if (mq_open(name, O_RDONLY) < 0)
            _exit(1);
    }
    if (write(report, "+", 1) != 1)
        _exit(1);
    pause();
}

int main(int argc, char **argv)
{
    struct mq_attr attr = {.mq_maxmsg = 1, .mq_msgsize = 1};
    long queues, processes, each;
    int report[2], sig, status = 0;
    char name[256], x;
    sigset_t ends;

    if (argc != 5 || pipe(report) < 0)
        return 2;
    queues = atol(argv[2]);
    processes = atol(argv[3]);
    each = atol(argv[4]);
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    for (long i = 0; i < queues && !status; i++) {
        mqd_t q;

        snprintf(name, sizeof(name), "/%s-%ld", argv[1], i);
        q = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
        if (q < 0 || mq_close(q) < 0) {
            perror(name);
            status = 1;
        }
    }
    for (long i = 0; i < processes && !status; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            hold(argv[1], i * each, each, queues, report[1]);
        }
        if (pid < 0 || read(report[0], &x, 1) != 1) {
            perror("fork");
            status = 1;
        }
    }
    if (!status) {
        puts("ready");
        fflush(stdout);
        sigwait(&ends, &sig);
    }
    for (long i = 0; i < queues; i++) {
        snprintf(name, sizeof(name), "/%s-%ld", argv[1], i);
        mq_unlink(name);
    }
    return status;
}
