/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is received over unix sockets, as it happens. It takes nothing and needs nobody's help; it
 * is for root: traffic of others is seen.
 */
#pragma once

#include "fdq.h"

enum fdq_event_kind {
    FDQ_EVENT_RECEIVED, /* the receiver is done with it */
    FDQ_EVENT_UNREAD,   /* a socket was closed with it: nobody will receive it */
    FDQ_EVENT_LOST,     /* .count events could not be recorded */
};

/**
 * struct fdq_event - a message, or a buffer of a stream, borrowed for the time of a visit
 * @kind: what happened; for FDQ_EVENT_LOST only @time and @count count
 * @time: ns since 1970
 * @queue: of the sockets
 * @flow: the same for all that one socket sends; not to be shown
 * @inode: the receiving socket's; 0 when it is not known
 * @peer: the sending one's
 * @path, @path_len: where one of the two is bound; an abstract name begins with a zero byte
 * @pid, @tid, @comm: who received, or closed
 * @sender_pid: who sent, or made the sending end; 0 when it is not known
 * @n_fds: descriptors that came with it
 * @length: bytes
 * @data, @captured: those that were recorded
 * @count: how many are lost
 */
struct fdq_event {
    enum fdq_event_kind kind;
    uint64_t time;
    enum fdq_kind queue;
    uint64_t flow;
    uint64_t inode;
    uint64_t peer;
    const char *path;
    size_t path_len;
    pid_t pid;
    pid_t tid;
    char comm[PROC_COMM_SIZE];
    pid_t sender_pid;
    uint64_t n_fds;
    uint64_t length;
    const void *data;
    size_t captured;
    uint64_t count;
};

/**
 * struct fdq_follow_opts - what to follow
 * @all: every unix socket, else those of fdq_follow_inode() and fdq_follow_pid()
 * @capture: most bytes of each buffer
 * @ring_bytes: memory for what is not read yet; 0: 16 MiB
 */
struct fdq_follow_opts {
    bool all;
    uint64_t capture;
    uint64_t ring_bytes;
};

struct fdq_follow_totals {
    uint64_t events;
    uint64_t lost;
};

struct fdq_follow;

/* Whether it can work here. Return: 0, -EPERM, -EOPNOTSUPP. */
int fdq_follow_probe(struct err *e);

int fdq_follow_new(const struct fdq_follow_opts *opts, struct fdq_follow **ret, struct err *e);
void fdq_follow_free(struct fdq_follow *f);

/* A socket, as sender or receiver; a process, as sender or receiver. Return: 0 or -errno. */
int fdq_follow_inode(struct fdq_follow *f, uint64_t inode);
int fdq_follow_pid(struct fdq_follow *f, pid_t pid);

int fdq_follow_start(struct fdq_follow *f, struct err *e);
void fdq_follow_stop(struct fdq_follow *f);

/* Once it has started: gives up for ever all privileges that reading on does not take. */
int fdq_keep_privileges(void);

/* Stops from a signal handler; fdq_follow_stop() still has to be called. */
void fdq_follow_cut(struct fdq_follow *f);

/* Readable when fdq_follow_read() should be called. */
int fdq_follow_fd(const struct fdq_follow *f);

typedef int (*fdq_event_fn)(const struct fdq_event *ev, void *ctx);

/* Visits what has come, without waiting. A value other than 0 ends it and is returned. */
int fdq_follow_read(struct fdq_follow *f, fdq_event_fn visit, void *ctx, struct err *e);

void fdq_follow_totals(const struct fdq_follow *f, struct fdq_follow_totals *out);
