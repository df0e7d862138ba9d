/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqdump criu: checkpoints, by CRIU, of processes with message queues. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "criu.h"
#include "fileio.h"
#include "mqdump_verbs.h"
#include "msgdump_criu.h"
#include "parse.h"

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
    CLI_STR(struct criu_args, ipc, 0, "ipc", "PATH",
            "restore: put the queues into the IPC namespace that this file leads to",
            .complete = CLI_COMPLETE_FILE),
    CLI_FLAG(struct criu_args, config, 0, "config",
             "args: lines of a configuration file of criu, those for mounted queues included"),
    CLI_END,
};

struct msgq_peek_opts criu_peek_opts(const struct cli_ctx *ctx, const struct criu_args *args)
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

void criu_tree_lines(const struct msgdump_tree *t, bool mounts, struct criu_lines *l)
{
    for (size_t i = 0; i < t->n; i++)
        criu_lines_add(l, "external file[%" PRIx64 ":%" PRIx64 "]", t->files[i].mnt_id,
                       t->files[i].ino);
    for (size_t i = 0; mounts && i < t->n_mounts; i++)
        criu_lines_add(l, "external mnt[%s]:" CRIU_MOUNT_KEY, t->mounts[i]);
}

static int run_args(struct cli_ctx *ctx, const struct criu_args *args)
{
    _cleanup_(msgdump_tree_done) struct msgdump_tree tree = {0};
    _cleanup_(criu_lines_done) struct criu_lines l = {0};
    struct err e = ERR_INIT;
    uint64_t pid;
    int r;

    if (ctx->n_operands != 2 || parse_u64_max(ctx->operands[1], INT32_MAX, &pid) < 0 || !pid)
        return cli_usage(ctx, "criu args needs PID");
    r = msgdump_tree_read((pid_t)pid, &tree, &e);
    if (r == 0)
        r = msgdump_tree_check(&tree, &e);
    if (r == 0)
        criu_tree_lines(&tree, args->config, &l);
    if (r < 0 || l.error)
        return cli_fail(ctx, r ? r : l.error, &e, "process %" PRIu64, pid);
    for (size_t i = 0; i < l.n; i++)
        printf("%s%s\n", args->config ? "" : "--", l.v[i]);
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
    const struct msgq_peek_opts opts = criu_peek_opts(ctx, args);
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

static int criu_run(struct cli_ctx *ctx, const void *argp)
{
    const struct criu_args *args = argp;
    const char *word = ctx->operands[0];

    if (strcmp(word, "args") == 0)
        return run_args(ctx, args);
    if (strcmp(word, "restore") == 0)
        return criu_run_restore(ctx, args);
    if (strcmp(word, "runtime") == 0)
        return criu_run_runtime(ctx, args);
    if (ctx->n_operands > 1)
        return cli_usage(ctx, "criu %s takes no operands", word);
    return strcmp(word, "action") == 0 ? run_action(ctx, args) : run_script(ctx);
}

static const struct cli_word criu_commands[] = {
    {"args", "print the options that criu dump needs for the processes from PID on"},
    {"script", "print an action script for criu dump"},
    {"action", "what that script runs: save the queues beside the images"},
    {"restore", "make the queues, then run criu restore with ARGS"},
    {"runtime", "run an OCI runtime; a container that it checkpoints or restores has its queues"},
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
    .operands = "COMMAND [PID] [-- [RUNTIME] ARGS…]",
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
        "mq, which mounts the queues of the tree's namespace in that place. criu args --config "
        "prints both kinds of options as lines of a configuration file of criu. The queues of this "
        "namespace may also be had with --external 'mnt[mq]:/dev/mqueue' among ARGS.\n"
        "\n"
        "criu restore --ipc PATH makes the queues in the IPC namespace that PATH leads to, which "
        "others share: one that no process of the tree had open is left alone there if it exists. "
        "Who runs criu puts the tree there.\n"
        "\n"
        "criu runtime -- RUNTIME ARGS… becomes the OCI runtime RUNTIME (runc, crun, …) with "
        "these arguments. When that checkpoints or restores a container, criu is told of its "
        "queues, through CRIU_CONFIG_FILE; everything else is the runtime's alone. A link to "
        "ipcbox named mq-runc does the same with runc, so that podman and containerd can use it. "
        "A container without queues is checkpointed as without ipcbox. When queues cannot be "
        "saved the checkpoint fails, and the container goes on; so it does when a process has "
        "opened a queue just before it was frozen.\n"
        "\n"
        "With podman, as root on both hosts:\n"
        "\n"
        " ln -s /usr/bin/ipcbox /usr/local/bin/mq-crun\n"
        " mkdir -p /etc/containers/containers.conf.d\n"
        " cat >/etc/containers/containers.conf.d/ipcbox.conf <<'END'\n"
        " [engine.runtimes]\n"
        " crun = [\"/usr/local/bin/mq-crun\"]\n"
        " END\n"
        "\n"
        "then on the first, and with the file jobs.tar on the other:\n"
        "\n"
        " podman container checkpoint --export jobs.tar jobs\n"
        " podman container restore --import jobs.tar\n"
        "\n"
        "A tree that has a user namespace of its own is refused: its queues could not be made "
        "again.\n"
        "\n"
        "Registered notifications (mq_notify) are lost, which criu action says.",
    .examples = criu_examples,
    .opts = criu_opts,
    .args_size = sizeof(struct criu_args),
    .defaults = &criu_defaults,
    .flags = CLI_OWN_OUTPUT | CLI_EXECS,
    .run = criu_run,
};
