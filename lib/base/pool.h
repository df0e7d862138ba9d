/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A pool of threads that answer requests. One of them, the leader, waits for a request and answers
 * it itself: handing it to another thread would cost more than most answers do. Another thread
 * becomes the leader when an answer takes long, so that a client that is slow to give its memory
 * holds up only itself. The pool's watch, a thread of its own, notices that; it sleeps while there
 * are no requests. An answer that knows that it will wait calls pool_pass() instead.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct pool_ops - what the threads do
 * @worker_new: makes what a thread needs for its answers; NULL when memory is out
 * @worker_free: releases it
 * @next: waits for a request. Return: false when there will be none any more, which ends the pool
 * @answer: answers it. @term is for pool_pass()
 * @passed: told that another thread leads from now on although @worker still answers. Called at any
 *   time between @next and the end of @answer, by any thread, under the lock of the pool: must not
 *   call back. May be NULL
 * @tick: called by the watch some 20 times a second. Return: whether it is to be called although no
 *   requests come. May be NULL
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
 * struct pool_config - a pool
 * @ops, @ctx: what the threads do, and its first argument; must outlive the pool
 * @start: threads at the beginning
 * @idle: threads that are kept though another leads
 * @max: threads at most
 * @full: told that no thread could be added: requests wait until an answer ends. May be NULL
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
 * Makes the threads. The caller keeps what @ops use until pool_close() has returned true.
 * Return: 0; -EAGAIN or -ENOMEM: no thread runs then.
 */
int pool_new(const struct pool_config *cfg, struct pool **ret);

/* Another thread leads while the answer @term goes on, unless one does already. */
void pool_pass(struct pool *p, uint64_t term);

/**
 * pool_close() - ends the pool
 * @p: NULL is fine
 * @signal: sent to the threads again and again until they have ended, to interrupt @next; must have
 *   a handler without SA_RESTART. 0: none
 * @patience_ns: how long to wait for threads that still answer; UINT64_MAX: for ever
 *
 * Return: whether all have ended; only then the pool was released. Else it may be called again.
 */
bool pool_close(struct pool *p, int signal, uint64_t patience_ns);
