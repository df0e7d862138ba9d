/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Queues for shell tests.
 *
 *     mqmake [-e] NAME MAXMSG MSGSIZE PRIO:TEXT…    makes the queue and sends the messages; -e:
 *                                              \\xHH in TEXT is a byte
 *     mqmake -u NAME                           unlinks it
 *     mqmake -2 NAME                           prints PRIO:TEXT of its first message, peeked with
 *                                              mq_timedreceive2
 *     mqmake -r NAME                           the same, but takes the message
 */
#include <mqueue.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fail(const char *what)
{
    perror(what);
    return 1;
}

/* @flags: MQ_PEEK, or 0 to receive */
static int peek(const char *name, unsigned int flags)
{
    static char buf[1 << 16];
    unsigned int prio = 0;
    struct {
        size_t len;
        unsigned int *prio;
        char *data;
    } args = {sizeof(buf), &prio, buf};
    mqd_t q = mq_open(name, O_RDONLY);
    long n = q < 0 ? -1 : syscall(548, q, &args, flags, 0ul, NULL);

    if (n < 0)
        return fail(name);
    printf("%u:%.*s\n", prio, (int)n, buf);
    return 0;
}

/* Writes the bytes over the text. Return: how many. */
static size_t unescape(char *text)
{
    size_t n = 0;

    for (const char *p = text; *p; n++) {
        unsigned int byte;

        if (sscanf(p, "\\x%2x", &byte) == 1) {
            text[n] = (char)byte;
            p += 4;
        } else {
            text[n] = *p++;
        }
    }
    return n;
}

int main(int argc, char **argv)
{
    struct mq_attr attr = {0};
    bool escapes = argc > 1 && !strcmp(argv[1], "-e");
    mqd_t q;

    if (argc == 3 && !strcmp(argv[1], "-u"))
        return mq_unlink(argv[2]) ? fail(argv[2]) : 0;
    if (argc == 3 && !strcmp(argv[1], "-2"))
        return peek(argv[2], 2);
    if (argc == 3 && !strcmp(argv[1], "-r"))
        return peek(argv[2], 0);
    argc -= escapes;
    argv += escapes;
    if (argc < 4)
        return 2;
    attr.mq_maxmsg = atol(argv[2]);
    attr.mq_msgsize = atol(argv[3]);
    q = mq_open(argv[1], O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK, 0600, &attr);
    if (q < 0)
        return fail(argv[1]);
    for (int i = 4; i < argc; i++) {
        unsigned int priority = (unsigned int)atoi(argv[i]);
        char *text = strchr(argv[i], ':');
        size_t n = !text ? 0 : escapes ? unescape(text + 1) : strlen(text + 1);

        if (!text || mq_send(q, text + 1, n, priority) < 0)
            return fail(argv[i]);
    }
    return 0;
}
