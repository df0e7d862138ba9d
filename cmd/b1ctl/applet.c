/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* b1ctl: bus1, the kernel's or our own. */
#include "b1ctl_verbs.h"

static const char *const usage[] = {
    "b1ctl\ta shell for peers, nodes and handles",
    "b1ctl -c 'peer a; node a.n; …'\tthe same in one line",
    "b1ctl serve /tmp/bus\ta bus for any process, where the kernel has none",
    "b1ctl list\twho has peers open",
    NULL,
};

static const struct cli_verb *const verbs[] = {
    &b1ctl_shell_verb,   &b1ctl_run_verb,  &b1ctl_serve_verb,  &b1ctl_list_verb,
    &b1ctl_graph_verb,   &b1ctl_send_verb, &b1ctl_recv_verb,   &b1ctl_peek_verb,
    &b1ctl_monitor_verb, &b1ctl_dump_verb, &b1ctl_replay_verb, NULL,
};

const struct cli_applet b1ctl_applet = {
    .name = "b1ctl",
    .summary = "bus1: use it, serve it, look into it",
    .usage = usage,
    .verbs = verbs,
    .default_verb = &b1ctl_shell_verb,
    .description =
        "bus1 is capability-based IPC for Linux, proposed in 2026 and in no released kernel yet. A "
        "peer is an open file; its nodes receive, and handles, which can be passed on, send to "
        "nodes. All that waits for a peer is one queue.\n"
        "\n"
        "b1ctl uses /dev/bus1 where there is one, what b1ctl serve made, or a bus of its own.",
    .files = "/dev/bus1: the bus.",
    .notes =
        "The embedded bus behaves as the proposal's document says, which its code did not in "
        "places. Here: arrays are walked by element; a SEND with a bad message fails and harms "
        "nothing; only n_data bytes of the iovecs are sent; errors are int32; RECV returns 0, "
        "reports the sizes with EMSGSIZE, and respects the room for transfers; RELEASE refuses "
        "unknown ids and bad pointers; HANDLE_RELEASE comes once, with the last handle, counts "
        "handles in waiting messages, and the node lives on; a released node's messages are still "
        "delivered; POLLIN ends with the last message; a SEND to a closed peer is EBADRQC at once; "
        "account is the user that caused the message; users have quotas. As there, ids are odd, "
        "and of "
        "one counter of the peer for nodes and handles.\n"
        "\n"
        "Where the document is silent: a handle to a released node cannot be copied (EBADRQC). "
        "More "
        "than 1024 iovecs are EINVAL, more than 16384 elements in an array EDQUOT. A waiting "
        "message is charged to its sender, also the handles in it until it is received.",
};
