/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The records that the two iterators of waitscan.bpf.c write and scan_bpf.c reads. */
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
 * @inode: of the open file; for an eventfd its id, which the kernel gives it
 * @dev: the file system, numbered as in the kernel
 * @pid, @table: the process, and the thread whose table has the descriptor; 0 for those that have
 *   no number in our pid namespace
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
    WAITSCAN_RUNS = 1,    /* it was not blocked, or not throughout the reading */
    WAITSCAN_NO_REGS = 2, /* this kernel does not give its registers (before Linux 5.15) */
};

/**
 * struct waitscan_thread - a thread
 * @nr, @args: its system call; @nr is -1 when it is not in one
 * @switches: how often it has slept
 * @ran: when it last got a processor, ns of the scheduler's clock; 0: not known
 * @groups: an address that threads of the same control groups share
 * @net: inode number of its network namespace
 * @state, @exit_state, @flags: as in the kernel's struct task_struct
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
