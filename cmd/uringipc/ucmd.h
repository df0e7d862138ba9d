/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the verbs of uringipc share: finding a channel, rows of messages, watching. */
#pragma once

#include "cli_stream.h"
#include "uipc.h"

/* Names for --backend, ended by NULL. */
extern const char *const ucmd_backends[];

/* The directory of embedded channels: $IPCBOX_CHANNELS, or NULL for the usual one. */
const char *ucmd_dir(void);

/* Offers a shell the embedded channels: a kernel channel is found only by looking into others'
 * processes, which pressing TAB must not do. */
void ucmd_offer(struct cli_offers *o, enum cli_complete what);

/* Chooses the backends. Return: CLI_OK, or a reported error. */
int ucmd_select(struct cli_ctx *ctx, struct uipc_providers *providers);

/*
 * Notes that the kernel has no channels, where that explains something: what is listed, what has
 * been made, or that nothing is found.
 */
void ucmd_tell_embedded(struct cli_ctx *ctx, const struct uipc_providers *providers);

/* Reads a channel's name. Return: CLI_OK, or a reported error. */
int ucmd_ref(struct cli_ctx *ctx, const char *name, struct uipc_ref *ref);

/* Reports that a channel could not be found or used, as @r and @e say. Return: the exit status. */
int ucmd_no_channel(struct cli_ctx *ctx, const struct uipc_providers *providers, const char *name,
                    int r, const struct err *e);

/* Opens the channel called @name. Return: CLI_OK, or a reported error. */
int ucmd_open_name(struct cli_ctx *ctx, const char *name, unsigned int access, struct uipc **u);

/* Opens the channel of the first operand. */
int ucmd_open(struct cli_ctx *ctx, unsigned int access, struct uipc **u);

/* Whether standard output is a pipe that nobody reads any more. */
bool ucmd_reader_gone(void);

/* "broadcast" …; NULL when not known. */
const char *ucmd_delivery(int delivery);

/**
 * struct ucmd_msg - a message, as recv, peek and monitor show it
 * @content: borrowed
 */
struct ucmd_msg {
    uint64_t time;
    uint64_t position;
    uint64_t msg_id;
    uint32_t target;
    uint64_t user_data;
    uint64_t length;
    uint64_t lost;
    struct out_bytes content;
};

void ucmd_msg_fill(struct ucmd_msg *row, const struct ringmap_msg *msg, const void *data,
                   uint64_t cut);

/**
 * struct ucmd_watch - watching what is sent, without receiving it
 * @ctx, @u: the verb and the channel
 * @show: called with each message; .lost of the row counts what was missed before it
 * @data: for @show
 * @backlog: begin with what is there
 * @to_stdout: the messages are shown on standard output: end when nobody reads that any more
 * @count: end after so many; 0: no limit
 * @timeout: end then, ns; CHAN_FOREVER
 * @stream: @show may set its .ended
 * @missed, @next, @map, @buf, @pause: its own
 */
struct ucmd_watch {
    struct cli_ctx *ctx;
    struct uipc *u;
    void (*show)(struct ucmd_watch *w, const struct ucmd_msg *row);
    void *data;
    bool backlog;
    bool to_stdout;
    uint64_t count;
    uint64_t timeout;
    struct cli_stream stream;
    uint64_t missed;
    uint64_t next;
    struct ringmap map;
    char *buf;
    uint64_t pause;
};

/*
 * Watches until the count, the time, the end of an embedded channel, a failed write, or a signal
 * to end. Return: CLI_OK, or the status of a reported error.
 */
int ucmd_watch(struct ucmd_watch *w);

extern const struct cli_verb uringipc_bench_verb;
extern const struct cli_verb uringipc_create_verb;
extern const struct cli_verb uringipc_destroy_verb;
extern const struct cli_verb uringipc_dump_verb;
extern const struct cli_verb uringipc_info_verb;
extern const struct cli_verb uringipc_list_verb;
extern const struct cli_verb uringipc_monitor_verb;
extern const struct cli_verb uringipc_peek_verb;
extern const struct cli_verb uringipc_recv_verb;
extern const struct cli_verb uringipc_replay_verb;
extern const struct cli_verb uringipc_send_verb;
