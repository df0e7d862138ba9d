/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A message that is sent by another than the first thread:
 *
 *     mqthread COMM THREAD-COMM /queue TEXT     prints "PID TID" of the sender
 */
#include <mqueue.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static void *send_it(void *argp)
{
    char **args = argp;
    mqd_t q = mq_open(args[3], O_WRONLY);

    prctl(PR_SET_NAME, args[2]);
    if (q < 0 || mq_send(q, args[4], strlen(args[4]), 0) < 0) {
        perror(args[3]);
        return NULL;
    }
    printf("%d %d\n", (int)getpid(), (int)gettid());
    return args;
}

int main(int argc, char **argv)
{
    void *sent = NULL;
    pthread_t thread;

    if (argc != 5)
        return 2;
    prctl(PR_SET_NAME, argv[1]);
    if (pthread_create(&thread, NULL, send_it, argv) || pthread_join(thread, &sent))
        return 1;
    return sent == NULL;
}
