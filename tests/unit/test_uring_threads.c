/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The embedded channel between threads that share one mapping of it, which is what lets
 * ThreadSanitizer see who meets whom: every message, in the order of its sender, for each receiver
 * or for one.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "chan_handle.h"
#include "chantest.h"
#include "check.h"
#include "timefmt.h"

enum { SENDERS = 3, RECEIVERS = 3 };

static char dir[64];
static uint32_t id;
static uint32_t messages; /* of each sender */
static struct chan *first;
static uint32_t errors;
static uint64_t received;

struct message {
    uint32_t sender;
    uint32_t number;
    uint32_t check[30];
};

/* A handle of its own with the first one's view of the memory. */
static struct chan *open_shared(unsigned int access)
{
    struct chan *c = NULL;

    if (chan_open(dir, &(struct chan_ref){.id = id}, access, &c, NULL) < 0)
        abort();
    c->map = first->map;
    c->data = first->data;
    c->ext = first->ext;
    c->ctl = first->ctl;
    return c;
}

static void error(void)
{
    __atomic_fetch_add(&errors, 1, __ATOMIC_RELAXED);
}

static void *sender(void *arg)
{
    struct message m = {.sender = (uint32_t)(uintptr_t)arg};
    struct chan *c = open_shared(CHAN_SEND);

    for (m.number = 0; m.number < messages; m.number++) {
        for (size_t i = 0; i < ARRAY_SIZE(m.check); i++)
            m.check[i] = m.number * 7 + m.sender;
        if (chan_send(c, &m, sizeof(m), m.number, 0, 60 * NSEC_PER_SEC) < 0)
            error();
    }
    chan_close(c);
    return NULL;
}

static void *receiver(void *arg)
{
    struct chan *c = arg;
    uint32_t next[SENDERS] = {0};
    struct chan_got got;
    struct message m;

    for (;;) {
        if (chan_recv(c, &m, sizeof(m), &got, 60 * NSEC_PER_SEC) < 0 || got.lost) {
            error();
            break;
        }
        if (got.msg.len == 0)
            break;
        if (m.sender >= SENDERS || m.number < next[m.sender] || got.msg.user_data != m.number ||
            (c->delivery != CHAN_MULTICAST && m.number != next[m.sender])) {
            error();
            break;
        }
        for (size_t i = 0; i < ARRAY_SIZE(m.check); i++)
            if (m.check[i] != m.number * 7 + m.sender)
                error();
        next[m.sender] = m.number + 1;
        __atomic_fetch_add(&received, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void run(enum chan_delivery delivery, uint32_t entries)
{
    struct chan_conf conf = {
        .delivery = delivery, .entries = entries, .max_msg = 256, .mode = 0600};
    struct chan *r[RECEIVERS];
    pthread_t s_thread[SENDERS], r_thread[RECEIVERS];
    bool compete = delivery == CHAN_MULTICAST;

    received = 0;
    CHECK_INT(chan_create(dir, &conf, &id, NULL), 0);
    CHECK_INT(chan_open(dir, &(struct chan_ref){.id = id}, CHAN_SEND, &first, NULL), 0);
    for (int i = 0; i < RECEIVERS; i++) {
        r[i] = open_shared(CHAN_RECV);
        CHECK_INT(pthread_create(&r_thread[i], NULL, receiver, r[i]), 0);
    }
    for (uintptr_t i = 0; i < SENDERS; i++)
        CHECK_INT(pthread_create(&s_thread[i], NULL, sender, (void *)i), 0);
    for (int i = 0; i < SENDERS; i++)
        CHECK_INT(pthread_join(s_thread[i], NULL), 0);
    for (int i = 0; i < (compete ? RECEIVERS : 1); i++)
        CHECK_INT(chan_send(first, "", 0, 0, 0, 60 * NSEC_PER_SEC), 0);
    for (int i = 0; i < RECEIVERS; i++) {
        CHECK_INT(pthread_join(r_thread[i], NULL), 0);
        chan_close(r[i]);
    }
    CHECK_INT(received, (uint64_t)messages * SENDERS * (compete ? 1 : RECEIVERS));
    chan_close(first);
    CHECK_INT(chan_destroy(dir, &(struct chan_ref){.id = id}, NULL), 0);
}

int main(void)
{
    messages = (uint32_t)chantest_rounds(5000, 200000);
    chantest_dir(dir);
    for (enum chan_delivery d = CHAN_UNICAST; d <= CHAN_MULTICAST; d++)
        for (uint32_t entries = 1; entries <= 64; entries *= 8)
            run(d, entries);
    CHECK_INT(errors, 0);
    chantest_dir_done(dir);
    return check_done();
}
