/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqdump criu: checkpoints, by CRIU, of processes with message queues. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "cleanup.h"
#include "fileio.h"
#include "mqdump_verbs.h"
#include "msgdump_criu.h"
#include "parse.h"
#include "qcmd.h"

struct criu_args {
    struct qcmd_common common;
    const char *dir;
    const char *program;
    const char *mount;
    bool replace;
};

static const struct criu_args criu_defaults = {
    .common = {.max_snapshot = 64 * 1024 * 1024},
    .dir = ".",
    .program = "criu",
};

static const struct cli_opt criu_opts[] = {
    CLI_STR(struct criu_args, dir, 'D', "images-dir", "DIR",
            "restore: where the images are (the current directory)", .complete = CLI_COMPLETE_DIR),
    CLI_FLAG(struct criu_args, replace, 0, "replace",
             "restore: save queues that exist and differ, and make them anew"),
    CLI_STR(struct criu_args, program, 0, "criu", "PROGRAM", "restore: what to run (criu)",
            .complete = CLI_COMPLETE_FILE),
    CLI_STR(struct criu_args, mount, 0, "mount", "KEY",
            "restore: mount the queues of the tree's namespace where criu dump had mnt[PATH]:KEY"),
    CLI_END,
};

static struct msgq_peek_opts peek_opts(const struct cli_ctx *ctx, const struct criu_args *args)
{
    return (struct msgq_peek_opts){
        .backend = ctx->backend,
        .max_snapshot = args->common.max_snapshot,
        .mq_syscall = (long)args->common.mq_syscall,
    };
}

static int finish_output(struct cli_ctx *ctx)
{
    if (fflush(stdout) == 0 || errno == EPIPE)
        return CLI_OK;
    return cli_fail(ctx, -errno, NULL, "cannot write");
}

/* ---- args ---- */

static int run_args(struct cli_ctx *ctx)
{
    struct msgdump_tree tree;
    struct err e = ERR_INIT;
    uint64_t pid;
    int r;

    if (ctx->n_operands != 2 || parse_u64_max(ctx->operands[1], INT32_MAX, &pid) < 0 || !pid)
        return cli_usage(ctx, "criu args needs PID");
    r = msgdump_tree_read((pid_t)pid, &tree, &e);
    if (r < 0)
        return cli_fail(ctx, r, &e, "process %" PRIu64, pid);
    for (size_t i = 0; i < tree.n; i++)
        printf("--external file[%" PRIx64 ":%" PRIx64 "]\n", tree.files[i].mnt_id,
               tree.files[i].ino);
    msgdump_tree_done(&tree);
    return finish_output(ctx);
}

/* ---- action ---- */

static void tell_notify(void *ctxp, const char *queue, pid_t pid)
{
    cli_note(ctxp, "%s: the notification that process %d has registered is lost by a restore",
             queue, (int)pid);
}

static int save_tree(struct cli_ctx *ctx, const struct criu_args *args, pid_t pid, const char *path)
{
    _cleanup_(msgdump_tree_done) struct msgdump_tree tree = {0};
    _cleanup_(file_out_closep) struct file_out *out = NULL;
    const struct msgq_peek_opts opts = peek_opts(ctx, args);
    struct err e = ERR_INIT;
    int r = msgdump_tree_read(pid, &tree, &e);

    qcmd_tell_journals(ctx, NULL);
    if (r == 0)
        r = file_out_open(path, 0600, &out);
    if (r == 0)
        r = msgdump_tree_save(&tree, &opts, ctx->applet->name, file_out_stream(out), tell_notify,
                              ctx, &e);
    if (r == 0)
        r = file_out_commit(out);
    return r < 0 ? cli_fail(ctx, r, &e, "the queues of process %d cannot be saved", (int)pid)
                 : CLI_OK;
}

static int run_action(struct cli_ctx *ctx, const struct criu_args *args)
{
    const char *action = getenv("CRTOOLS_SCRIPT_ACTION");
    const char *dir = getenv("CRTOOLS_IMAGE_DIR"), *pid = getenv("CRTOOLS_INIT_PID");
    char path[4096];
    uint64_t root;

    if (!action)
        return cli_usage(ctx, "criu action is for criu --action-script");
    if (strcmp(action, "post-dump") != 0)
        return CLI_OK;
    if (!dir || !pid || parse_u64_max(pid, INT32_MAX, &root) < 0 || !root)
        return cli_fail_status(ctx, CLI_FAILED, "criu tells neither images nor process");
    if (snprintf(path, sizeof(path), "%s/" MSGDUMP_CRIU_FILE, dir) >= (int)sizeof(path))
        return cli_fail(ctx, -ENAMETOOLONG, NULL, "%s", dir);
    return save_tree(ctx, args, (pid_t)root, path);
}

/* ---- script ---- */

static int run_script(struct cli_ctx *ctx)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (n < 0)
        return cli_fail(ctx, -errno, NULL, "/proc/self/exe");
    self[n] = '\0';
    fputs("#!/bin/sh\nexec '", stdout);
    for (const char *p = self; *p; p++)
        *p == '\'' ? fputs("'\\''", stdout) : fputc(*p, stdout);
    /* A copy or hard link that is called as the applet takes no applet's name. */
    printf("'%s criu action\n", strcmp(basename(self), ctx->applet->name) == 0 ? "" : " mqdump");
    return finish_output(ctx);
}

/* ---- restore ---- */

struct launch {
    char **argv;
    size_t n;
    int error;
};

static void add_arg(struct launch *l, const char *fmt, ...) _printf_(2, 3);

static void add_arg(struct launch *l, const char *fmt, ...)
{
    char **argv = reallocarray(l->argv, l->n + 2, sizeof(*argv));
    va_list ap;

    if (!argv) {
        l->error = -ENOMEM;
        return;
    }
    l->argv = argv;
    va_start(ap, fmt);
    if (vasprintf(&l->argv[l->n], fmt, ap) < 0)
        l->error = -ENOMEM;
    else
        l->n++;
    va_end(ap);
    l->argv[l->n] = NULL;
}

static void launch_done(struct launch *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->argv[i]);
    free(l->argv);
}

static int write_sysctl(const char *name, uint64_t value)
{
    char path[64], text[24];
    _cleanup_(closep) int fd = -1;
    int n = snprintf(text, sizeof(text), "%" PRIu64, value);

    snprintf(path, sizeof(path), "/proc/sys/fs/mqueue/%s", name);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return file_write_all(fd, text, (size_t)n);
}

/* A new IPC namespace with the tree's limits. Return: its descriptor, or -errno with a reason. */
static int new_namespace(const struct pmq_limits *l, struct err *e)
{
    int fd, r = 0;

    if (unshare(CLONE_NEWIPC) < 0)
        return err_set(e, -errno, "run as root", "cannot make an IPC namespace: %s",
                       strerrordesc_np(errno));
    if (l->queues_max != PMQ_UNKNOWN)
        r = write_sysctl("queues_max", l->queues_max);
    if (r == 0 && l->msg_max != PMQ_UNKNOWN)
        r = write_sysctl("msg_max", l->msg_max);
    if (r == 0 && l->msgsize_max != PMQ_UNKNOWN)
        r = write_sysctl("msgsize_max", l->msgsize_max);
    if (r < 0)
        return err_set(e, r, NULL, "the new IPC namespace cannot get the limits of the old one: %s",
                       strerrordesc_np(-r));
    fd = open("/proc/self/ns/ipc", O_RDONLY);
    return fd < 0 ? -errno : fd;
}

/*
 * An mqueue file system of this namespace, which CRIU binds to where the tree had one. It is
 * attached nowhere, and reached through its descriptor.
 */
static int add_mount(struct launch *l, const char *key, struct err *e)
{
    _cleanup_(closep) int fs = fsopen("mqueue", FSOPEN_CLOEXEC);
    int mnt = -1;

    if (fs >= 0 && fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        mnt = fsmount(fs, 0, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    if (mnt < 0)
        return err_set(e, -errno, NULL, "the queues cannot be mounted: %s", strerrordesc_np(errno));
    add_arg(l, "--external");
    add_arg(l, "mnt[%s]:/proc/self/fd/%d", key, mnt);
    /* CRIU's newer way of mounting takes no mount that is attached nowhere. */
    add_arg(l, "--mntns-compat-mode");
    return 0;
}

/* One inherited descriptor for each name that CRIU has for a queue. */
static int hand_over(const struct msgdump_plan *plan, const struct msgdump_checkpoint *c,
                     struct launch *l, struct err *e)
{
    for (size_t i = 0; i < c->n; i++) {
        int fd = fcntl(msgdump_plan_fd(plan, c->files[i].queue), F_DUPFD, 10);

        if (fd < 0)
            return err_set(e, -errno, "raise ulimit -n", "cannot hand a queue over: %s",
                           strerrordesc_np(errno));
        add_arg(l, "--inherit-fd");
        add_arg(l, "fd[%d]:file[%" PRIx64 ":%" PRIx64 "]", fd, c->files[i].mnt_id, c->files[i].ino);
    }
    return 0;
}

static int make_queues(struct cli_ctx *ctx, const struct criu_args *args, const char *path,
                       struct launch *l, struct err *e)
{
    const struct msgq_peek_opts peek = peek_opts(ctx, args);
    const struct msgdump_opts opts = {
        .keep = true,
        .hide_unlinked = true,
        .replace = args->replace,
        .peek = &peek,
        .tool = ctx->applet->name,
    };
    _cleanup_(dump_reader_freep) struct dump_reader *reader = NULL;
    _cleanup_(msgdump_plan_freep) struct msgdump_plan *plan = NULL;
    _cleanup_(msgdump_checkpoint_done) struct msgdump_checkpoint c = {0};
    _cleanup_(closep) int home = open("/proc/self/ns/ipc", O_RDONLY | O_CLOEXEC);
    const struct msgdump_item *items;
    int ns = -1;
    size_t n;
    int r = dump_reader_open(path, DUMP_REWIND, &reader, e);

    if (r == 0)
        r = msgdump_checkpoint_read(reader, &c, e);
    if (r == 0 && c.own_ipc_ns)
        r = ns = new_namespace(&c.limits, e);
    if (r >= 0)
        r = msgdump_plan_new(reader, &opts, &plan, e);
    if (r == 0 && args->mount)
        r = add_mount(l, args->mount, e);
    if (r == 0)
        r = msgdump_plan_run(plan, e);
    if (r < 0)
        return r;
    items = msgdump_plan_items(plan, &n);
    for (size_t i = 0; i < n; i++)
        if (items[i].saved)
            cli_note(ctx, "%s: what was there is in %s", items[i].name, items[i].saved);
    if (c.own_ipc_ns) {
        add_arg(l, "--join-ns");
        add_arg(l, "ipc:/proc/self/fd/%d", ns);
        if (home < 0 || setns(home, CLONE_NEWIPC) < 0)
            return err_set(e, -errno, NULL, "cannot go back to the IPC namespace: %s",
                           strerrordesc_np(errno));
    }
    return hand_over(plan, &c, l, e);
}

static int run_restore(struct cli_ctx *ctx, const struct criu_args *args)
{
    _cleanup_(launch_done) struct launch l = {0};
    char path[4096];
    struct err e = ERR_INIT;
    int r;

    if (snprintf(path, sizeof(path), "%s/" MSGDUMP_CRIU_FILE, args->dir) >= (int)sizeof(path))
        return cli_fail(ctx, -ENAMETOOLONG, NULL, "%s", args->dir);
    qcmd_tell_journals(ctx, NULL);
    add_arg(&l, "%s", args->program);
    add_arg(&l, "restore");
    r = make_queues(ctx, args, path, &l, &e);
    if (r < 0)
        return cli_fail(ctx, r, &e, "%s: nothing was restored", path);
    for (size_t i = 1; i < ctx->n_operands; i++)
        add_arg(&l, "%s", ctx->operands[i]);
    if (l.error)
        return cli_fail(ctx, l.error, NULL, "cannot run %s", args->program);
    execvp(l.argv[0], l.argv);
    return cli_fail(ctx, -errno, NULL, "the queues are there, but %s cannot be run", args->program);
}

static int criu_run(struct cli_ctx *ctx, const void *argp)
{
    const struct criu_args *args = argp;
    const char *word = ctx->operands[0];

    if (strcmp(word, "args") == 0)
        return run_args(ctx);
    if (strcmp(word, "restore") == 0)
        return run_restore(ctx, args);
    if (ctx->n_operands > 1)
        return cli_usage(ctx, "criu %s takes no operands", word);
    return strcmp(word, "action") == 0 ? run_action(ctx, args) : run_script(ctx);
}

static const struct cli_word criu_commands[] = {
    {"args", "print the options that criu dump needs for the processes from PID on"},
    {"script", "print an action script for criu dump"},
    {"action", "what that script runs: save the queues beside the images"},
    {"restore", "make the queues, then run criu restore with ARGS"},
    {NULL, NULL},
};

static const struct cli_example criu_examples[] = {
    {"mqdump criu script >save-queues && chmod +x save-queues", "once: the action script"},
    {"criu dump -t PID -D images --action-script $PWD/save-queues $(mqdump criu args PID)",
     "checkpoint a tree of processes with its queues"},
    {"mqdump criu restore -D images -- -D images", "bring both back"},
    {NULL, NULL},
};

const struct cli_verb mqdump_criu_verb = {
    .name = "criu",
    .operands = "COMMAND [PID] [-- ARGS…]",
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .commands = criu_commands,
    .summary = "checkpoint and restore processes with queues",
    .description =
        "CRIU cannot checkpoint a process that has a message queue open: with these commands it "
        "can, messages, order and priorities included.\n"
        "\n"
        "criu args PID prints the options that criu dump needs for the descriptors of the tree at "
        "PID, one queue a line.\n"
        "\n"
        "criu script prints an action script; it runs criu action, which saves the queues into the "
        "images' directory while the tasks are frozen, and makes the checkpoint fail if it "
        "cannot.\n"
        "\n"
        "criu restore makes the queues of the directory DIR and runs criu restore with the options "
        "they need and with ARGS, which name the directory once more. A queue that still exists "
        "and is equal is kept, so that others who have it open go on; one that differs is an error "
        "without --replace. A tree that had an IPC namespace of its own gets a new one.\n"
        "\n"
        "Where the tree has a mount namespace of its own with a mounted mqueue file system, "
        "criu dump also needs --external 'mnt[/dev/mqueue]:mq', and mqdump criu restore --mount "
        "mq, which mounts the queues of the tree's namespace in that place (Linux 6.15 or later). "
        "The queues of this namespace may also be had with --external 'mnt[mq]:/dev/mqueue' among "
        "ARGS.\n"
        "\n"
        "Registered notifications (mq_notify) are lost, which criu action says.",
    .examples = criu_examples,
    .opts = criu_opts,
    .args_size = sizeof(struct criu_args),
    .defaults = &criu_defaults,
    .flags = CLI_OWN_OUTPUT | CLI_EXECS,
    .run = criu_run,
};
