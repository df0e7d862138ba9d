/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads a channel's mapping. */
#include "mapping.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "macros.h"
#include "timefmt.h"

void ringmap_copy(void *to, const void *from, size_t n)
{
#ifdef RINGMAP_TSAN
    /* A reader may copy what is being overwritten and then throws it away: ThreadSanitizer accepts
     * that only from atomic accesses. */
    for (size_t i = 0; i < n; i++)
        __atomic_store_n((unsigned char *)to + i,
                         __atomic_load_n((const unsigned char *)from + i, __ATOMIC_RELAXED),
                         __ATOMIC_RELAXED);
#else
    if (n)
        memcpy(to, from, n);
#endif
}

size_t ringmap_size(uint32_t entries, uint32_t max_msg)
{
    uint64_t size;

    if (!entries || entries > URING_IPC_ENTRIES_MAX || (entries & (entries - 1)))
        return 0;
    if (!max_msg || max_msg > URING_IPC_MSG_SIZE_MAX)
        return 0;
    size = uring_ipc_data_offset(entries) + (uint64_t)entries * max_msg;
    return size > INT_MAX ? 0 : (size_t)size;
}

int ringmap_check(uint32_t entries, uint32_t max_msg, struct err *e)
{
    uint32_t most;

    if (ringmap_size(entries, max_msg))
        return 0;
    if (!ringmap_size(entries, 1))
        return err_set(e, -EINVAL, NULL, "the entries must be a power of two from 1 to %u",
                       URING_IPC_ENTRIES_MAX);
    if (!ringmap_size(1, max_msg))
        return err_set(e, -EINVAL, NULL, "a message has 1 to %u bytes", URING_IPC_MSG_SIZE_MAX);
    most = (uint32_t)((INT_MAX - uring_ipc_data_offset(entries)) / entries);
    return err_set(e, -EINVAL, NULL,
                   "%u messages of %u bytes are too much: a channel is smaller than 2 GiB, and "
                   "with %u entries a message has at most %u bytes",
                   entries, max_msg, entries, most);
}

int ringmap_init(struct ringmap *m, const void *base, size_t size, bool marked, struct err *e)
{
    struct ringmap map = {.base = base, .marked = marked};
    uint32_t mask;
    size_t need;

    if (size < sizeof(struct uring_ipc_ring))
        return err_set(e, -EBADMSG, NULL, "its mapping is only %zu bytes long", size);
    map.entries = ringmap_load32(&map, offsetof(struct uring_ipc_ring, ring_entries));
    map.max_msg = ringmap_load32(&map, offsetof(struct uring_ipc_ring, max_msg_size));
    mask = ringmap_load32(&map, offsetof(struct uring_ipc_ring, ring_mask));
    need = ringmap_size(map.entries, map.max_msg);
    if (!need || mask != map.entries - 1)
        return err_set(e, -EBADMSG, NULL,
                       "its mapping makes no sense: %u entries of %u bytes, mask 0x%x", map.entries,
                       map.max_msg, mask);
    if (size < need)
        return err_set(e, -EBADMSG, NULL,
                       "its mapping is %zu bytes long, its %u entries of %u bytes need %zu", size,
                       map.entries, map.max_msg, need);
    map.data = uring_ipc_data_offset(map.entries);
    /* What every read relies on: no slot ends behind the mapping. */
    assert(map.data + (size_t)map.entries * map.max_msg <= size);
    *m = map;
    return 0;
}

uint32_t ringmap_tail(const struct ringmap *m)
{
    return ringmap_load32(m, offsetof(struct uring_ipc_ring, producer_tail));
}

uint32_t ringmap_oldest(const struct ringmap *m)
{
    uint32_t tail = ringmap_tail(m);
    size_t desc = ringmap_desc_offset(m->entries, tail);

    /* A tail below the number of slots is that of the first round, in which the slot of the next
     * message has never been written, or it has run over 2^32. No written slot has both zero. */
    if (tail < m->entries && ringmap_load32(m, desc + offsetof(struct uring_ipc_desc, seq)) == 0 &&
        ringmap_load32(m, desc + offsetof(struct uring_ipc_desc, msg_id)) == 0)
        return 0;
    return tail - m->entries;
}

uint32_t ringmap_consumer(const struct ringmap *m)
{
    return ringmap_load32(m, offsetof(struct uring_ipc_ring, consumer_head));
}

uint32_t ringmap_head(const struct ringmap *m)
{
    uint32_t head = ringmap_consumer(m);
    uint32_t oldest = ringmap_oldest(m);

    return ringmap_tail(m) - head <= m->entries ? head : oldest;
}

int ringmap_read(const struct ringmap *m, uint32_t position, void *buf, size_t cap,
                 struct ringmap_msg *msg)
{
    size_t desc = ringmap_desc_offset(m->entries, position);
    size_t slot = m->data + (size_t)(position & (m->entries - 1)) * m->max_msg;
    struct ringmap_msg got = {.position = position};
    enum ringmap_state state = ringmap_state(m, position);

    if (state != RINGMAP_READY)
        return state == RINGMAP_GONE ? -ESTALE : -EAGAIN;
    got.len = ringmap_load32(m, desc + offsetof(struct uring_ipc_desc, len));
    got.msg_id = ringmap_load32(m, desc + offsetof(struct uring_ipc_desc, msg_id));
    got.target = ringmap_load32(m, desc + offsetof(struct uring_ipc_desc, pad));
    got.user_data = __atomic_load_n(
        (const uint64_t *)(const void *)(m->base + desc +
                                         offsetof(struct uring_ipc_desc, sender_data)),
        __ATOMIC_RELAXED);
    /* The descriptor's own offset is not used: slots are where they are. */
    if (got.len <= m->max_msg)
        ringmap_copy(buf, m->base + slot, MIN((size_t)got.len, cap));
    ringmap_fence(__ATOMIC_ACQUIRE);
    if (ringmap_state(m, position) != RINGMAP_READY)
        return -ESTALE;
    if (!m->marked && ringmap_tail(m) - position > m->entries)
        return -ESTALE;
    if (got.len > m->max_msg)
        return -EBADMSG;
    if (msg)
        *msg = got;
    return 0;
}

int ringmap_pause(uint64_t *pause, uint64_t most)
{
    const uint64_t first = 50 * NSEC_PER_USEC, last = 20 * NSEC_PER_MSEC;
    struct timespec ts;

    *pause = *pause ? MIN(*pause + *pause / 4, last) : first;
    ts = timefmt_to_timespec(MIN(*pause, most));
    return nanosleep(&ts, NULL) < 0 ? -errno : 0;
}

int ringmap_wait(const struct ringmap *m, uint32_t position, uint64_t timeout_ns, uint64_t *pause)
{
    uint64_t start = timefmt_now(CLOCK_MONOTONIC);

    while (ringmap_state(m, position) == RINGMAP_UNPUBLISHED) {
        uint64_t left = timeout_ns;
        int r;

        if (timeout_ns != UINT64_MAX) {
            uint64_t spent = timefmt_now(CLOCK_MONOTONIC) - start;

            if (spent >= timeout_ns)
                return -ETIMEDOUT;
            left = timeout_ns - spent;
        }
        r = ringmap_pause(pause, left);
        if (r < 0)
            return r;
    }
    *pause = 0;
    return 0;
}
