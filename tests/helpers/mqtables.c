/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A process with a queue in a descriptor table that is not its first thread's:
 *
 *     mqtables own /queue [block]    a second thread takes a table of its own, and opens the queue
 *     mqtables late /queue [block]   a second thread opens it, and the first thread ends
 *
 * Prints {"pid":…,"tid":…,"fd":…} and stays until it is killed, with "block" in mq_receive(3).
 */
#include <fcntl.h>
#include <mqueue.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { FD = 77 };

static void *use_it(void *argp)
{
    char **args = argp;
    struct mq_attr attr = {.mq_maxmsg = 2, .mq_msgsize = 16};
    char text[16];
    int q;

    if (!strcmp(args[1], "own") && unshare(CLONE_FILES) < 0)
        return NULL;
    q = mq_open(args[2], O_CREAT | O_RDONLY, 0600, &attr);
    if (q < 0 || dup2(q, FD) < 0 || close(q) < 0) {
        perror(args[2]);
        return NULL;
    }
    printf("{\"pid\":%d,\"tid\":%d,\"fd\":%d}\n", (int)getpid(), (int)gettid(), (int)FD);
    fflush(stdout);
    while (args[3] ? mq_receive(FD, text, sizeof(text), NULL) >= 0 : pause() < 0)
        ;
    return args;
}

int main(int argc, char **argv)
{
    void *done = NULL;
    pthread_t thread;

    if ((argc != 3 && argc != 4) || pthread_create(&thread, NULL, use_it, argv))
        return 2;
    if (!strcmp(argv[1], "late"))
        pthread_exit(NULL);
    pthread_join(thread, &done);
    return done == NULL;
}
