/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A client of bus1 for benchmarks: messages of SIZE bytes, any error ends it. */
#ifndef B1BENCH_H
#define B1BENCH_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "bus1_abi.h"
#include "macros.h"
#include "timefmt.h"

enum { SIZE = 64 };

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int peer_open(const char *path)
{
    int fd = open(path, O_RDWR);

    if (fd < 0)
        die(path);
    return fd;
}

/* A node of @owner, and its handle in @holder. */
static uint64_t link_new(int owner, int holder)
{
    struct bus1_transfer src = {BUS1_TRANSFER_FLAG_CREATE, BUS1_INVALID}, dst;
    struct bus1_cmd_transfer c = {
        .to = (uint64_t)holder, 1, (uint64_t)(uintptr_t)&src, (uint64_t)(uintptr_t)&dst};

    if (ioctl(owner, BUS1_CMD_TRANSFER, &c) < 0)
        die("TRANSFER");
    return dst.id;
}

static void bus_send(int fd, uint64_t to)
{
    char data[SIZE] = {0};
    int32_t error;
    struct iovec v = {data, SIZE};
    struct bus1_message m = {
        .n_data = SIZE, .n_data_vecs = 1, .ptr_data_vecs = (uint64_t)(uintptr_t)&v};
    struct bus1_cmd_send c = {.n_destinations = 1,
                              .ptr_destinations = (uint64_t)(uintptr_t)&to,
                              .ptr_errors = (uint64_t)(uintptr_t)&error,
                              .ptr_message = (uint64_t)(uintptr_t)&m};

    while (ioctl(fd, BUS1_CMD_SEND, &c) < 0)
        if (errno != EDQUOT)
            die("SEND");
}

/* Whether there was a message. */
static int bus_recv(int fd)
{
    char data[SIZE];
    struct iovec v = {data, SIZE};
    struct bus1_metadata meta;
    struct bus1_message m = {.type = BUS1_INVALID,
                             .n_data = SIZE,
                             .n_data_vecs = 1,
                             .ptr_data_vecs = (uint64_t)(uintptr_t)&v};
    struct bus1_cmd_recv c = {.ptr_metadata = (uint64_t)(uintptr_t)&meta,
                              .ptr_message = (uint64_t)(uintptr_t)&m};

    if (ioctl(fd, BUS1_CMD_RECV, &c) >= 0)
        return 1;
    if (errno != EAGAIN)
        die("RECV");
    return 0;
}

_unused_ static void bus_wait(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    while (!bus_recv(fd))
        if (poll(&p, 1, -1) < 0)
            die("poll");
}

/* Microseconds for each of @n that began at @t0. */
static double us(uint64_t t0, int n)
{
    return (double)(timefmt_now(CLOCK_MONOTONIC) - t0) / n / 1e3;
}

#endif
