/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The reader of a channel's mapping, on mappings made up here, as a kernel would lay them out. */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "cleanup.h"
#include "mapping.h"

/* A mapping of @entries slots, to be filled by hand. */
static unsigned char *make(uint32_t entries, uint32_t max_msg, size_t *size)
{
    unsigned char *base = aligned_alloc(4096, (ringmap_size(entries, max_msg) + 4095) & ~4095UL);
    struct uring_ipc_ring *ring = (void *)base;

    *size = ringmap_size(entries, max_msg);
    memset(base, 0, *size);
    ring->ring_entries = entries;
    ring->ring_mask = entries - 1;
    ring->max_msg_size = max_msg;
    return base;
}

static struct uring_ipc_desc *desc(unsigned char *base, uint32_t position)
{
    const struct uring_ipc_ring *ring = (void *)base;

    return (void *)(base + 192 + (size_t)(position & ring->ring_mask) * 32);
}

/* Sends as the RFC's kernel does: tail first, then the slot, seq last. */
static void put(unsigned char *base, const char *text)
{
    struct uring_ipc_ring *ring = (void *)base;
    uint32_t p = ring->producer_tail++;
    struct uring_ipc_desc *d = desc(base, p);
    size_t data = (192 + (size_t)ring->ring_entries * 32 + 4095) & ~4095UL;

    d->len = (uint32_t)strlen(text);
    d->msg_id = p + 2;
    d->sender_data = UINT64_C(0xabcdef0123456789) + p;
    memcpy(base + data + (size_t)(p & ring->ring_mask) * ring->max_msg_size, text, d->len);
    d->seq = p + 1;
}

static void test_sizes(void)
{
    CHECK_INT(ringmap_size(0, 1), 0);
    CHECK_INT(ringmap_size(3, 1), 0);
    CHECK_INT(ringmap_size(65536, 1), 0);
    CHECK_INT(ringmap_size(1, 0), 0);
    CHECK_INT(ringmap_size(1, (1 << 20) + 1), 0);
    CHECK_INT(ringmap_size(2048, 1 << 20), 0); /* 2^31 */
    CHECK_INT(ringmap_size(1, 1), 4096 + 1);
    CHECK_INT(ringmap_size(32768, 65535), 0); /* with the descriptors 2^31 or more */
    CHECK_INT(ringmap_size(32768, 65503), 192 + 32768 * 32 + 3904 + 32768LL * 65503);
    CHECK_INT(ringmap_size(1024, 1 << 20), 36864 + (1LL << 30));
}

static void test_refused(void)
{
    size_t size;
    _cleanup_(freep) unsigned char *base = make(4, 16, &size);
    struct uring_ipc_ring *ring = (void *)base;
    struct err e = ERR_INIT;
    struct ringmap m;

    CHECK_INT(ringmap_init(&m, base, size, false, &e), 0);
    CHECK_INT(ringmap_init(&m, base, size - 1, false, &e), -EBADMSG);
    CHECK(strstr(e.why, "need"));
    CHECK_INT(ringmap_init(&m, base, 100, false, &e), -EBADMSG);
    ring->ring_mask = 7;
    CHECK_INT(ringmap_init(&m, base, size, false, &e), -EBADMSG);
    ring->ring_mask = 3;
    ring->ring_entries = 0x80000000;
    CHECK_INT(ringmap_init(&m, base, size, false, &e), -EBADMSG);
    ring->ring_entries = 4;
    ring->max_msg_size = UINT32_MAX;
    CHECK_INT(ringmap_init(&m, base, size, false, &e), -EBADMSG);
}

static void test_reading(void)
{
    size_t size;
    _cleanup_(freep) unsigned char *base = make(4, 16, &size);
    struct uring_ipc_ring *ring = (void *)base;
    struct ringmap_msg msg;
    struct ringmap m;
    char buf[16];

    CHECK_INT(ringmap_init(&m, base, size, false, NULL), 0);
    CHECK_INT(ringmap_head(&m), 0);
    CHECK_INT(ringmap_tail(&m), 0);
    CHECK_INT(ringmap_oldest(&m), 0);
    CHECK_INT(ringmap_read(&m, 0, buf, sizeof(buf), &msg), -EAGAIN);
    CHECK_INT(ringmap_wait(&m, 0, 1000000, &(uint64_t){0}), -ETIMEDOUT);
    put(base, "one");
    put(base, "");
    CHECK_INT(ringmap_wait(&m, 0, 0, &(uint64_t){0}), 0);
    CHECK_INT(ringmap_read(&m, 0, buf, sizeof(buf), &msg), 0);
    CHECK_INT(msg.len, 3);
    CHECK_INT(msg.msg_id, 2);
    CHECK_INT(msg.position, 0);
    CHECK(msg.user_data == UINT64_C(0xabcdef0123456789));
    CHECK(memcmp(buf, "one", 3) == 0);
    CHECK_INT(ringmap_read(&m, 1, NULL, 0, &msg), 0);
    CHECK_INT(msg.len, 0);
    memset(buf, '#', sizeof(buf));
    CHECK_INT(ringmap_read(&m, 0, buf, 2, &msg), 0);
    CHECK_INT(msg.len, 3);
    CHECK(memcmp(buf, "on#", 3) == 0);
    for (int i = 2; i < 6; i++)
        put(base, "later");
    CHECK_INT(ringmap_oldest(&m), 2);
    CHECK_INT(ringmap_head(&m), 2); /* the consumer's 0 has been lapped */
    ring->consumer_head = 5;
    CHECK_INT(ringmap_head(&m), 5);
    ring->consumer_head = 7; /* past the tail: nonsense */
    CHECK_INT(ringmap_head(&m), 2);
    CHECK_INT(ringmap_read(&m, 1, buf, sizeof(buf), &msg), -ESTALE);
    CHECK_INT(ringmap_state(&m, 1), RINGMAP_GONE);
    CHECK_INT(ringmap_state(&m, 5), RINGMAP_READY);
    CHECK_INT(ringmap_state(&m, 6), RINGMAP_UNPUBLISHED);
    /* Claimed, so that slot 2 may be being written, although its seq still says complete. */
    ring->producer_tail++;
    CHECK_INT(ringmap_read(&m, 2, buf, sizeof(buf), &msg), -ESTALE);
    CHECK_INT(ringmap_read(&m, 6, buf, sizeof(buf), &msg), -EAGAIN);
    CHECK_INT(ringmap_read(&m, 3, buf, sizeof(buf), &msg), 0);
    desc(base, 3)->len = 17;
    CHECK_INT(ringmap_read(&m, 3, buf, sizeof(buf), &msg), -EBADMSG);
    desc(base, 3)->len = UINT32_MAX;
    CHECK_INT(ringmap_read(&m, 3, buf, sizeof(buf), &msg), -EBADMSG);
}

/* Counters run over 2^32. */
static void test_wrap(void)
{
    size_t size;
    _cleanup_(freep) unsigned char *base = make(2, 8, &size);
    struct uring_ipc_ring *ring = (void *)base;
    struct ringmap_msg msg;
    struct ringmap m;
    char buf[8];

    CHECK_INT(ringmap_init(&m, base, size, false, NULL), 0);
    ring->producer_tail = UINT32_MAX - 1;
    ring->consumer_head = UINT32_MAX - 1;
    for (int i = 0; i < 3; i++)
        put(base, "x");
    CHECK_INT(ringmap_tail(&m), 1);
    CHECK_INT(ringmap_oldest(&m), UINT32_MAX);
    CHECK_INT(ringmap_head(&m), UINT32_MAX);
    CHECK_INT(ringmap_read(&m, UINT32_MAX, buf, sizeof(buf), &msg), 0);
    CHECK_INT(ringmap_read(&m, 0, buf, sizeof(buf), &msg), 0);
    CHECK_INT(ringmap_read(&m, 1, buf, sizeof(buf), &msg), -EAGAIN);
    CHECK_INT(ringmap_read(&m, UINT32_MAX - 1, buf, sizeof(buf), &msg), -ESTALE);
}

int main(void)
{
    test_sizes();
    test_refused();
    test_reading();
    test_wrap();
    return check_done();
}
