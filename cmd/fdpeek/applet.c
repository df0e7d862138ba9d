/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fdpeek: look into unix sockets and pipes, take nothing. */
#include "fdpeek_verbs.h"
#include "fdq_peek.h"

static const char *const usage[] = {
    "fdpeek\tsockets and pipes with something unread or somebody blocked",
    "fdpeek PID:FD\twhat waits in one of a process's descriptors",
    "fdpeek info PID:FD\tboth ends of one, who holds them, who is blocked",
    "fdpeek follow --all\twhat is received over unix sockets, live",
    NULL,
};

static const struct cli_verb *const verbs[] = {
    &fdpeek_list_verb, &fdpeek_peek_verb, &fdpeek_info_verb, &fdpeek_follow_verb, NULL,
};

static const char *const targets[] = {"/*", "[0-9]*", "@*", "socket:*", "pipe:*", NULL};

const struct cli_applet fdpeek_applet = {
    .name = "fdpeek",
    .summary = "look into unix sockets and pipes without taking anything",
    .usage = usage,
    .verbs = verbs,
    .default_verb = &fdpeek_list_verb,
    .operand_verb = &fdpeek_peek_verb,
    .operand_patterns = targets,
    .backends = fdq_backends,
    .description =
        "fdpeek shows what waits in unix sockets, pipes and FIFOs, who reads them and who writes. "
        "It takes nothing, and holds nothing open that would keep an end of file from the other "
        "end.\n"
        "\n"
        "A TARGET is PID:FD (a descriptor of a process), PID (all of its), /path (a socket or "
        "FIFO), @name (an abstract socket), socket:[INODE] or pipe:[INODE]. A path or name stands "
        "for the listening socket and every connection that it accepted.\n"
        "\n"
        "Contents are shown only of processes that the caller may trace (opening /proc/PID/mem "
        "decides), whatever capabilities the program was given.",
};
