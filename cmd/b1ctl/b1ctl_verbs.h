/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verbs of b1ctl. */
#pragma once

#include "bus_view.h"
#include "cli.h"

extern const struct cli_verb b1ctl_shell_verb;
extern const struct cli_verb b1ctl_run_verb;
extern const struct cli_verb b1ctl_list_verb;
extern const struct cli_verb b1ctl_graph_verb;
extern const struct cli_verb b1ctl_send_verb;
extern const struct cli_verb b1ctl_recv_verb;
extern const struct cli_verb b1ctl_peek_verb;
extern const struct cli_verb b1ctl_monitor_verb;
extern const struct cli_verb b1ctl_dump_verb;
extern const struct cli_verb b1ctl_replay_verb;
extern const struct cli_verb b1ctl_serve_verb;

/* Says on standard error what of the buses the caller may not see. */
void b1ctl_view_notes(struct cli_ctx *ctx, const struct view *v);
