/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Between follow.bpf.h and follow.c: records in the ring buffer, queues and counters in a map. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    FOLLOW_LATENCY_NS = 10 * 1000 * 1000, /* a reader is woken at most that often … */
    FOLLOW_URGENT_NS = 1000 * 1000,       /* … or that often when much is waiting */
    FOLLOW_GROUPS = 64,
    FOLLOW_NAME = 256,
    FOLLOW_FILTER = 16,         /* words of 64 inode numbers */
    FOLLOW_SLOTS = 3,           /* of scratch memory, for each CPU */
    FOLLOW_PROGRAMS = 7,        /* that can meet a queue for the first time */
    FOLLOW_CALLS = 16384,       /* in progress, where the kernel cannot keep them with the task */
    FOLLOW_SCRATCH = 64 * 1024, /* a record of this size is written in one go */
    FOLLOW_CHUNKS = 256,        /* of scratch size: 16 MiB, the largest message */
};

enum follow_kind {
    FOLLOW_SEND = 1,
    FOLLOW_RECEIVE,
    FOLLOW_QUEUE,     /* a queue is seen for the first time */
    FOLLOW_UNCOVERED, /* a 32-bit program's call */
    FOLLOW_REMOVE,    /* of System V: IPC_RMID */
    FOLLOW_CHANGE,    /* of System V: IPC_SET */
    FOLLOW_KIND = 0xff,
    FOLLOW_JOINED = 0x100, /* of the follower that writes into another's ring */
};

/* Of a queue, in the map. */
struct follow_key {
    uint64_t dev; /* as the kernel keeps it: major << 20 | minor; of System V the IPC namespace */
    uint64_t ino; /* of System V the id */
};

/* Written by the programs but for the filter, which the user sets: a bit for each inode number,
 * modulo, of a queue that was named. Most calls on other queues need no further look. */
struct follow_shared {
    uint64_t lost;      /* events that could not be recorded */
    uint64_t uncovered; /* calls of 32-bit programs */
    uint64_t filter[FOLLOW_FILTER];
};

struct follow_queue {
    uint32_t index; /* what its events carry */
    uint32_t unused;
    uint64_t sent;
    uint64_t received;
    uint64_t sent_bytes;
    uint64_t received_bytes;
    uint64_t send_blocked;
    uint64_t receive_blocked;
};

/* Begins every record. */
struct follow_record {
    uint32_t kind; /* enum follow_kind, and FOLLOW_JOINED */
    uint32_t index;
    uint64_t lost; /* events that could not be recorded, until now */
};

struct follow_announce {
    struct follow_record head;
    struct follow_key key;
    char name[FOLLOW_NAME]; /* without a slash; none of System V */
};

#define FOLLOW_UNKNOWN_TYPE INT64_MIN
#define FOLLOW_UNKNOWN_SPAN UINT64_MAX

struct follow_event {
    struct follow_record head;
    uint64_t time;    /* CLOCK_MONOTONIC, ns */
    uint64_t blocked; /* ns */
    int64_t type;     /* of a POSIX message its priority */
    uint32_t length;
    uint32_t captured; /* bytes that follow */
    uint32_t pid;
    uint32_t tid;
    char comm[16];
};

/* FOLLOW_REMOVE and FOLLOW_CHANGE, with what the queue is after a change. */
struct follow_control {
    struct follow_event event;
    uint64_t limit;
    uint32_t uid;
    uint32_t gid;
    uint32_t mode;
    uint32_t known; /* the queue was still there */
};

/*
 * What the programs read of a file that the user has open, and which a system call tells, too: it
 * is the same only when the offsets are those of the running kernel.
 */
struct follow_proof {
    uint64_t fd; /* set by the user */
    uint64_t dev;
    uint64_t ino;
    uint64_t magic; /* of the file system of the user's message queues */
    uint64_t mode;
};

/* Read-only data, set before loading. */
struct follow_config {
    uint32_t all;
    uint32_t counters_only;
    uint32_t send;
    uint32_t receive;
    uint32_t pid;
    uint32_t see_all; /* root: no check of modes */
    uint32_t uid;
    uint32_t n_groups;
    uint32_t groups[FOLLOW_GROUPS];
    uint32_t receive2;  /* number of mq_timedreceive2 */
    uint8_t functions;  /* programs run around functions; else around system calls */
    uint8_t no_storage; /* Linux before 5.14: no storage of tasks, the running task has no type */
    uint8_t no_dynptr;  /* before 5.19 */
    uint8_t no_btf;     /* the kernel has no BTF of its own: registers have no type */
    uint32_t numbers;   /* entries of the map of that name */
    uint32_t joined;    /* FOLLOW_JOINED, or 0 */
    uint64_t capture;
    uint64_t ring_wake; /* waiting bytes at which a reader is woken at once */
};

_Static_assert(sizeof(struct follow_key) == 16, "the same for both sides");
_Static_assert(sizeof(struct follow_queue) == 56, "the same for both sides");
_Static_assert(sizeof(struct follow_record) == 16, "the same for both sides");
_Static_assert(sizeof(struct follow_announce) == 288, "the same for both sides");
_Static_assert(offsetof(struct follow_event, captured) == 44, "the same for both sides");
_Static_assert(sizeof(struct follow_event) == 72, "the same for both sides");
_Static_assert(sizeof(struct follow_control) == 96, "the same for both sides");
_Static_assert(sizeof(struct follow_config) == 320, "the same for both sides");
