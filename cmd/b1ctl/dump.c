/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* b1ctl dump: what happens on a served bus, in a file. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "b1_served.h"
#include "b1_traffic.h"
#include "b1ctl_verbs.h"
#include "bus1_abi.h"
#include "bus_dump.h"
#include "cleanup.h"
#include "fileio.h"
#include "timefmt.h"

struct dump_args {
    const char *file;
    const char *device;
    uint64_t count;
    uint64_t duration;
};

static const struct dump_args dump_defaults = {.duration = UINT64_MAX};

static const struct cli_opt dump_opts[] = {
    CLI_STR(struct dump_args, file, 'O', "output-file", "FILE",
            "write there, whole or not at all, instead of to standard output",
            .complete = CLI_COMPLETE_FILE),
    CLI_STR(struct dump_args, device, 0, "device", "FILE",
            "the bus, where there are several: what b1ctl serve made",
            .complete = CLI_COMPLETE_FILE),
    CLI_U64(struct dump_args, count, 'N', "count", "COUNT", "stop after COUNT messages were sent",
            .min = 1, .max = UINT64_MAX),
    CLI_SPAN(struct dump_args, duration, 0, "duration", "SEC", "stop after that time"),
    CLI_END,
};

struct dumping {
    struct cli_ctx *ctx;
    const struct dump_args *args;
    struct b1_traffic *traffic;
    struct dump_writer *w;
    int wake_fd;
    uint64_t messages;
    uint64_t to_come; /* of the last one, to its destinations */
    uint64_t lost;
};

/* ---- which bus ---- */

struct find_mount {
    dev_t dev;
    bool any;
    size_t n;
    struct buf dir;
};

static int is_mount(void *ctx, const struct b1_mount *m)
{
    struct find_mount *f = ctx;

    if (!f->any && m->dev != f->dev)
        return 0;
    buf_clear(&f->dir);
    buf_add_str(&f->dir, m->dir);
    f->n++;
    return buf_error(&f->dir);
}

/* Where the bus is mounted, in @dir. */
static int find_bus(struct cli_ctx *ctx, const char *device, struct buf *dir)
{
    struct find_mount f = {.any = !device};
    struct stat st;
    int r;

    if (device && stat(device, &st) < 0)
        return cli_fail(ctx, -errno, NULL, "%s", device);
    if (device)
        f.dev = st.st_dev;
    r = b1_mounts_visit(is_mount, &f);
    *dir = f.dir;
    if (r < 0)
        return cli_fail(ctx, r, NULL, "cannot look for buses");
    if (f.n == 0 && device)
        return cli_fail_status(ctx, CLI_UNSUPPORTED,
                               "%s is no bus of b1ctl serve: only such a bus tells what happens on "
                               "it in its order (b1ctl monitor shows the calls on any)",
                               device);
    if (f.n == 0)
        return cli_fail_status(ctx, CLI_NOT_FOUND,
                               "there is no bus of b1ctl serve, and only such a bus can be dumped");
    if (f.n > 1 && !device)
        return cli_usage(ctx, "there are %zu buses: choose one with --device", f.n);
    return CLI_OK;
}

/* ---- recording ---- */

/* Return: 1 when there are enough, or nothing more can be written. */
static int on_event(const struct b1_event *ev, void *ctx)
{
    struct dumping *d = ctx;

    bool enough = d->args->count && d->messages >= d->args->count;

    /* A transaction is recorded whole: its messages follow it. */
    if (enough && ev->kind != B1_EVENT_MESSAGE)
        return 1;
    bus_dump_put(d->w, ev);
    d->lost += ev->kind == B1_EVENT_LOST ? ev->count : 0;
    if (ev->kind == B1_EVENT_SEND) {
        d->messages++;
        d->to_come = ev->n_ids;
    }
    enough = d->args->count && d->messages >= d->args->count;
    d->to_come -= ev->kind == B1_EVENT_MESSAGE && d->to_come;
    return (enough && !d->to_come) || dump_writer_error(d->w) < 0;
}

/* Until told to end. Return: 0 or -errno. */
static int record(struct dumping *d)
{
    uint64_t start = timefmt_now(CLOCK_MONOTONIC);
    int r = 0;

    while (r == 0) {
        struct pollfd p[] = {{.fd = b1_traffic_fd(d->traffic), .events = POLLIN},
                             {.fd = d->wake_fd, .events = POLLIN}};
        uint64_t gone = timefmt_now(CLOCK_MONOTONIC) - start;
        struct timespec left = timefmt_to_timespec(
            gone < d->args->duration ? MIN(d->args->duration - gone, 3600 * NSEC_PER_SEC) : 0);
        bool last = cli_interrupted() || gone >= d->args->duration;

        if (!last && ppoll(p, ARRAY_SIZE(p), &left, NULL) < 0 && errno != EINTR)
            return -errno;
        r = b1_traffic_read(d->traffic, on_event, d);
        if (r == 0)
            r = MIN(dump_writer_flush(d->w), 0);
        if (last)
            break;
    }
    if (r == -ENOTCONN) {
        cli_note(d->ctx, "the server has ended");
        return 0;
    }
    return MIN(r, 0);
}

static int dump_to(struct dumping *d, const char *dir, FILE *f)
{
    _cleanup_(dump_writer_freep) struct dump_writer *w = NULL;
    int r = dump_writer_new(f, BUS_DUMP_KIND, d->ctx->applet->name, "bus", &w);
    int k;

    if (r < 0)
        return cli_fail(d->ctx, r, NULL, "cannot write the dump");
    d->w = w;
    r = record(d);
    k = dump_writer_finish(w);
    if (k == -EPIPE)
        return CLI_OK;
    if (k < 0)
        return cli_fail(d->ctx, k, NULL, "cannot write the dump");
    if (r < 0)
        return cli_fail(d->ctx, r, NULL, "%s: cannot go on", dir);
    cli_note(d->ctx, "%llu messages sent, %llu events lost", (unsigned long long)d->messages,
             (unsigned long long)d->lost);
    return d->lost ? CLI_FAILED : CLI_OK;
}

static int dump_to_file(struct dumping *d, const char *dir)
{
    _cleanup_(file_out_closep) struct file_out *file = NULL;
    int r, status;

    if (!d->args->file)
        return dump_to(d, dir, stdout);
    r = file_out_open(d->args->file, 0600, &file);
    if (r < 0)
        return cli_fail(d->ctx, r, NULL, "%s", d->args->file);
    status = dump_to(d, dir, file_out_stream(file));
    if (status != CLI_OK && !d->lost)
        return status;
    r = file_out_commit(file);
    return r < 0 ? cli_fail(d->ctx, r, NULL, "%s", d->args->file) : status;
}

static int dump_run(struct cli_ctx *ctx, const void *argp)
{
    struct dumping d = {.ctx = ctx, .args = argp};
    _cleanup_(buf_done) struct buf dir = BUF_INIT;
    int r = find_bus(ctx, d.args->device, &dir);

    if (r != CLI_OK)
        return r;
    d.wake_fd = cli_catch_signals();
    if (d.wake_fd < 0)
        return cli_fail(ctx, d.wake_fd, NULL, "cannot wait for signals");
    r = b1_traffic_open(buf_str(&dir), true, &d.traffic);
    if (r < 0)
        return cli_fail(ctx, r, NULL, "%s/record", buf_str(&dir));
    r = dump_to_file(&d, buf_str(&dir));
    b1_traffic_close(d.traffic);
    return r;
}

static const struct cli_example dump_examples[] = {
    {"b1ctl dump -O bus.dump", "until Ctrl-C"},
    {"b1ctl dump --device /tmp/bus --duration 60 | gzip >bus.dump.gz", "for a minute"},
    {NULL, NULL},
};

const struct cli_verb b1ctl_dump_verb = {
    .name = "dump",
    .summary = "record what happens on a bus of b1ctl serve",
    .description =
        "Writes what there is on the bus (peers, nodes, handles, waiting messages), and then all "
        "that happens, in the bus's own order, until Ctrl-C, -N, --duration or the end of the "
        "server. The format is that of mqdump, which can verify it. Root and the server's user "
        "may do so. What the server could not keep is counted; then the exit status is 1.",
    .examples = dump_examples,
    .opts = dump_opts,
    .args_size = sizeof(struct dump_args),
    .defaults = &dump_defaults,
    .flags = CLI_OWN_OUTPUT,
    .run = dump_run,
};
