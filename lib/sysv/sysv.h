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
#include "msgq.h"

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

enum { SYSV_KEY_SIZE = 12 };

/* "0x4d51", "" for no key. */
void sysv_key_format(uint32_t key, char out[SYSV_KEY_SIZE]);

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
 * sysv_may_read() - whether the caller's real user may read a queue
 * @id: the queue
 * @e: why not
 *
 * The kernel decides, at a call that asks its security module for reading as well.
 *
 * Return: 0; -EACCES, -ENOENT, ... with a reason.
 */
int sysv_may_read(int id, struct err *e);

/* ---- looking ---- */

/**
 * struct sysv_queue - a queue that was found
 * @id: its id in the IPC namespace where the thread is now
 * @label: what to call it in output
 */
struct sysv_queue {
    int id;
    char label[SYSV_REF_SIZE];
};

/**
 * struct sysv_there - where the thread was before it went to another IPC namespace
 * @home: descriptor of that namespace; -1: it did not go anywhere
 */
struct sysv_there {
    int home;
};

/**
 * sysv_open() - go to the queue's IPC namespace, find it, and see that it may be read
 * @ref: which
 * @q: the queue
 * @there: for sysv_leave(), which must be called after success
 * @e: why not
 *
 * Return: 0; -ENOENT, -EACCES, -ESRCH, -EPERM (the namespace may not be entered), ...
 */
int sysv_open(const struct sysv_ref *ref, struct sysv_queue *q, struct sysv_there *there,
              struct err *e);
void sysv_leave(struct sysv_there *there);

/* A peeker for System V queues: "bpf" or "copy"; see msgq_peeker_new(). */
int sysv_peeker_new(const struct msgq_peek_opts *opts, struct msgq_peeker **ret, struct err *e);

/* See msgq_peek(). */
int sysv_peek(struct msgq_peeker *p, const struct sysv_queue *q, struct msgq_snapshot **ret,
              struct err *e);

/* ---- listing ---- */

enum sysv_want {
    SYSV_WANT_ANY,    /* the next */
    SYSV_WANT_EQUAL,  /* the next of @type */
    SYSV_WANT_EXCEPT, /* the next that is not of @type */
    SYSV_WANT_UP_TO,  /* the lowest type up to @type */
};

/**
 * struct sysv_waiter - a thread that is blocked in msgsnd() or msgrcv()
 * @tid, @pid: thread and process, in the caller's pid namespace
 * @sends: it sends a message of @size bytes; else it receives into a buffer of that size
 * @want, @type: which message it receives
 * @since: for how long it has been blocked, ns; MSGQ_UNKNOWN when it cannot be known
 * @comm: the thread's name
 */
struct sysv_waiter {
    pid_t tid;
    pid_t pid;
    bool sends;
    enum sysv_want want;
    int64_t type;
    uint64_t size;
    uint64_t since;
    char comm[16];
};

/**
 * struct sysv_info - one queue of a listing
 * @waiters, @n_waiters: who is blocked, as far as the caller may see
 * @waiters_complete: nobody else is
 */
struct sysv_info {
    struct sysv_attr attr;
    struct sysv_waiter *waiters;
    size_t n_waiters;
    bool waiters_complete;
};

/**
 * struct sysv_set - a listing, by id
 * @ipc_ns: inode number of the IPC namespace
 */
struct sysv_set {
    struct sysv_info *v;
    size_t n;
    uint64_t ipc_ns;
};

/* Whether the kernel has System V message queues at all. */
bool sysv_supported(void);

/* Inode number of the IPC namespace where the thread is; 0 where that cannot be known. */
uint64_t sysv_own_ipc_ns(void);

/**
 * sysv_list() - every queue of the IPC namespace where the thread is
 * @waiters: also who is blocked, from /proc
 * @ret: the listing; release with sysv_set_free()
 * @e: why not
 *
 * Asks for no permission: attributes are for everybody, as in /proc/sysvipc/msg.
 *
 * Return: 0; -ENOSYS, -ENOMEM.
 */
int sysv_list(bool waiters, struct sysv_set **ret, struct err *e);
void sysv_set_free(struct sysv_set *s);
void sysv_set_freep(struct sysv_set **s);

/**
 * sysv_info_get() - one queue with who is blocked on it
 * @q: the queue, which the caller may read
 * @out: release with sysv_info_done()
 *
 * By BPF where that is allowed, else from /proc.
 */
int sysv_info_get(const struct sysv_queue *q, struct sysv_info *out, struct err *e);
void sysv_info_done(struct sysv_info *info);

/* "any", "equal 5", "not 5", "up to 5" */
void sysv_want_format(const struct sysv_waiter *w, char *out, size_t size);

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
