/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A report of ipcbox stuck in three forms: text, JSON, Graphviz. */
#pragma once

#include "cli.h"
#include "stuck_unread.h"
#include "wait.h"

extern const struct out_col stuck_cols[];         /* members of the document */
extern const struct out_col stuck_finding_cols[]; /* a finding */

void stuck_show_text(struct cli_ctx *ctx, const struct wait_report *r,
                     const struct stuck_unread_list *unread, bool chain);
void stuck_show_json(struct cli_ctx *ctx, const struct wait_report *r,
                     const struct stuck_unread_list *unread, bool chain);
void stuck_show_dot(struct cli_ctx *ctx, const struct wait_report *r, bool chain);
