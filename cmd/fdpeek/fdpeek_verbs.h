/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verbs of fdpeek. */
#pragma once

#include "cli.h"

extern const struct cli_verb fdpeek_follow_verb;
extern const struct cli_verb fdpeek_info_verb;
extern const struct cli_verb fdpeek_list_verb;
extern const struct cli_verb fdpeek_peek_verb;
