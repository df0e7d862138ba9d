/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A verb's output in a file: whole or not at all. */
#include "cli.h"
#include "fileio.h"

int cli_fail_write(struct cli_ctx *ctx, int r, const char *path)
{
    return cli_fail_status(ctx, CLI_FAILED, "%s: cannot write: %s", path ? path : "output",
                           err_text(NULL, r));
}

int cli_write_file(struct cli_ctx *ctx, const char *path, mode_t mode, cli_write_fn write,
                   void *arg)
{
    _cleanup_(file_out_closep) struct file_out *file = NULL;
    bool whole = false;
    int r, status;

    if (!path)
        return write(stdout, arg, &whole);
    r = file_out_open(path, mode, &file);
    if (r < 0)
        return cli_fail_write(ctx, r, path);
    status = write(file_out_stream(file), arg, &whole);
    if (!whole)
        return status;
    r = file_out_commit(file);
    return r < 0 ? cli_fail_write(ctx, r, path) : status;
}
