/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ipcbox itself: the verbs that concern all applets. */
#include "applets.h"
#include "verbs.h"

static const char *const usage[] = {
    "ipcbox APPLET …\trun an applet; a link of its name does the same",
    "ipcbox --list\tthe applets",
    "ipcbox doctor\twhat works on this kernel for this user, and what would help",
    "ipcbox stuck\twho waits for whom, and what can never go on",
    "ipcbox run -- CMD\trun CMD as on a kernel with the proposed interfaces",
    NULL,
};

static const struct cli_verb *const verbs[] = {
#ifdef IPCBOX_HAVE_BPF
    &ipcbox_btf_verb,
#endif
    &ipcbox_doctor_verb, &ipcbox_install_verb,  &ipcbox_run_verb,
    &ipcbox_stuck_verb,  &ipcbox_complete_verb, NULL,
};

const struct cli_applet ipcbox_applet = {
    .name = "ipcbox",
    .summary = "tools for Linux IPC in one binary",
    .usage = usage,
    .verbs = verbs,
    .applets = applets,
    .description = "ipcbox holds several applets. Each can be called through its first argument "
                   "(ipcbox mqpeek /jobs) or through a link of its name (mqpeek /jobs).",
};
