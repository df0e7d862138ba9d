/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqdump: save and restore POSIX message queues. */
#include "mqdump_verbs.h"
#include "qcmd.h"

static const char *const usage[] = {
    "mqdump save /QUEUE -O FILE\twrite a queue and its messages to a file",
    "mqdump save --all -O FILE\tthe same for all queues",
    "mqdump restore FILE\tmake the queues of a file, or none of them",
    "mqdump record /QUEUE -O FILE\tthe traffic of a queue, for mqdump replay",
    NULL,
};

static const struct cli_verb *const verbs[] = {
    &mqdump_save_verb,   &mqdump_restore_verb, &mqdump_show_verb,
    &mqdump_verify_verb, &mqdump_seal_verb,    &mqdump_record_verb,
    &mqdump_replay_verb, &mqdump_criu_verb,    NULL,
};

const struct cli_applet mqdump_applet = {
    .name = "mqdump",
    .summary = "save, restore, record and replay POSIX message queues",
    .usage = usage,
    .verbs = verbs,
    .common_opts = qcmd_common_opts,
    .common_size = sizeof(struct qcmd_common),
    .common_defaults = &qcmd_common_defaults,
    .backends = qcmd_backends,
    .offer = qcmd_offer,
    .description =
        "mqdump writes message queues to a file, with attributes, owner, mode and messages, and "
        "makes them again. Saving leaves a queue exactly as it was.\n"
        "\n"
        "A dump is JSON Lines: a header, then for each queue a record of type \"queue\" and one of "
        "type \"message\" for each of its messages in receive order, and an end record with counts "
        "and the CRC-32 of all lines before it. What counts in a message is data_base64; text is "
        "there when the payload is UTF-8, for eyes and for jq. A record without data_base64 is "
        "taken by its text.\n"
        "\n"
        "An edited dump is made whole again by mqdump seal.",
    .files = "/var/lib/ipcbox: journals of restores, and queues that were replaced; for others "
             "than root $XDG_STATE_HOME/ipcbox or ~/.local/state/ipcbox.",
    .environment = "IPCBOX_STATE_DIR: another directory for journals and replaced queues.\n"
                   "\n"
                   "TMPDIR: where a dump that comes through a pipe is kept while it is checked, "
                   "and what replay sends at full speed (/var/tmp).\n"
                   "\n"
                   "IPCBOX_MQ_SYSCALL: the number of mq_timedreceive2, as --mq-syscall.",
};
