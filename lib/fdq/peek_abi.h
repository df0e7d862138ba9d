/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Shared by fdqpeek.bpf.c and backend_bpf.c: one request at a time in a shared variable, messages
 * in a shared map.
 *
 * The map's first half takes the first collection, the second half the second one. Each is a
 * sequence of records: struct fdpeek_record, its struct fdpeek_passed, then the payload padded to 8
 * bytes. The other backends write the same records.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { FDPEEK_CHUNK = 16384 }; /* maximum that is copied at once, plus 8; a power of two */

enum fdpeek_flags {
    FDPEEK_OOB = 1 << 0,    /* the out-of-band byte */
    FDPEEK_PACKET = 1 << 1, /* a packet of a pipe */
    FDPEEK_CREDS = 1 << 2,  /* the sender's credentials came with it */
};

struct fdpeek_record {
    uint64_t address; /* of the kernel's buffer: serves to identify it, never shown */
    uint64_t length;  /* bytes that wait; bytes of it that were read before do not count */
    uint32_t flags;
    uint32_t n_fds;
    uint32_t pid; /* 0 when it is not known */
    uint32_t uid;
    uint32_t gid;
    uint32_t reserved;
};

/* A descriptor in a message. */
struct fdpeek_passed {
    uint64_t inode;
    uint32_t mode;
    uint32_t magic; /* magic number of the file system */
    char name[32];  /* last component of its path, cut */
};

enum fdpeek_status {
    FDPEEK_DONE,      /* the walk reached the end */
    FDPEEK_FULL,      /* the next message did not fit */
    FDPEEK_BUSY,      /* the queue was being changed */
    FDPEEK_MOVED,     /* what was read cannot be a consistent queue */
    FDPEEK_NO_QUEUE,  /* the descriptor is not that of a unix socket or pipe */
    FDPEEK_NO_CHILD,  /* the listener has no such connection */
    FDPEEK_PAGES,     /* contents are in pages, whose address is not known yet */
    FDPEEK_DEVICE,    /* contents are in a device's memory */
    FDPEEK_NOT_ASKED, /* no program has run yet */
};

struct fdpeek_collection {
    uint64_t status; /* enum fdpeek_status */
    uint64_t bytes;  /* of records */
    uint64_t messages;
    uint64_t payload; /* bytes, without padding */
};

struct fdpeek_request {
    /* in */
    uint64_t room; /* bytes for each collection, at most half the map */
    uint32_t fd;
    uint32_t child; /* for a listener, the connection to read, from 1 on; 0: the socket itself */
    uint32_t heads; /* no payload */
    uint32_t reserved;
    /* out */
    uint64_t status; /* of the whole request */
    uint64_t inode;
    uint64_t children; /* for a listener: its connections */
    uint64_t ring;     /* for a pipe: how many buffers it can hold */
    uint32_t mode;
    uint32_t type; /* SOCK_STREAM, … of a socket */
    struct fdpeek_collection got[2];
};

_Static_assert(sizeof(struct fdpeek_record) == 40, "the same for both sides");
_Static_assert(sizeof(struct fdpeek_passed) == 48, "the same for both sides");
_Static_assert(offsetof(struct fdpeek_request, status) == 24, "the same for both sides");
_Static_assert(offsetof(struct fdpeek_request, got) == 64, "the same for both sides");
_Static_assert(sizeof(struct fdpeek_request) == 128, "the same for both sides");
