/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Verbs that go on until they have what they were asked for, their time is over, or they are told
 * to end: one loop, and one way to end. SIGINT, SIGTERM and SIGHUP end such a verb after it has
 * written what it has; one that was ignored at the start stays ignored.
 */
#pragma once

#include <poll.h>

#include "cli.h"

#define CLI_FOREVER UINT64_MAX

enum { CLI_STREAM_SOURCES = 6 };

/**
 * struct cli_stream_ops - the verb's part, for cli_stream_run()
 * @sources: fill in what to poll for, at most CLI_STREAM_SOURCES; NULL: nothing. Return: how many
 * @read: take what has come, without waiting. @p: of @sources, after the poll; NULL when the stream
 *   has ended and the rest is read. Return: 0; 1: nothing more is wanted; or -errno with a reason
 * @stop: make an end of what comes; @read gets what had come before. May be NULL
 * @finish: called after the rest was read, when more was wanted; returns as @read. May be NULL
 * @cut: called by the signal's handler, at once: only async-signal-safe things. May be NULL
 */
struct cli_stream_ops {
    size_t (*sources)(void *verb, struct pollfd *p);
    int (*read)(void *verb, const struct pollfd *p, struct err *e);
    void (*stop)(void *verb);
    int (*finish)(void *verb, struct err *e);
    void (*cut)(void *verb);
};

/**
 * struct cli_stream - a verb that goes on
 * @ctx: whose
 * @ops, @verb: its part, and what that is called with. A verb that must block in a call has a loop
 *   of its own and needs no more than @cut, or NULL
 * @subject: what it works on, to be named in messages, or NULL
 * @what: what is counted: "messages"
 * @timeout: ns, or CLI_FOREVER; begins with cli_stream_begin(), and again with cli_stream_run()
 * @period: ns after which @read is called even if nothing has come, or CLI_FOREVER
 * @wanted: end after so many; 0: never by number
 * @done: counted by the verb
 * @seen: whatever was read, counted by the verb: while it grows there may be more of the rest
 * @next: CLOCK_MONOTONIC: call @read then, set by the verb; 0: no such time
 * @ended: set by the verb: nothing more will come
 * @wake_fd: readable when it was told to end
 * @deadline: CLOCK_MONOTONIC, or CLI_FOREVER
 */
struct cli_stream {
    struct cli_ctx *ctx;
    const struct cli_stream_ops *ops;
    void *verb;
    const char *subject;
    const char *what;
    uint64_t timeout;
    uint64_t period;
    uint64_t wanted;
    uint64_t done;
    uint64_t seen;
    uint64_t next;
    bool ended;
    int wake_fd;
    uint64_t deadline;
};

/* Catches the signals and begins to count the time. Once a process. Return: 0 or -errno. */
int cli_stream_begin(struct cli_stream *s);

/* Before what @cut works on is released. */
void cli_stream_end(void);

/* Whether it has been told to end. */
bool cli_interrupted(void);

/* The status of a verb that counts nothing, and was interrupted before it had what it was for: 128
 * and the signal. */
int cli_interrupted_status(void);

/* Returns the nanoseconds until the stream's deadline, but at most @most. */
uint64_t cli_stream_left(const struct cli_stream *s, uint64_t most);

/* Whether the time is over. */
bool cli_stream_is_late(const struct cli_stream *s);

/* Whether there are as many as were wanted. */
bool cli_stream_is_done(const struct cli_stream *s);

/* Whether it goes on: none of its ends has come, and the output can be written. */
bool cli_stream_goes_on(const struct cli_stream *s);

/* The loop, to the end. Return: 0 or -errno with a reason. */
int cli_stream_run(struct cli_stream *s, struct err *e);

/**
 * cli_stream_status() - how it ended
 *
 * Without a number that was wanted any end is as it should be. One that was not reached is told.
 *
 * Return: CLI_OK; CLI_FAILED; or 128 and the number of the signal that came before.
 */
int cli_stream_status(const struct cli_stream *s);
