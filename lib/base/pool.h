/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A pool of threads that answer requests. One of them, the leader, waits for a request and answers
 * it itself: handing it to another thread would cost more than most answers do. When an answer
 * takes long, another thread becomes the leader, so that a client whose memory responds slowly
 * delays only itself. The pool has a separate thread, the watch, that notices long answers; it
 * sleeps while there are no requests. An answer that is certain to wait calls pool_pass() instead.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct pool_ops - the work of the threads
 * @worker_new: makes the state that a thread needs for its answers; NULL when memory is out
 * @worker_free: releases it
 * @next: waits for a request. Return: false when there will be no more, which ends the pool
 * @answer: answers it. @term is for pool_pass()
 * @passed: called when another thread becomes the leader although @worker is still answering.
 *   Called at any time between @next and the end of @answer, by any thread, under the lock of the
 *   pool: it must not call back. May be NULL
 * @tick: called by the watch about 20 times a second. Return: whether it is to be called even while
 *   no requests come. May be NULL
 */
struct pool_ops {
    void *(*worker_new)(void *ctx);
    void (*worker_free)(void *worker);
    bool (*next)(void *ctx, void *worker);
    void (*answer)(void *ctx, void *worker, uint64_t term);
    void (*passed)(void *ctx, void *worker);
    bool (*tick)(void *ctx);
};

/**
 * struct pool_config - configuration of a pool
 * @ops, @ctx: the work of the threads, and its first argument; must outlive the pool
 * @start: initial number of threads
 * @idle: how many threads wait to become the leader before further ones end
 * @max: maximum number of threads
 * @full: called when no thread could be added: requests wait until an answer ends. May be NULL
 */
struct pool_config {
    const struct pool_ops *ops;
    void *ctx;
    size_t start;
    size_t idle;
    size_t max;
    void (*full)(void *ctx);
};

struct pool;

/*
 * Creates the threads. Whatever @ops use must stay valid until pool_close() has returned true.
 * Return: 0; -EAGAIN or -ENOMEM: then no thread is running.
 */
int pool_new(const struct pool_config *cfg, struct pool **ret);

/*
 * Makes another thread the leader while the answer @term continues, unless another one leads
 * already.
 */
void pool_pass(struct pool *p, uint64_t term);

/**
 * pool_close() - end the pool
 * @p: NULL is allowed
 * @signal: sent to the threads repeatedly until they have ended, to interrupt @next; must have a
 *   handler without SA_RESTART. 0: none
 * @patience_ns: how long to wait for threads that are still answering; UINT64_MAX: no limit
 *
 * Return: whether all have ended. Only then the pool was released; otherwise call it again.
 */
bool pool_close(struct pool *p, int signal, uint64_t patience_ns);
