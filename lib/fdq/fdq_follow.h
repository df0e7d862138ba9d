/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shows messages of unix sockets as they are received. Nothing is taken, and the processes need not
 * cooperate. It is for root only, because messages of other users are seen.
 */
#pragma once

#include "fdq.h"

enum fdq_event_kind {
    FDQ_EVENT_RECEIVED, /* the receiver has finished with it */
    FDQ_EVENT_UNREAD,   /* a socket was closed while it waited: nobody will receive it */
    FDQ_EVENT_LOST,     /* .count events could not be recorded */
};

/**
 * struct fdq_event - a message, or a buffer of a stream, borrowed for the time of a visit
 * @kind: the event; for FDQ_EVENT_LOST only @time and @count are set
 * @time: ns since 1970
 * @queue: kind of the sockets
 * @flow: the same for everything that one socket sends; must not be shown
 * @inode: the receiving socket; 0 when it is not known
 * @peer: the sending socket
 * @path, @path_len: the address of one of the two; an abstract name begins with a zero byte
 * @pid, @tid, @comm: the thread that received it or closed the socket
 * @sender_pid: the process that sent it, or made the sending socket; 0 when it is not known
 * @n_fds: number of descriptors in it
 * @length: bytes
 * @data, @captured: the bytes that were recorded, and their number
 * @count: number of lost events
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
 * @all: every unix socket; otherwise those of fdq_follow_inode() and fdq_follow_pid()
 * @capture: how many bytes of each buffer are recorded at most
 * @ring_bytes: size of the buffer for events that wait to be read; 0: 16 MiB
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

/* Tells whether it can work here. Return: 0, -EPERM, -EOPNOTSUPP. */
int fdq_follow_probe(struct err *e);

int fdq_follow_new(const struct fdq_follow_opts *opts, struct fdq_follow **ret, struct err *e);
void fdq_follow_free(struct fdq_follow *f);

/* Follows a socket, or all sockets of a process, as sender and receiver. Return: 0 or -errno. */
int fdq_follow_inode(struct fdq_follow *f, uint64_t inode);
int fdq_follow_pid(struct fdq_follow *f, pid_t pid);

int fdq_follow_start(struct fdq_follow *f, struct err *e);
void fdq_follow_stop(struct fdq_follow *f);

/* After the start: gives up for ever all privileges that reading does not need. */
int fdq_keep_privileges(void);

/* Stops from a signal handler; fdq_follow_stop() still has to be called. */
void fdq_follow_cut(struct fdq_follow *f);

/* The descriptor is readable when fdq_follow_read() should be called. */
int fdq_follow_fd(const struct fdq_follow *f);

typedef int (*fdq_event_fn)(const struct fdq_event *ev, void *ctx);

/*
 * Visits the events that have come, without waiting. A value other than 0 ends the visit and is
 * returned.
 */
int fdq_follow_read(struct fdq_follow *f, fdq_event_fn visit, void *ctx, struct err *e);

void fdq_follow_totals(const struct fdq_follow *f, struct fdq_follow_totals *out);
