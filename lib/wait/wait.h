/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who waits for whom, over all local interprocess communication, from /proc and sock_diag(7) alone;
 * for root, where the kernel has BPF iterators, from those: faster, and of one moment.
 *
 * A thread is live if it runs, or waits for a clock, a signal, the network or something that cannot
 * be seen; and it is live if one live thread could wake it. A thread that is not live is stuck: no
 * thread that could still do anything can ever wake it. A snapshot of /proc is not one moment, so
 * everything is looked at twice, and a thread counts as stuck only if it did not move in between.
 *
 * Processes that the caller may not trace are taken as running.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "errinfo.h"
#include "proc.h"

/* A number that is not known. */
#define WAIT_UNKNOWN UINT64_MAX

enum wait_object_kind {
    WAIT_PIPE,
    WAIT_FIFO,
    WAIT_UNIX,
    WAIT_MQ,
    WAIT_SYSV,
    WAIT_FUTEX,
    WAIT_FLOCK,
    WAIT_POSIX_LOCK,
    WAIT_CHILD,
    WAIT_CHANNEL,
    WAIT_BUS1,
    WAIT_EPOLL,
    WAIT_EVENTFD,
};

enum wait_direction {
    WAIT_READ,
    WAIT_WRITE,
    WAIT_SEND,
    WAIT_RECV,
    WAIT_ACCEPT,
    WAIT_CONNECT,
    WAIT_LOCK,
    WAIT_OPEN,
    WAIT_FOR_CHILD,
    WAIT_POLL,
};

/* "pipe", "fifo", "unix", …; "read", "write", …, "wait" for WAIT_FOR_CHILD. */
const char *wait_object_kind_name(enum wait_object_kind kind);
const char *wait_direction_name(enum wait_direction direction);

/**
 * struct wait_object - what a thread waits for
 * @kind: what it is
 * @name: how a user names it: "/jobs", "pipe:[123]", "unix:[123] /run/x"; hostile bytes
 * @inode: of a pipe, FIFO, socket, queue or locked file; 0 for others
 * @used, @limit: how full it is; WAIT_UNKNOWN
 * @unlinked: a message queue that has no name any more
 * @messages: @used and @limit count messages; else bytes
 */
struct wait_object {
    enum wait_object_kind kind;
    char *name;
    uint64_t inode;
    uint64_t used;
    uint64_t limit;
    bool unlinked;
    bool messages;
};

/**
 * struct wait_thread - one thread and its wait
 * @pid, @tid: which
 * @comm: the process's name; hostile bytes
 * @state: as ps(1) shows it: S, D, T, t, …
 * @call: name of the system call, or NULL when it is not blocked in one that is known
 * @waits: @object and @direction are set
 * @object: what it waits for; of several alternatives the first
 * @direction: in which way
 * @fd: descriptor that the call names, or -1
 * @wakers: processes that could wake it
 * @n_wakers: how many
 * @since_ns: for how long it has waited, ns; WAIT_UNKNOWN
 * @cgroup: its control group if that is not the caller's, else NULL
 * @outside: why it is taken as live, a phrase; NULL when it is not
 */
struct wait_thread {
    pid_t pid;
    pid_t tid;
    char comm[PROC_COMM_SIZE];
    char state;
    const char *call;
    bool waits;
    struct wait_object object;
    enum wait_direction direction;
    int fd;
    pid_t *wakers;
    size_t n_wakers;
    uint64_t since_ns;
    char *cgroup;
    const char *outside;
};

enum wait_finding_kind {
    WAIT_DEADLOCK, /* threads that nobody outside of them can wake */
    WAIT_STOPPED,  /* threads that wait for a process that is stopped, traced or frozen */
    WAIT_ORPHAN,   /* a thread that waits for what nobody else has open */
};

/* "deadlock", "stopped", "orphan". */
const char *wait_finding_name(enum wait_finding_kind kind);

/**
 * struct wait_finding - something that cannot go on
 * @kind: which
 * @threads: those that wait
 * @n: how many
 * @n_core: of a deadlock, the first so many form it; the others wait for them
 * @stopped_pid: of WAIT_STOPPED the process that is stopped, else 0
 * @stopped_comm: its name
 * @tracer: of a traced process, who traces it; else 0
 * @frozen: of a frozen process the directory of its control group, else NULL
 */
struct wait_finding {
    enum wait_finding_kind kind;
    struct wait_thread *threads;
    size_t n;
    size_t n_core;
    pid_t stopped_pid;
    char stopped_comm[PROC_COMM_SIZE];
    pid_t tracer;
    char *frozen;
};

/**
 * struct wait_report - the result of a look
 * @backend: where threads and descriptors came from: "bpf" or "proc"
 * @no_bpf: of "proc", why not from BPF, unless it was asked for
 * @findings, @n_findings: those with most threads first
 * @chain, @n_chain: of each process that was asked for a thread, and the one that each waits for
 * next
 * @stopped, @n_stopped: processes of which a thread is stopped or traced, in order, each once; when
 *   a chain was asked for
 * @processes_seen, @threads_seen: looked into
 * @processes_hidden: processes that may not be looked into; they are taken as running
 * @all_users: /proc hides no process (hidepid)
 */
struct wait_report {
    const char *backend;
    struct err no_bpf;
    struct wait_finding *findings;
    size_t n_findings;
    struct wait_thread *chain;
    size_t n_chain;
    pid_t *stopped;
    size_t n_stopped;
    uint64_t processes_seen;
    uint64_t threads_seen;
    uint64_t processes_hidden;
    bool all_users;
};

/* "bpf", "proc", NULL. */
extern const char *const wait_backends[];

/**
 * struct wait_opts - how to look
 * @backend: one of wait_backends; NULL: the best that can be used
 * @watch_ns: how long a thread must not have moved
 * @threads: of each of @pids the thread that its chain begins with, or 0; NULL: one that is stuck,
 *   else the first
 * @pids, @n: their chains are wanted, and only findings that one of them is in; none: all
 */
struct wait_opts {
    const char *backend;
    uint64_t watch_ns;
    const pid_t *threads;
    const pid_t *pids;
    size_t n;
};

/**
 * wait_look() - find what is stuck
 * @ret: release with wait_report_free()
 * @e: why not
 *
 * Everything but BPF is done with the rights of the real user.
 *
 * Return: 0; -ESRCH when one of the processes does not exist; -EINVAL for an unknown backend;
 * -errno.
 */
int wait_look(const struct wait_opts *opts, struct wait_report **ret, struct err *e);
void wait_report_free(struct wait_report *r);
void wait_report_freep(struct wait_report **r);
