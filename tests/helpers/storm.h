/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages that tell whether they were read right: a checksum over every byte, and a number that
 * counts the messages of one sender and priority. A queue gives those in order and takes them from
 * the front, so that at any moment the numbers in it have no gap.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    STORM_MAGIC = 0x53544f52,
    STORM_SENDERS = 8,
    STORM_PRIORITIES = 4,
    STORM_MAX = 8192, /* bytes of a message, a multiple of 8 */
};

struct storm_message {
    uint32_t magic;
    uint16_t sender;
    uint16_t priority;
    uint32_t length;
    uint32_t unused;
    uint64_t number; /* counts the messages of this sender and priority, from 1 */
    uint64_t sum;    /* of all other words */
    uint64_t fill[];
};

static inline uint64_t storm_sum(const void *message, size_t length)
{
    const char *p = message;
    uint64_t sum = UINT64_C(0x9e3779b97f4a7c15), word;

    for (size_t i = 0; i + sizeof(word) <= length; i += sizeof(word)) {
        if (i == offsetof(struct storm_message, sum))
            continue;
        memcpy(&word, p + i, sizeof(word));
        sum = (sum ^ word) * UINT64_C(0xff51afd7ed558ccd);
        sum ^= sum >> 29;
    }
    return sum;
}

/* Every fill word differs between two messages, so that a mixture of two shows. */
static inline void storm_make(struct storm_message *m, unsigned int sender, unsigned int priority,
                              uint64_t number, size_t length)
{
    uint64_t x = number * UINT64_C(0x9e3779b97f4a7c15) + sender;

    *m = (struct storm_message){
        .magic = STORM_MAGIC,
        .sender = (uint16_t)sender,
        .priority = (uint16_t)priority,
        .length = (uint32_t)length,
        .number = number,
    };
    for (size_t i = 0; i < (length - sizeof(*m)) / sizeof(m->fill[0]); i++)
        m->fill[i] = x + i;
    m->sum = storm_sum(m, length);
}

static inline bool storm_right(const void *data, size_t length)
{
    struct storm_message m;

    if (length < sizeof(m) || length % 8)
        return false;
    memcpy(&m, data, sizeof(m));
    return m.magic == STORM_MAGIC && m.length == length && m.sender < STORM_SENDERS &&
           m.priority < STORM_PRIORITIES && m.sum == storm_sum(data, length);
}
