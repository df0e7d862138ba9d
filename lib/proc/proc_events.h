/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reports processes as they end: the kernel's process connector. It covers only the initial pid
 * namespace, and is only for callers that may manage its network (CAP_NET_ADMIN).
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "errinfo.h"

/**
 * struct proc_exit - a process that has ended
 * @pid: the process
 * @status: as wait(2) reports it: WIFEXITED(), WTERMSIG(), …
 * @time: when the event was read, ns since 1970
 */
struct proc_exit {
    pid_t pid;
    int status;
    uint64_t time;
};

struct proc_events;

/**
 * proc_events_open() - subscribe
 * @ret: the subscription
 * @e: the reason of a failure
 *
 * Return: 0; -EPERM, -EOPNOTSUPP (the kernel lacks it, or does not serve this namespace).
 */
int proc_events_open(struct proc_events **ret, struct err *e);
void proc_events_close(struct proc_events *ev);
void proc_events_closep(struct proc_events **ev);

/* The descriptor is readable when a process has ended, and also after other events of processes. */
int proc_events_fd(const struct proc_events *ev);

/**
 * proc_events_read() - visit the processes that have ended, without waiting
 * @visit: a value other than 0 stops the reading and is returned
 *
 * Return: 0; -ENOBUFS when the kernel had to drop events: then read /proc again.
 */
int proc_events_read(struct proc_events *ev, int (*visit)(const struct proc_exit *x, void *ctx),
                     void *ctx);
