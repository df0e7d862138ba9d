/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Between holders.bpf.c and holders.c: one shared variable and an array of entries. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { HOLDERS_MAX = 65536 };

/**
 * struct holders_entry - a descriptor of a queue
 * @table: the descriptor table, which several threads may share
 * @ino, @dev: the queue's inode and, as the kernel keeps it, device number
 * @flags: of the open file
 * @pid, @tid: process and thread in the pid namespace of who runs the program; 0 where they have no
 *   number
 */
struct holders_entry {
    uint64_t table;
    uint64_t ino;
    uint32_t dev;
    uint32_t flags;
    int32_t pid;
    int32_t tid;
    int32_t fd;
    uint32_t unused;
    char comm[16];
    uint64_t unused2;
};

enum holders_status {
    HOLDERS_MOVED, /* the lists changed during the walk: it may have missed something */
    HOLDERS_FULL,  /* there are more than HOLDERS_MAX */
    HOLDERS_DONE,
};

struct holders_answer {
    uint32_t status; /* enum holders_status */
    uint32_t n;
};

_Static_assert(sizeof(struct holders_entry) == 64, "the same for both sides");
