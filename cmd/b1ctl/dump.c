/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* b1ctl dump: what happens on a bus, in a file. */
#include "dump_source.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "b1ctl_verbs.h"
#include "bus1_abi.h"
#include "served_bus.h"
#include "timefmt.h"

enum { BACKEND_AUTO, BACKEND_BUS, BACKEND_CALLS };

static const char *const backends[] = {"auto", "bus", "calls", NULL};

static const struct dump_args dump_defaults = {.duration = UINT64_MAX};

static const struct cli_opt dump_opts[] = {
    CLI_STR(struct dump_args, file, 'O', "output-file", "FILE",
            "write there, whole or not at all, instead of to standard output",
            .complete = CLI_COMPLETE_FILE),
    CLI_STR(struct dump_args, device, 0, "device", "FILE",
            "the bus, where there are several: /dev/bus1, or what b1ctl serve made",
            .complete = CLI_COMPLETE_FILE),
    CLI_ENUM(struct dump_args, backend, 0, "backend", NULL,
             "bus: what the bus itself says; calls: the system calls on it; auto: the first that "
             "there is",
             backends),
    CLI_U64(struct dump_args, count, 'N', "count", "COUNT", "stop after COUNT messages were sent",
            .min = 1, .max = UINT64_MAX),
    CLI_SPAN(struct dump_args, duration, 0, "duration", "SEC", "stop after that time"),
    CLI_END,
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

/*
 * Which bus, and who tells of it: @dir is where it is mounted, or its file. A served bus tells of
 * itself, unless its calls are wanted.
 */
static int find_bus(struct dumping *d, struct buf *dir)
{
    const char *device = d->args->device;
    struct find_mount f = {.any = !device};
    struct stat st;
    int r;

    if (!device && d->args->backend != BACKEND_BUS && access(BUS1_DEVICE_PATH, F_OK) == 0)
        device = BUS1_DEVICE_PATH;
    if (device && stat(device, &st) < 0)
        return cli_fail(d->ctx, -errno, NULL, "%s", device);
    if (device)
        f.dev = st.st_dev;
    f.any = !device;
    r = b1_mounts_visit(is_mount, &f);
    *dir = f.dir;
    if (r < 0)
        return cli_fail(d->ctx, r, NULL, "cannot look for buses");
    d->source = f.n && d->args->backend != BACKEND_CALLS ? &dump_source_bus : &dump_source_calls;
    if (f.n > 1 && !device)
        return cli_usage(d->ctx, "there are %zu buses: choose one with --device", f.n);
    if (f.n == 0 && !device)
        return cli_fail_status(d->ctx, CLI_NOT_FOUND, "there is no bus: b1ctl serve makes one");
    if (f.n == 0 && d->args->backend == BACKEND_BUS)
        return cli_fail_status(
            d->ctx, CLI_UNSUPPORTED,
            "%s is not a bus of b1ctl serve: only such a bus tells what happens on "
            "it (--backend calls records the calls on any)",
            device);
    if (d->source == &dump_source_bus)
        return CLI_OK;
    if (device)
        buf_clear(dir);
    buf_add_str(dir, device ? device : "/bus1"); /* behind where it is mounted */
    return buf_error(dir) < 0 ? cli_fail(d->ctx, buf_error(dir), NULL, "%s", d->bus) : CLI_OK;
}

/* ---- recording ---- */

int dump_event(const struct b1_event *ev, void *ctx)
{
    struct dumping *d = ctx;
    bool enough = d->args->count && d->messages >= d->args->count;

    /* A transaction is recorded whole: its messages follow it. */
    if (enough && ev->kind != B1_EVENT_MESSAGE)
        return 1;
    bus_dump_put(d->w, ev);
    d->lost += ev->kind == B1_EVENT_LOST ? ev->count : 0;
    if (ev->kind == B1_EVENT_SEND && ev->unseen != B1_UNSEEN_END) {
        d->messages++;
        d->to_come = ev->outside ? 0 : ev->n_ids;
    }
    d->to_come -= ev->kind == B1_EVENT_MESSAGE && d->to_come;
    d->stream.done = d->messages - (d->to_come > 0);
    return cli_stream_is_done(&d->stream) || dump_writer_error(d->w) < 0;
}

static size_t sources(void *verb, struct pollfd *p)
{
    const struct dumping *d = verb;

    *p = (struct pollfd){.fd = d->source->fd(d), .events = POLLIN};
    return 1;
}

static int read_some(void *verb, const struct pollfd *p _unused_, struct err *e)
{
    struct dumping *d = verb;
    int r = d->source->read(d, e);

    return r == 0 ? MIN(dump_writer_flush(d->w), 0) : r;
}

static int finish(void *verb, struct err *e)
{
    struct dumping *d = verb;

    return d->source->finish ? d->source->finish(d, e) : 0;
}

static const struct cli_stream_ops dump_ops = {
    .sources = sources,
    .read = read_some,
    .finish = finish,
};

/* Until told to end. Return: 0 or -errno. */
static int record(struct dumping *d, struct err *e)
{
    int r = cli_stream_run(&d->stream, e);

    if (r == -ENOTCONN) {
        cli_note(d->ctx, "the server has ended");
        return 0;
    }
    return r;
}

static int dump_to(FILE *f, void *arg, bool *whole)
{
    _cleanup_(dump_writer_freep) struct dump_writer *w = NULL;
    struct dumping *d = arg;
    struct err e = ERR_INIT;
    int r = dump_writer_new(f, BUS_DUMP_KIND, d->ctx->applet->name, d->source->name, &w);
    int k;

    if (r < 0)
        return cli_fail(d->ctx, r, NULL, "cannot write the dump");
    d->w = w;
    if (d->source->start)
        r = d->source->start(d);
    if (r == 0)
        r = record(d, &e);
    k = dump_writer_finish(w);
    if (k == -EPIPE)
        return CLI_OK;
    if (k < 0)
        return cli_fail(d->ctx, k, NULL, "cannot write the dump");
    if (r < 0)
        return cli_fail(d->ctx, r, &e, "%s: cannot go on", d->bus);
    *whole = true;
    cli_note(d->ctx, "%llu messages sent, %llu events lost", (unsigned long long)d->messages,
             (unsigned long long)d->lost);
    if (d->source->note)
        d->source->note(d);
    /* The end of --duration or of the server is as good an end as --count. */
    return MAX(cli_interrupted() ? cli_stream_status(&d->stream) : CLI_OK,
               d->lost ? CLI_FAILED : CLI_OK);
}

static int dump_run(struct cli_ctx *ctx, const void *argp)
{
    struct dumping d = {.ctx = ctx, .args = argp};
    _cleanup_(buf_done) struct buf dir = BUF_INIT;
    int r = find_bus(&d, &dir);

    if (r != CLI_OK)
        return r;
    d.bus = buf_str(&dir);
    d.stream = (struct cli_stream){
        .ctx = ctx,
        .ops = &dump_ops,
        .verb = &d,
        .what = "messages",
        .timeout = d.args->duration,
        .period = d.source->period_ns,
        .wanted = d.args->count,
    };
    r = cli_stream_begin(&d.stream);
    if (r < 0)
        return cli_fail(ctx, r, NULL, "cannot wait for signals");
    r = d.source->begin(&d);
    if (r == CLI_OK)
        r = cli_write_file(ctx, d.args->file, 0600, dump_to, &d);
    d.source->end(&d);
    return r;
}

static const struct cli_example dump_examples[] = {
    {"b1ctl dump -O bus.dump", "until Ctrl-C"},
    {"b1ctl dump --device /tmp/bus --duration 60 | gzip >bus.dump.gz", "for a minute"},
    {"b1ctl dump --device /dev/bus1 --backend calls -O bus.dump", "of the kernel's bus"},
    {NULL, NULL},
};

const struct cli_verb b1ctl_dump_verb = {
    .name = "dump",
    .summary = "record what happens on a bus",
    .description =
        "Of a bus of b1ctl serve: writes what there is on it (peers, nodes, handles, waiting "
        "messages), and then all that happens, in the bus's own order, until Ctrl-C, -N, "
        "--duration or the end of the server. Root and the server's user may do so. The format is "
        "that of mqdump, which can verify it. What could not be kept is counted; then the exit "
        "status is 1.\n"
        "\n"
        "Any other bus, the kernel's above all, does not tell of itself: there, or with --backend "
        "calls, the calls on it that succeed are recorded, as b1ctl monitor sees them and with "
        "what that needs. There are no records of type message; a recv has the content. The order "
        "of calls that overlapped is a guess (\"approximate\"). An open is recorded where a peer "
        "is "
        "first seen, a close when its file is found to be gone, within a tenth of a second. b1ctl "
        "replay does these calls again and compares what users' messages the peers receive; "
        "notifications are shown and not compared, for the RFC's kernel code tells of each handle "
        "that is released and a conforming bus only of the last. What builds on nodes or handles "
        "that are older than the recording, on memory that could not be read, or on a call that "
        "did not end says so (\"unseen\") and is left out.",
    .examples = dump_examples,
    .opts = dump_opts,
    .args_size = sizeof(struct dump_args),
    .defaults = &dump_defaults,
    .flags = CLI_OWN_OUTPUT,
    .run = dump_run,
};
