/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* b1ctl serve: the embedded bus as a file. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#ifdef IPCBOX_HAVE_FUSE
#include "bus_serve.h"
#endif
#include "b1ctl_verbs.h"
#include "buf.h"
#include "bus.h"
#include "bus1_abi.h"
#include "cleanup.h"
#include "signals.h"

struct serve_args {
    struct b1_limits limits;
};

static const struct serve_args defaults = {.limits = B1_LIMITS_DEFAULT};

#define LIMIT(field, name, what) CLI_U64(struct serve_args, limits.field, 0, name, "N", what)

static const struct cli_opt serve_opts[] = {
    LIMIT(peers, "max-peers", "open peers of a user"),
    LIMIT(nodes, "max-nodes", "nodes of a user"),
    LIMIT(handles, "max-handles", "handles of a user"),
    LIMIT(messages, "max-messages", "waiting messages that a user sent"),
    CLI_SIZE(struct serve_args, limits.bytes, 0, "max-bytes", "BYTES",
             "memory of waiting messages that a user sent"),
    CLI_SIZE(struct serve_args, limits.message_bytes, 0, "max-message", "BYTES",
             "data of one message", .min = 0, .max = 1 << 30),
    CLI_END,
};

#ifdef IPCBOX_HAVE_FUSE

static void serve_note(void *argp, const char *text)
{
    cli_note(argp, "%s", text);
}

/* The default path: the one where clients look, or for a user the runtime directory. */
static int default_path(struct buf *b)
{
    const char *dir = getenv("XDG_RUNTIME_DIR");

    if (geteuid() == 0)
        buf_add_str(b, BUS1_DEVICE_PATH);
    else if (dir && *dir == '/')
        buf_printf(b, "%s/bus1", dir);
    else
        return -ENOENT;
    return buf_error(b);
}

static int serve_run(struct cli_ctx *ctx, const void *argp)
{
    const struct serve_args *args = argp;
    _cleanup_(buf_done) struct buf path = BUF_INIT;
    struct b1_serve_config cfg = {
        .limits = args->limits,
        .all_users = geteuid() == 0,
        .note = serve_note,
        .ctx = ctx,
    };
    struct err e = ERR_INIT;
    struct b1_serve *s;
    sigset_t held;
    int r;
    _cleanup_(closep) int stop = -1;

    if (ctx->n_operands)
        buf_add_str(&path, ctx->operands[0]);
    else if (default_path(&path) < 0)
        return cli_usage(ctx, "there is no XDG_RUNTIME_DIR: say which PATH to serve");
    cfg.path = buf_str(&path);
    signals_hold(&held, NULL);
    stop = signalfd(-1, &held, SFD_CLOEXEC);
    if (stop < 0)
        return cli_fail(ctx, -errno, NULL, "cannot wait for signals");
    r = b1_serve_open(&cfg, &s, &e);
    if (r < 0)
        return cli_fail(ctx, r, &e, "%s: cannot serve a bus", cfg.path);
    cli_note(ctx, "serving a bus on %s", cfg.path);
    r = b1_serve_run(s, stop);
    b1_serve_close(s);
    return r < 0 ? cli_fail(ctx, r, NULL, "%s: cannot serve a bus", cfg.path) : 0;
}

#else

static int serve_run(struct cli_ctx *ctx, const void *argp _unused_)
{
    struct err e = ERR_INIT;
    int r = err_set(&e, -EOPNOTSUPP, "build it with -DIPCBOX_FUSE=ON",
                    "this build is without FUSE");

    return cli_fail(ctx, r, &e, "cannot serve a bus");
}

#endif

const struct cli_verb b1ctl_serve_verb = {
    .name = "serve",
    .operands = "[PATH]",
    .max_operands = 1,
    .complete = CLI_COMPLETE_FILE,
    .summary = "a bus that any process can open, for kernels without one",
    .description =
        "Makes PATH, on which open(2) and the ioctls of bus1 work as on the kernel's device, until "
        "it is told to stop (SIGTERM, SIGINT, SIGHUP); clients that are left then get ENOTCONN. "
        "The directory of PATH must exist, PATH must not. Default: /dev/bus1 for root, else "
        "$XDG_RUNTIME_DIR/bus1.\n"
        "\n"
        "PATH is a symbolic link into a FUSE mount beside it, PATH.d, which also holds the file "
        "debug: who has what, as lines of text; and, for root and the server's user, traffic and "
        "record: what happens, as it does (b1ctl monitor, b1ctl dump). Root serves all users, "
        "others "
        "only themselves. "
        "The server reads and writes the memory of its clients: it must have their user, or "
        "CAP_SYS_PTRACE. A file that is open cannot be opened again through /proc/PID/fd "
        "(ESTALE). 32-bit clients get ENOTTY.",
    .examples =
        (const struct cli_example[]){
            {"b1ctl serve /tmp/bus & b1ctl shell --device /tmp/bus", "try it"},
            {NULL, NULL},
        },
    .opts = serve_opts,
    .args_size = sizeof(struct serve_args),
    .defaults = &defaults,
    .flags = CLI_OWN_OUTPUT | CLI_EXECS, /* fusermount3, for a user */
    .run = serve_run,
};
