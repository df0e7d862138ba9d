/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Unix sockets, pipes and FIFOs as queues of bytes: which exist, what waits in them, which
 * processes read from them and write to them. Nothing here takes data out of a queue or changes it.
 *
 * The queue of a socket is what its owner has not received yet. A pipe is one queue, with any
 * number of descriptors for reading and for writing.
 *
 * Everything is done with the rights of the real user, regardless of the program's capabilities:
 * a process that the user may not trace is counted as hidden.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "errinfo.h"
#include "proc.h"

/* The value of a number that is not known. */
#define FDQ_UNKNOWN UINT64_MAX

enum fdq_kind {
    FDQ_STREAM,
    FDQ_DGRAM,
    FDQ_SEQPACKET,
    FDQ_PIPE,
    FDQ_FIFO,
};

/* "stream", "dgram", "seqpacket", "pipe" or "fifo". */
const char *fdq_kind_name(enum fdq_kind kind);

static inline bool fdq_is_socket(enum fdq_kind kind)
{
    return kind <= FDQ_SEQPACKET;
}

/**
 * struct fdq_holder - a descriptor of a process
 * @pid, @fd: the process and its descriptor
 * @comm: the process's name; hostile bytes
 * @state: as ps(1) shows it: R, S, D, T (stopped), t (traced), Z, …; '?' when it has ended
 */
struct fdq_holder {
    pid_t pid;
    int fd;
    char comm[PROC_COMM_SIZE];
    char state;
};

/**
 * struct fdq_holders - descriptors
 * @v: in no particular order
 * @n: number of them
 */
struct fdq_holders {
    struct fdq_holder *v;
    size_t n;
};

/**
 * struct fdq_thread - a thread that is blocked in a system call that names the queue's descriptor
 * @pid, @tid: the thread
 * @comm: the process's name
 * @sends: it writes; otherwise it reads, receives or accepts
 */
struct fdq_thread {
    pid_t pid;
    pid_t tid;
    char comm[PROC_COMM_SIZE];
    bool sends;
};

/**
 * struct fdq_queue - one queue
 * @kind: its kind
 * @dev: device of a pipe's or FIFO's inode, 0 for a socket
 * @inode: number of the socket's or pipe's inode
 * @net_ns: inode number of a socket's network namespace; 0 when it is the caller's
 * @listening: a socket that accepts connections
 * @pending: for a listening socket, connections that wait for accept(2)
 * @bytes: unread bytes; FDQ_UNKNOWN
 * @bytes_complete: there are exactly @bytes; otherwise there may be more. For a datagram socket the
 *   kernel reports only the length of the first datagram, and for a listening one not what clients
 *   have sent before they are accepted
 * @depth: messages: datagrams, packets, or for streams and pipes the kernel's buffers; FDQ_UNKNOWN
 * @capacity: how many bytes a pipe or FIFO can hold; FDQ_UNKNOWN
 * @peer: inode number of the socket that this one is connected to; 0 for none
 * @sends_to: inode number of the socket whose queue gets what is sent through this one: @peer, or
 *   the listener that has not accepted it yet; 0 when that is not known
 * @path: the address of the socket, or the name of the FIFO; "@name" in the abstract name space;
 *   NULL for none. Hostile bytes; a zero byte in an abstract name is shown as '@'
 * @vfs_dev, @vfs_inode: the file that @path named when it was bound, numbered as in the kernel
 * @readers: descriptors for reading from it
 * @writers: descriptors for writing to it; for a socket, those of the other end
 * @threads: the threads that are blocked reading from it or writing to it
 * @n_threads: number of them
 */
struct fdq_queue {
    enum fdq_kind kind;
    uint64_t dev;
    uint64_t inode;
    uint64_t net_ns;
    bool listening;
    uint64_t pending;
    uint64_t bytes;
    bool bytes_complete;
    uint64_t depth;
    uint64_t capacity;
    uint64_t peer;
    uint64_t sends_to;
    char *path;
    uint64_t vfs_dev;
    uint64_t vfs_inode;
    struct fdq_holders readers;
    struct fdq_holders writers;
    struct fdq_thread *threads;
    size_t n_threads;
};

/**
 * struct fdq_set - all queues
 * @v: sorted by @dev, then @inode
 * @n: number of them
 * @processes_hidden: processes whose descriptors the caller may not see
 * @namespaces_hidden: other network namespaces whose sockets could not be listed
 */
struct fdq_set {
    struct fdq_queue *v;
    size_t n;
    uint64_t processes_hidden;
    uint64_t namespaces_hidden;
};

enum fdq_scan_flags {
    FDQ_SCAN_THREADS = 1 << 0, /* find the threads that are blocked */
    FDQ_SCAN_FILL = 1 << 1,    /* read exact numbers of bytes and messages, where the caller may */
};

/**
 * fdq_scan() - list every unix socket, pipe and FIFO that some visible process has open
 * @flags: enum fdq_scan_flags
 * @pid: read only this process: readers, writers and pipes of others are then not known, and the
 *   scan takes a tenth of the time; 0: all
 * @ret: release with fdq_set_free()
 * @e: the reason of a failure
 *
 * Sockets are listed by sock_diag(7), including those that only hidden processes have open; other
 * network namespaces are included if a visible process is in them and the caller may enter them.
 *
 * Return: 0 or -errno.
 */
int fdq_scan(unsigned int flags, pid_t pid, struct fdq_set **ret, struct err *e);

/**
 * fdq_scan_processes() - the unix sockets, pipes and FIFOs of some processes
 * @flags: as for fdq_scan()
 * @pids, @n: which processes, each once; those that are gone are left out
 * @ret: release with fdq_set_free(). Readers and writers are told of these processes alone; sockets
 *   of others are there, without them
 * @e: why not
 *
 * Return: 0 or -errno.
 */
int fdq_scan_processes(unsigned int flags, const pid_t *pids, size_t n, struct fdq_set **ret,
                       struct err *e);

/* Leaves only the queues that @wanted returns true for. */
void fdq_set_keep(struct fdq_set *s, bool (*wanted)(const struct fdq_queue *q, const void *ctx),
                  const void *ctx);

/* What FDQ_SCAN_FILL does, for a set that was made without it. Return: 0 or -errno. */
int fdq_set_fill(struct fdq_set *s);

void fdq_set_free(struct fdq_set *s);
void fdq_set_freep(struct fdq_set **s);

/* Finds the queue of an inode; @dev is 0 for a socket. NULL when there is none. */
struct fdq_queue *fdq_set_find(const struct fdq_set *s, uint64_t dev, uint64_t inode);

/* Tells whether a process has it open; for a socket, this end of it. */
bool fdq_held_by(const struct fdq_queue *q, pid_t pid);

/* Number of threads that are blocked reading from @q, or writing to it. */
uint64_t fdq_blocked(const struct fdq_queue *q, bool sends);

enum { FDQ_TARGET_SIZE = 48 };

/*
 * Formats the operand that names the queue: "PID:FD" of a reader, else of a writer, else
 * "socket:[INO]" or "pipe:[INO]".
 */
void fdq_target_of(const struct fdq_queue *q, char out[FDQ_TARGET_SIZE]);

enum fdq_target_kind {
    FDQ_TARGET_FD,     /* PID:FD */
    FDQ_TARGET_PID,    /* PID */
    FDQ_TARGET_PATH,   /* /path */
    FDQ_TARGET_NAME,   /* @name */
    FDQ_TARGET_SOCKET, /* socket:[INO] */
    FDQ_TARGET_PIPE,   /* pipe:[INO] */
};

/**
 * struct fdq_target - an operand that names queues
 * @kind: its form
 * @pid, @fd, @inode: those that @kind has
 * @text: the operand, borrowed; it contains the path or name
 */
struct fdq_target {
    enum fdq_target_kind kind;
    pid_t pid;
    int fd;
    uint64_t inode;
    const char *text;
};

/* Return: 0, or -EINVAL with an explanation of the valid forms. */
int fdq_target_parse(const char *text, struct fdq_target *out, struct err *e);

/**
 * fdq_target_find() - the queues that a target names
 * @t: the target
 * @s: all queues
 * @found: filled with up to @max of them
 * @e: the reason when there is none
 *
 * A path or name can name many: a listening socket and all connections that it has accepted.
 *
 * Return: their number, even if it is larger than @max; -ESRCH when there is no such process;
 * -ENOENT when it names no queue; -EPERM.
 */
ssize_t fdq_target_find(const struct fdq_target *t, const struct fdq_set *s,
                        struct fdq_queue **found, size_t max, struct err *e);
