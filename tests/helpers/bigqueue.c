/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A queue as large as asked for, and the truth about it: what mq_receive() then gives, for
 * comparison with what a tool has said before.
 *
 *   bigqueue fill /NAME COUNT SIZE   makes it: mixed priorities, most messages of SIZE bytes
 *   bigqueue drain /NAME FILE        empties and unlinks it: payloads into FILE, and on stdout a
 * line "PRIORITY LENGTH" for each message
 */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

static int failed(const char *what)
{
    fprintf(stderr, "bigqueue: %s: %s\n", what, strerror(errno));
    return 1;
}

/* xorshift64: no message repeats another's bytes. */
static void fill_payload(unsigned char *data, size_t n, uint64_t seed)
{
    uint64_t x = seed * 0x9e3779b97f4a7c15u + 1;

    for (size_t i = 0; i < n; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        data[i] = (unsigned char)(x >> 24);
    }
}

static int fill(const char *name, long count, long size)
{
    struct mq_attr attr = {.mq_maxmsg = count, .mq_msgsize = size};
    _cleanup_(freep) unsigned char *data = malloc((size_t)size);
    _cleanup_(closep)
        mqd_t q = mq_open(name, O_WRONLY | O_CREAT | O_EXCL | O_NONBLOCK, 0600, &attr);

    if (q < 0 || !data)
        return failed(name);
    for (long i = 0; i < count; i++) {
        /* every seventh is shorter: also empty, and a byte off the full size */
        size_t n = i % 7 ? (size_t)size : (size_t)(i / 7 % 2 ? i % size : size - 1);

        fill_payload(data, n, (uint64_t)i);
        if (mq_send(q, (char *)data, n, (unsigned int)(i * 31 % 97)) < 0)
            return failed("mq_send");
    }
    return 0;
}

static int drain(const char *name, const char *path)
{
    struct mq_attr attr;
    _cleanup_(freep) char *data = NULL;
    _cleanup_(fclosep) FILE *out = fopen(path, "w");
    _cleanup_(closep) mqd_t q = mq_open(name, O_RDONLY | O_NONBLOCK);
    unsigned int priority;
    ssize_t n;

    if (q < 0 || !out || mq_getattr(q, &attr) < 0)
        return failed(name);
    data = malloc((size_t)attr.mq_msgsize);
    if (!data)
        return failed(name);
    while ((n = mq_receive(q, data, (size_t)attr.mq_msgsize, &priority)) >= 0) {
        printf("%u %zd\n", priority, n);
        if (fwrite(data, 1, (size_t)n, out) != (size_t)n)
            return failed(path);
    }
    if (errno != EAGAIN || fflush(out) || fflush(stdout) || mq_unlink(name) < 0)
        return failed(name);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 5 && !strcmp(argv[1], "fill") && atol(argv[3]) > 0 && atol(argv[4]) > 0)
        return fill(argv[2], atol(argv[3]), atol(argv[4]));
    if (argc == 4 && !strcmp(argv[1], "drain"))
        return drain(argv[2], argv[3]);
    fprintf(stderr, "usage: bigqueue fill /NAME COUNT SIZE, bigqueue drain /NAME FILE\n");
    return 2;
}
