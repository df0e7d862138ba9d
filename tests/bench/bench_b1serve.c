/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a served bus costs: bench_b1serve FILE, where `b1ctl serve FILE` runs. A null ioctl (one
 * that the file does not know) is the floor of anything that goes through it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "b1bench.h"
#include "figure.h"

enum { NULLS = 20000, PAIRS = 20000, ROUNDS = 10000, SENDERS = 8, EACH = 5000 };
#define NULL_IOCTL _IO(BUS1_IOCTL_MAGIC, 99)

static double bench_null(int fd)
{
    uint64_t t0 = timefmt_now(CLOCK_MONOTONIC);

    for (int i = 0; i < NULLS; i++)
        (void)ioctl(fd, NULL_IOCTL, 0);
    return us(t0, NULLS);
}

static void bench_pair(int fd, double null)
{
    uint64_t to = link_new(fd, fd), t0 = timefmt_now(CLOCK_MONOTONIC);
    double pair;

    for (int i = 0; i < PAIRS; i++) {
        bus_send(fd, to);
        if (!bus_recv(fd))
            die("RECV");
    }
    pair = us(t0, PAIRS);
    figure("served bus: SEND or RECV of 64 B, of a null ioctl", pair / null / 2, "<= 2.5",
           "%.1f us a pair, %.1f us", pair, null);
}

static double bench_seqpacket(void)
{
    char data[SIZE] = {0};
    uint64_t t0;
    double r;
    int s[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s) < 0)
        die("socketpair");
    if (fork() == 0) {
        close(s[0]);
        while (read(s[1], data, SIZE) > 0)
            if (write(s[1], data, SIZE) < 0)
                break;
        _exit(0);
    }
    close(s[1]);
    t0 = timefmt_now(CLOCK_MONOTONIC);
    for (int i = 0; i < ROUNDS; i++)
        if (write(s[0], data, SIZE) < 0 || read(s[0], data, SIZE) < 0)
            die("seqpacket");
    r = us(t0, ROUNDS);
    close(s[0]);
    wait(NULL);
    return r;
}

static double bench_ping_pong(const char *path)
{
    int a = peer_open(path), b = peer_open(path);
    uint64_t to_a = link_new(a, b), to_b = link_new(b, a), t0;
    double r;

    if (fork() == 0) {
        close(a);
        for (int i = 0; i < ROUNDS; i++) {
            bus_wait(b);
            bus_send(b, to_a);
        }
        _exit(0);
    }
    t0 = timefmt_now(CLOCK_MONOTONIC);
    for (int i = 0; i < ROUNDS; i++) {
        bus_send(a, to_b);
        bus_wait(a);
    }
    r = us(t0, ROUNDS);
    wait(NULL);
    close(a);
    close(b);
    return r;
}

static void bench_many(const char *path, double null)
{
    int r = peer_open(path);
    uint64_t t0 = timefmt_now(CLOCK_MONOTONIC);
    double per;

    for (int i = 0; i < SENDERS; i++) {
        int s = peer_open(path);
        uint64_t to = link_new(r, s);

        if (fork() == 0) {
            for (int k = 0; k < EACH; k++)
                bus_send(s, to);
            _exit(0);
        }
        close(s);
    }
    for (int i = 0; i < SENDERS * EACH; i++)
        bus_wait(r);
    per = us(t0, SENDERS * EACH);
    while (wait(NULL) > 0)
        ;
    figure("served bus: 8 senders, of the rate of null ioctls", null / per, ">= 0.3",
           "%.1f us a message", per);
    close(r);
}

int main(int argc, char **argv)
{
    double null, seq, bus;
    int fd;

    if (argc != 2) {
        fprintf(stderr, "usage: bench_b1serve FILE\n");
        return 2;
    }
    fd = peer_open(argv[1]);
    null = bench_null(fd);
    bench_pair(fd, null);
    seq = bench_seqpacket();
    bus = bench_ping_pong(argv[1]);
    figure("served bus: ping-pong of 64 B, of a seqpacket socket's", bus / seq, "<= 6",
           "%.1f us of %.1f us", bus, seq);
    bench_many(argv[1], null);
    return 0;
}
