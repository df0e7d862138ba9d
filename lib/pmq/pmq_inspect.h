/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What only the kernel's memory tells about a queue: who sleeps on it in which order, who is to be
 * notified, whose account it is charged to. Through BPF; pmq_scan() has what /proc knows.
 */
#pragma once

#include "pmq.h"

/**
 * struct pmq_inspect - one queue, looked at closely
 * @waiters, @n_waiters: threads blocked in send or receive, those that will be served first first.
 *   Pids are in the caller's pid namespace; 0 for one that is not visible there
 * @waiters_complete: false when the queue of waiters moved or was longer than can be shown
 * @notify: method of the registered notification
 * @notify_pid: process that registered; 0 for nobody or an invisible one
 * @notify_signo: for PMQ_NOTIFY_SIGNAL
 * @charged_uid: user whose account the queue is charged to
 * @charged_bytes: that user's total for all queues, bytes; PMQ_UNKNOWN on a kernel that keeps it
 *   elsewhere. What this queue costs: pmq_charge()
 */
struct pmq_inspect {
    struct pmq_waiter *waiters;
    size_t n_waiters;
    bool waiters_complete;
    enum pmq_notify_method notify;
    pid_t notify_pid;
    int notify_signo;
    uint32_t charged_uid;
    uint64_t charged_bytes;
};

struct pmq_inspector;

/**
 * pmq_inspector_new() - get ready to look at queues, any number of them
 * @ret: release with pmq_inspector_free()
 * @e: why not, with what would help
 *
 * Return: 0; -EPERM (privilege missing), -EOPNOTSUPP (kernel or build lacks it), …
 */
int pmq_inspector_new(struct pmq_inspector **ret, struct err *e);
void pmq_inspector_free(struct pmq_inspector *in);
void pmq_inspector_freep(struct pmq_inspector **in);

/**
 * pmq_inspector_look() - look at one queue
 * @in: from pmq_inspector_new()
 * @q: the queue, open for reading
 * @ret: release with pmq_inspect_free()
 * @e: why not
 *
 * Return: 0 or -errno.
 */
int pmq_inspector_look(struct pmq_inspector *in, const struct pmq_queue *q,
                       struct pmq_inspect **ret, struct err *e);
void pmq_inspect_free(struct pmq_inspect *i);
void pmq_inspect_freep(struct pmq_inspect **i);

/**
 * struct pmq_account - the kernel's own counters, against which mq_open(3) checks the limits
 * @uid: user whom the calling process's queues are charged to, in the machine's user namespace
 * @charged: bytes charged to that user, in all IPC namespaces together; PMQ_UNKNOWN on a kernel
 * that keeps it elsewhere
 * @queues: in the caller's IPC namespace, unlinked ones that are still open included
 */
struct pmq_account {
    uint32_t uid;
    uint64_t charged;
    uint64_t queues;
};

/* Reads them. Return: 0 or -errno with a reason. */
int pmq_inspector_account(struct pmq_inspector *in, struct pmq_account *out, struct err *e);
