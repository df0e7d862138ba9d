/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ipcbox run: a command as on a kernel that has the proposed interfaces. */
#include "run.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "verbs.h"

enum {
    RUN_FAILED = 125, /* as env(1) */
    RUN_CANNOT = 126,
    RUN_NOT_FOUND = 127,
};

struct run_args {
    const char *only;
    uint64_t mq_syscall;
    bool allow_drain;
    const char *bus;
    bool verbose;
};

static const struct cli_opt run_cli_opts[] = {
    CLI_STR(struct run_args, only, 0, "only", "LIST", "emulate only these: mq, bus1, uring"),
    CLI_U64(struct run_args, mq_syscall, 0, "mq-syscall", "N", "number of mq_timedreceive2",
            .max = 0xffff),
    CLI_FLAG(struct run_args, allow_drain, 0, "allow-drain",
             "where nothing better works, peek by receiving and sending again"),
    CLI_STR(struct run_args, bus, 0, "bus", "PATH",
            "let /dev/bus1 be this served bus (b1ctl serve), not one of the command's own",
            .complete = CLI_COMPLETE_FILE),
    CLI_FLAG(struct run_args, verbose, 'v', "verbose", "say what is emulated"),
    CLI_END,
};

static const struct {
    const char *name;
    unsigned int parts;
} part_names[] = {
    {"mq", RUN_MQ},
    {"bus1", RUN_BUS1},
    {"uring", RUN_URING},
};

static int read_parts(const char *list, unsigned int *parts)
{
    *parts = 0;
    while (*list) {
        size_t n = strcspn(list, ",");
        size_t i = 0;

        while (i < ARRAY_SIZE(part_names) &&
               (strlen(part_names[i].name) != n || strncmp(part_names[i].name, list, n) != 0))
            i++;
        if (i == ARRAY_SIZE(part_names))
            return -EINVAL;
        *parts |= part_names[i].parts;
        list += n + (list[n] == ',');
    }
    return *parts ? 0 : -EINVAL;
}

static void log_line(void *ctx, const char *line)
{
    cli_note(ctx, "%s", line);
}

/* Ends as the command ended: by the same status, or by the same signal. */
static int end_as(int status)
{
    static const struct rlimit no_core = {0, 0};
    int sig;

    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    sig = WTERMSIG(status);
    setrlimit(RLIMIT_CORE, &no_core); /* there is a core dump already, of the command */
    signal(sig, SIG_DFL);
    raise(sig);
    return 128 + sig;
}

static int run_run(struct cli_ctx *ctx, const void *argp)
{
    const struct run_args *args = argp;
    struct run_opts opts = {
        .parts = RUN_MQ | RUN_BUS1 | RUN_URING,
        .mq_syscall = (long)args->mq_syscall,
        .allow_drain = args->allow_drain,
        .bus = args->bus,
        .say = log_line,
        .log = args->verbose ? log_line : NULL,
        .log_ctx = ctx,
    };
    struct err e = ERR_INIT;
    int status = 0, r;

    if (args->only && read_parts(args->only, &opts.parts) < 0) {
        cli_usage(ctx, "--only: \"%s\" is not a list of: mq, bus1, uring", args->only);
        return RUN_FAILED;
    }
    opts.required = args->only ? opts.parts : opts.bus ? RUN_BUS1 : 0;
    r = run_leave_native(&opts, &e);
    if (r == 0)
        r = run_command(&opts, ctx->operands, &status, &e);
    if (r == 0)
        return end_as(status);
    cli_fail(ctx, r < 0 ? r : e.code, &e, "cannot run the command");
    if (r < 0)
        return RUN_FAILED;
    return e.code == -ENOENT ? RUN_NOT_FOUND : RUN_CANNOT;
}

const struct cli_verb ipcbox_run_verb = {
    .name = "run",
    .operands = "CMD…",
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .complete = CLI_COMPLETE_COMMAND,
    .summary = "run a command as on a kernel with the proposed interfaces",
    .description =
        "Runs CMD so that it and its children see proposed interfaces on a kernel that has none of "
        "them: three ways to peek at message queues (mq), the device /dev/bus1 (bus1), and "
        "io_uring "
        "IPC channels (uring). What the kernel has by itself is left to it; -v tells.\n"
        "\n"
        "A seccomp filter traps the calls in question, and ipcbox answers them; all other calls go "
        "to the kernel as ever, and take hardly longer. Peeks are real ones, through the caller's "
        "own "
        "descriptor. All programs of one run share a bus, or the one that --bus names, and the "
        "channels. What cannot be answered here is left out with a note, unless --only asks for "
        "it: "
        "ipcbox doctor tells what can. Channels need Linux 6.10.\n"
        "\n"
        "What is emulated, what differs from a kernel that has it, and what a call costs:\n"
        "\n"
        " WHAT               WHAT DIFFERS                        MICROSECONDS\n"
        " mq_timedreceive2,  Without MQ_PEEK it consumes, as     35 a peek\n"
        " F_MQ_PEEK,         proposed; a signal ends its wait in\n"
        " MQ_IOC_BULK_PEEK   an empty queue within some 20 ms.\n"
        "                    Peeking needs what mqpeek needs, or\n"
        "                    --allow-drain.\n"
        " /dev/bus1          It can be opened, by whatever path, 25 a SEND or\n"
        "                    but neither stat() nor a listing    RECV, 15 an\n"
        "                    shows it. Its link in /proc/PID/fd  open() of any\n"
        "                    is a socket's; read() and write()   file\n"
        "                    on it do not fail.\n"
        " io_uring_register: Tells of channels, and else the     20\n"
        " probe              truth.\n"
        " CREATE, ATTACH,    Ids are not used again. A channel   60\n"
        " DETACH, DESTROY    ends with the last descriptor of\n"
        "                    its ring, even if that is still\n"
        "                    mapped. Only its owner and root can\n"
        "                    destroy it. A late receiver begins\n"
        "                    with the oldest message that is\n"
        "                    still there.\n"
        " IPC_SEND, IPC_RECV Done when they are submitted, or,   12, in a batch\n"
        "                    when they follow others in a chain  of 8: 4 each\n"
        "                    or drain, in their turn: then the\n"
        "                    completion may come before the\n"
        "                    message is in the channel, and a\n"
        "                    message that finds it full waits\n"
        "                    for room. A target alone gets its\n"
        "                    message; for one that does not\n"
        "                    exist nothing is sent.\n"
        " a channel's        epoll refuses its descriptor (poll  10 an mmap() of\n"
        " mapping            does not); mprotect() of a private  any file and a\n"
        "                    mapping is not refused.             readlink()\n"
        " io_uring itself    SQPOLL is done without: the flag    20 more a\n"
        "                    that asks to be woken is always     submission\n"
        "                    set. Registered ring descriptors,\n"
        "                    resizing and queries are refused as\n"
        "                    by older kernels. A ring ends some\n"
        "                    50 ms after its last descriptor.\n"
        "\n"
        "Set-user-ID programs run without their privilege, a stricter filter of a container wins, "
        "and a process can have one supervisor: inside run, run leaves to the outer one what that "
        "answers, and cannot answer more. 32-bit programs (i386, x32) are killed with a message. "
        "When "
        "CMD ends, what it left behind gets ENOSYS for the calls that were answered, also for "
        "those "
        "open(), mmap() and readlink() calls that had to be looked at.\n"
        "\n"
        "A program that links a channel's operation behind another one gets a descriptor that it "
        "has not asked for, with a high number, closed on exec.\n"
        "\n"
        "The exit status is CMD's; 125: "
        "ipcbox failed, 126: CMD could not be run, 127: it was not found.",
    .opts = run_cli_opts,
    .args_size = sizeof(struct run_args),
    .flags = CLI_COMMAND | CLI_OWN_OUTPUT | CLI_EXECS,
    .run = run_run,
};
