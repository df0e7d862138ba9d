/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Between waitscan.bpf.c and scan_bpf.c: the records that the two iterators write. */
#pragma once

#include <stdint.h>

enum waitscan_kind {
    WAITSCAN_OTHER,
    WAITSCAN_PIPE,
    WAITSCAN_FIFO,
    WAITSCAN_SOCKET,
    WAITSCAN_QUEUE,
    WAITSCAN_FILE,
    WAITSCAN_EPOLL,
    WAITSCAN_EVENTFD,
};

/**
 * struct waitscan_file - a descriptor
 * @inode: what it leads to; of an eventfd the kernel's number of it
 * @dev: the file system, as the kernel keeps the number
 * @pid, @table: process, and the thread whose table it is in; 0 for those without a number here
 * @kind: enum waitscan_kind
 */
struct waitscan_file {
    uint64_t inode;
    uint32_t dev;
    int32_t pid;
    int32_t table;
    int32_t fd;
    uint8_t kind;
    uint8_t reads, writes;
    uint8_t unused[5];
};

enum {
    WAITSCAN_RUNS = 1,    /* it was not blocked, or did not stay so while it was looked at */
    WAITSCAN_NO_REGS = 2, /* this kernel does not give its registers (before Linux 5.15) */
};

/**
 * struct waitscan_thread - a thread
 * @nr, @args: its system call; @nr is -1 when it is in none
 * @switches: how often it has slept
 * @ran: when it last got a processor, ns of the scheduler's clock; 0: not known
 * @groups: an address that threads of the same control groups share
 * @net: inode number of its network namespace
 * @state, @exit_state, @flags: as the kernel has them
 */
struct waitscan_thread {
    int64_t nr;
    uint64_t args[6];
    uint64_t switches;
    uint64_t ran;
    uint64_t groups;
    uint32_t net;
    uint32_t state;
    uint32_t exit_state;
    uint32_t flags;
    int32_t pid, tid, parent;
    uint32_t notes;
    char comm[16];
};

_Static_assert(sizeof(struct waitscan_file) == 32, "the same for both sides");
_Static_assert(sizeof(struct waitscan_thread) == 128, "the same for both sides");
