/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verbs of mqpeek. */
#pragma once

#include "cli.h"

extern const struct cli_verb mqpeek_follow_verb;
extern const struct cli_verb mqpeek_info_verb;
extern const struct cli_verb mqpeek_limits_verb;
extern const struct cli_verb mqpeek_list_verb;
extern const struct cli_verb mqpeek_metrics_verb;
extern const struct cli_verb mqpeek_peek_verb;
extern const struct cli_verb mqpeek_recover_verb;
extern const struct cli_verb mqpeek_top_verb;
