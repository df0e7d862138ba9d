/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The records that monitor.bpf.c sends to bus_monitor.c. A call is several records in the ring
 * buffer with the same @seq: its beginning, pieces of the caller's memory at its beginning and at
 * its end, its end.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    MONITOR_LATENCY_NS = 10 * 1000 * 1000, /* a reader is woken at most that often */
    MONITOR_CHUNK = 16 * 1024,             /* a piece has fewer bytes of memory than this */
    MONITOR_CHUNKS = 2048,                 /* 32 MiB */
    MONITOR_ELEMENTS = 16384,              /* elements recorded of an array; the rest is left out */
    MONITOR_VECS = 1024,
};

enum monitor_kind {
    MONITOR_BEGIN = 1,
    MONITOR_PIECE,
    MONITOR_END,
};

/*
 * The part of the caller's memory that a piece belongs to. Parts that the call has written have
 * their own values.
 */
enum monitor_section {
    MONITOR_IDS,       /* ids that are released, or destinations */
    MONITOR_MESSAGE,   /* struct bus1_message */
    MONITOR_TRANSFERS, /* sources of TRANSFER, or handles that SEND carries */
    MONITOR_DATA,
    MONITOR_NEW_HANDLES, /* results of TRANSFER */
    MONITOR_ERRORS,
    MONITOR_METADATA,
    MONITOR_MESSAGE_AFTER,
    MONITOR_TRANSFERS_AFTER,
    MONITOR_DATA_AFTER,
    MONITOR_SECTIONS,
};

/* The header of every record. */
struct monitor_record {
    uint16_t kind; /* enum monitor_kind */
    uint16_t section;
    uint32_t task; /* the thread, in the kernel's numbering */
    uint64_t seq;
    uint64_t lost; /* calls that could not be recorded, until now */
};

/*
 * An open file. @file and @object, its private data, are kernel addresses: they tell files apart
 * and must not be shown.
 */
struct monitor_file {
    uint64_t file;
    uint64_t object;
    uint64_t dev; /* as the kernel keeps it: major << 20 | minor */
    uint64_t ino;
    uint32_t is_bus;
    uint32_t is_device; /* a character device, not a served file */
};

struct monitor_begin {
    struct monitor_record head;
    uint64_t time; /* CLOCK_MONOTONIC, ns */
    struct monitor_file file;
    struct monitor_file to; /* the receiving peer of a TRANSFER */
    uint64_t arg[5];
    uint32_t arg_read; /* whether @arg could be read */
    uint32_t cmd;
    uint32_t fd;
    uint32_t pid;
    uint32_t tid;
    uint32_t unused;
    char comm[16];
};

/* @length bytes of memory follow; with @failed, the bytes after them could not be read. */
struct monitor_piece {
    struct monitor_record head;
    uint64_t offset; /* from the start of its section */
    uint32_t length;
    uint32_t failed;
};

struct monitor_end {
    struct monitor_record head;
    uint64_t time;
    int64_t result;
    uint32_t died;   /* the thread ended during the call */
    uint32_t broken; /* pieces are missing: the call counts as lost */
};

/* Read-only data, set before loading. */
struct monitor_config {
    uint32_t self;    /* process whose calls are not recorded: our own */
    uint32_t pid;     /* record only this process; 0: all */
    uint32_t command; /* record only marked tasks and those that they fork */
    uint32_t see_all; /* the user is root, who sees all processes */
    uint32_t uid;
    uint32_t gid;
    uint64_t dev; /* record only this device number; 0: all */
    uint64_t ino; /* with dev: inode number of a device node */
    uint64_t capture;
    uint64_t ring_wake; /* waiting bytes at which a reader is woken at once */
};

_Static_assert(sizeof(struct monitor_record) == 24, "the same for both sides");
_Static_assert(sizeof(struct monitor_file) == 40, "the same for both sides");
_Static_assert(offsetof(struct monitor_begin, arg) == 112, "the same for both sides");
_Static_assert(sizeof(struct monitor_begin) == 192, "the same for both sides");
_Static_assert(sizeof(struct monitor_piece) == 40, "the same for both sides");
_Static_assert(sizeof(struct monitor_end) == 48, "the same for both sides");
_Static_assert(sizeof(struct monitor_config) == 56, "the same for both sides");
