/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* uringipc: io_uring IPC channels, and embedded ones that do the same everywhere. */
#include "ucmd.h"

static const char *const usage[] = {
    "uringipc create -d -k jobs\tmake a channel called jobs",
    "uringipc send jobs hello\tsend a message (--lines: stdin)",
    "uringipc recv jobs\treceive one (--follow: all)",
    "uringipc peek jobs\twhat waits in it",
    NULL,
};

static const struct cli_verb *const verbs[] = {
    &uringipc_list_verb,   &uringipc_create_verb,  &uringipc_send_verb,  &uringipc_recv_verb,
    &uringipc_peek_verb,   &uringipc_monitor_verb, &uringipc_info_verb,  &uringipc_dump_verb,
    &uringipc_replay_verb, &uringipc_destroy_verb, &uringipc_bench_verb, NULL,
};

const struct cli_applet uringipc_applet = {
    .name = "uringipc",
    .summary = "use and look into io_uring IPC channels",
    .usage = usage,
    .verbs = verbs,
    .default_verb = &uringipc_list_verb,
    .operand_verb = &uringipc_peek_verb,
    .backends = ucmd_backends,
    .offer = ucmd_offer,
    .description =
        "A channel is a ring of messages between processes, with one of three ways of delivery: "
        "unicast, broadcast, multicast. Where the kernel has io_uring IPC channels (a proposed "
        "interface) uringipc uses those; elsewhere its own embedded channels, in shared memory, "
        "without a daemon and without privilege, and says so.\n"
        "\n"
        "A channel CH is named by its id (decimal), its key (0x…), a name from which the key is "
        "made, or as pid:PID:FD, a descriptor of a kernel channel in a process.\n"
        "\n"
        "Users who can read the data file of an embedded channel may receive from it, and users "
        "who "
        "can read and write it may send to it: create --mode. Receivers share the control file, so "
        "that a hostile one can stall the channel or make others lose messages; but nobody can "
        "make "
        "them read a message that was not sent. A sender that is killed while it writes a message "
        "stalls nothing: the message is counted as lost. A sender that is stopped at that moment "
        "is "
        "waited for.",
    .files = "/dev/shm/ipcbox (of root), /dev/shm/ipcbox-UID: embedded channels, two files each: "
             "ID and ID.ctl; kernel-ID: kernel channels that uringipc create keeps.",
    .environment = "IPCBOX_CHANNELS: a directory to use instead of /dev/shm.",
};
