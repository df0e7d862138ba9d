/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Processes that end, as they end: the kernel's process connector. It tells of the initial pid
 * namespace only, and only those who may manage its network (CAP_NET_ADMIN).
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "errinfo.h"

/**
 * struct proc_exit - a process that has ended
 * @pid: process
 * @status: as wait(2) reports it: WIFEXITED(), WTERMSIG(), …
 * @time: when it was read, ns since 1970
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
 * @e: why not
 *
 * Return: 0; -EPERM, -EOPNOTSUPP (kernel without it, or a namespace that it does not serve).
 */
int proc_events_open(struct proc_events **ret, struct err *e);
void proc_events_close(struct proc_events *ev);
void proc_events_closep(struct proc_events **ev);

/* Readable when a process has ended; also when something else happened to one. */
int proc_events_fd(const struct proc_events *ev);

/**
 * proc_events_read() - visit the ends that have come, without waiting
 * @visit: a value other than 0 stops and is returned
 *
 * Return: 0; -ENOBUFS when the kernel had to drop some: look at /proc anew.
 */
int proc_events_read(struct proc_events *ev, int (*visit)(const struct proc_exit *x, void *ctx),
                     void *ctx);
