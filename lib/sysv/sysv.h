/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * System V message queues: naming, opening and asking.
 *
 * A queue has no descriptor: it is a number in an IPC namespace, which the kernel checks at each
 * call, and which may be removed at any time. Nothing here changes a queue but what says so.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "errinfo.h"

/**
 * struct sysv_ref - how a user names a queue
 * @by_key: by @key, else by @id
 * @pid: in the IPC namespace of this process; 0 for the caller's own
 * @id: as msgget(2) returns it, not negative
 * @key: not 0, which is IPC_PRIVATE
 */
struct sysv_ref {
    bool by_key;
    pid_t pid;
    int id;
    uint32_t key;
};

enum { SYSV_REF_SIZE = 40 };

/* Whether the text has the form of a System V queue: "sysv:", "key:" or "pid:PID:sysv:". */
bool sysv_ref_is(const char *text);

/**
 * sysv_ref_parse() - read a QUEUE operand
 * @text: "sysv:ID", "key:0xKEY", "pid:PID:sysv:ID", "pid:PID:key:0xKEY"
 * @out: the reference
 * @e: why not
 *
 * Return: 0 or -EINVAL with a reason.
 */
int sysv_ref_parse(const char *text, struct sysv_ref *out, struct err *e);

/* The text that sysv_ref_parse() reads as @ref. */
void sysv_ref_format(const struct sysv_ref *ref, char out[SYSV_REF_SIZE]);

/**
 * struct sysv_attr - what a queue is, at one moment
 * @id, @key: its names; @key is 0 for IPC_PRIVATE
 * @uid, @gid: owner
 * @cuid, @cgid: creator
 * @mode: permission bits
 * @depth: messages waiting
 * @bytes: payload bytes waiting
 * @limit: most bytes, and most messages (msg_qbytes)
 * @lspid, @lrpid: the last sender and receiver, in the caller's pid namespace; 0 for none or
 * outside
 * @stime, @rtime, @ctime: of the last send, receive and change, ns since 1970 in whole seconds; 0
 *   for never
 */
struct sysv_attr {
    int id;
    uint32_t key;
    uint32_t uid, gid;
    uint32_t cuid, cgid;
    uint32_t mode;
    uint64_t depth;
    uint64_t bytes;
    uint64_t limit;
    pid_t lspid, lrpid;
    uint64_t stime, rtime, ctime;
};

/**
 * sysv_find() - the id of what a reference names, in the caller's own IPC namespace
 * @ref: its @pid is not looked at
 * @e: why not
 *
 * Return: the id; -ENOENT for a key without a queue. An id is not looked up.
 */
int sysv_find(const struct sysv_ref *ref, struct err *e);

/**
 * sysv_stat() - attributes now
 * @id: in the caller's own IPC namespace
 * @out: the attributes
 * @e: why not
 *
 * msgctl(IPC_STAT), which takes the right to read the queue.
 *
 * Return: 0; -ENOENT when there is no such queue (any more), -EACCES.
 */
int sysv_stat(int id, struct sysv_attr *out, struct err *e);

/**
 * sysv_explain() - an error of msgctl(2), msgsnd(2), msgrcv(2) that says the queue cannot be used
 * @r: -EINVAL where it means that there is no such id, -EIDRM, -EACCES, -EPERM, -ENOSYS, ...
 *
 * Return: -ENOENT for a queue that is not there (any more), else @r, with a reason.
 */
int sysv_explain(int r, struct err *e);

/**
 * struct sysv_limits - of the caller's IPC namespace
 * @msgmni: most queues
 * @msgmax: largest message, bytes
 * @msgmnb: the limit that a new queue gets
 *
 * UINT64_MAX for what could not be read.
 */
struct sysv_limits {
    uint64_t msgmni;
    uint64_t msgmax;
    uint64_t msgmnb;
};

void sysv_limits_read(struct sysv_limits *out);
