/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* b1ctl shell, b1ctl run, b1ctl -c: peers, nodes and handles by name. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "b1_message_row.h"
#include "b1ctl_verbs.h"
#include "bus_pick.h"
#include "bus_script.h"
#include "cleanup.h"
#include "fileio.h"
#include "shell_edit.h"

enum { SCRIPT_MAX = 16 << 20 };

struct shell_args {
    const char *device;
    const char *commands;
};

static const struct cli_opt shell_opts[] = {
    CLI_STR(struct shell_args, commands, 'c', "command", "CMDS", "run these commands and end"),
    CLI_STR(struct shell_args, device, 0, "device", "FILE",
            "the bus to use: /dev/bus1, or what b1ctl serve made", .complete = CLI_COMPLETE_FILE),
    CLI_END,
};

static const struct cli_opt run_opts[] = {
    CLI_STR(struct shell_args, device, 0, "device", "FILE",
            "the bus to use: /dev/bus1, or what b1ctl serve made", .complete = CLI_COMPLETE_FILE),
    CLI_END,
};

struct name_row {
    const char *peer;
    const char *name;
    const char *kind;
    uint64_t id;
};

static void show_message(void *argp, const struct b1_script_message *m)
{
    struct cli_ctx *ctx = argp;
    const struct b1_message_row row = {
        .peer = m->peer,
        .type = b1_message_type(m->type),
        .target = m->target,
        .id = m->m->id,
        .account = m->m->account,
        .length = m->m->len,
        .handles = m->handles,
        .content = {.data = m->m->data, .len = m->m->len},
    };

    out_row(ctx->out, &row);
    if (m->m->lost_ids)
        cli_note(ctx, "the kernel garbled the ids of %zu handles of this message", m->m->lost_ids);
}

/* Names are for the eyes of who types: on stderr, so that stdout has messages only. */
static void show_name(void *argp, const struct b1_script_name *n)
{
    struct cli_ctx *ctx = argp;

    if (n->name)
        cli_note(ctx, "%s.%s: %s %llu", n->peer, n->name, n->is_node ? "node" : "handle",
                 (unsigned long long)n->id);
    else
        cli_note(ctx, "%s: peer", n->peer);
}

static int run_text(struct cli_ctx *ctx, struct b1_script *s, const char *what, const char *text,
                    unsigned int *line)
{
    struct err e = ERR_INIT;
    int r = b1_script_run(s, text, line, &e);

    return r < 0 ? cli_fail(ctx, r, &e, "%s: line %u", what, *line) : 0;
}

static int run_interactive(struct cli_ctx *ctx, struct b1_script *s)
{
    struct shell_edit *edit;
    struct err e = ERR_INIT;
    int r = shell_edit_new(s, &edit);
    unsigned int line = 1;
    const char *text;

    if (r < 0)
        return cli_fail(ctx, r, NULL, "cannot edit lines");
    while ((r = shell_edit_line(edit, &text)) > 0) {
        e = (struct err)ERR_INIT;
        if (shell_edit_is_quit(text))
            break;
        if (shell_edit_is_help(text))
            shell_edit_help();
        else if (b1_script_run(s, text, &line, &e) < 0)
            fprintf(stderr, "%s%s%s%s\n", err_text(&e, e.code), e.remedy[0] ? " (" : "", e.remedy,
                    e.remedy[0] ? ")" : "");
        out_flush(ctx->out);
    }
    shell_edit_free(edit);
    return r < 0 ? cli_fail(ctx, r, NULL, "the terminal") : 0;
}

/* Line by line, so that whoever writes them sees what each did. */
static int run_stdin(struct cli_ctx *ctx, struct b1_script *s)
{
    _cleanup_(freep) char *text = NULL;
    size_t cap = 0;
    unsigned int line = 1;
    int r = 0;

    while (r == 0 && getline(&text, &cap, stdin) > 0)
        r = run_text(ctx, s, "standard input", text, &line);
    if (r == 0 && ferror(stdin))
        r = cli_fail(ctx, -EIO, NULL, "standard input");
    return r;
}

static int run_file(struct cli_ctx *ctx, struct b1_script *s, const char *path)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;
    unsigned int line = 1;
    int r;

    if (!strcmp(path, "-"))
        return run_stdin(ctx, s);
    r = file_read(AT_FDCWD, path, SCRIPT_MAX, &b);
    if (r == 0)
        r = buf_error(&b);
    if (r < 0)
        return cli_fail(ctx, r, NULL, "%s", path);
    if (b.len && memchr(b.data, '\0', b.len))
        return cli_fail(ctx, -EINVAL, NULL, "%s: it has a NUL in it", path);
    return run_text(ctx, s, path, buf_str(&b), &line);
}

static int with_script(struct cli_ctx *ctx, const struct shell_args *args, const char *path)
{
    _cleanup_(bus_pick_done) struct bus_pick bus = {0};
    struct b1_script *s = NULL;
    struct err e = ERR_INIT;
    unsigned int line = 1;
    int r = bus_pick_open(ctx, args->device, &bus, &e);

    if (r == 0)
        r = b1_script_new(&bus.dev, bus.single, show_message, show_name, ctx, &s);
    if (r < 0)
        return cli_fail(ctx, r, &e, "%s", args->device ? args->device : "cannot use a bus");
    if (bus.single)
        cli_note(ctx, "%s", BUS_RFC_NOTE);
    out_list_begin(ctx->out, "messages", b1_message_cols, OUT_RECORDS | OUT_STREAM);
    if (args->commands)
        r = run_text(ctx, s, "-c", args->commands, &line);
    else if (path)
        r = run_file(ctx, s, path);
    else
        r = run_interactive(ctx, s);
    out_list_end(ctx->out);
    b1_script_free(s);
    return r;
}

static int shell_run(struct cli_ctx *ctx, const void *argp)
{
    const struct shell_args *args = argp;

    return with_script(ctx, args, isatty(STDIN_FILENO) ? NULL : "-");
}

static int run_run(struct cli_ctx *ctx, const void *argp)
{
    return with_script(ctx, argp, ctx->operands[0]);
}

#define LANGUAGE                                                                               \
    "A command ends at a line's end or a semicolon; # begins a comment. Data is a word, or "   \
    "\"…\" with \\n, \\t, \\0, \\\", \\\\ and \\xHH, or '…' as it stands.\n"               \
    "\n"                                                                                       \
    " peer NAME…                         open peers\n"                                       \
    " node PEER.NAME…                    make nodes; the peer keeps a handle of that name\n" \
    " give PEER.NAME PEER [as NAME]      pass a copy of a handle to another peer\n"            \
    " send PEER.HANDLE[,…] DATA [with PEER.HANDLE[,…]]\n"                                  \
    "                                    to one handle, or at one instant to several\n"        \
    " recv PEER [COUNT|all] [as NAME,…]  receive; names for the handles that come along\n"   \
    " release PEER.NAME…                 release nodes and handles in one transaction\n"     \
    " drop PEER.NAME…                    release the handle only\n"                          \
    " close PEER…                        close peers\n"                                      \
    " names                              what has a name, on stderr\n"                         \
    "\n"                                                                                       \
    "The first command that fails ends it, and the error names its line."

const struct cli_verb b1ctl_shell_verb = {
    .name = "shell",
    .summary = "peers, nodes and handles by names of your choice",
    .description = "Without a terminal the commands are read from standard input.\n"
                   "\n" LANGUAGE,
    .examples =
        (const struct cli_example[]){
            {"b1ctl -c 'peer a b; node a.n; give a.n b as h; send b.h hi; recv a'",
             "send a message from b to a's node"},
            {NULL, NULL},
        },
    .opts = shell_opts,
    .args_size = sizeof(struct shell_args),
    .cols = b1_message_cols,
    .run = shell_run,
};

const struct cli_verb b1ctl_run_verb = {
    .name = "run",
    .operands = "SCRIPT",
    .min_operands = 1,
    .max_operands = 1,
    .complete = CLI_COMPLETE_FILE,
    .summary = "run a script of shell commands; - is standard input",
    .description = LANGUAGE,
    .opts = run_opts,
    .args_size = sizeof(struct shell_args),
    .cols = b1_message_cols,
    .run = run_run,
};
