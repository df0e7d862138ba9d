/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ipcbox run: runs a command as on a kernel that has the proposed interfaces. */
#include "run.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "verbs.h"

enum {
    RUN_FAILED = 125, /* as in env(1) */
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

/* Ends as the command ended: with the same status, or by the same signal. */
static int end_as(int status)
{
    static const struct rlimit no_core = {0, 0};
    int sig;

    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    sig = WTERMSIG(status);
    setrlimit(RLIMIT_CORE, &no_core); /* the command has already left a core dump */
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
        "Runs CMD so that it and its children see proposed interfaces on a kernel that has none "
        "of them: three ways to peek at message queues (mq), the device /dev/bus1 (bus1), and "
        "io_uring IPC channels (uring). Interfaces that the kernel has by itself are left to "
        "it; -v tells which.\n"
        "\n"
        "A seccomp filter traps the system calls of these interfaces, and ipcbox answers them; "
        "all other calls go to the kernel as ever, and take hardly longer. A peek reads the "
        "real queue, through the caller's own descriptor. All programs of one run share one set "
        "of channels and one bus, or the bus that --bus names. An interface that cannot be "
        "answered here is left out with a note, unless --only asks for it: ipcbox doctor tells "
        "what can be answered. Channels need Linux 6.10.\n"
        "\n"
        "The table shows what is answered, how the answers differ from those of a kernel that "
        "has the interface, and what a call costs:\n"
        "\n"
        " WHAT               WHAT DIFFERS                        MICROSECONDS\n"
        " mq_timedreceive2,  Without MQ_PEEK it receives, as     35 a peek\n"
        " F_MQ_PEEK,         proposed; a signal ends its wait in\n"
        " MQ_IOC_BULK_PEEK   an empty queue within some 20 ms.\n"
        "                    Peeking needs what mqpeek needs, or\n"
        "                    --allow-drain.\n"
        " /dev/bus1          It can be opened, by any path, but  25 a SEND or\n"
        "                    stat() and listings of /dev do not  RECV, 15 an\n"
        "                    show it. Its link in /proc/PID/fd   open() of any\n"
        "                    is that of a socket, and read()     file\n"
        "                    and write() on it do not fail.\n"
        " io_uring_register: Reports the operations of channels, 20\n"
        " PROBE              and for all others the truth.\n"
        " CREATE, ATTACH,    Ids are not used again. A channel   60\n"
        " DETACH, DESTROY    ends with the last descriptor of\n"
        "                    its ring, even if the ring is still\n"
        "                    mapped. Only its owner and root can\n"
        "                    destroy it. A late receiver begins\n"
        "                    with the oldest message that is\n"
        "                    still there.\n"
        " IPC_SEND, IPC_RECV They are done when they are         12, in a batch\n"
        "                    submitted, or in their turn when    of 8: 4 each\n"
        "                    they follow others in a chain or\n"
        "                    drain: then the completion may come\n"
        "                    before the message is in the\n"
        "                    channel, and a message that finds\n"
        "                    the channel full waits for room. A\n"
        "                    message with a target reaches that\n"
        "                    receiver alone; if there is no such\n"
        "                    receiver nothing is sent.\n"
        " a channel's        epoll refuses its descriptor (poll  10 an mmap() of\n"
        " mapping            does not); mprotect() of a private  any file and a\n"
        "                    mapping is not refused.             readlink()\n"
        " io_uring itself    A ring ends some 50 ms after its    20 more a\n"
        "                    last descriptor.                    submission\n"
        "  rings with SQPOLL They are set up without the thread\n"
        "                    that polls: the answer lacks the\n"
        "                    flag, and IORING_SQ_NEED_WAKEUP is\n"
        "                    always set, so that each submission\n"
        "                    enters the kernel.\n"
        "  registered rings  IORING_REGISTER_RING_FDS and\n"
        "                    IORING_SETUP_REGISTERED_FD_ONLY are\n"
        "                    refused with EINVAL; liburing then\n"
        "                    uses the ring's descriptor.\n"
        "  resizing of rings IORING_REGISTER_RESIZE_RINGS is\n"
        "                    refused with EINVAL.\n"
        "  cloned buffers    They work between descriptors; with\n"
        "                    IORING_REGISTER_SRC_REGISTERED the\n"
        "                    answer is EBADF, for no ring can be\n"
        "                    registered.\n"
        "  ring queries      IORING_REGISTER_QUERY is refused\n"
        "                    with EINVAL.\n"
        "\n"
        "Set-user-ID programs run without their privilege. A stricter filter of a container "
        "goes before this one. A process can have one supervisor: a run inside of another run "
        "leaves to the outer one what that answers, and cannot answer more. 32-bit programs "
        "(i386, x32) are killed with a message. When CMD ends, processes that it left behind "
        "get ENOSYS for the calls that were answered, also for the open(), mmap() and "
        "readlink() calls that had to be looked at.\n"
        "\n"
        "A program that links a channel's operation behind another operation gets a descriptor "
        "that it has not asked for; it has a high number and is closed on exec.\n"
        "\n"
        "The exit status is CMD's; 125: ipcbox failed, 126: CMD could not be run, 127: it was "
        "not found.",
    .opts = run_cli_opts,
    .args_size = sizeof(struct run_args),
    .flags = CLI_COMMAND | CLI_OWN_OUTPUT | CLI_EXECS,
    .run = run_run,
};
