/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reports every ioctl on bus1 peers as it happens, of the kernel's device and of served files, with
 * the caller's memory before and after the call. The callers are not stopped.
 *
 *     b1_monitor_new()          load the programs; nothing happens yet
 *     b1_monitor_add()          with .command: the process to begin with
 *     b1_monitor_start()        attach: from now on all ioctls of the machine are a little slower
 *     poll(b1_monitor_fd())     for POLLIN
 *     b1_monitor_read()         visit the calls that have ended
 *     b1_monitor_stop()         detach; then b1_monitor_read() until it visits nothing more
 *     b1_monitor_free()
 *
 * Every loss is reported: the calls visited and the calls lost add up to those that happened.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bus1_abi.h"
#include "errinfo.h"

/* The parts of a caller's memory that an event has. */
enum b1_part {
    B1_PART_IDS,         /* the ids of RELEASE or the destinations of SEND: u64[] */
    B1_PART_MESSAGE,     /* the message of SEND and RECV, before the call */
    B1_PART_TRANSFERS,   /* the sources of TRANSFER, or what SEND carries, before the call */
    B1_PART_DATA,        /* the data of SEND */
    B1_PART_NEW_HANDLES, /* the results of TRANSFER: bus1_transfer[] */
    B1_PART_ERRORS,      /* the results of SEND: int32_t[] */
    B1_PART_METADATA,    /* the metadata that RECV wrote */
    B1_PART_MESSAGE_AFTER,
    B1_PART_TRANSFERS_AFTER, /* sources of TRANSFER, or handles received by RECV, after the call */
    B1_PART_DATA_AFTER,      /* the data that RECV wrote */
    B1_PARTS,
};

/**
 * struct b1_memory - some of the caller's memory
 * @data, @len: what could be read
 * @failed: the memory was longer, but the rest could not be read
 */
struct b1_memory {
    const void *data;
    size_t len;
    bool failed;
};

/**
 * struct b1_monitor_file - an open file of a bus; all 0 for any other file
 * @file, @object: kernel addresses of the file and of its private data. They serve only to tell the
 *   peers of a device apart, which have one @ino in common
 * @dev, @ino: as stat() returns them; for a device @dev is its st_rdev
 * @is_device: a character device, not a file of b1ctl serve
 */
struct b1_monitor_file {
    uint64_t file;
    uint64_t object;
    uint64_t dev;
    uint64_t ino;
    bool is_device;
};

/**
 * struct b1_monitor_event - an ioctl, or a loss; borrowed for the time of a visit
 * @lost: not 0: this many calls could not be recorded, and of the other members only @time is set
 * @time: when the call began, ns since 1970; for a loss, when it was noticed
 * @begun: the beginning by CLOCK_MONOTONIC, which orders the calls; 0 for a loss
 * @duration: ns; UINT64_MAX when the call has not ended
 * @pid, @tid: the caller, in the monitor's pid namespace; 0 when it is not visible there
 * @comm: the thread's name, hostile bytes included, ended by a NUL
 * @fd, @file: the peer that the ioctl was called on
 * @to: the receiving peer of a TRANSFER, when its argument is a descriptor of a bus
 * @cmd: number of the ioctl
 * @arg: the structure that its argument points to, when @arg_read
 * @died: the thread ended during the call, which has no result
 * @ended: the call has returned; without @died and @ended it is still running and has no result
 * @result: 0 or more, or a negative errno
 * @part: memory, by enum b1_part
 */
struct b1_monitor_event {
    uint64_t lost;
    uint64_t time;
    uint64_t begun;
    uint64_t duration;
    pid_t pid;
    pid_t tid;
    char comm[16];
    uint32_t fd;
    struct b1_monitor_file file;
    struct b1_monitor_file to;
    uint32_t cmd;
    bool arg_read;
    union {
        uint64_t words[5];
        struct bus1_cmd_transfer transfer;
        struct bus1_cmd_release release;
        struct bus1_cmd_send send;
        struct bus1_cmd_recv recv;
    } arg;
    bool ended;
    bool died;
    int64_t result;
    struct b1_memory part[B1_PARTS];
};

/* A value other than 0 stops the reading after this event and is returned. */
typedef int (*b1_monitor_fn)(const struct b1_monitor_event *ev, void *ctx);

/**
 * struct b1_monitor_opts - what to show
 * @pid: only calls of this process; 0 for all
 * @command: only calls of the process of b1_monitor_add() and of what it forks
 * @dev: only of this device number, as in struct b1_monitor_file; 0 for all
 * @capture: bytes of each message's data to keep
 * @ring_bytes: size of the buffer for records that wait to be read; 0 for the default (32 MiB)
 *
 * A user who is not root sees the calls of the processes that ptrace(2) would permit.
 */
struct b1_monitor_opts {
    pid_t pid;
    bool command;
    uint64_t dev;
    uint64_t capture;
    uint64_t ring_bytes;
};

struct b1_monitor;

/* Return: 0; -EPERM (privilege missing), -EOPNOTSUPP (kernel or build lacks it), -ENOMEM, … */
int b1_monitor_new(const struct b1_monitor_opts *opts, struct b1_monitor **ret, struct err *e);
void b1_monitor_free(struct b1_monitor *m);

/* Tells whether the monitor can work here and now. Return: 0, or -errno with a reason and a remedy.
 */
int b1_monitor_probe(struct err *e);

/* With .command: follows this process. Return: 0 or -errno. */
int b1_monitor_add(struct b1_monitor *m, pid_t pid, struct err *e);

int b1_monitor_start(struct b1_monitor *m, struct err *e);
int b1_monitor_fd(const struct b1_monitor *m);

/**
 * b1_monitor_read() - visit the calls that have ended, in the order of their ends
 *
 * When there are many, only some are visited, and the descriptor is readable again at once.
 *
 * @whole: set to whether all available records were read. May be NULL
 *
 * Return: 0, what @visit returned, or -errno with a reason.
 */
int b1_monitor_read(struct b1_monitor *m, b1_monitor_fn visit, void *ctx, bool *whole,
                    struct err *e);

/*
 * When the oldest call that has not ended began, CLOCK_MONOTONIC; UINT64_MAX: there is none. During
 * a visit, all that happened before that time is known completely.
 */
uint64_t b1_monitor_oldest(const struct b1_monitor *m);

/* Tells whether the file of a visited call is still open. Works also after b1_monitor_stop(). */
bool b1_monitor_is_open(const struct b1_monitor *m, const struct b1_monitor_file *file);

/* Visits the calls that have not ended, each of them once. To be called when no more is read. */
int b1_monitor_unfinished(struct b1_monitor *m, b1_monitor_fn visit, void *ctx);

/* Detaches at once. What was recorded already can still be read. */
void b1_monitor_stop(struct b1_monitor *m);

/**
 * struct b1_monitor_totals - the totals so far
 * @calls: calls that were visited
 * @lost: calls that were reported as lost
 * @span: time from b1_monitor_start() to b1_monitor_stop(), ns
 */
struct b1_monitor_totals {
    uint64_t calls;
    uint64_t lost;
    uint64_t span;
};

void b1_monitor_totals(const struct b1_monitor *m, struct b1_monitor_totals *out);
