/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verbs of ipcbox itself. */
#pragma once

#include "cli.h"

extern const struct cli_verb ipcbox_btf_verb;
extern const struct cli_verb ipcbox_complete_verb;
extern const struct cli_verb ipcbox_doctor_verb;
extern const struct cli_verb ipcbox_install_verb;
extern const struct cli_verb ipcbox_run_verb;
extern const struct cli_verb ipcbox_stuck_verb;
