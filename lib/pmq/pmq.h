/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * POSIX message queues: naming, opening, asking, listing and peeking. What users of lib/pmq need;
 * how the backends are made is in pmq_backends.h.
 *
 * Nothing here changes a queue, but for the drain backend, which is only taken when it is named.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "errinfo.h"
#include "macros.h"
#include "msgq.h"

enum {
    PMQ_NS_PATH_MAX = 255,                  /* bytes of a namespace's file in an operand */
    PMQ_NAME_MAX = 255,                     /* bytes after the slash; mq_overview(7) */
    PMQ_PRIO_MAX = 32768,                   /* priorities are below it; MQ_PRIO_MAX */
    PMQ_HARD_MSGMAX = 65536,                /* HARD_MSGMAX of the kernel */
    PMQ_HARD_MSGSIZEMAX = 16 * 1024 * 1024, /* HARD_MSGSIZEMAX of the kernel */
};

#define PMQ_UNKNOWN MSGQ_UNKNOWN

/* ---- naming and opening ---- */

enum pmq_ref_kind {
    PMQ_REF_NAME,     /* /name, in the caller's IPC namespace */
    PMQ_REF_PID_FD,   /* pid:PID:FD, open in a process; also unlinked ones */
    PMQ_REF_PID_NAME, /* pid:PID:/name, in that process's IPC namespace */
    PMQ_REF_NS_NAME,  /* ns:PATH:/name, in the IPC namespace that is bound to that file */
};

/**
 * struct pmq_ref - how a user names a queue
 * @kind: which of the four
 * @pid: process, for PMQ_REF_PID_FD and PMQ_REF_PID_NAME
 * @fd: descriptor in it, for PMQ_REF_PID_FD
 * @name: with its leading slash, for all but PMQ_REF_PID_FD
 * @path: of the namespace, for PMQ_REF_NS_NAME
 */
struct pmq_ref {
    enum pmq_ref_kind kind;
    pid_t pid;
    int fd;
    char name[PMQ_NAME_MAX + 2];
    char path[PMQ_NS_PATH_MAX + 1];
};

/**
 * pmq_ref_parse() - read a QUEUE operand
 * @text: "/name", "pid:PID:FD", "pid:PID:/name", "ns:PATH:/name"; a "name" without a slash is taken
 *   as "/name"
 * @out: the reference
 * @e: why not
 *
 * Return: 0; -EINVAL with a reason for an empty name, a slash inside, a malformed pid;
 * -ENAMETOOLONG.
 */
int pmq_ref_parse(const char *text, struct pmq_ref *out, struct err *e);

#define PMQ_REF_SIZE (PMQ_NS_PATH_MAX + PMQ_NAME_MAX + 2 + 16)

/* The text that pmq_ref_parse() reads as @ref. */
void pmq_ref_format(const struct pmq_ref *ref, char out[PMQ_REF_SIZE]);

/* An open queue. */
struct pmq_queue;

enum pmq_open_flags {
    PMQ_OPEN_READ = 0,       /* for looking: O_RDONLY */
    PMQ_OPEN_WRITE = 1 << 0, /* also for sending: O_RDWR */
    PMQ_OPEN_SEND = 1 << 1,  /* only for sending: O_WRONLY */
    PMQ_OPEN_BLOCK = 1 << 2, /* without O_NONBLOCK */
};

/**
 * pmq_queue_open() - open what a reference names
 * @ref: the reference
 * @flags: enum pmq_open_flags
 * @ret: the queue; close with pmq_queue_close()
 * @e: why not
 *
 * It is always the kernel that decides: the queue is opened for reading by this process, through
 * mq_open() or /proc/PID/fd/N, never reached by an address; and with the rights of its real user,
 * whatever capabilities the program was given (realuser.h). The descriptor is O_CLOEXEC, and
 * O_NONBLOCK without PMQ_OPEN_BLOCK. For PMQ_REF_PID_NAME the process's IPC namespace is entered by
 * a short-lived child.
 *
 * Return: 0; -ENOENT (also: no queue at that descriptor), -EACCES, -ESRCH (no such process), …
 */
int pmq_queue_open(const struct pmq_ref *ref, unsigned int flags, struct pmq_queue **ret,
                   struct err *e);

/**
 * pmq_queue_adopt() - make a queue of a descriptor
 * @fd: an open message queue, readable; the queue's from now on, closed also on failure
 * @label: what to call it
 * @ret: the queue
 *
 * Return: 0, -EBADF when it is no queue or not open for reading, -ENOMEM.
 */
int pmq_queue_adopt(int fd, const char *label, struct pmq_queue **ret);

/* Opens once more what is open already, e.g. to write to it. The label stays. */
int pmq_queue_reopen(const struct pmq_queue *from, unsigned int flags, struct pmq_queue **ret,
                     struct err *e);
void pmq_queue_close(struct pmq_queue *q);
void pmq_queue_closep(struct pmq_queue **q);

/* Its descriptor, owned by the queue. */
int pmq_queue_fd(const struct pmq_queue *q);

/* Whether a descriptor, also an O_PATH one, is that of a queue. Return: 0, -EBADF if not, or
 * -errno. */
int pmq_fd_is_queue(int fd);

/* What to call it in output: the text of the reference it was opened by. */
const char *pmq_queue_label(const struct pmq_queue *q);

/* ---- attributes ---- */

enum pmq_notify_method {
    PMQ_NOTIFY_NONE,   /* nobody is registered */
    PMQ_NOTIFY_SIGNAL, /* SIGEV_SIGNAL */
    PMQ_NOTIFY_SILENT, /* SIGEV_NONE: registered, told nothing */
    PMQ_NOTIFY_THREAD, /* SIGEV_THREAD */
    PMQ_NOTIFY_UNKNOWN,
};

/**
 * struct pmq_attr - what a queue is, at one moment
 * @name: "/name"; "" when not known
 * @dev, @ino: identity: the inode in its mqueue filesystem
 * @unlinked: it has no name any more
 * @curmsgs: messages waiting
 * @maxmsg: most messages
 * @msgsize: largest message, bytes
 * @bytes: payload bytes waiting (QSIZE); PMQ_UNKNOWN when it could not be read
 * @uid, @gid: owner
 * @mode: permission bits
 * @changed: time of the last send or receive (mtime), or of its creation, ns since 1970; the kernel
 *   keeps whole seconds on many versions
 * @notify: who is told when a message arrives at the empty queue
 * @notify_pid: 0 for nobody, and for one that is outside the caller's pid namespace
 * @notify_signo: for PMQ_NOTIFY_SIGNAL
 */
struct pmq_attr {
    char name[PMQ_NAME_MAX + 2];
    uint64_t dev;
    uint64_t ino;
    bool unlinked;
    uint64_t curmsgs;
    uint64_t maxmsg;
    uint64_t msgsize;
    uint64_t bytes;
    uint32_t uid;
    uint32_t gid;
    uint32_t mode;
    uint64_t changed;
    enum pmq_notify_method notify;
    pid_t notify_pid;
    int notify_signo;
};

/*
 * Attributes now, from the descriptor alone (fstat, mq_getattr, read). The read touches the inode's
 * access and change times. Return: 0 or -errno.
 */
int pmq_queue_attr(const struct pmq_queue *q, struct pmq_attr *out);

/* The same without the read: touches nothing, @bytes and @notify stay unknown. */
int pmq_queue_attr_basic(const struct pmq_queue *q, struct pmq_attr *out);

/* Reads "QSIZE:… NOTIFY:… SIGNO:… NOTIFY_PID:…" into @out's fields. Return: 0 or -EBADMSG. */
int pmq_attr_parse_line(const char *line, struct pmq_attr *out);

/* ---- peeking: messages, options and snapshots are in msgq.h ---- */

/* As msgq_peeker_new(), with the backends "bpf", "syscall", "fcntl", "ioctl", "drain". */
int pmq_peeker_new(const struct msgq_peek_opts *opts, struct msgq_peeker **ret, struct err *e);

/* As msgq_peek(). */
static inline int pmq_peek(struct msgq_peeker *p, const struct pmq_queue *q,
                           struct msgq_snapshot **ret, struct err *e)
{
    return msgq_peek(p, q, ret, e);
}

/* ---- who uses a queue ---- */

/**
 * struct pmq_holder - an open descriptor of a queue
 * @pid: process; 0 for one that is not visible in the caller's pid namespace
 * @tid: thread in whose table of descriptors it is; nearly always @pid
 * @fd: descriptor in it
 * @access: O_RDONLY, O_WRONLY or O_RDWR; with O_PATH for a descriptor that only names the queue
 * @nonblock: O_NONBLOCK is set
 * @comm: the process's name, hostile bytes included
 */
struct pmq_holder {
    pid_t pid;
    pid_t tid;
    int fd;
    int access;
    bool nonblock;
    char comm[16];
};

enum pmq_direction { PMQ_SEND, PMQ_RECEIVE };

/**
 * struct pmq_waiter - a thread blocked in mq_send() or mq_receive()
 * @tid, @pid: thread and process, in the caller's pid namespace
 * @direction: which call
 * @comm: the thread's name
 * @since: for how long it has been blocked, ns; PMQ_UNKNOWN when it cannot be known
 */
struct pmq_waiter {
    pid_t tid;
    pid_t pid;
    enum pmq_direction direction;
    char comm[16];
    uint64_t since;
};

/* ---- listing ---- */

enum { PMQ_NS_NO_PROCESS = -1 };

/**
 * struct pmq_info - one queue of a listing
 * @attr: what it is
 * @ipc_ns: inode number of its IPC namespace
 * @ns_pid: a process in that namespace; 0 for the caller's own, PMQ_NS_NO_PROCESS for one that no
 *   process is in
 * @ns_path: then, the file that it is bound to, or the descriptor that keeps it; the set's
 * @known: @attr's counts could be read (the queue could be opened for reading)
 * @holders, @n_holders: who has it open, as far as the caller may see
 * @waiters, @n_waiters: who is blocked, as far as the caller may see
 */
struct pmq_info {
    struct pmq_attr attr;
    uint64_t ipc_ns;
    pid_t ns_pid;
    const char *ns_path;
    bool known;
    struct pmq_holder *holders;
    size_t n_holders;
    struct pmq_waiter *waiters;
    size_t n_waiters;
};

/**
 * struct pmq_set - a listing
 * @v, @n: queues, by name
 * @flags: enum pmq_scan_flags: what was looked at
 * @holders_complete: no process can have a queue open unseen: every process of the machine could be
 *   looked at, or the kernel was asked
 * @waiters_complete: likewise no thread can be blocked unseen
 * @paths, @n_paths: what the ns_path of queues point to
 * @holders_remedy: where not, what would help; "" when nothing is known to
 * @names_complete: false where of the own namespace only queues that are open could be listed
 * @spaces_complete: no other IPC namespace that was asked for was denied, or is hidden
 * @note: one sentence on what is missing and what would show it; "" for nothing
 */
struct pmq_set {
    struct pmq_info *v;
    size_t n;
    unsigned int flags;
    bool holders_complete;
    bool waiters_complete;
    bool names_complete;
    bool spaces_complete;
    char **paths;
    size_t n_paths;
    char holders_remedy[256];
    char note[768];
};

enum pmq_scan_flags {
    PMQ_SCAN_HOLDERS = 1 << 0,
    PMQ_SCAN_WAITERS = 1 << 1,
    PMQ_SCAN_ALL_NAMESPACES = 1 << 2, /* every IPC namespace that a visible process is in, or keeps
                                         by a descriptor, or that is bound to a file */
    PMQ_SCAN_UNLINKED = 1 << 3,       /* also queues without a name that somebody has open */
    PMQ_SCAN_KERNEL = 1 << 4,         /* root of the machine asks the kernel, through BPF, for the
                                         holders that /proc does not show */
};

/**
 * pmq_scan() - list queues, without BPF (but for PMQ_SCAN_KERNEL) and without privilege
 * @flags: enum pmq_scan_flags
 * @pid: only queues that this process has open; 0 for all
 * @ret: the listing; release with pmq_set_free()
 * @e: why not
 *
 * One pass over the directory and one over /proc: linear in queues plus open files.
 */
int pmq_scan(unsigned int flags, pid_t pid, struct pmq_set **ret, struct err *e);

/* The operand that leads to a queue of a listing. Return: false when none does. */
bool pmq_info_ref(const struct pmq_info *q, struct pmq_ref *out);
void pmq_set_free(struct pmq_set *s);
void pmq_set_freep(struct pmq_set **s);

/* ---- limits ---- */

/**
 * pmq_charge() - what a queue costs its creator
 * @maxmsg: messages
 * @msgsize: bytes of a message
 *
 * Bytes charged against RLIMIT_MSGQUEUE when a queue is created, full or empty: the payloads, a
 * struct msg_msg each, and the tree nodes (ipc/mqueue.c, mqueue_get_inode(); 64-bit kernels
 * since 3.5).
 *
 * Return: bytes, or PMQ_UNKNOWN when they do not fit into 64 bits.
 */
uint64_t pmq_charge(uint64_t maxmsg, uint64_t msgsize);

/**
 * struct pmq_limits - /proc/sys/fs/mqueue of the caller's IPC namespace, and RLIMIT_MSGQUEUE
 *
 * PMQ_UNKNOWN for what could not be read; @rlimit_soft and @rlimit_hard are bytes, UINT64_MAX - 1
 * for no limit.
 */
struct pmq_limits {
    uint64_t queues_max;
    uint64_t msg_max;
    uint64_t msgsize_max;
    uint64_t msg_default;
    uint64_t msgsize_default;
    uint64_t rlimit_soft;
    uint64_t rlimit_hard;
};

#define PMQ_UNLIMITED (UINT64_MAX - 1)

int pmq_limits_read(struct pmq_limits *out);

/**
 * struct pmq_usage - what a user's queues cost, as far as it can be told from their owners
 * @uid: owner
 * @queues: how many
 * @charged: the sum of their pmq_charge(), bytes
 * @unread: how many of them could not be read, and are missing in @charged
 */
struct pmq_usage {
    uint32_t uid;
    uint64_t queues;
    uint64_t charged;
    uint64_t unread;
};

/**
 * pmq_usage_estimate() - add up a listing by owner
 * @set: the listing
 * @ret: by uid; the caller frees it
 * @n: entries
 *
 * An estimate: the kernel charges the real uid of the process that made the queue, which chown(2),
 * set-user-ID programs and user namespaces make another than the owner, and it counts queues of
 * every IPC namespace, also ones that were not listed.
 *
 * Return: 0 or -ENOMEM.
 */
int pmq_usage_estimate(const struct pmq_set *set, struct pmq_usage **ret, size_t *n);

/**
 * pmq_keep_privileges() - give up what a verb that goes on for long needs no more
 * @load: it may load BPF again
 *
 * Once BPF is loaded and a listing was made, what is left is looking into processes and opening
 * queues for reading: CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH. With @load those for BPF stay
 * permitted, effective only during a load.
 *
 * Return: 0 or -errno.
 */
int pmq_keep_privileges(bool load);
