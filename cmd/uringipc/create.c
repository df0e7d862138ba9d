/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * uringipc create: makes a channel and keeps it.
 *
 * A kernel channel needs a process that keeps it; an embedded one does not. In the foreground, and
 * with a pid file, either kind is kept by a process, and ends with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "parse.h"
#include "pidfile.h"
#include "signals.h"
#include "ucmd.h"

struct create_args {
    const char *key;
    bool broadcast;
    bool multicast;
    uint32_t entries;
    uint64_t size;
    uint32_t mode;
    bool detach;
    const char *pid_file;
};

static const struct create_args create_defaults = {
    .entries = 256,
    .size = 4096,
    .mode = 0600,
};

static const struct cli_opt create_opts[] = {
    CLI_STR(struct create_args, key, 'k', "key", "KEY",
            "a name, or 0x… for a number, to find it by"),
    CLI_FLAG(struct create_args, broadcast, 0, "broadcast", "every receiver gets every message"),
    CLI_FLAG(struct create_args, multicast, 0, "multicast", "receivers compete for the messages"),
    CLI_U32(struct create_args, entries, 'n', "entries", "N",
            "messages that it holds, a power of two (256)", .min = 1, .max = URING_IPC_ENTRIES_MAX),
    CLI_SIZE(struct create_args, size, 's', "size", "BYTES", "longest message (4096)", .min = 1,
             .max = URING_IPC_MSG_SIZE_MAX),
    CLI_MODE(struct create_args, mode, 'm', "mode", "MODE",
             "who may receive (r) and send (rw), in octal (0600)"),
    CLI_FLAG(struct create_args, detach, 'd', "detach", "return at once; it stays until destroyed"),
    CLI_STR(struct create_args, pid_file, 'p', "pid-file", "FILE",
            "write there the process that keeps it; the channel and FILE go with that",
            .complete = CLI_COMPLETE_FILE),
    CLI_END,
};

struct create_row {
    uint64_t id;
    const char *backend;
    int32_t pid;
};

static const struct out_col create_cols[] = {
    OUT_U64(struct create_row, id, "id", "its number", .flags = OUT_JSON),
    OUT_STR(struct create_row, backend, "backend", "who provides it", .flags = OUT_JSON),
    OUT_I32(struct create_row, pid, "pid", "the process that keeps it; null when it needs none",
            .flags = OUT_JSON),
    OUT_END,
};

static int read_conf(struct cli_ctx *ctx, const struct create_args *args, struct chan_conf *conf)
{
    struct err e = ERR_INIT;
    int r;

    if (args->broadcast && args->multicast)
        return cli_usage(ctx, "--broadcast and --multicast exclude each other");
    *conf = (struct chan_conf){
        .delivery = args->broadcast   ? CHAN_BROADCAST
                    : args->multicast ? CHAN_MULTICAST
                                      : CHAN_UNICAST,
        .entries = args->entries,
        .max_msg = (uint32_t)args->size,
        .mode = args->mode,
    };
    if (!args->key)
        return CLI_OK;
    if (strncmp(args->key, "0x", 2) == 0) {
        if (parse_u64(args->key, &conf->key) < 0 || !conf->key)
            return cli_usage(ctx, "--key: 0x needs 1 to 16 digits, not all zero");
    } else {
        struct uipc_ref ref;

        r = uipc_ref_parse(args->key, &ref, &e);
        if (r < 0 || !ref.key)
            return cli_usage(ctx, "--key: a name has 1 to %d bytes, is no number and no pid:…",
                             CHAN_NAME_MAX);
        conf->key = ref.key;
        conf->name = args->key;
    }
    return CLI_OK;
}

static int report(struct cli_ctx *ctx, uint32_t id, const char *backend, pid_t keeper)
{
    struct create_row row = {id, backend, keeper ? keeper : OUT_UNKNOWN_I32};

    out_fields(ctx->out, create_cols, &row);
    out_text(ctx->out, "%u", id);
    out_flush(ctx->out);
    return out_error(ctx->out);
}

/**
 * struct kept - a channel, and what ends with the process that keeps it
 * @keep: the channel
 * @file: its pid file, or NULL
 * @id: its id
 */
struct kept {
    struct uipc_keep *keep;
    struct pidfile *file;
    uint32_t id;
};

static int kept_make(struct kept *k, const struct uipc_ops *ops, const struct chan_conf *conf,
                     const char *pid_file, struct err *e)
{
    int r = pid_file ? pidfile_write(pid_file, &k->file, e) : 0;

    if (r == 0)
        r = uipc_create(ops, ucmd_dir(), conf, &k->keep, &k->id, e);
    if (r < 0)
        pidfile_remove(TAKE_PTR(k->file));
    return r;
}

static void kept_end(struct kept *k)
{
    uipc_keep_release(k->keep);
    pidfile_remove(k->file);
}

/* Until one of the signals comes: 0; or the channel has been ended from elsewhere: -EIDRM. */
static int kept_wait(const struct kept *k, const sigset_t *set, struct err *e)
{
    const struct timespec look = {.tv_nsec = 500000000};
    int r = 0;

    while (r == 0 && sigtimedwait(set, NULL, &look) < 0)
        r = uipc_keep_check(k->keep, e);
    return r;
}

/* What the process that keeps a channel reports to the one that started it. */
struct keeper_report {
    int r;
    uint32_t id;
    struct err e;
};

/* Runs in the child: makes the channel, tells about it, keeps it until told to end. */
static _noreturn_ void keeper(const struct uipc_ops *ops, const struct chan_conf *conf,
                              const char *pid_file, int tell)
{
    struct keeper_report rep = {0};
    struct kept kept = {0};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    sigset_t set;

    signals_hold(&set, NULL);
    setsid();
    rep.r = kept_make(&kept, ops, conf, pid_file, &rep.e);
    rep.id = kept.id;
    if (rep.r == 0 && chdir("/") < 0)
        rep.r = -errno;
    /* A process that reads our output must see it end. */
    for (int fd = 0; fd <= 2 && null >= 0; fd++)
        dup2(null, fd);
    if (write(tell, &rep, sizeof(rep)) != (ssize_t)sizeof(rep) || rep.r < 0) {
        kept_end(&kept);
        _exit(1);
    }
    close(tell);
    (void)kept_wait(&kept, &set, NULL); /* either way it ends here */
    kept_end(&kept);
    _exit(0);
}

static int start_keeper(struct cli_ctx *ctx, const struct uipc_ops *ops,
                        const struct chan_conf *conf, const char *pid_file)
{
    struct keeper_report rep = {.r = -EPIPE};
    int fds[2];
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return cli_fail(ctx, -errno, NULL, "cannot start the process that keeps the channel");
    pid = fork();
    if (pid == 0) {
        close(fds[0]);
        keeper(ops, conf, pid_file, fds[1]);
    }
    close(fds[1]);
    if (pid < 0)
        rep.r = -errno;
    else if (read(fds[0], &rep, sizeof(rep)) != (ssize_t)sizeof(rep))
        rep.r = -EPIPE;
    close(fds[0]);
    if (rep.r < 0)
        return cli_fail(ctx, rep.r, &rep.e, "cannot create a channel");
    if (report(ctx, rep.id, ops->name, pid) < 0)
        kill(pid, SIGTERM); /* the id could not be written, so nobody could use the channel */
    return CLI_OK;
}

/* Keeps it in this process. */
static int keep_here(struct cli_ctx *ctx, const struct uipc_ops *ops, const struct chan_conf *conf,
                     const char *pid_file)
{
    struct kept kept = {0};
    struct err e = ERR_INIT;
    int status = CLI_OK;
    sigset_t set;
    int r;

    signals_hold(&set, NULL);
    r = kept_make(&kept, ops, conf, pid_file, &e);
    if (r < 0)
        return cli_fail(ctx, r, &e, "cannot create a channel");
    if (report(ctx, kept.id, ops->name, getpid()) == 0)
        r = kept_wait(&kept, &set, &e);
    if (r < 0 && ops == &uipc_kernel_ops)
        status = cli_fail(ctx, r, &e, "channel %u", kept.id);
    else if (r < 0)
        cli_note(ctx, "channel %u: %s", kept.id, err_text(&e, r)); /* only its owner could */
    kept_end(&kept);
    return status;
}

/* An embedded channel needs no process. */
static int leave_alone(struct cli_ctx *ctx, const struct uipc_ops *ops,
                       const struct chan_conf *conf)
{
    struct kept kept = {0};
    struct err e = ERR_INIT;
    int r = kept_make(&kept, ops, conf, NULL, &e);

    if (r < 0)
        return cli_fail(ctx, r, &e, "cannot create a channel");
    if (report(ctx, kept.id, ops->name, 0) < 0)
        kept_end(&kept); /* the id could not be written, so nobody could use the channel */
    else
        uipc_keep_leave(kept.keep);
    return CLI_OK;
}

static int create_run(struct cli_ctx *ctx, const void *argp)
{
    const struct create_args *args = argp;
    struct uipc_providers providers;
    const struct uipc_ops *ops;
    struct chan_conf conf;
    int r = read_conf(ctx, args, &conf);

    if (r == CLI_OK)
        r = ucmd_select(ctx, &providers);
    if (r != CLI_OK)
        return r;
    ucmd_tell_embedded(ctx, &providers);
    ops = providers.first;
    if (!args->detach)
        return keep_here(ctx, ops, &conf, args->pid_file);
    if (ops == &uipc_kernel_ops || args->pid_file)
        return start_keeper(ctx, ops, &conf, args->pid_file);
    return leave_alone(ctx, ops, &conf);
}

static const struct cli_example create_examples[] = {
    {"uringipc create --detach --key jobs", "a channel called jobs, until it is destroyed"},
    {"uringipc create -d -k jobs --pid-file /run/jobs.pid", "kill $(cat /run/jobs.pid) ends it"},
    {"id=$(uringipc create -d --broadcast --mode 0644)", "all may receive, only you may send"},
    {"uringipc create --multicast --entries 1024 --size 64K", "until interrupted"},
    {NULL, NULL},
};

const struct cli_verb uringipc_create_verb = {
    .name = "create",
    .summary = "make a channel, print its id, keep it",
    .description =
        "Without --broadcast and --multicast the channel is unicast: it is meant for one receiver, "
        "and messages that are sent before it comes wait for it.\n"
        "\n"
        "A full channel makes senders wait. In a broadcast channel without receivers the oldest "
        "messages are overwritten instead; a receiver that comes later gets those that are still "
        "there.\n"
        "\n"
        "A name becomes a key by FNV-1a (64 bits). Keys need not be unique: the newest channel is "
        "found, one's own first, then root's, then those of others.\n"
        "\n"
        "In the foreground the channel ends with the command: interrupt it. With --detach an "
        "embedded channel stays without any process, until uringipc destroy. A kernel channel is "
        "kept by a process in the background, which uringipc destroy ends. With --pid-file both "
        "are kept by a process, whose number is in FILE as long as it lives: kill it, or use "
        "destroy, and the channel and FILE are gone.",
    .examples = create_examples,
    .opts = create_opts,
    .args_size = sizeof(struct create_args),
    .defaults = &create_defaults,
    .cols = create_cols,
    .run = create_run,
};
