/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is known of kernel channels that ipcbox itself keeps: a kernel channel ends with the ring
 * that made it, and neither its id nor its key can be read from its descriptor. The process that
 * keeps one leaves a record in the directory of embedded channels, and holds a lock on it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine.h"

#define HOLDER_MAGIC UINT64_C(0x3172646c68637069) /* "ipchldr1" */

struct holder_record {
    uint64_t magic;
    uint64_t key;
    uint64_t created_ns;
    int32_t pid;
    int32_t fd; /* its descriptor of the channel, or -1 */
    uint32_t id;
    uint32_t delivery;
    uint32_t mode;
    uint32_t uid;
    uint32_t gid;
    char name[CHAN_NAME_MAX + 1];
    uint32_t pad;
};

_Static_assert(sizeof(struct holder_record) == 120, "processes of different builds share it");

/* Leaves the record of a channel. Return: a descriptor to keep open as long as it lives; -errno. */
int holder_write(const char *dir, const struct holder_record *record, struct err *e);

/* Removes it. @fd is closed. */
void holder_remove(const char *dir, uint32_t id, int fd);

/* Calls back with each whose holder lives. Return: 0, what @visit returned, or -errno. */
int holder_visit(const char *dir, int (*visit)(const struct holder_record *record, void *ctx),
                 void *ctx);

/* Whether the holder that left this record still keeps the channel. */
bool holder_alive(const char *dir, const struct holder_record *record);
