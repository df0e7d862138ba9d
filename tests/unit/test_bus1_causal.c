/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Causal order among threads. Each thread owns a peer and knows, as far as word has reached it, how
 * many messages every peer has sent to every other: a matrix clock. It travels with each message,
 * and through memory that the bus does not see. A receiver must then have got every message that
 * the clock of the one at hand says was sent to it before.
 */
#include <pthread.h>
#include <stdlib.h>

#include "bus.h"
#include "bus1_abi.h"
#include "check.h"

enum { N = 6 };

struct clock {
    uint32_t sent[N][N]; /* from, to */
};

struct note {
    uint32_t from;
    struct clock before; /* what the sender knew, without this message */
};

struct actor {
    struct b1_peer *peer;
    uint64_t to[N];
    struct clock known;
    uint32_t got[N];
    unsigned int seed;
    int me;
    int violations;
    int received;
};

static struct actor actor[N];
static int n_sends;
static pthread_mutex_t side_lock = PTHREAD_MUTEX_INITIALIZER;
static struct clock side;
static int running;

static void clock_merge(struct clock *to, const struct clock *from)
{
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++)
            if (to->sent[i][k] < from->sent[i][k])
                to->sent[i][k] = from->sent[i][k];
}

static void multicast(struct actor *a)
{
    uint64_t to[N];
    bool chosen[N];
    size_t n = 0;
    struct b1_packet *p;
    struct note note = {.from = (uint32_t)a->me, .before = a->known};

    for (int i = 0; i < N; i++) {
        chosen[i] = rand_r(&a->seed) % 3 == 0;
        if (chosen[i])
            to[n++] = a->to[i];
    }
    if (!n || b1_packet_new(sizeof(note), n, 0, &p) < 0)
        return;
    memcpy(b1_packet_data(p), &note, sizeof(note));
    if (b1_send(a->peer, p, to, NULL, NULL) < 0) {
        b1_packet_free(p);
        a->violations++;
        return;
    }
    for (int i = 0; i < N; i++)
        a->known.sent[a->me][i] += chosen[i];
}

static bool receive(struct actor *a)
{
    struct b1_view v;
    struct note note;

    if (b1_recv_begin(a->peer, &v) < 0)
        return false;
    memcpy(&note, v.data, sizeof(note));
    if (b1_recv_commit(a->peer, &v) < 0)
        a->violations++;
    for (int i = 0; i < N; i++)
        if (a->got[i] < note.before.sent[i][a->me])
            a->violations++;
    a->got[note.from]++;
    a->received++;
    clock_merge(&a->known, &note.before);
    if (a->known.sent[note.from][a->me] < a->got[note.from])
        a->known.sent[note.from][a->me] = a->got[note.from];
    return true;
}

static void *actor_main(void *arg)
{
    struct actor *a = arg;

    for (int i = 0; i < n_sends; i++) {
        multicast(a);
        for (int k = rand_r(&a->seed) % 5; k > 0; k--)
            receive(a);
        if (rand_r(&a->seed) % 4 == 0) {
            pthread_mutex_lock(&side_lock);
            clock_merge(&side, &a->known);
            a->known = side;
            pthread_mutex_unlock(&side_lock);
        }
    }
    __atomic_sub_fetch(&running, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&running, __ATOMIC_ACQUIRE))
        while (receive(a))
            ;
    while (receive(a))
        ;
    return NULL;
}

int main(void)
{
    const struct b1_config cfg = {.limits = B1_LIMITS_DEFAULT};
    const char *full = getenv("IPCBOX_TEST_LONG");
    pthread_t thread[N];
    struct b1_usage use;
    struct b1_bus *bus;
    uint32_t sent = 0, got = 0;

    n_sends = full && *full == '1' ? 200000 : 4000;
    running = N;
    CHECK_INT(b1_bus_new(&cfg, &bus), 0);
    for (int i = 0; i < N; i++) {
        actor[i].me = i;
        actor[i].seed = (unsigned int)i + 1;
        CHECK_INT(b1_peer_new(bus, (uint32_t)i, NULL, &actor[i].peer), 0);
    }
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++) {
            struct b1_transfer t = {.create = true};

            CHECK_INT(b1_transfer(actor[k].peer, actor[i].peer, &t, 1), 0);
            actor[i].to[k] = t.dst;
        }
    for (int i = 0; i < N; i++)
        CHECK_INT(pthread_create(&thread[i], NULL, actor_main, &actor[i]), 0);
    for (int i = 0; i < N; i++)
        CHECK_INT(pthread_join(thread[i], NULL), 0);
    for (int i = 0; i < N; i++) {
        CHECK_INT(actor[i].violations, 0);
        CHECK(actor[i].received > 0);
        for (int k = 0; k < N; k++) {
            sent += actor[i].known.sent[i][k];
            got += actor[i].got[k];
        }
    }
    CHECK_INT(got, sent);
    for (int i = 0; i < N; i++)
        b1_peer_close(actor[i].peer);
    b1_bus_usage(bus, &use);
    CHECK_INT(use.bytes + use.handles + use.nodes + use.messages + use.peers, 0);
    b1_bus_free(bus);
    return check_done();
}
