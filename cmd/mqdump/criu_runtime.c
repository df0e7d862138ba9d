/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mqdump criu runtime: stands in the place of an OCI runtime, becomes it, and changes nothing but
 * what criu is told when the runtime has it checkpoint or restore a container with queues.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "buf.h"
#include "cleanup.h"
#include "criu.h"
#include "fileio.h"
#include "oci.h"

/* Criu reads this file behind its own ones; runtimes leave the variable alone. */
#define CONFIG_FILE "CRIU_CONFIG_FILE"

enum {
    FIRST_FD = 200, /* as the queues: above those of the runtimes */
    CONFIG_MAX = 1024 * 1024,
};

/*
 * The lines behind those of a file that was set already, in a file that exists as long as somebody
 * has it open: the runtime and criu inherit it. Return: 0 or -errno.
 */
static int tell_criu(const struct criu_lines *l, struct err *e)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;
    const char *before = getenv(CONFIG_FILE);
    _cleanup_(closep) int file = -1;
    char path[64];
    int fd, r = l->error;

    if (r == 0 && before && *before)
        r = file_read(AT_FDCWD, before, CONFIG_MAX, &b);
    if (r < 0)
        return err_set(e, r, NULL, "%s: %s", before, strerrordesc_np(-r));
    buf_add_str(&b, "\n");
    for (size_t i = 0; i < l->n; i++)
        buf_printf(&b, "%s\n", l->v[i]);
    file = memfd_create("criu.conf", MFD_CLOEXEC);
    fd = file < 0 ? -1 : fcntl(file, F_DUPFD, FIRST_FD);
    r = fd < 0 ? -errno : buf_error(&b);
    if (r == 0)
        r = file_write_all(fd, b.data, b.len);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (r == 0 && setenv(CONFIG_FILE, path, 1) < 0)
        r = -errno;
    return r < 0 ? err_set(e, r, NULL, "criu cannot be told of the queues: %s", strerrordesc_np(-r))
                 : 0;
}

/* ---- checkpoint ---- */

/* This program under the name that makes it "mqdump criu action" when criu calls it. */
static int add_action(struct criu_lines *l, struct err *e)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (n < 0)
        return err_set(e, -errno, NULL, "/proc/self/exe: %s", strerrordesc_np(errno));
    self[n] = '\0';
    if (strpbrk(self, " \t\n\"'#\\"))
        return err_set(e, -EINVAL, "install ipcbox elsewhere", "criu cannot be told of %s", self);
    criu_lines_add(l, "action-script %s", self);
    return 0;
}

/*
 * Criu would make System V queues again that are still there, if the namespace outlives the
 * container. Whether it does only the bundle tells; one that cannot be read is the runtime's to
 * complain of.
 */
static int check_shared(const char *bundle, const struct msgdump_tree_sysv *sysv, struct err *e)
{
    char path[4096];

    if (!sysv->n || !bundle[0] || oci_ipc_path(bundle, path, NULL) < 0 || !path[0])
        return 0;
    return err_set(e, -EOPNOTSUPP, NULL,
                   "it shares its IPC namespace, in which there are System V queues: criu cannot "
                   "restore them there");
}

/* Return: 1 when there are queues, for which criu is prepared; 0 when the runtime needs no help. */
static int prepare_tree(struct cli_ctx *ctx, const struct msgdump_tree *t, const char *bundle,
                        struct err *e)
{
    _cleanup_(criu_lines_done) struct criu_lines l = {0};
    struct msgdump_tree_sysv sysv;
    int r = msgdump_tree_check(t, e);

    if (r == 0)
        r = msgdump_tree_sysv(t, &sysv, e);
    if (r == 0)
        r = check_shared(bundle, &sysv, e);
    if (r == 0 && sysv.creators)
        cli_note(ctx, "the creator of %u System V queues will be root when they are restored",
                 sysv.creators);
    criu_tree_lines(t, true, &l);
    if (r == 0)
        r = add_action(&l, e);
    if (r == 0)
        r = tell_criu(&l, e);
    return r < 0 ? r : 1;
}

/* Whatever fails here costs nothing: the runtime does what it would do without this program. */
static int checkpoint(struct cli_ctx *ctx, const struct oci_call *c, const char *program)
{
    _cleanup_(msgdump_tree_done) struct msgdump_tree tree = {0};
    char bundle[4096];
    struct err e = ERR_INIT;
    pid_t pid = 0;
    int r = oci_pid(c, program, &pid, bundle, &e), has = 0;

    if (r == 0)
        r = msgdump_tree_read(pid, &tree, &e);
    if (r == 0)
        r = has = msgdump_tree_has_queues(&tree, &e);
    if (r < 0) {
        cli_note(ctx, "container %s: %s: %s checkpoints it without its queues", c->id,
                 err_text(&e, r), c->argv[0]);
        return CLI_OK;
    }
    r = has ? prepare_tree(ctx, &tree, bundle, &e) : 0;
    return r < 0 ? cli_fail(ctx, r, &e, "container %s is not checkpointed, and goes on", c->id)
                 : CLI_OK;
}

/* ---- restore ---- */

static int restore(struct cli_ctx *ctx, const struct criu_args *given, const struct oci_call *c)
{
    _cleanup_(criu_lines_done) struct criu_lines l = {0};
    struct criu_args args = *given;
    char path[PATH_MAX], ipc[4096];
    struct err e = ERR_INIT;
    int r;

    if (snprintf(path, sizeof(path), "%s/" MSGDUMP_CRIU_FILE, c->image) >= (int)sizeof(path) ||
        access(path, F_OK) < 0)
        return CLI_OK;
    qcmd_tell_journals(ctx, NULL);
    args.mount = CRIU_MOUNT_KEY;
    r = oci_ipc_path(c->bundle, ipc, &e);
    if (r == 0) {
        args.ipc = ipc[0] ? ipc : NULL;
        r = criu_make_queues(ctx, &args, path, &l, &e);
    }
    if (r == -EEXIST && args.ipc)
        snprintf(e.remedy, sizeof(e.remedy),
                 "to do without it: nsenter --ipc=%.128s mqctl rm QUEUE", args.ipc);
    if (r == 0)
        r = tell_criu(&l, &e);
    return r < 0 ? cli_fail(ctx, r, &e, "%s: container %s is not restored", path, c->id) : CLI_OK;
}

int criu_run_runtime(struct cli_ctx *ctx, const struct criu_args *args)
{
    char program[4096];
    struct oci_call c;
    int r, status = CLI_OK;

    if (ctx->n_operands < 2)
        return cli_usage(ctx, "criu runtime needs the name of an OCI runtime");
    oci_call_parse(&c, ctx->operands + 1);
    r = oci_find(c.argv[0], program);
    if (r < 0)
        return cli_fail(ctx, r, NULL, "there is no runtime %s", c.argv[0]);
    if (c.id && strcmp(c.argv[c.verb], "checkpoint") == 0 && !c.pre_dump)
        status = checkpoint(ctx, &c, program);
    if (c.id && strcmp(c.argv[c.verb], "restore") == 0)
        status = restore(ctx, args, &c);
    if (status != CLI_OK)
        return status;
    c.argv[0] = program;
    r = criu_exec(c.argv);
    return cli_fail(ctx, r, NULL, "%s cannot be run", program);
}
