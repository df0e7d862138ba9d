/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* b1ctl send, recv, peek: on a peer that is open already, here or in another process. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "b1_message_row.h"
#include "b1ctl_verbs.h"
#include "bus1_abi.h"
#include "bus_pick.h"
#include "fileio.h"
#include "parse.h"
#include "served_bus.h"
#include "timefmt.h"

enum { STDIN_MAX = 1 << 30 };

struct peer_args {
    int32_t pid;
    uint32_t fd;
    const char *file;
    uint64_t count;
    uint64_t timeout;
    bool raw;
};

static const struct peer_args defaults = {.fd = BUS_FD_NONE, .count = 1, .timeout = UINT64_MAX};

#define WHICH                                                                                    \
    CLI_U32(struct peer_args, fd, 0, "fd", "N", "the peer's file descriptor; it must be given"), \
        CLI_PID(struct peer_args, pid, 0, "pid", "PID",                                          \
                "the process that has it open; without: inherited from the caller")

static const struct cli_opt send_opts[] = {
    WHICH,
    CLI_STR(struct peer_args, file, 'f', "file", "FILE", "the message is this file's content",
            .complete = CLI_COMPLETE_FILE),
    CLI_END,
};

static const struct cli_opt recv_opts[] = {
    WHICH,
    CLI_U64(struct peer_args, count, 'N', "count", "COUNT", "messages to receive; 1 by default",
            .min = 1, .max = UINT64_MAX),
    CLI_SPAN(struct peer_args, timeout, 0, "timeout", "SEC", "wait at most so long for each"),
    CLI_FLAG(struct peer_args, raw, 0, "raw", "the bytes as they are and nothing else"),
    CLI_END,
};

static const struct cli_opt peek_opts[] = {
    WHICH,
    CLI_END,
};

static int adopt(struct cli_ctx *ctx, const struct peer_args *args, struct bus_pick *bus,
                 struct b1_client **ret)
{
    struct err e = ERR_INIT;
    int r;

    if (args->fd == BUS_FD_NONE)
        return cli_usage(ctx, "--fd is missing: which descriptor is the peer?");
    r = bus_pick_adopt(args->pid, args->fd, bus, ret, &e);
    return r < 0 ? cli_fail(ctx, r, &e, "descriptor %u", args->fd) : 0;
}

/* Takes the data to send from the operand, a file, or standard input. */
static int read_data(struct cli_ctx *ctx, const struct peer_args *args, struct buf *out)
{
    const char *word = ctx->n_operands > 1 ? ctx->operands[1] : NULL, *path = args->file;
    int r;

    if (word && path)
        return cli_usage(ctx, "DATA and --file at once");
    if (word && strcmp(word, "-")) {
        buf_add_str(out, word);
        return 0;
    }
    if (!path || !strcmp(path, "-"))
        path = "/dev/stdin";
    r = file_read(AT_FDCWD, path, STDIN_MAX, out);
    return r < 0 ? cli_fail(ctx, r, NULL, "%s", path) : 0;
}

/* With what the error means on a bus. */
static int fail(struct cli_ctx *ctx, int r, struct err *e, const char *what)
{
    if (!e->code)
        err_set(e, r, NULL, "%s", b1_client_error(r));
    return cli_fail(ctx, r, e, "%s", what);
}

static int send_run(struct cli_ctx *ctx, const void *argp)
{
    const struct peer_args *args = argp;
    _cleanup_(buf_done) struct buf data = BUF_INIT;
    struct bus_pick bus;
    struct b1_client *c;
    struct err e = ERR_INIT;
    uint64_t handle;
    int r;

    if (parse_u64(ctx->operands[0], &handle) < 0)
        return cli_usage(ctx, "HANDLE is an id, a number");
    r = read_data(ctx, args, &data);
    if (r == 0)
        r = adopt(ctx, args, &bus, &c);
    if (r != 0)
        return r;
    r = buf_error(&data);
    if (r == 0)
        r = b1_client_send(c, &handle, 1, buf_str(&data), data.len, NULL, 0, &e);
    b1_client_close(c);
    bus_pick_done(&bus);
    return r < 0 ? fail(ctx, r, &e, "cannot send") : 0;
}

/* "7,9" from ids; NULL for none. */
static const char *join_ids(struct buf *b, const uint64_t *ids, size_t n)
{
    buf_clear(b);
    for (size_t i = 0; i < n; i++)
        buf_printf(b, "%s%" PRIu64, i ? "," : "", ids[i]);
    return n ? buf_str(b) : NULL;
}

static int recv_messages(struct cli_ctx *ctx, const struct peer_args *args, struct b1_client *c)
{
    _cleanup_(buf_done) struct buf ids = BUF_INIT;
    int timeout = args->timeout == UINT64_MAX
                      ? -1
                      : (int)MIN(args->timeout / NSEC_PER_MSEC, UINT64_C(2000000000));

    for (uint64_t i = 0; i < args->count && out_error(ctx->out) == 0; i++) {
        struct b1_received m;
        struct err e = ERR_INIT;
        int r = b1_client_wait(c, timeout, &m, &e);

        if (r < 0)
            return fail(ctx, r, &e, "cannot receive");
        if (args->raw) {
            out_raw(ctx->out, m.data, m.len);
            continue;
        }
        out_row(ctx->out, &(struct b1_message_row){
                              .type = b1_message_type(m.type),
                              .id = m.id,
                              .account = m.account,
                              .length = m.len,
                              .handles = join_ids(&ids, m.transfers, m.n_transfers),
                              .content = {.data = m.data, .len = m.len},
                          });
    }
    return 0;
}

static int recv_run(struct cli_ctx *ctx, const void *argp)
{
    const struct peer_args *args = argp;
    struct bus_pick bus;
    struct b1_client *c;
    int r = adopt(ctx, args, &bus, &c);

    if (r != 0)
        return r;
    if (!args->raw)
        out_list_begin(ctx->out, "messages", b1_message_cols, OUT_RECORDS | OUT_STREAM);
    r = recv_messages(ctx, args, c);
    if (!args->raw)
        out_list_end(ctx->out);
    b1_client_close(c);
    bus_pick_done(&bus);
    return r;
}

/* The mount whose device number a peer's file has. */
struct find_mount {
    dev_t dev;
    struct buf dir;
};

static int is_mount(void *ctx, const struct b1_mount *m)
{
    struct find_mount *f = ctx;

    if (m->dev != f->dev)
        return 0;
    buf_add_str(&f->dir, m->dir);
    return 1;
}

static int peek_row(void *ctx, const struct b1_record *r)
{
    struct cli_ctx *c = ctx;

    if (r->kind == B1_RECORD_MESSAGE)
        out_row(c->out, &(struct b1_message_row){
                            .type = b1_message_type(r->type),
                            .id = r->id,
                            .account = r->account,
                            .length = r->length,
                            .handles = r->transfers,
                            .content = {.data = r->data, .len = r->data ? (size_t)r->length : 0},
                        });
    return 0;
}

static int peek_served(struct cli_ctx *ctx, const char *dir, uint64_t ino)
{
    _cleanup_(buf_done) struct buf text = BUF_INIT;
    int r = b1_debug_read(dir, ino, &text);

    if (r < 0 || !text.len)
        return r;
    out_list_begin(ctx->out, "messages", b1_message_cols, OUT_RECORDS);
    r = b1_debug_parse(text.data, peek_row, ctx);
    out_list_end(ctx->out);
    return r;
}

static int peek_run(struct cli_ctx *ctx, const void *argp)
{
    const struct peer_args *args = argp;
    struct find_mount f = {0};
    uint64_t ino;
    int r;

    if (args->fd == BUS_FD_NONE)
        return cli_usage(ctx, "--fd is missing: which descriptor is the peer?");
    r = b1_fd_identity(args->pid, (int)args->fd, &f.dev, &ino);
    if (r < 0)
        return cli_fail(ctx, r, NULL, "descriptor %u", args->fd);
    r = b1_mounts_visit(is_mount, &f);
    if (r == 1)
        r = peek_served(ctx, buf_str(&f.dir), ino);
    else if (r == 0)
        r = cli_fail_status(
            ctx, CLI_UNSUPPORTED,
            "descriptor %u is not a peer of a bus of b1ctl serve: on a kernel's bus "
            "there is no safe way to look without receiving",
            args->fd);
    buf_done(&f.dir);
    return r < 0 ? cli_fail(ctx, r, NULL, "cannot look at descriptor %u", args->fd) : r;
}

const struct cli_verb b1ctl_send_verb = {
    .name = "send",
    .operands = "HANDLE [DATA]",
    .min_operands = 1,
    .max_operands = 2,
    .summary = "send a message through a handle of an open peer",
    .description = "Without DATA, or with -, the message is standard input.",
    .opts = send_opts,
    .args_size = sizeof(struct peer_args),
    .defaults = &defaults,
    .run = send_run,
};

const struct cli_verb b1ctl_recv_verb = {
    .name = "recv",
    .summary = "receive from an open peer",
    .description = "Handles that come along stay with the peer.",
    .opts = recv_opts,
    .args_size = sizeof(struct peer_args),
    .defaults = &defaults,
    .cols = b1_message_cols,
    .run = recv_run,
};

const struct cli_verb b1ctl_peek_verb = {
    .name = "peek",
    .summary = "messages that wait for a peer, left in place",
    .description = "Works on a bus of b1ctl serve, for root, the server's user and the user of "
                   "the peer. On a kernel's bus there is no safe way: exit 4.",
    .opts = peek_opts,
    .args_size = sizeof(struct peer_args),
    .defaults = &defaults,
    .cols = b1_message_cols,
    .run = peek_run,
};
