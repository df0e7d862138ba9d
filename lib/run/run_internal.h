/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of lib/run share: trapped calls, their callers' memory, and the emulators. */
#pragma once

#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "buf.h"
#include "run.h"
#include "vmcopy.h"

/* ---- the supervisor, as the emulators see it ---- */

/**
 * struct run - one supervised command
 * @opts: with defaults filled in
 * @listener: the descriptor on which the filter's notifications arrive
 * @stop: readable when it is time to end
 * @ending: no more calls are to be received; atomic
 * @pool: the threads that answer (threads.c)
 * @mq: NULL when message queues are not answered
 * @bus1: NULL when bus1 is not
 * @uring: NULL when io_uring channels are not
 */
struct run {
    struct run_opts opts;
    int listener;
    int stop;
    int failed; /* -errno when calls can no longer be answered, and the command has to end */
    bool ending;
    struct pool *pool;
    struct mq_emulator *mq;
    struct bus1_emulator *bus1;
    struct uring_emulator *uring;
};

void run_log(const struct run *run, const char *fmt, ...) _printf_(2, 3);
void run_say(const struct run *run, const char *fmt, ...) _printf_(2, 3);
/* Logs "WHAT:" and the names of @parts, unless there are none. */
void run_log_parts(const struct run *run, const char *what, unsigned int parts);

/* ---- one trapped call ---- */

/* A thread of the command, and a pidfd of it; -1 when there is none. */
struct call_thread {
    pid_t tid;
    int pidfd;
};

void call_forget(struct call_thread *t);

/**
 * struct call - a system call that waits for its answer
 * @run: the supervisor
 * @id: the notification's id
 * @term: the number of this answer, which tells whether its thread still leads (threads.c)
 * @tid: the thread that made it, in our pid namespace
 * @nr, @args: the call
 * @kept: the thread whose call the answering thread answered last
 */
struct call {
    struct run *run;
    uint64_t id;
    uint64_t term;
    pid_t tid;
    int nr;
    uint64_t args[6];
    struct call_thread *kept;
};

/* Instead of a result (>= 0 or -errno): the kernel goes on with the call as it is. */
#define CALL_CONTINUE INT64_MIN

/*
 * An argument that is an int or an unsigned int for the kernel. Both the kernel and the filter look
 * at the low 32 bits of its register alone; a program may have left anything in the others, such as
 * the sign of an int.
 */
static inline uint32_t call_u32(const struct call *c, size_t n)
{
    return (uint32_t)c->args[n];
}

static inline int call_int(const struct call *c, size_t n)
{
    return (int)call_u32(c, n);
}

enum { NOTIF_TRIES = 3 }; /* how often a failed ioctl() of the listener is tried */

/* To be called before what takes long: another thread answers calls meanwhile. */
void run_will_wait(const struct call *c);

/*
 * Whether the thread still waits for its answer. Only then what was read by its number was its own:
 * once the thread has gone, another may have got the number.
 */
bool call_alive(const struct call *c);

/*
 * The text of the caller's /proc/PID/status, and a line of it: what follows "KEY:", or NULL.
 * Return: 0, -ESRCH, -ENOMEM.
 */
int call_status(const struct call *c, struct buf *out);
const char *call_status_line(const struct buf *status, const char *key);

/* The process that the thread belongs to, or -ESRCH. */
pid_t call_process(const struct call *c);

/*
 * The caller's descriptor @fd, as one of our own (O_CLOEXEC) for the same open file. Return: it, or
 * -EBADF, -ESRCH, -EPERM.
 */
int call_getfd(const struct call *c, int fd);

/*
 * Copies from and to the caller's memory. Return: 0; -EFAULT when not all of it is there, as the
 * kernel would say, with what is there before it copied; -ESRCH, -EPERM.
 */
int call_read(const struct call *c, uint64_t from, void *to, size_t n);
int call_write(const struct call *c, uint64_t to, const void *from, size_t n);

/*
 * The same for some ranges at once, but without checking that the caller still waited when they had
 * been copied: the function's caller has to, before it does anything with them. Return: as above;
 * -EFAULT also when some of it has been copied.
 */
int call_read_ranges(const struct call *c, const struct vm_range *v, size_t n);
int call_write_ranges(const struct call *c, const struct vm_range *v, size_t n);

/* The caller's string. Return: 0; -EFAULT; -ENAMETOOLONG. */
int call_read_string(const struct call *c, uint64_t at, char out[PATH_MAX]);

/*
 * Gives the caller a descriptor of the open file that @fd, which stays the supervisor's, is of.
 * Return: its number in the caller, or -errno.
 */
int64_t call_give_fd(const struct call *c, int fd, bool cloexec);

/* ---- the threads that answer ---- */

/* Return: 0, or -errno when none of them runs. */
int run_threads_start(struct run *run);
void run_threads_stop(struct run *run);

/* Answers a call, in one of these threads. @resp is zeroed; the rest is as in struct call. */
void run_answer(struct run *run, const struct seccomp_notif *n, uint64_t term,
                struct call_thread *kept, struct seccomp_notif_resp *resp);

/* ---- the filter ---- */

enum { FILTER_MAX = 128 };

/**
 * filter_build() - the program that decides what is trapped
 * @opts: the parts
 * @code: room for FILTER_MAX instructions
 *
 * Return: instructions written.
 */
size_t filter_build(const struct run_opts *opts, struct sock_filter code[FILTER_MAX]);

/* Whether the call was made through another architecture's entry, which is not supported. */
bool filter_foreign(const struct seccomp_data *data);

/* ---- message queues ---- */

int mq_emulator_new(const struct run_opts *opts, struct mq_emulator **ret, struct err *e);
void mq_emulator_free(struct mq_emulator *m);

/* Each returns a result, -errno, or CALL_CONTINUE. */
int64_t mq_timedreceive2(struct mq_emulator *m, const struct call *c);
int64_t mq_fcntl_peek(struct mq_emulator *m, const struct call *c);
int64_t mq_bulk_peek(struct mq_emulator *m, const struct call *c);

/* ---- bus1 ---- */

int bus1_emulator_new(const struct run_opts *opts, struct bus1_emulator **ret, struct err *e);
void bus1_emulator_free(struct bus1_emulator *b);

/* open(), openat() and openat2(), of the device or of anything else. */
int64_t bus1_open(struct bus1_emulator *b, const struct call *c);
int64_t bus1_ioctl(struct bus1_emulator *b, const struct call *c);

/* ---- io_uring channels ---- */

int uring_emulator_new(struct uring_emulator **ret, struct err *e);
void uring_emulator_free(struct uring_emulator *u);

int64_t uring_setup(struct uring_emulator *u, const struct call *c);
int64_t uring_enter(struct uring_emulator *u, const struct call *c);
int64_t uring_register(struct uring_emulator *u, const struct call *c);
/* readlink() and readlinkat(), of a channel's descriptor in /proc or of anything else. */
int64_t uring_readlink(struct uring_emulator *u, const struct call *c);
/* mmap() of a channel's file or of any other. */
int64_t uring_mmap(struct uring_emulator *u, const struct call *c);
