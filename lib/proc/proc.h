/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Processes, their threads, descriptors and namespaces, read from /proc. Processes appear and end
 * while they are read, and many may not be inspected: both are ordinary results, -ESRCH and
 * -EACCES. proc_view() tells which processes a /proc does not show at all. Every text that comes
 * from another process is hostile.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "errinfo.h"

/* Size of a thread's name with its NUL; TASK_COMM_LEN of the kernel. */
enum { PROC_COMM_SIZE = 16 };

/**
 * proc_open() - open a /proc
 * @root: its path; NULL for "/proc". It may also be another tree of the same form, as tests use
 *
 * Return: a directory descriptor, to be closed by the caller, or -errno; -ENODEV when nothing is
 * mounted on /proc.
 */
int proc_open(const char *root);

/* A value other than 0 ends the walk and is returned by it. */
typedef int (*proc_id_fn)(pid_t id, void *ctx);

/* Visits every visible process. Return: 0, what @visit returned, or -errno. */
int proc_visit_pids(int proc, proc_id_fn visit, void *ctx);

/* Visits every thread of a process. Return: also -ESRCH when the process has ended, -EACCES. */
int proc_visit_tids(int proc, pid_t pid, proc_id_fn visit, void *ctx);

/*
 * As the @pid of proc_ns() and proc_visit_mounts(): the calling process, whatever its number in
 * that /proc is.
 */
enum { PROC_SELF = 0 };

/*
 * Tells whether a process has, or recently had, more than one thread. Costs no more than a stat().
 */
bool proc_has_threads(int proc, pid_t pid);

/**
 * struct proc_fd - a descriptor of a process, borrowed for the time of a visit
 * @pid: the process
 * @tid: the thread whose table has it: @pid for the table of the first thread, which nearly all
 *   threads share. /proc/@tid/fd/@fd refers to the descriptor even where /proc/@pid/fd/@fd does not
 * @fd: its number
 * @link: content of its link in /proc/PID/fd: a path, "socket:[123]", …; cut at PATH_MAX
 * @dir: descriptor of /proc/PID/fd
 * @entry: @fd as text: fstatat(@dir, @entry) inspects what it refers to
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
 * Threads can have their own descriptor tables (unshare(CLONE_FILES)), and may continue after the
 * process's first thread has ended. Each table is visited once. Where the kernel does not tell
 * which threads share a table (kcmp(2) is refused), a descriptor that two tables have under the
 * same number and name is visited once.
 *
 * Return: 0, what @visit returned, or -errno: -ESRCH when the process has ended, -EACCES when a
 * table may not be read; the others have been visited.
 */
int proc_visit_fds(int proc, pid_t pid, proc_fd_fn visit, void *ctx);

/**
 * proc_fd_open() - open the file that a descriptor of a process refers to
 * @proc: from proc_open()
 * @pid: the process, or a thread of it, whose table is searched first
 * @fd: its number
 * @flags: of open(2); with O_PATH the file itself is not touched
 *
 * Return: a descriptor (O_CLOEXEC); -ESRCH when there is no such process, -ENOENT when no thread of
 * it has the descriptor, -EACCES, …
 */
int proc_fd_open(int proc, pid_t pid, int fd, int flags);

/*
 * Reads the open flags (O_ACCMODE, O_NONBLOCK, …) of a descriptor in the table of a thread or
 * process.
 */
int proc_fd_flags(int proc, pid_t tid, int fd, int *flags);

/* Reads a thread's name. The name of a process is that of its first thread (@tid == @pid). */
int proc_comm(int proc, pid_t pid, pid_t tid, char out[PROC_COMM_SIZE]);

/**
 * proc_name_and_state() - read a name and state from /proc/PID/stat, with one read
 * @comm: the name of its first thread
 * @state: as ps(1) shows it: R, S, D, T, t, Z, …
 *
 * Return: 0, -ESRCH, -EBADMSG.
 */
int proc_name_and_state(int proc, pid_t pid, char comm[PROC_COMM_SIZE], char *state);

/*
 * Tells whether a process is ending: it is gone, or all of its threads are exiting. Its first
 * thread may end before the others.
 */
bool proc_is_ending(int proc, pid_t pid);

/*
 * Inode number of a namespace of a process; @kind is "ipc", "pid", … When the first thread has
 * ended and so left its namespaces, another thread is asked.
 */
int proc_ns(int proc, pid_t pid, const char *kind, uint64_t *out);

/* Opens that namespace. Return: a descriptor (O_CLOEXEC); -ESRCH, -EACCES, … */
int proc_ns_open(int proc, pid_t pid, const char *kind);

/**
 * struct proc_view - which processes a /proc shows to the caller
 * @users: processes of all users are listed (hidepid=); it may still be forbidden to inspect them
 * @namespaces: it belongs to the machine's first pid namespace, which contains all processes
 * @own_numbers: it belongs to the caller's own pid namespace, so that its numbers can be used in
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
 * @dev: device number of its file system
 * @root: the part of it that is mounted, "/" for all; for a namespace that is bound to a file
 *   "ipc:[402653…]"
 * @point: the mount point, as seen from the root directory of the process that was asked
 * @type: of the file system: "mqueue", "proc", …
 * @options: options of the file system, separated by commas
 */
struct proc_mount {
    dev_t dev;
    const char *root;
    const char *point;
    const char *type;
    const char *options;
};

typedef int (*proc_mount_fn)(const struct proc_mount *m, void *ctx);

/*
 * Visits every mount in the mount namespace of a process. Return: 0, what @visit returned, or
 * -errno.
 */
int proc_visit_mounts(int proc, pid_t pid, proc_mount_fn visit, void *ctx);

enum proc_call_state {
    PROC_CALL_RUNNING, /* not blocked: on a processor, or waiting for one */
    PROC_CALL_OUTSIDE, /* blocked, but not in a system call */
    PROC_CALL_BLOCKED,
};

/**
 * struct proc_call - the system call in which a thread is blocked
 * @state: the other members are set for PROC_CALL_BLOCKED only
 * @nr: its number, in the numbering of the thread's own ABI
 * @args: its arguments
 */
struct proc_call {
    enum proc_call_state state;
    long nr;
    uint64_t args[6];
};

/*
 * Reads a thread's system call. Without the right to trace the thread the result is -EPERM or
 * -EACCES.
 */
int proc_thread_call(int proc, pid_t pid, pid_t tid, struct proc_call *out);

/**
 * proc_thread_since() - how long a thread has slept
 * @ns: the time by the scheduler's clock
 *
 * It is nearly 0 for a running thread. The calling thread moves to the other one's processor for a
 * moment.
 *
 * Return: 0; -ESRCH, -ENOENT when the thread has ended or this kernel does not report the time;
 * -ENODATA when the kernel has moved the sleeping thread to another processor and so lost the time;
 * -EINVAL when the caller may not run where the thread last ran.
 */
int proc_thread_since(int proc, pid_t pid, pid_t tid, uint64_t *ns);

/**
 * proc_fd_take() - duplicate another process's descriptor
 * @pid: the process
 * @fd: its descriptor
 * @e: the reason of a failure
 *
 * Uses pidfd_getfd(2), since Linux 5.6.
 *
 * Return: the descriptor (O_CLOEXEC); -ESRCH, -EBADF, -EPERM, -ENOSYS.
 */
int proc_fd_take(pid_t pid, int fd, struct err *e);

/* Explains in @e the failure @r to inspect a process. Return: @r, or -ESRCH when it has ended. */
int proc_refused(pid_t pid, int r, struct err *e);

/* Explains in @e that there is no /proc to read. Return: @r. */
int proc_missing(int r, struct err *e);

/* ---- parsers, for callers that have read the files already ---- */

/* Parses /proc/PID/fdinfo/N. Return: 0 or -EBADMSG. */
int proc_parse_fd_flags(const char *text, int *flags);

/* Parses /proc/PID/task/TID/syscall. */
int proc_parse_call(const char *text, struct proc_call *out);

/* Parses /proc/PID/task/TID/stat for the kernel's PF_… flags of the thread. */
int proc_parse_thread_flags(const char *text, unsigned int *flags);

/* Parses the same file for the thread's name and the letter of its state. */
int proc_parse_state(const char *text, char comm[PROC_COMM_SIZE], char *state);

/* Parses the same file for the processor that the thread last ran on. */
int proc_parse_processor(const char *text, int *cpu);

/* Parses /proc/PID/task/TID/sched for when the thread last ran, ns of its processor's clock. */
int proc_parse_last_ran(const char *text, uint64_t *ns);

/* Parses a line of mountinfo without its newline. The line is changed, and @out points into it. */
int proc_parse_mount(char *line, struct proc_mount *out);

/* Parses "ipc:[4026531839]", for the kind "ipc". */
int proc_parse_ns(const char *text, const char *kind, uint64_t *out);

/* Parses a process or thread number: a positive decimal number and nothing else. */
int proc_parse_id(const char *text, pid_t *out);
