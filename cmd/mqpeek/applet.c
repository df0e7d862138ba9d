/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqpeek: look into message queues of POSIX and System V, never touch them. */
#include "mqpeek_verbs.h"
#include "qcmd.h"

static const char *const patterns[] = {"/*", "pid:*", "ns:*", "sysv:*", "key:*", NULL};

static const char *const usage[] = {
    "mqpeek\tevery queue: messages, owner, holders, blocked threads",
    "mqpeek /QUEUE\tits messages, in receive order",
    "mqpeek top\tall queues, live",
    "mqpeek info /QUEUE\tholders, blocked threads, notification, cost",
    NULL,
};

static const struct cli_verb *const verbs[] = {
    &mqpeek_list_verb,    &mqpeek_peek_verb,    &mqpeek_info_verb,
    &mqpeek_follow_verb,  &mqpeek_top_verb,     &mqpeek_limits_verb,
    &mqpeek_metrics_verb, &mqpeek_recover_verb, NULL,
};

const struct cli_applet mqpeek_applet = {
    .name = "mqpeek",
    .summary = "look into message queues of POSIX and System V without touching them",
    .usage = usage,
    .verbs = verbs,
    .default_verb = &mqpeek_list_verb,
    .operand_verb = &mqpeek_peek_verb,
    .operand_patterns = patterns,
    .common_opts = qcmd_common_opts,
    .common_size = sizeof(struct qcmd_common),
    .common_defaults = &qcmd_common_defaults,
    .backends = qcmd_backends,
    .offer = qcmd_offer,
    .description =
        "mqpeek shows what is in message queues, and who uses them. Looking leaves a queue "
        "exactly as it was: messages, their order, blocked threads and a registered notification.\n"
        "\n"
        "A QUEUE is /name, pid:PID:FD (a descriptor open in a process; also a queue that has been "
        "unlinked), pid:PID:/name (in that process's IPC namespace) or ns:PATH:/name (in the IPC "
        "namespace that is bound to a file, also one that no process is in; list -A shows both).\n"
        "\n"
        "A System V queue is sysv:ID or key:0xKEY, as ipcs(1) shows them, or pid:PID:sysv:ID.\n"
        "\n"
        "Only queues that the caller may open for reading are shown, whatever capabilities the "
        "program was given.\n"
        "\n"
        "In a container (Docker, Podman, Kubernetes) list, top, limits and metrics work as they "
        "are; "
        "they tell what they cannot see: processes outside of the container's pid namespace may "
        "have a queue open, as in a pod, whose containers share their queues and not their "
        "processes. Peeking, follow, and who is blocked for how long, take BPF: start the "
        "container "
        "with --cap-add BPF --cap-add PERFMON. In a user namespace (rootless containers) BPF "
        "cannot "
        "be used. From the host root sees all, with any of: mqpeek list -A and the operands that "
        "it "
        "shows; mqpeek pid:PID:/name, where PID is a process of the container; nsenter -t PID -i "
        "mqpeek. Namespaces that an engine keeps while no process is in them (CRI-O, Podman) are "
        "found by their mounts and descriptors.",
    .files = "/var/lib/ipcbox, $XDG_STATE_HOME/ipcbox (~/.local/state/ipcbox): journals of drains "
             "that were interrupted; of root, of other users.",
    .environment = "IPCBOX_MQ_SYSCALL: the number of mq_timedreceive2, as --mq-syscall.",
};
