/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An io_uring of one entry, by raw system calls: what the kernel's channels need. Encoding and the
 * meaning of results are functions of their arguments alone.
 */
#pragma once

#include <linux/io_uring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "errinfo.h"
#include "uring_ipc_abi.h"

struct uringk;

/**
 * struct uringk_calls - the system calls underneath; tests put a model of a kernel here
 * @setup: io_uring_setup(1, @p). Return: the ring's descriptor or -errno
 * @registers: io_uring_register(). Return: 0 or more, or -errno
 * @run: runs one SQE. Return: its CQE's res. NULL: through the rings that @setup made
 * @gone: the ring is about to be closed; may be NULL
 * @fd_link: what /proc/PID/fd/N of a channel links to
 */
struct uringk_calls {
    int (*setup)(struct io_uring_params *p);
    int (*registers)(int ring, unsigned int opcode, void *arg, unsigned int nr);
    int (*run)(int ring, const struct io_uring_sqe *sqe);
    void (*gone)(int ring);
    const char *fd_link;
};

extern struct uringk_calls uringk_calls;

/* Return: 0, or what io_uring_setup() or mmap() said, with a reason. */
int uringk_new(struct uringk **ret, struct err *e);
void uringk_free(struct uringk *k);
void uringk_freep(struct uringk **k);

/* io_uring_register(2) on the ring. Return: 0 or more, or -errno. */
int uringk_register(struct uringk *k, unsigned int opcode, void *arg, unsigned int nr);

/* Submits one SQE and takes its CQE. Return: the CQE's res, or -errno of io_uring_enter(). */
int uringk_run(struct uringk *k, const struct io_uring_sqe *sqe);

/* An SQE that sends from subscription @sub to @target, or to all when that is 0. */
void uringk_encode_send(struct io_uring_sqe *sqe, uint32_t sub, const void *data, uint32_t len,
                        uint32_t target, uint64_t user_data);

/* An SQE that receives on subscription @sub. @cap should be the channel's max_msg_size. */
void uringk_encode_recv(struct io_uring_sqe *sqe, uint32_t sub, void *buf, uint32_t cap);

/* What a channel's creation and an attachment ask for. */
void uringk_encode_create(struct uring_ipc_create *c, uint32_t flags, uint32_t entries,
                          uint32_t max_msg, uint32_t mode, uint64_t key);
void uringk_encode_attach(struct uring_ipc_attach *a, uint32_t channel, uint64_t key,
                          uint32_t flags);

enum uringk_op {
    URINGK_CREATE,
    URINGK_ATTACH,
    URINGK_DESTROY,
    URINGK_SEND,
    URINGK_SEND_TARGET,
    URINGK_RECV,
};

/* Puts the meaning of a negative result into words. Return: @res. */
int uringk_explain(enum uringk_op op, int res, struct err *e);

/**
 * uringk_overtaken() - whether a receiver at a position has been overtaken by senders
 * @tail: messages that were ever sent
 * @position: the next that the receiver wants; a new one wants 0
 * @entries: of the ring
 *
 * Such a receiver gets -EAGAIN for ever, and in a broadcast channel blocks all senders.
 */
bool uringk_overtaken(uint32_t tail, uint32_t position, uint32_t entries);
