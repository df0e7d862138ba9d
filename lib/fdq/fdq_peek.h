/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads the content of a queue without taking it. A user may read a queue if the kernel permits
 * that user to trace a process that has it open: this is checked by opening its /proc/PID/mem with
 * the rights of the real user.
 *
 * Backends: "bpf" reads any queue and disturbs nothing; it needs CAP_BPF and CAP_PERFMON. "recv"
 * (recvmsg(2) with MSG_PEEK) reads all of a stream socket, and of other sockets the first message;
 * "tee" (tee(2)) reads a pipe if a descriptor for reading is visible. These two duplicate the
 * descriptor for a moment.
 */
#pragma once

#include "fdq.h"

/**
 * struct fdq_passed - a descriptor in a message, which the receiver will get
 * @inode: inode number of its file; @mode: type and permissions of it, as in struct stat
 * @name: the last component of its path, cut at 31 bytes; hostile bytes
 */
struct fdq_passed {
    uint64_t inode;
    uint32_t mode;
    char name[32];
};

/**
 * struct fdq_message - a datagram, a packet, or a buffer of a stream; borrowed for the time of a
 * visit
 * @index: position in the queue; 0 is read next
 * @length: bytes
 * @data: @length bytes; NULL when only heads were asked for
 * @oob: it is the out-of-band byte
 * @pid: process of the sender, 0 when the kernel did not record it
 * @uid, @gid: ids of the sender, valid when @pid is not 0
 * @fds, @n_fds: the descriptors in it. Only "bpf" reads them; their number is always known
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
 * struct fdq_peek_info - the result of fdq_peek()
 * @backend: name of the backend
 * @consistent: all of it is of one moment
 * @complete: nothing that waits is missing
 * @bytes, @depth: what was found. @depth is FDQ_UNKNOWN if the backend does not see the borders of
 *   messages
 * @capacity: how many bytes a pipe can hold; FDQ_UNKNOWN
 * @tries: number of readings
 * @note: what is missing, and why; "" when nothing is
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
 * @heads: read only lengths, no contents
 */
struct fdq_peek_opts {
    const char *backend;
    bool heads;
};

struct fdq_peeker;

/* Names of the backends, the preferred first, ended by NULL. */
extern const char *const fdq_backends[];

/*
 * Tells whether a backend can be used here. Return: 0, -EPERM, -EOPNOTSUPP; -EINVAL: no such
 * backend.
 */
int fdq_backend_probe(const char *name, struct err *e);

/* The same with certainty: loads the programs that would be used. */
int fdq_backend_check(const char *name, struct err *e);

/* @opts is copied. @ret: release with fdq_peeker_free(). Return: 0; -EINVAL: no such backend. */
int fdq_peeker_new(const struct fdq_peek_opts *opts, struct fdq_peeker **ret, struct err *e);
void fdq_peeker_free(struct fdq_peeker *p);
void fdq_peeker_freep(struct fdq_peeker **p);

/**
 * fdq_peek() - read the content of a queue
 * @p: the peeker
 * @q: the queue, from a scan
 * @info: filled on success
 * @e: the reason of a failure
 *
 * For a listening socket: reads what clients have sent whose connections are not accepted yet.
 *
 * Return: 0; -EPERM: the user may not trace any process that has it open; -ESRCH: no process has it
 * open any more; -EAGAIN: it changed during every reading; -EFBIG; -EOPNOTSUPP.
 */
int fdq_peek(struct fdq_peeker *p, const struct fdq_queue *q, struct fdq_peek_info *info,
             struct err *e);

typedef int (*fdq_message_fn)(const struct fdq_message *m, void *ctx);

/*
 * Visits the messages that the last fdq_peek() found. A value other than 0 ends the visit and is
 * returned.
 */
int fdq_peek_visit(struct fdq_peeker *p, fdq_message_fn visit, void *ctx);
