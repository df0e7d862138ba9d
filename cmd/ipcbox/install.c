/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ipcbox install: makes one symbolic link for each applet. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "applets.h"
#include "cleanup.h"
#include "verbs.h"

struct link_row {
    const char *applet;
    const char *state;
};

static const struct out_col install_cols[] = {
    OUT_STR(struct link_row, applet, "applet", "name of the link"),
    OUT_STR(struct link_row, state, "state", "made, or there already"),
    OUT_END,
};

/* Tells whether @name in @dir is already our link. Any other file of that name is left alone. */
static int existing(int dir, const char *name, const char *self)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);

    if (n < 0)
        return errno == ENOENT ? 0 : -EEXIST;
    target[n] = '\0';
    return strcmp(target, self) ? -EEXIST : 1;
}

static int make_link(int dir, const char *name, const char *self, struct err *e)
{
    int r = existing(dir, name, self);

    if (r < 0)
        return err_set(e, r, "remove it first", "there is something else of that name");
    if (r == 0 && symlinkat(self, dir, name) < 0)
        return -errno;
    return r;
}

static int install_run(struct cli_ctx *ctx, const void *argp _unused_)
{
    const char *path = ctx->operands[0];
    _cleanup_(closep) int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (dir < 0)
        return cli_fail(ctx, -errno, NULL, "%s", path);
    if (n < 0)
        return cli_fail(ctx, -errno, NULL, "/proc/self/exe");
    self[n] = '\0';
    out_list_begin(ctx->out, "links", install_cols, OUT_RECORDS);
    for (size_t i = 0; applets[i]; i++) {
        struct link_row row = {.applet = applets[i]->name};
        struct err e = ERR_INIT;
        int r;

        if (!strcmp(row.applet, "ipcbox"))
            continue;
        r = make_link(dir, row.applet, self, &e);
        if (r < 0) {
            cli_fail(ctx, r, &e, "%s/%s", path, row.applet);
            continue;
        }
        row.state = r ? "there already" : "made";
        out_row(ctx->out, &row);
    }
    out_list_end(ctx->out);
    return ctx->status;
}

const struct cli_verb ipcbox_install_verb = {
    .name = "install",
    .operands = "DIR",
    .min_operands = 1,
    .max_operands = 1,
    .complete = CLI_COMPLETE_DIR,
    .summary = "make a link for each applet in DIR",
    .description = "Makes a symbolic link to this binary for each applet in DIR. What is there "
                   "already under such a name and is no such link stays, and is an error.",
    .cols = install_cols,
    .run = install_run,
};
