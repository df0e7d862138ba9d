/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqctl: make, use and remove message queues. */
#include "mqctl.h"

static const char *const usage[] = {
    "mqctl create /jobs\tmake a POSIX queue",
    "mqctl create --sysv\tmake a System V queue, and print its name",
    "mqctl send /jobs hello\tsend a message (--lines: stdin)",
    "mqctl recv /jobs\ttake one (--follow: all)",
    "mqctl rm /jobs\tremove it",
    NULL,
};

static const struct cli_verb *const verbs[] = {
    &mqctl_create_verb,
    &mqctl_send_verb,
    &mqctl_recv_verb,
    &mqctl_wait_verb,
    &mqctl_set_verb,
    &mqctl_rm_verb,
    NULL,
};

const struct cli_applet mqctl_applet = {
    .name = "mqctl",
    .summary = "make, use and remove message queues of POSIX and System V",
    .usage = usage,
    .verbs = verbs,
    .description =
        "mqctl is the hand beside mqpeek, the eye: what it does changes queues, with the rights of "
        "its user.\n"
        "\n"
        "A QUEUE is /name, pid:PID:FD (a descriptor open in a process) or pid:PID:/name (in that "
        "process's IPC namespace) for POSIX, and sysv:ID, key:0xKEY or pid:PID:sysv:ID for System "
        "V.",
};
