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

static void left_out(void *ctx, const char *what, const struct err *e)
{
    cli_note(ctx, "%s: not emulated: %s%s%s", what, err_text(e, e->code), *e->remedy ? "; " : "",
             e->remedy);
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

/* The kernel has everything: nobody needs to stand between. */
static int become(char *const argv[])
{
    signal(SIGPIPE, SIG_DFL);
    execvp(argv[0], argv);
    return -errno;
}

static int run_run(struct cli_ctx *ctx, const void *argp)
{
    const struct run_args *args = argp;
    struct run_opts opts = {
        .parts = RUN_MQ | RUN_BUS1 | RUN_URING,
        .mq_syscall = (long)args->mq_syscall,
        .allow_drain = args->allow_drain,
        .bus = args->bus,
        .warn = left_out,
        .log = args->verbose ? log_line : NULL,
        .log_ctx = ctx,
    };
    struct err e = ERR_INIT;
    unsigned int native;
    int status = 0, r;

    if (args->only && read_parts(args->only, &opts.parts) < 0) {
        cli_usage(ctx, "--only: \"%s\" is not a list of: mq, bus1, uring", args->only);
        return RUN_FAILED;
    }
    opts.required = args->only ? opts.parts : opts.bus ? RUN_BUS1 : 0;
    native = run_parts_native(opts.parts, opts.mq_syscall);
    if (opts.bus)
        native &= ~(unsigned int)RUN_BUS1;
    if (native && args->verbose)
        cli_note(ctx, "left to the kernel, which has it:%s%s%s%s%s",
                 native & RUN_MQ_SYSCALL ? " mq_timedreceive2" : "",
                 native & RUN_MQ_FCNTL ? " F_MQ_PEEK" : "",
                 native & RUN_MQ_IOCTL ? " MQ_IOC_BULK_PEEK" : "",
                 native & RUN_BUS1 ? " /dev/bus1" : "",
                 native & RUN_URING ? " io_uring channels" : "");
    opts.parts &= ~native;
    if (opts.parts)
        r = run_command(&opts, ctx->operands, &status, &e);
    else
        r = become(ctx->operands);
    if (r == 0)
        return end_as(status);
    if (!opts.parts)
        err_set(&e, r, NULL, "%s: %s", ctx->operands[0], err_text(NULL, r));
    cli_fail(ctx, r, &e, "cannot run the command");
    if (r == -ENOENT)
        return RUN_NOT_FOUND;
    return r == -EACCES || r == -ENOEXEC ? RUN_CANNOT : RUN_FAILED;
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
        "them. What the kernel has by itself is left to it.\n"
        "\n"
        "mq: mq_timedreceive2(), fcntl F_MQ_PEEK and ioctl MQ_IOC_BULK_PEEK. Each is answered by a "
        "real peek through the caller's own descriptor; nothing is consumed.\n"
        "\n"
        "bus1: the device /dev/bus1 with its four ioctls. All programs of one run share a bus, or "
        "the one that --bus names. The device can be opened, by whatever path; stat() and a "
        "listing "
        "of /dev do not show it, and read() and write() on it do not fail as they should.\n"
        "\n"
        "uring: io_uring IPC channels, on the program's own rings. What is submitted to them is "
        "done, "
        "or replaced by what this kernel has, at the moment when it is submitted.\n"
        "\n"
        "A seccomp filter traps these calls, and only these (with bus1 every open, since a filter "
        "cannot see paths); ipcbox answers them. A trapped call costs some 20 microseconds. "
        "Set-user-ID programs run without their privilege, a stricter filter of a container wins, "
        "and a process can have one supervisor: inside run, run leaves to the outer one what that "
        "answers. 32-bit programs are killed with a message. When CMD ends, what it left behind "
        "gets ENOSYS for these calls.\n"
        "\n"
        "Without MQ_PEEK mq_timedreceive2() consumes, as proposed. While it waits in an empty "
        "queue, a signal ends the wait within some 20 ms.\n"
        "\n"
        "The peek needs what mqpeek needs (ipcbox doctor tells); without it --only bus1 still "
        "works. The exit status is CMD's; 125: "
        "ipcbox failed, 126: CMD could not be run, 127: it was not found.",
    .opts = run_cli_opts,
    .args_size = sizeof(struct run_args),
    .flags = CLI_COMMAND | CLI_OWN_OUTPUT,
    .run = run_run,
};
