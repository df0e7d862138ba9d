/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqdump save: queues into a file. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fileio.h"
#include "mqdump_verbs.h"
#include "msgdump.h"
#include "qcmd.h"
#include "sysvdump.h"

struct save_args {
    struct qcmd_common common;
    const char *file;
    int32_t pid;
    bool all;
    bool all_namespaces;
    bool force;
};

static const struct save_args save_defaults = {
    .common = {.max_snapshot = 64 * 1024 * 1024},
};

static const struct cli_opt save_opts[] = {
    CLI_STR(struct save_args, file, 'O', "output-file", "FILE",
            "write there, whole or not at all, instead of to standard output",
            .complete = CLI_COMPLETE_FILE),
    CLI_FLAG(struct save_args, all, 'a', "all", "all queues"),
    CLI_FLAG(struct save_args, all_namespaces, 'A', "all-namespaces",
             "all queues of all IPC namespaces"),
    CLI_PID(struct save_args, pid, 0, "pid", "PID", "queues that a process has open"),
    CLI_FLAG(struct save_args, force, 0, "force",
             "let --backend drain take a queue that others use"),
    CLI_END,
};

struct save {
    struct cli_ctx *ctx;
    const struct save_args *args;
    struct msgq_peek_opts opts;
    struct msgq_peeker *peeker;
    struct msgq_peeker *sysv;
    bool with_sysv; /* the dump has System V queues */
    FILE *stream;
    struct dump_writer *w;
    struct cli_progress progress;
    struct {
        uint64_t dev, ino;
    } * seen; /* a queue that is named twice is saved once */
    size_t n_seen;
};

static void save_done(struct save *s)
{
    cli_progress_end(&s->progress);
    dump_writer_free(s->w);
    msgq_peeker_free(s->peeker);
    msgq_peeker_free(s->sysv);
    free(s->seen);
}

/* Return: 1 when it is new, 0 when not, or -errno. */
static int mark_seen(struct save *s, const struct pmq_queue *q)
{
    struct stat st;
    void *v;

    if (fstat(pmq_queue_fd(q), &st) < 0)
        return -errno;
    for (size_t i = 0; i < s->n_seen; i++)
        if (s->seen[i].dev == st.st_dev && s->seen[i].ino == st.st_ino)
            return 0;
    v = reallocarray(s->seen, s->n_seen + 1, sizeof(*s->seen));
    if (!v)
        return -ENOMEM;
    s->seen = v;
    s->seen[s->n_seen].dev = st.st_dev;
    s->seen[s->n_seen++].ino = st.st_ino;
    return 1;
}

static int begin_dump(struct save *s, const char *backend)
{
    int r = dump_writer_new_version(s->stream, s->with_sysv ? DUMP_VERSION_SYSV : DUMP_VERSION,
                                    MSGDUMP_KIND, s->ctx->applet->name, backend, &s->w);

    if (r < 0)
        return cli_fail_write(s->ctx, r, s->args->file);
    cli_progress_begin(s->ctx, "records", !s->args->file, &s->progress);
    dump_writer_watch(s->w, cli_progress_at, &s->progress);
    return CLI_OK;
}

/* The peeker and the header, which names the backend, wait for the first queue. */
static int begin(struct save *s, const struct pmq_queue *q)
{
    s->opts.force = s->args->force;
    if (q && !s->peeker && qcmd_peeker(s->ctx, &s->args->common, q, &s->opts, &s->peeker) != CLI_OK)
        return s->ctx->status;
    return s->w ? CLI_OK : begin_dump(s, q ? msgq_peeker_backend(s->peeker) : NULL);
}

/* Of a System V queue, which has been found. */
static int save_sysv(struct save *s, const struct sysv_queue *q)
{
    struct msgq_snapshot_info info;
    struct err e = ERR_INIT;
    int r;

    if (!s->sysv && qcmd_peeker_sysv(s->ctx, &s->args->common, &s->opts, &s->sysv) != CLI_OK)
        return s->ctx->status;
    if (!s->w && begin_dump(s, msgq_peeker_backend(s->sysv)) != CLI_OK)
        return s->ctx->status;
    r = sysvdump_save(s->w, s->sysv, q, &info, &e);
    if (r < 0)
        return cli_fail(s->ctx, r, &e, "%s: cannot save", q->label);
    if (info.consistency == MSGQ_TORN)
        cli_note(s->ctx, "%s: messages were moving: what is saved may mix several moments",
                 q->label);
    return CLI_OK;
}

static int save_sysv_operand(struct save *s, const char *operand)
{
    struct sysv_there there;
    struct sysv_queue q;
    int r = qcmd_open_sysv(s->ctx, operand, &q, &there);

    if (r != CLI_OK)
        return r;
    r = save_sysv(s, &q);
    sysv_leave(&there);
    return r;
}

/* One that was removed since is no error, one that is closed to us is. */
static int save_sysv_listed(struct save *s, const struct sysv_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        const struct sysv_ref ref = {.id = set->v[i].attr.id};
        struct sysv_there there;
        struct sysv_queue q;
        struct err e = ERR_INIT;
        int r = sysv_open(&ref, &q, &there, &e);

        if (r == -ENOENT)
            continue;
        if (r < 0) {
            cli_fail(s->ctx, r, &e, "sysv:%d is left out", ref.id);
            continue;
        }
        r = save_sysv(s, &q);
        sysv_leave(&there);
        if (r != CLI_OK)
            return r;
    }
    return CLI_OK;
}

static int save_queue(struct save *s, const struct pmq_queue *q, uint64_t ipc_ns)
{
    struct msgq_snapshot_info info;
    struct err e = ERR_INIT;
    int r = mark_seen(s, q);

    if (r == 0)
        return CLI_OK;
    if (r < 0)
        return cli_fail(s->ctx, r, NULL, "%s", pmq_queue_label(q));
    if (begin(s, q) != CLI_OK)
        return s->ctx->status;
    r = msgdump_save_queue(s->w, s->peeker, q, ipc_ns, &info, &e);
    if (r < 0)
        return cli_fail(s->ctx, r, &e, "%s: cannot save", pmq_queue_label(q));
    if (info.consistency == MSGQ_TORN)
        cli_note(s->ctx, "%s: messages were moving: what is saved may mix several moments",
                 pmq_queue_label(q));
    return CLI_OK;
}

/* The namespace of pid:PID:/name and ns:PATH:/name; 0 for the caller's own, or where it does not
 * matter. */
static uint64_t namespace_of(const char *operand)
{
    struct pmq_ref ref;
    struct stat own, st;
    char path[64];

    if (pmq_ref_parse(operand, &ref, NULL) < 0 ||
        (ref.kind != PMQ_REF_PID_NAME && ref.kind != PMQ_REF_NS_NAME))
        return 0;
    snprintf(path, sizeof(path), "/proc/%d/ns/ipc", (int)ref.pid);
    if (stat(ref.kind == PMQ_REF_NS_NAME ? ref.path : path, &st) < 0 ||
        stat("/proc/self/ns/ipc", &own) < 0 || st.st_ino == own.st_ino)
        return 0;
    return st.st_ino;
}

static int save_operands(struct save *s)
{
    for (size_t i = 0; i < s->ctx->n_operands; i++) {
        _cleanup_(pmq_queue_closep) struct pmq_queue *q = NULL;

        if (sysv_ref_is(s->ctx->operands[i])) {
            if (save_sysv_operand(s, s->ctx->operands[i]) != CLI_OK)
                return s->ctx->status;
            continue;
        }
        if (qcmd_open(s->ctx, s->ctx->operands[i], PMQ_OPEN_READ, &q) != CLI_OK ||
            save_queue(s, q, namespace_of(s->ctx->operands[i])) != CLI_OK)
            return s->ctx->status;
    }
    return CLI_OK;
}

/* Queues that a listing found: one that has gone since is no error, one that is closed to us is. */
static int save_listed(struct save *s)
{
    unsigned int flags = PMQ_SCAN_HOLDERS | (s->args->pid ? PMQ_SCAN_UNLINKED : 0) |
                         (s->args->all_namespaces ? PMQ_SCAN_ALL_NAMESPACES : 0);
    _cleanup_(pmq_set_freep) struct pmq_set *set = NULL;
    struct err e = ERR_INIT;
    int r = pmq_scan(flags, s->args->pid, &set, &e);

    if (r < 0)
        return cli_fail(s->ctx, r, &e, "cannot list queues");
    /* What is not listed is left out, too. Of a process, nothing is. */
    if (!s->args->pid && !(set->names_complete && set->spaces_complete))
        cli_fail_status(s->ctx, CLI_DENIED, "%s", set->note);
    qcmd_tell_journals(s->ctx, set);
    for (size_t i = 0; i < set->n; i++) {
        _cleanup_(pmq_queue_closep) struct pmq_queue *q = NULL;
        struct pmq_ref ref;

        if (!pmq_info_ref(&set->v[i], &ref))
            continue; /* nobody has it open any more, and its name is gone */
        e = (struct err)ERR_INIT;
        r = pmq_queue_open(&ref, PMQ_OPEN_READ, &q, &e);
        if (r == -ENOENT || r == -ESRCH)
            continue;
        if (r < 0) {
            cli_fail(s->ctx, r, &e, "%s is left out", set->v[i].attr.name);
            continue;
        }
        if (save_queue(s, q, s->args->all_namespaces ? set->v[i].ipc_ns : 0) != CLI_OK)
            return CLI_FAILED;
    }
    return CLI_OK;
}

/* Only what was left out is no reason to keep nothing. */
static int save_all(struct save *s)
{
    _cleanup_(sysv_set_freep) struct sysv_set *sysv = NULL;
    int r;

    for (size_t i = 0; i < s->ctx->n_operands; i++)
        s->with_sysv |= sysv_ref_is(s->ctx->operands[i]);
    /* A kernel without System V queues has none to save. */
    if ((s->args->all || s->args->all_namespaces) && sysv_list(false, &sysv, NULL) == 0)
        s->with_sysv = sysv->n > 0;
    r = s->ctx->n_operands ? save_operands(s) : save_listed(s);
    if (r == CLI_OK && sysv)
        r = save_sysv_listed(s, sysv);

    return r == CLI_OK ? begin(s, NULL) : r;
}

static int save_run(struct cli_ctx *ctx, const void *argp)
{
    const struct save_args *args = argp;
    _cleanup_(save_done) struct save s = {.ctx = ctx, .args = args, .stream = stdout};
    _cleanup_(file_out_closep) struct file_out *out = NULL;
    bool listed = args->all || args->all_namespaces || args->pid;
    int r;

    if (args->pid && (args->all || args->all_namespaces))
        return cli_usage(ctx, "--pid and %s exclude each other",
                         args->all ? "--all" : "--all-namespaces");
    if (listed == (ctx->n_operands > 0))
        return cli_usage(ctx, listed ? "name queues, or take --all, not both"
                                     : "save needs QUEUE…, --all or --pid");
    if (args->file) {
        r = file_out_open(args->file, 0600, &out);
        if (r < 0)
            return cli_fail_write(ctx, r, args->file);
        s.stream = file_out_stream(out);
    }
    if (save_all(&s) != CLI_OK)
        return ctx->status;
    r = dump_writer_finish(s.w);
    if (r == 0 && out)
        r = file_out_commit(out);
    if (r == -EPIPE)
        return ctx->status;
    return r < 0 ? cli_fail_write(ctx, r, args->file) : ctx->status;
}

static const struct cli_example save_examples[] = {
    {"mqdump save /jobs /mail -O queues.dump", "two queues into a file"},
    {"mqdump save --all | ssh backup 'cat >queues.dump'", "all queues to another machine"},
    {"mqdump save --pid 4711 -O app.dump", "what process 4711 has open, unlinked queues included"},
    {NULL, NULL},
};

const struct cli_verb mqdump_save_verb = {
    .name = "save",
    .operands = "[QUEUE…]",
    .max_operands = SIZE_MAX,
    .complete = CLI_COMPLETE_QUEUE,
    .summary = "save queues and their messages",
    .description =
        "Writes attributes, owner, mode and messages. Nothing in a queue changes. Each queue is "
        "read at one moment where the backend can do so; \"consistent\" in its record tells.\n"
        "\n"
        "With -O the file appears whole or not at all. A queue of a listing (--all) that the "
        "caller may not read is named and left out, and the exit status is 5; so it is where the "
        "listing itself is not complete. A registered notification (mq_notify) is not saved.",
    .examples = save_examples,
    .opts = save_opts,
    .args_size = sizeof(struct save_args),
    .defaults = &save_defaults,
    .flags = CLI_OWN_OUTPUT,
    .run = save_run,
};
