/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs a command under a seccomp filter and answers, in its kernel's place, the system calls of
 * proposed interfaces. A call that is not one of them costs no more than under any filter.
 */
#pragma once

#include <stdbool.h>

#include "errinfo.h"

/* The interfaces that can be answered. */
enum run_parts {
    RUN_MQ_SYSCALL = 1 << 0, /* mq_timedreceive2 */
    RUN_MQ_FCNTL = 1 << 1,   /* F_MQ_PEEK */
    RUN_MQ_IOCTL = 1 << 2,   /* MQ_IOC_BULK_PEEK */
    RUN_BUS1 = 1 << 3,       /* /dev/bus1 */
    RUN_URING = 1 << 4,      /* io_uring channels */
    RUN_MQ = RUN_MQ_SYSCALL | RUN_MQ_FCNTL | RUN_MQ_IOCTL,
};

/**
 * run_probe() - whether an interface can be answered here
 * @part: RUN_MQ, RUN_BUS1 or RUN_URING; 0: whether system calls can be trapped at all
 * @e: why not
 *
 * Return: 0, or as run_command().
 */
int run_probe(unsigned int part, struct err *e);

/**
 * struct run_opts - how to run
 * @parts: enum run_parts
 * @required: those of @parts without which the command is not run; others may be left out, with a
 *   note
 * @native: interfaces that the kernel has by itself, as run_leave_native() found
 * @mq_syscall: number of mq_timedreceive2; 0 for the usual one (IPCBOX_MQ_SYSCALL, or 548)
 * @allow_drain: let a queue be peeked by receiving and sending again where nothing better works
 * @bus: a served bus that /dev/bus1 leads to, instead of one of the command's own; or NULL
 * @say: called with a line about what goes wrong but does not stop the command; may be NULL
 * @log: called with a line about what happens; may be NULL. Both are called from any thread, with
 *   lines without newlines
 * @log_ctx: the first argument of both
 */
struct run_opts {
    unsigned int parts;
    unsigned int required;
    unsigned int native;
    long mq_syscall;
    bool allow_drain;
    const char *bus;
    void (*say)(void *ctx, const char *line);
    void (*log)(void *ctx, const char *line);
    void *log_ctx;
};

/**
 * run_leave_native() - find out what this kernel has by itself, and leave that to it
 * @opts: @parts without those, which are in @native then; @mq_syscall is the number to use. With
 *   @bus the kernel's own bus does not count
 * @e: why not
 *
 * Nothing that another process can see comes of it.
 *
 * Return: 0; -EINVAL when the number of mq_timedreceive2 is that of another system call.
 */
int run_leave_native(struct run_opts *opts, struct err *e);

enum { RUN_NO_COMMAND = 1 };

/**
 * run_command() - run it to its end
 * @opts: how, after run_leave_native()
 * @argv: the command and its arguments, ended by NULL; found through PATH
 * @status: on success its wait status
 * @e: why it could not be run
 *
 * Signals that are sent to the caller are passed on to the command. The command is killed when the
 * caller dies. Processes that the command leaves behind when it ends go on, and get ENOSYS for the
 * calls that were answered.
 *
 * Return: 0 when the command ran; RUN_NO_COMMAND when it could not be started, with the error of
 * execvp() in @e; errors of the supervision, with -EBUSY when a supervisor is there already.
 */
int run_command(const struct run_opts *opts, char *const argv[], int *status, struct err *e);
