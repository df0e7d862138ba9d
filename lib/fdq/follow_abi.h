/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared by fdqfollow.bpf.c and follow.c: what is followed, and the records of the ring buffer. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    FDFOLLOW_LATENCY_NS = 10 * 1000 * 1000, /* the reader is woken at most this often … */
    FDFOLLOW_CAPTURE = 1 << 17,             /* maximum number of bytes recorded of a buffer */
    FDFOLLOW_PATH = 108,                    /* size of the path in struct sockaddr_un */
};

#define FDFOLLOW_PID (1ULL << 63) /* in a key of the map of what is followed: it is a process */

struct fdfollow_config {
    uint32_t own_pid;
    uint32_t all;           /* otherwise only what is in the map */
    uint32_t capture;       /* bytes */
    uint32_t ring_wake;     /* … unless this many bytes are unread */
    uint32_t has_registers; /* bpf_task_pt_regs() exists (Linux 5.15) */
};

enum fdfollow_kind {
    FDFOLLOW_RECEIVED = 1, /* the receiver has finished with it */
    FDFOLLOW_UNREAD,       /* dropped: nobody will receive it */
};

/* A buffer that is being freed; its bytes follow. */
struct fdfollow_event {
    uint64_t time;  /* from bpf_ktime_get_ns() */
    uint64_t lost;  /* total number of events for which there was no room */
    uint64_t flow;  /* the sending socket: only to be compared, never shown */
    uint64_t inode; /* of the receiving socket, 0 when it is not known */
    uint64_t peer;  /* of the sending socket */
    uint32_t kind;
    uint32_t type; /* SOCK_STREAM, … */
    uint32_t pid;  /* of the running task, which receives or closes */
    uint32_t tid;
    uint32_t sender_pid; /* 0: not known */
    uint32_t n_fds;
    uint32_t length;
    uint32_t captured; /* how many bytes follow */
    uint32_t path_len; /* length of the path */
    char comm[16];
    char path[FDFOLLOW_PATH]; /* the address of one of the two sockets */
};

_Static_assert(offsetof(struct fdfollow_event, kind) == 40, "the same for both sides");
_Static_assert(offsetof(struct fdfollow_event, comm) == 76, "the same for both sides");
_Static_assert(sizeof(struct fdfollow_event) == 200, "the same for both sides");
