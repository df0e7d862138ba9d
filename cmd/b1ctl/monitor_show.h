/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What monitor sees, as rows: the ioctls, what was lost, and the bus's own view. */
#pragma once

#include "b1_message_row.h"
#include "b1_monitor.h"
#include "cli.h"

/* The columns of the table, which all kinds of events share. */
extern const struct out_col monitor_cols[];
/* What each kind holds in JSON. */
extern const struct cli_table monitor_tables[];

/* @bus: name of the bus; NULL when it is not known. */
void monitor_show_call(struct cli_ctx *ctx, const struct b1_monitor_event *ev, const char *bus);
/**
 * struct monitor_message - a message that joined a queue, as a served bus sees it
 * @bus, @dev: which bus
 * @from, @to: inode numbers of the peers' files; @from_pid, @to_pid: who opened them. Unknown ones
 *   are OUT_UNKNOWN_U64
 * @handles, @n_handles: of the receiver
 */
struct monitor_message {
    uint64_t time;
    const char *bus;
    uint64_t dev;
    uint64_t from;
    uint64_t from_pid;
    uint64_t to;
    uint64_t to_pid;
    uint64_t type;
    uint64_t id;
    uint64_t account;
    uint64_t length;
    const uint64_t *handles;
    size_t n_handles;
};

void monitor_show_message(struct cli_ctx *ctx, const struct monitor_message *m);
void monitor_show_lost(struct cli_ctx *ctx, uint64_t time, uint64_t count, const char *bus);
