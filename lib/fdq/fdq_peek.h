/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What waits in a queue, without taking it. A user may look where the kernel would let them trace
 * the process that has the queue open: opening its /proc/PID/mem decides, with the rights of the
 * real user.
 *
 * Backends: "bpf" reads any queue and disturbs nothing; it needs CAP_BPF and CAP_PERFMON. "recv"
 * (recvmsg(2) with MSG_PEEK) reads stream sockets whole and of others the first message; "tee"
 * (tee(2)) reads pipes of which a reading descriptor is visible. These two duplicate the descriptor
 * for a moment.
 */
#pragma once

#include "fdq.h"

/**
 * struct fdq_passed - a descriptor that waits in a socket, for whoever receives the message
 * @inode: what it leads to; @mode: its type and permissions, as in struct stat
 * @name: the last part of its path, cut at 31 bytes; hostile bytes
 */
struct fdq_passed {
    uint64_t inode;
    uint32_t mode;
    char name[32];
};

/**
 * struct fdq_message - a datagram, a packet, or a buffer of a stream; borrowed for the time of a
 * visit
 * @index: 0 is read next
 * @length: bytes
 * @data: so many bytes; NULL when only heads were asked for
 * @oob: it is the out-of-band byte
 * @pid: sender's process, 0 when the kernel did not note it
 * @uid, @gid: sender's, valid when @pid is not 0
 * @fds, @n_fds: descriptors that come with it. How many is known always, which only with bpf
 */
struct fdq_message {
    uint64_t index;
    uint64_t length;
    const void *data;
    bool oob;
    pid_t pid;
    uid_t uid;
    gid_t gid;
    const struct fdq_passed *fds;
    size_t n_fds;
};

/**
 * struct fdq_peek_info - how a look went
 * @backend: its name
 * @consistent: all of one moment
 * @complete: nothing that waits is missing
 * @bytes, @depth: what was found. @depth is FDQ_UNKNOWN where the backend does not see borders
 * @capacity: bytes that a pipe takes; FDQ_UNKNOWN
 * @tries: readings it took
 * @note: what is missing, and why; "" when nothing
 */
struct fdq_peek_info {
    const char *backend;
    bool consistent;
    bool complete;
    uint64_t bytes;
    uint64_t depth;
    uint64_t capacity;
    unsigned int tries;
    char note[128];
};

enum { FDQ_MAX_SNAPSHOT = 64 << 20 };

/**
 * struct fdq_peek_opts - how to look
 * @backend: a name; NULL: the best that works for each queue
 * @heads: no contents, only lengths
 */
struct fdq_peek_opts {
    const char *backend;
    bool heads;
};

struct fdq_peeker;

/* Names of the backends, the preferred first, ended by NULL. */
extern const char *const fdq_backends[];

/* Whether a backend can be used here. Return: 0, -EPERM, -EOPNOTSUPP; -EINVAL: no such backend. */
int fdq_backend_probe(const char *name, struct err *e);

/* The same for certain: it loads what would be loaded. */
int fdq_backend_check(const char *name, struct err *e);

/* @opts is copied. @ret: release with fdq_peeker_free(). Return: 0; -EINVAL: no such backend. */
int fdq_peeker_new(const struct fdq_peek_opts *opts, struct fdq_peeker **ret, struct err *e);
void fdq_peeker_free(struct fdq_peeker *p);
void fdq_peeker_freep(struct fdq_peeker **p);

/**
 * fdq_peek() - look into a queue
 * @p: the peeker
 * @q: the queue, of a scan
 * @info: filled on success
 * @e: why not
 *
 * At a listening socket: what its clients have sent that are not accepted yet.
 *
 * Return: 0; -EPERM: no process that has it open may be traced; -ESRCH: nobody has it open any
 * more; -EAGAIN: it changed all the time; -EFBIG; -EOPNOTSUPP.
 */
int fdq_peek(struct fdq_peeker *p, const struct fdq_queue *q, struct fdq_peek_info *info,
             struct err *e);

typedef int (*fdq_message_fn)(const struct fdq_message *m, void *ctx);

/* The messages that the last fdq_peek() found. A value other than 0 ends it and is returned. */
int fdq_peek_visit(struct fdq_peeker *p, fdq_message_fn visit, void *ctx);
