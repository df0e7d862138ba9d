/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* b1ctl monitor: every ioctl of bus1 as it happens. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "b1ctl_verbs.h"
#include "bus_messages.h"
#include "bus_monitor.h"
#include "bus_pick.h"
#include "cleanup.h"
#include "cli_stream.h"
#include "command.h"
#include "monitor_show.h"
#include "privileges.h"
#include "served_bus.h"
#include "timefmt.h"

enum {
    TERMINAL_CAPTURE = 4096,      /* bytes of a message: no terminal shows more in a line */
    SETTLE_NS = 40 * 1000 * 1000, /* calls are told that much later than messages */
    PRIORITY = -10, /* a reader that waits for a processor behind those it follows loses events */
};

struct monitor_args {
    int32_t pid;
    const char *device;
    uint64_t count;
    uint64_t timeout;
    uint64_t max_bytes;
};

static const struct monitor_args monitor_defaults = {.max_bytes = UINT64_MAX};

static const struct cli_opt monitor_opts[] = {
    CLI_PID(struct monitor_args, pid, 0, "pid", "PID", "only calls of this process, until it ends"),
    CLI_STR(struct monitor_args, device, 0, "device", "FILE",
            "only this bus: /dev/bus1, or what b1ctl serve made", .complete = CLI_COMPLETE_FILE),
    CLI_U64(struct monitor_args, count, 'N', "count", "COUNT",
            "end after COUNT messages sent or received", .min = 1, .max = UINT64_MAX),
    CLI_SPAN(struct monitor_args, timeout, 0, "timeout", "SEC",
             "end after so long; with status 1 when -N has not been reached"),
    CLI_SIZE(struct monitor_args, max_bytes, 'm', "max-bytes", "BYTES",
             "cut each message's content; 0: none at all"),
    CLI_END,
};

/* A bus whose name was looked up. */
struct known_bus {
    struct known_bus *next;
    uint64_t dev;
    char *name;
};

struct monitor {
    struct cli_ctx *ctx;
    const struct monitor_args *args;
    struct b1_monitor *reader;
    struct b1_messages *view;
    uint64_t view_time; /* all that happened before was read */
    struct traced command;
    struct known_bus *buses;
    int pidfd; /* of --pid */
    struct cli_stream stream;
};

/* ---- names of buses ---- */

struct find_bus {
    uint64_t dev;
    char *name;
};

static int is_bus(void *ctx, const struct b1_mount *m)
{
    struct find_bus *f = ctx;

    if (m->dev != f->dev)
        return 0;
    f->name = strdup(m->dir);
    return f->name ? 1 : -ENOMEM;
}

/* NULL for one that is not mounted here, or when memory is out. */
static const char *bus_name(struct monitor *m, const struct b1_monitor_file *file)
{
    struct find_bus f = {.dev = file->dev};
    struct known_bus *b = m->buses;

    if (file->is_device)
        return BUS1_DEVICE_PATH;
    while (b && b->dev != file->dev)
        b = b->next;
    if (b)
        return b->name;
    (void)b1_mounts_visit(is_bus, &f); /* then it has no name */
    b = calloc(1, sizeof(*b));
    if (!b) {
        free(f.name);
        return NULL;
    }
    *b = (struct known_bus){m->buses, file->dev, f.name};
    m->buses = b;
    return b->name;
}

static void forget_buses(struct monitor *m)
{
    while (m->buses) {
        struct known_bus *b = m->buses;

        m->buses = b->next;
        free(b->name);
        free(b);
    }
}

/* ---- events ---- */

static int read_view(struct monitor *m)
{
    m->view_time = timefmt_now(CLOCK_REALTIME);
    return b1_messages_read(m->view);
}

static int on_event(const struct b1_monitor_event *ev, void *ctx)
{
    struct monitor *m = ctx;
    int r = b1_messages_peer(m->view, ev->file.dev, ev->file.ino);

    if (r == 0 && ev->ended && ev->time + ev->duration > m->view_time)
        r = read_view(m);

    m->stream.seen++;
    if (r < 0)
        return r;
    /* The messages that a call caused are shown before it. */
    if (ev->ended)
        m->stream.seen += b1_messages_show(m->view, ev->time + ev->duration);
    if (ev->lost) {
        monitor_show_lost(m->ctx, ev->time, ev->lost, NULL);
    } else {
        monitor_show_call(m->ctx, ev, bus_name(m, &ev->file));
        m->stream.done += (ev->cmd == BUS1_CMD_SEND || ev->cmd == BUS1_CMD_RECV) && ev->ended &&
                          !ev->died && ev->result >= 0;
    }
    return cli_stream_is_done(&m->stream) || out_error(m->ctx->out) < 0;
}

/* ---- the stream ---- */

enum { SOURCE_CALLS, SOURCE_MESSAGES, SOURCE_MOUNTS, SOURCE_PROCESS, SOURCES };

static size_t sources(void *verb, struct pollfd *p)
{
    const struct monitor *m = verb;
    int pidfd = m->pidfd >= 0 ? m->pidfd : m->command.pidfd;

    p[SOURCE_CALLS] = (struct pollfd){.fd = b1_monitor_fd(m->reader), .events = POLLIN};
    p[SOURCE_MESSAGES] = (struct pollfd){.fd = b1_messages_fd(m->view), .events = POLLIN};
    p[SOURCE_MOUNTS] = (struct pollfd){.fd = b1_messages_mounts_fd(m->view), .events = POLLPRI};
    p[SOURCE_PROCESS] = (struct pollfd){.fd = pidfd, .events = POLLIN};
    return SOURCES;
}

static int read_all(void *verb, const struct pollfd *p, struct err *e)
{
    struct monitor *m = verb;
    int r = p && p[SOURCE_MOUNTS].revents ? b1_messages_look(m->view) : 0;

    m->stream.ended |= p && p[SOURCE_PROCESS].revents;
    if (r == 0)
        r = read_view(m);
    if (r == 0)
        r = b1_monitor_read(m->reader, on_event, m, NULL, e);
    if (r == 0)
        m->stream.seen += b1_messages_show(m->view, timefmt_now(CLOCK_REALTIME) - SETTLE_NS);
    out_flush(m->ctx->out);
    return r;
}

static void stop(void *verb)
{
    const struct monitor *m = verb;

    b1_monitor_stop(m->reader);
}

static int finish(void *verb, struct err *e _unused_)
{
    struct monitor *m = verb;

    b1_messages_show(m->view, UINT64_MAX);
    return b1_monitor_unfinished(m->reader, on_event, m);
}

static const struct cli_stream_ops monitor_ops = {
    .sources = sources,
    .read = read_all,
    .stop = stop,
    .finish = finish,
};

/* ---- beginning and end ---- */

/* Says how the RFC's kernel code behaves when the bus that is watched is of that kind. */
static void warn_of_rfc(struct monitor *m)
{
    struct b1_device dev;
    const char *path = m->args->device ? m->args->device : BUS1_DEVICE_PATH;
    bool single = false;

    b1_device_file(&dev, path);
    if (b1_probe(&dev, &single) == 0 && single) /* there may be none */
        cli_note(m->ctx, "%s: %s", path, BUS_RFC_NOTE);
}

static uint64_t capture(const struct monitor *m)
{
    if (m->args->max_bytes != UINT64_MAX)
        return m->args->max_bytes;
    if (out_get_mode(m->ctx->out) == OUT_MODE_TABLE && isatty(STDOUT_FILENO))
        return TERMINAL_CAPTURE;
    return UINT64_MAX;
}

/* The device number by which the calls on --device are told. */
static int device_number(struct monitor *m, uint64_t *dev)
{
    struct stat st;

    *dev = 0;
    if (!m->args->device)
        return CLI_OK;
    if (stat(m->args->device, &st) < 0)
        return cli_fail(m->ctx, -errno, NULL, "%s", m->args->device);
    *dev = S_ISCHR(st.st_mode) ? st.st_rdev : st.st_dev;
    return CLI_OK;
}

static int watch_pid(struct monitor *m)
{
    if (!m->args->pid)
        return CLI_OK;
    m->pidfd = (int)syscall(SYS_pidfd_open, m->args->pid, 0);
    if (m->pidfd < 0 || kill(m->args->pid, 0) < 0)
        return cli_fail(m->ctx, -errno, NULL, "process %d", m->args->pid);
    return CLI_OK;
}

/* The command waits in a process of its own, with all it may have: what is left is to watch and end
 * it. */
static int keep_privileges(void)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    return privileges_keep(PRIVILEGES_LOOK | PRIVILEGE(CAP_KILL), 0);
}

static void show_message(void *ctx, const struct b1_delivery *m)
{
    monitor_show_message(ctx, m);
}

static void show_lost(void *ctx, uint64_t time, uint64_t count, const char *bus)
{
    monitor_show_lost(ctx, time, count, bus);
}

static int begin(struct monitor *m)
{
    struct b1_monitor_opts opts = {
        .pid = m->args->pid,
        .command = m->ctx->n_operands > 0,
        .capture = capture(m),
    };
    struct b1_messages_opts messages = {.message = show_message, .lost = show_lost, .ctx = m->ctx};
    struct err e = ERR_INIT;
    int r = device_number(m, &opts.dev);

    if (r == CLI_OK)
        r = watch_pid(m);
    if (r != CLI_OK)
        return r;
    warn_of_rfc(m);
    messages.dev = opts.dev;
    messages.some = opts.pid || opts.command;
    r = b1_messages_new(&messages, &m->view);
    if (r < 0)
        return cli_fail(m->ctx, r, NULL, "cannot look for buses");
    if (opts.command)
        r = traced_fork(&m->command, m->ctx->operands);
    if (r == 0)
        r = b1_monitor_new(&opts, &m->reader, &e);
    if (r == 0 && opts.command)
        r = b1_monitor_add(m->reader, m->command.pid, &e);
    if (r < 0)
        return cli_fail(m->ctx, r, &e, "cannot monitor");
    (void)setpriority(PRIO_PROCESS, 0, PRIORITY); /* where permitted */
    r = cli_stream_begin(&m->stream);
    if (r == 0)
        r = b1_monitor_start(m->reader, &e);
    if (r == 0)
        r = keep_privileges();
    if (r < 0)
        return cli_fail(m->ctx, r, &e, "cannot monitor");
    r = opts.command ? traced_go(&m->command) : 0;
    return r < 0 ? cli_fail(m->ctx, r, NULL, "%s", m->ctx->operands[0]) : CLI_OK;
}

/* The exit status that follows from the command's, if there was one. */
static int command_status(struct monitor *m)
{
    int status;

    if (!m->ctx->n_operands)
        return CLI_OK;
    if (!traced_ended(&m->command, &status)) {
        if (cli_interrupted())
            kill(m->command.pid, SIGTERM);
        return CLI_OK;
    }
    if (WIFSIGNALED(status))
        cli_note(m->ctx, "%s was ended by signal %d", m->ctx->operands[0], WTERMSIG(status));
    else if (WEXITSTATUS(status))
        cli_note(m->ctx, "%s ended with status %d", m->ctx->operands[0], WEXITSTATUS(status));
    return status ? CLI_FAILED : CLI_OK;
}

static int monitor_status(struct monitor *m)
{
    struct b1_monitor_totals t;

    b1_monitor_totals(m->reader, &t);
    cli_note(m->ctx, "%llu calls, %llu lost, %.1f seconds", (unsigned long long)t.calls,
             (unsigned long long)t.lost, (double)t.span / (double)NSEC_PER_SEC);
    if (!t.calls && !t.lost && m->ctx->n_operands)
        cli_note(m->ctx, "the command made no call on a bus1: where there is no " BUS1_DEVICE_PATH
                         ", b1ctl itself uses a bus inside its own process, which needs no calls; "
                         "b1ctl serve makes a bus that can be watched");
    return MAX(cli_stream_status(&m->stream),
               t.lost || b1_messages_lost(m->view) ? CLI_FAILED : CLI_OK);
}

static int monitor_run(struct cli_ctx *ctx, const void *argp)
{
    const struct monitor_args *args = argp;
    struct monitor m = {.ctx = ctx, .args = args, .command = TRACED_INIT, .pidfd = -1};
    struct err e = ERR_INIT;
    int r, status;

    m.stream = (struct cli_stream){
        .ctx = ctx,
        .ops = &monitor_ops,
        .verb = &m,
        .what = "messages",
        .timeout = args->timeout ? args->timeout : CLI_FOREVER,
        .period = NSEC_PER_SEC,
        .wanted = args->count,
    };
    if (args->pid && ctx->n_operands)
        return cli_usage(ctx, "--pid and a command exclude each other");
    status = begin(&m);
    if (status == CLI_OK) {
        out_list_begin(ctx->out, "events", monitor_cols, OUT_RECORDS | OUT_STREAM | OUT_BATCH);
        r = cli_stream_run(&m.stream, &e);
        out_list_end(ctx->out);
        status = command_status(&m);
        status = MAX(status, monitor_status(&m));
        if (r < 0)
            status = cli_fail(ctx, r, &e, "cannot go on");
    }
    b1_monitor_free(m.reader);
    b1_messages_free(m.view);
    traced_done(&m.command);
    closep(&m.pidfd);
    forget_buses(&m);
    return status;
}

static const struct cli_example monitor_examples[] = {
    {"b1ctl monitor", "what every process does on any bus"},
    {"b1ctl monitor -- ./client", "what a program does, and what it starts"},
    {"b1ctl monitor -J --pid 4711 | jq -c 'select(.error)'",
     "the calls of a process that fail, as JSON Lines"},
    {NULL, NULL},
};

const struct cli_verb b1ctl_monitor_verb = {
    .name = "monitor",
    .operands = "[-- CMD…]",
    .max_operands = SIZE_MAX,
    .complete = CLI_COMPLETE_COMMAND,
    .summary = "every bus1 ioctl with its contents, as it happens",
    .description =
        "Shows each ioctl on a bus1 peer when it ends, of the kernel's device and of what b1ctl "
        "serve made: what was passed and what came back, until Ctrl-C, -N, --timeout, or the end "
        "of the process or command that is watched. Nobody is stopped; 32-bit programs are seen "
        "too. With CMD only it and what "
        "it starts are watched; if it fails the exit status is 1.\n"
        "\n"
        "Of a bus of b1ctl serve, root and the server's user also see what that says itself: which "
        "message went from which peer to which (message), notifications too.\n"
        "\n"
        "What could not be recorded is counted and shown as an event of its own, lost; then the "
        "exit status is 1. The totals are on standard error at the end. A call under way at the "
        "end is shown as unfinished, one in which its thread ended (as in a crash of the kernel's "
        "code) as died.\n"
        "\n"
        "It needs BPF, and makes every system call of the machine slower by a fraction of a "
        "microsecond. Root sees all processes. With file capabilities (setcap "
        "cap_bpf,cap_perfmon+ep) other users see those that they could trace: of the same user "
        "and group, not set-user-ID, without privilege.",
    .examples = monitor_examples,
    .opts = monitor_opts,
    .args_size = sizeof(struct monitor_args),
    .defaults = &monitor_defaults,
    .cols = monitor_cols,
    .more_cols = monitor_tables,
    .flags = CLI_STREAM | CLI_COMMAND | CLI_EXECS,
    .run = monitor_run,
};
