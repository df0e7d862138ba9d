/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The events of monitor as rows: ioctls, losses, and the messages that a served bus itself tells
 * of. */
#pragma once

#include "b1_message_row.h"
#include "bus_messages.h"
#include "bus_monitor.h"
#include "cli.h"

/* The columns of the table, which all kinds of events share. */
extern const struct out_col monitor_cols[];
/* The members of each kind's JSON object. */
extern const struct cli_table monitor_tables[];

/* @bus: name of the bus; NULL when it is not known. */
void monitor_show_call(struct cli_ctx *ctx, const struct b1_monitor_event *ev, const char *bus);
void monitor_show_message(struct cli_ctx *ctx, const struct b1_delivery *m);
void monitor_show_lost(struct cli_ctx *ctx, uint64_t time, uint64_t count, const char *bus);
