/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Functions that the commands of mqdump criu share. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "cli.h"
#include "errinfo.h"
#include "msgdump_criu.h"
#include "qcmd.h"

struct criu_args {
    struct qcmd_common common;
    const char *dir;
    const char *program;
    const char *mount;
    const char *ipc;
    bool replace;
    bool config;
};

struct msgq_peek_opts criu_peek_opts(const struct cli_ctx *ctx, const struct criu_args *args);

/* Under this name a checkpoint has the queues that a container had mounted. */
#define CRIU_MOUNT_KEY "mq"

/**
 * struct criu_lines - options of criu, as its configuration file has them: "name value" each
 * @v, @n: the lines
 * @error: the first failure to add one, or 0
 */
struct criu_lines {
    char **v;
    size_t n;
    int error;
};

void criu_lines_add(struct criu_lines *l, const char *fmt, ...) _printf_(2, 3);
void criu_lines_done(struct criu_lines *l);

/* Adds the lines that criu dump needs for the descriptors of a tree and, with @mounts, its mounts.
 */
void criu_tree_lines(const struct msgdump_tree *t, bool mounts, struct criu_lines *l);

/**
 * criu_make_queues() - make the queues of a checkpoint, and what criu needs to know of them
 * @ctx, @args: the command line
 * @path: the dump
 * @l: gets options for criu restore; the descriptors that they name stay open over exec
 * @e: why not
 *
 * This process is afterwards in the IPC namespace in which it was, and where @args has a key for
 * the mount of the queues in a mount namespace of its own. Return: 0 or -errno.
 */
int criu_make_queues(struct cli_ctx *ctx, const struct criu_args *args, const char *path,
                     struct criu_lines *l, struct err *e);

int criu_run_restore(struct cli_ctx *ctx, const struct criu_args *args);
int criu_run_runtime(struct cli_ctx *ctx, const struct criu_args *args);

/* Runs a program in place of this one. Return: only if it cannot: -errno. */
int criu_exec(char *const argv[]);
