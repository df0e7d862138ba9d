/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records of the kernel channels that ipcbox keeps. A kernel channel ends with the ring that made
 * it, and its descriptor tells neither its id nor its key. So the process that keeps one leaves a
 * record in the directory of embedded channels, and locks it as long as it lives.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine.h"

#define KERNEL_RECORD_MAGIC UINT64_C(0x3172646c68637069) /* "ipchldr1" */

struct kernel_record {
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

_Static_assert(sizeof(struct kernel_record) == 120, "processes of different builds share it");

/* Writes a channel's record. Return: a descriptor, to be kept open while the channel lives; -errno.
 */
int kernel_record_write(const char *dir, const struct kernel_record *record, struct err *e);

/* Removes a record, and closes its descriptor @fd. */
void kernel_record_remove(const char *dir, uint32_t id, int fd);

/* Calls back with each record whose process lives. Return: 0, what @visit returned, or -errno. */
int kernel_record_visit(const char *dir,
                        int (*visit)(const struct kernel_record *record, void *ctx), void *ctx);

/* Whether the process that left this record still keeps the channel. */
bool kernel_record_alive(const char *dir, const struct kernel_record *record);
