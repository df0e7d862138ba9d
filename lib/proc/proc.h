/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Processes, their threads, descriptors and namespaces, as /proc tells them. Processes come and go
 * while they are looked at, and many may not be looked at: both are ordinary results, -ESRCH and
 * -EACCES. proc_view() tells which processes a /proc does not show at all. Every text that comes
 * from another process is hostile.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "errinfo.h"

/* Bytes of a thread's name with its NUL; TASK_COMM_LEN of the kernel. */
enum { PROC_COMM_SIZE = 16 };

/**
 * proc_open() - open a /proc
 * @root: its path; NULL for "/proc". Another tree of the same shape will do
 *
 * Return: a directory descriptor, to be closed by the caller, or -errno; -ENODEV when nothing is
 * mounted on /proc.
 */
int proc_open(const char *root);

/* A value other than 0 ends the walk and is returned by it. */
typedef int (*proc_id_fn)(pid_t id, void *ctx);

/* Every process that is visible. Return: 0, what @visit returned, or -errno. */
int proc_visit_pids(int proc, proc_id_fn visit, void *ctx);

/* Every thread of a process. Return: also -ESRCH when the process has gone, -EACCES. */
int proc_visit_tids(int proc, pid_t pid, proc_id_fn visit, void *ctx);

/* The calling process, as the @pid of proc_ns() and proc_visit_mounts(), whatever its number is in
 * that /proc. */
enum { PROC_SELF = 0 };

/* Whether a process has, or lately had, more than one thread. It costs no more than a stat(). */
bool proc_has_threads(int proc, pid_t pid);

/**
 * struct proc_fd - a descriptor of a process, borrowed for the time of a visit
 * @pid: the process
 * @tid: the thread in whose table it is: @pid for the table of the first thread, which nearly all
 *   threads share. /proc/@tid/fd/@fd leads to the descriptor also where /proc/@pid/fd/@fd does not
 * @fd: the number
 * @link: what its link in /proc/PID/fd says: a path, "socket:[123]", …; cut at PATH_MAX
 * @dir: descriptor of /proc/PID/fd
 * @entry: @fd in text: fstatat(@dir, @entry) asks what it points to
 */
struct proc_fd {
    pid_t pid;
    pid_t tid;
    int fd;
    const char *link;
    int dir;
    const char *entry;
};

typedef int (*proc_fd_fn)(const struct proc_fd *fd, void *ctx);

/**
 * proc_visit_fds() - visit every descriptor of a process
 * @proc: from proc_open()
 * @pid: the process
 * @visit: a value other than 0 ends the walk and is returned
 *
 * Threads can have descriptor tables of their own (unshare(CLONE_FILES)), and go on after the
 * process's first thread has ended. Each table is visited once. Where the kernel does not tell
 * which threads share a table (kcmp(2) is refused), a descriptor that two tables have under the
 * same number and name is visited once.
 *
 * Return: 0, what @visit returned, or -errno: -ESRCH when the process has gone, -EACCES when a
 * table may not be looked at; the others have been visited.
 */
int proc_visit_fds(int proc, pid_t pid, proc_fd_fn visit, void *ctx);

/**
 * proc_fd_open() - open what a descriptor of a process leads to
 * @proc: from proc_open()
 * @pid: the process, or a thread of it, whose table is looked at first
 * @fd: the number
 * @flags: of open(2); O_PATH touches nothing
 *
 * Return: a descriptor (O_CLOEXEC); -ESRCH when there is no such process, -ENOENT when no thread of
 * it has the descriptor, -EACCES, …
 */
int proc_fd_open(int proc, pid_t pid, int fd, int flags);

/* Open flags (O_ACCMODE, O_NONBLOCK, …) of a descriptor in the table of a thread or process. */
int proc_fd_flags(int proc, pid_t tid, int fd, int *flags);

/* A thread's name; a process's is that of its first thread (@tid == @pid). */
int proc_comm(int proc, pid_t pid, pid_t tid, char out[PROC_COMM_SIZE]);

/**
 * proc_name_and_state() - what one read of /proc/PID/stat tells
 * @comm: the name of its first thread
 * @state: as ps(1) shows it: R, S, D, T, t, Z, …
 *
 * Return: 0, -ESRCH, -EBADMSG.
 */
int proc_name_and_state(int proc, pid_t pid, char comm[PROC_COMM_SIZE], char *state);

/*
 * Whether a process is at its end: it has gone, or none of its threads will do anything any more.
 * Its first thread may end before the others.
 */
bool proc_is_ending(int proc, pid_t pid);

/*
 * Inode number of a namespace of a process; @kind is "ipc", "pid", … Where the first thread has
 * ended and so left its namespaces, it is that of another thread.
 */
int proc_ns(int proc, pid_t pid, const char *kind, uint64_t *out);

/* Opens that namespace. Return: a descriptor (O_CLOEXEC); -ESRCH, -EACCES, … */
int proc_ns_open(int proc, pid_t pid, const char *kind);

/**
 * struct proc_view - which processes a /proc shows to the caller
 * @users: no user's process is hidden (hidepid=); it may still be forbidden to look into it
 * @namespaces: it belongs to the machine's first pid namespace: no process is outside of it
 * @own_numbers: it belongs to the caller's own pid namespace, so that its numbers are good for
 *   system calls
 */
struct proc_view {
    bool users;
    bool namespaces;
    bool own_numbers;
};

int proc_view(int proc, struct proc_view *out);

/**
 * struct proc_mount - a mount, borrowed for the time of a visit
 * @dev: number of its file system
 * @root: what of it is mounted, "/" for all; of a namespace that is bound to a file "ipc:[402653…]"
 * @point: where; seen from the root directory of the process that was asked
 * @type: of the file system: "mqueue", "proc", …
 * @options: the file system's own, separated by commas
 */
struct proc_mount {
    dev_t dev;
    const char *root;
    const char *point;
    const char *type;
    const char *options;
};

typedef int (*proc_mount_fn)(const struct proc_mount *m, void *ctx);

/* Every mount in the mount namespace of a process. Return: 0, what @visit returned, or -errno. */
int proc_visit_mounts(int proc, pid_t pid, proc_mount_fn visit, void *ctx);

enum proc_call_state {
    PROC_CALL_RUNNING, /* not blocked: on a processor, or waiting for one */
    PROC_CALL_OUTSIDE, /* blocked, but not in a system call */
    PROC_CALL_BLOCKED,
};

/**
 * struct proc_call - the system call in which a thread is blocked
 * @state: the rest counts for PROC_CALL_BLOCKED only
 * @nr: number, in the numbering of the caller's own program format
 * @args: arguments
 */
struct proc_call {
    enum proc_call_state state;
    long nr;
    uint64_t args[6];
};

/* Needs the right to trace the thread: -EPERM or -EACCES without. */
int proc_thread_call(int proc, pid_t pid, pid_t tid, struct proc_call *out);

/**
 * proc_thread_since() - for how long a thread has slept
 * @ns: by the scheduler's clock
 *
 * For a thread that runs it is nearly nothing. The calling thread visits that one's processor.
 *
 * Return: 0; -ESRCH, -ENOENT when it has gone or this kernel does not tell; -ENODATA when the kernel
 * has moved it, asleep, to another processor, which makes it forget; -EINVAL when the caller
 * may not run where the thread last ran.
 */
int proc_thread_since(int proc, pid_t pid, pid_t tid, uint64_t *ns);

/**
 * proc_fd_take() - a duplicate of another process's descriptor
 * @pid: process
 * @fd: descriptor in it
 * @e: why not
 *
 * pidfd_getfd(2), since Linux 5.6.
 *
 * Return: the descriptor (O_CLOEXEC); -ESRCH, -EBADF, -EPERM, -ENOSYS.
 */
int proc_fd_take(pid_t pid, int fd, struct err *e);

/* Says what @r means for looking into a process. Return: @r, or -ESRCH where it has gone. */
int proc_refused(pid_t pid, int r, struct err *e);

/* Says that there is no /proc to read. Return: @r. */
int proc_missing(int r, struct err *e);

/* ---- the texts, for those who have them already ---- */

/* Content of /proc/PID/fdinfo/N. Return: 0 or -EBADMSG. */
int proc_parse_fd_flags(const char *text, int *flags);

/* Content of /proc/PID/task/TID/syscall. */
int proc_parse_call(const char *text, struct proc_call *out);

/* Content of /proc/PID/task/TID/stat: the kernel's PF_… of the thread. */
int proc_parse_thread_flags(const char *text, unsigned int *flags);

/* The same text: the thread's name, and the letter of its state. */
int proc_parse_state(const char *text, char comm[PROC_COMM_SIZE], char *state);

/* The same text: the processor that the thread last ran on. */
int proc_parse_processor(const char *text, int *cpu);

/* Content of /proc/PID/task/TID/sched: when the thread last ran, ns of its processor's clock. */
int proc_parse_last_ran(const char *text, uint64_t *ns);

/* A line of mountinfo without its newline, which is changed: @out points into it. */
int proc_parse_mount(char *line, struct proc_mount *out);

/* "ipc:[4026531839]" for the kind "ipc". */
int proc_parse_ns(const char *text, const char *kind, uint64_t *out);

/* A process or thread number: decimal, positive, nothing else. */
int proc_parse_id(const char *text, pid_t *out);
