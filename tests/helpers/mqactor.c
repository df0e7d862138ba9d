/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A process that uses a queue as it is told, and says what a correct tool must report.
 *
 *     mqactor COMM /queue
 *
 * Prints "pid N", then obeys lines on standard input, each with an answer:
 *
 *     send PRIORITY TEXT   "sent PRIORITY LENGTH TEXT"
 *     recv                 "received PRIORITY LENGTH TEXT"
 *     recv-                the same without asking for the priority: "received - LENGTH TEXT"
 *     flood N TEXT         N messages, priority 0: "flooded N"
 *     drain                all that is there, without blocking: "drained N"
 *     exit N               ends with that status
 */
#include <errno.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { SIZE = 8192 };

static mqd_t queue;
static char text[SIZE + 1];

static void fail(const char *what)
{
    printf("error %s: %s\n", what, strerror(errno));
    exit(1);
}

static void do_send(char *args)
{
    char *rest;
    unsigned long priority = strtoul(args, &rest, 10);

    if (*rest == ' ')
        rest++;
    if (mq_send(queue, rest, strlen(rest), (unsigned int)priority) < 0)
        fail("send");
    printf("sent %lu %zu %s\n", priority, strlen(rest), rest);
}

static void do_receive(int ask)
{
    unsigned int priority = 0;
    ssize_t n = mq_receive(queue, text, SIZE, ask ? &priority : NULL);

    if (n < 0)
        fail("receive");
    text[n] = '\0';
    if (ask)
        printf("received %u %zd %s\n", priority, n, text);
    else
        printf("received - %zd %s\n", n, text);
}

static void do_flood(char *args)
{
    char *rest;
    unsigned long n = strtoul(args, &rest, 10);

    if (*rest == ' ')
        rest++;
    for (unsigned long i = 0; i < n; i++)
        if (mq_send(queue, rest, strlen(rest), 0) < 0)
            fail("flood");
    printf("flooded %lu\n", n);
}

static void do_drain(void)
{
    struct timespec past = {0};
    unsigned long n = 0;

    while (mq_timedreceive(queue, text, SIZE, NULL, &past) >= 0)
        n++;
    if (errno != ETIMEDOUT)
        fail("drain");
    printf("drained %lu\n", n);
}

int main(int argc, char **argv)
{
    static char line[SIZE + 64];

    if (argc != 3)
        return 2;
    prctl(PR_SET_NAME, argv[1]);
    setvbuf(stdout, NULL, _IOLBF, 0);
    queue = mq_open(argv[2], O_RDWR);
    if (queue < 0)
        fail(argv[2]);
    printf("pid %d\n", (int)getpid());
    while (fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (!strncmp(line, "send ", 5))
            do_send(line + 5);
        else if (!strcmp(line, "recv"))
            do_receive(1);
        else if (!strcmp(line, "recv-"))
            do_receive(0);
        else if (!strncmp(line, "flood ", 6))
            do_flood(line + 6);
        else if (!strcmp(line, "drain"))
            do_drain();
        else if (!strncmp(line, "exit ", 5))
            return atoi(line + 5);
        else
            return 2;
    }
    return 0;
}
