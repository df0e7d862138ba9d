/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How fast the bus is in memory: one message to one node, and one to a hundred. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus.h"
#include "figure.h"
#include "timefmt.h"

enum { FAN = 100, UNICASTS = 2000000, MULTICASTS = 40000, BURST = 16, SIZE = 64 };

static void must(int r)
{
    if (r < 0) {
        fprintf(stderr, "bench: %s\n", strerror(-r));
        exit(1);
    }
}

static void send_one(struct b1_peer *p, const uint64_t *to, size_t n)
{
    struct b1_packet *pk;

    must(b1_packet_new(SIZE, n, 0, &pk));
    memset(b1_packet_data(pk), 'x', SIZE);
    must(b1_send(p, pk, to, NULL, NULL));
}

static void recv_one(struct b1_peer *p)
{
    char copy[SIZE];
    struct b1_view v;

    must(b1_recv_begin(p, &v));
    memcpy(copy, v.data, v.n_data);
    must(b1_recv_commit(p, &v));
}

struct times {
    uint64_t send;
    uint64_t recv;
};

/* @n messages to @fan nodes each, then all of them received. */
static void burst(struct b1_peer *s, const uint64_t *to, struct b1_peer **v, size_t fan, int n,
                  struct times *t)
{
    uint64_t t0 = timefmt_now(CLOCK_MONOTONIC), t1;

    for (int i = 0; i < n; i++)
        send_one(s, to, fan);
    t1 = timefmt_now(CLOCK_MONOTONIC);
    t->send += t1 - t0;
    for (int i = 0; i < n; i++)
        for (size_t k = 0; k < fan; k++)
            recv_one(v[k]);
    t->recv += timefmt_now(CLOCK_MONOTONIC) - t1;
}

static double per(uint64_t ns, int n)
{
    return (double)ns / n;
}

/* A server has threads, and locks cost more there: so does this. */
static void *idle(void *arg)
{
    pause();
    return arg;
}

int main(void)
{
    const struct b1_config cfg = {.limits = B1_LIMITS_DEFAULT};
    struct b1_peer *s, *v[FAN];
    struct b1_bus *bus;
    pthread_t thread;
    uint64_t to[FAN];
    struct times uni = {0}, multi = {0};

    must(-pthread_create(&thread, NULL, idle, NULL));
    must(b1_bus_new(&cfg, &bus));
    must(b1_peer_new(bus, 0, NULL, &s));
    for (int i = 0; i < FAN; i++) {
        struct b1_transfer t = {.create = true};

        must(b1_peer_new(bus, 0, NULL, &v[i]));
        must(b1_transfer(v[i], s, &t, 1));
        to[i] = t.dst;
    }
    for (int i = 0; i < UNICASTS / BURST; i++)
        burst(s, to, v, 1, BURST, &uni);
    for (int i = 0; i < MULTICASTS / BURST; i++)
        burst(s, to, v, FAN, BURST, &multi);
    figure("bus1 engine: 64 B unicasts, million a second", 1e3 / per(uni.send + uni.recv, UNICASTS),
           ">= 2", "SEND %.0f ns, RECV %.0f ns", per(uni.send, UNICASTS), per(uni.recv, UNICASTS));
    figure("bus1 engine: multicast to 100, of a unicast",
           per(multi.send, MULTICASTS) / per(uni.send, UNICASTS), "<= 40",
           "SEND %.0f ns; with the RECVs %.0f ns, %.1f times", per(multi.send, MULTICASTS),
           per(multi.send + multi.recv, MULTICASTS),
           per(multi.send + multi.recv, MULTICASTS) / per(uni.send + uni.recv, UNICASTS));
    for (int i = 0; i < FAN; i++)
        b1_peer_close(v[i]);
    b1_peer_close(s);
    b1_bus_free(bus);
    return 0;
}
