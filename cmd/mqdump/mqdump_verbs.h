/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verbs of mqdump. */
#pragma once

#include "cli.h"

extern const struct cli_verb mqdump_save_verb;
extern const struct cli_verb mqdump_restore_verb;
extern const struct cli_verb mqdump_show_verb;
extern const struct cli_verb mqdump_verify_verb;
extern const struct cli_verb mqdump_seal_verb;
extern const struct cli_verb mqdump_record_verb;
extern const struct cli_verb mqdump_replay_verb;
extern const struct cli_verb mqdump_criu_verb;
