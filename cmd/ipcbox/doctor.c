/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ipcbox doctor: what works here for this user, and what would make the rest work. */
#ifndef IPCBOX_STATIC
#include <dlfcn.h>
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bus1_abi.h"
#include "bus_monitor.h"
#include "cleanup.h"
#include "fdq_follow.h"
#include "fdq_peek.h"
#include "pmq_backends.h"
#include "pmq_follow.h"
#include "proc_events.h"
#include "run.h"
#include "sysv_backends.h"
#include "sysv_follow.h"
#include "uipc.h"
#include "verbs.h"

struct doctor_row {
    const char *applet;
    const char *verbs;
    const char *backend;
    bool usable;
    bool explicit_only;
    const char *why;
    const char *remedy;
    const char *explanation;
};

static const struct out_col doctor_cols[] = {
    OUT_STR(struct doctor_row, applet, "applet", "who uses it"),
    OUT_STR(struct doctor_row, verbs, "verbs", "for what", .flags = OUT_HIDDEN),
    OUT_STR(struct doctor_row, backend, "backend", "a way to do it, the preferred one first"),
    OUT_BOOL(struct doctor_row, usable, "usable", "on this kernel, with these privileges"),
    OUT_BOOL(struct doctor_row, explicit_only, "explicit_only", "taken only when it is named",
             .flags = OUT_HIDDEN),
    OUT_STR(struct doctor_row, why, "why", "why it is not", .flags = OUT_HIDDEN),
    OUT_STR(struct doctor_row, remedy, "remedy", "what would make it so", .flags = OUT_HIDDEN),
    OUT_STR(struct doctor_row, explanation, "explanation", "why it is not, and what would help",
            .flags = OUT_TEXT | OUT_WRAP),
    OUT_END,
};

/* Shows one result: @r and @e come from its probe. */
static void report(struct cli_ctx *ctx, struct doctor_row row, int r, const struct err *e)
{
    char text[sizeof(e->why) + sizeof(e->remedy) + 16];

    row.usable = r == 0;
    if (r < 0) {
        row.why = err_text(e, r);
        row.remedy = e->remedy[0] ? e->remedy : NULL;
        snprintf(text, sizeof(text), "%s%s%s", row.why, row.remedy ? "; what would help: " : "",
                 row.remedy ? row.remedy : "");
        row.explanation = text;
    } else if (row.explicit_only) {
        row.explanation = "taken only when it is named (--backend)";
    }
    out_row(ctx->out, &row);
}

/* Return: 0, or -ENOSYS with a reason when the kernel has no queues at all. */
static int check_listing(struct cli_ctx *ctx, struct err *none)
{
    const unsigned int flags = PMQ_SCAN_HOLDERS | PMQ_SCAN_WAITERS;
    _cleanup_(pmq_set_freep) struct pmq_set *set = NULL;
    struct doctor_row names = {.applet = "mqpeek", .verbs = "list, top, metrics"};
    struct doctor_row users = names;
    struct err missing = ERR_INIT;
    int r = pmq_scan(flags, 0, &set, none);

    names.backend = "names of queues";
    users.backend = "holders, blocked threads";
    if (r < 0) {
        report(ctx, names, r, none);
        report(ctx, users, r, none);
        return r == -ENOSYS ? r : 0;
    }
    err_set(&missing, -EACCES, NULL, "%s", set->note);
    report(ctx, names, set->names_complete ? 0 : -EACCES, &missing);
    report(ctx, users, set->holders_complete && set->waiters_complete ? 0 : -EACCES, &missing);
    return 0;
}

static void check_peeking(struct cli_ctx *ctx, int no_queues, const struct err *none)
{
    const struct msgq_peek_opts opts = {0};

    for (const struct msgq_ops *const *o = pmq_backends; *o; o++) {
        struct doctor_row row = {
            .applet = "mqpeek, mqdump",
            .verbs = strcmp((*o)->name, "bpf") ? "peek, save" : "peek, info, save",
            .backend = (*o)->name,
            .explicit_only = (*o)->explicit_only,
        };
        struct err e = ERR_INIT;

        if (no_queues)
            report(ctx, row, no_queues, none);
        else
            report(ctx, row, ((*o)->check ?: (*o)->probe)(&opts, &e), &e);
    }
}

/*
 * System V queues have the same backends, shown under other names because each may be usable or not
 * by itself.
 */
static void check_sysv(struct cli_ctx *ctx)
{
    const struct msgq_peek_opts opts = {0};

    for (const struct msgq_ops *const *o = sysv_backends; *o; o++) {
        char name[32];
        struct doctor_row row = {
            .applet = "mqpeek",
            .verbs = "peek, info of System V queues",
            .backend = name,
        };
        struct err e = ERR_INIT;

        snprintf(name, sizeof(name), "System V: %s", (*o)->name);
        report(ctx, row, ((*o)->check ?: (*o)->probe)(&opts, &e), &e);
    }
}

static void check_following_sysv(struct cli_ctx *ctx)
{
    for (const char *const *b = msgq_follow_backends; *b; b++) {
        char name[32];
        struct doctor_row row = {
            .applet = "mqpeek, mqdump",
            .verbs = "follow, record of System V queues",
            .backend = name,
        };
        struct err e = ERR_INIT;

        snprintf(name, sizeof(name), "System V: %s", *b);
        report(ctx, row, sysv_follow_probe(*b, &e), &e);
    }
}

static void check_following(struct cli_ctx *ctx, int no_queues, const struct err *none)
{
    struct doctor_row row = {.applet = "mqpeek, mqdump", .verbs = "follow, record"};
    _cleanup_(proc_events_closep) struct proc_events *ev = NULL;
    struct err e = ERR_INIT;

    for (const char *const *b = msgq_follow_backends; *b; b++) {
        struct err why = ERR_INIT;

        row.backend = *b;
        if (no_queues)
            report(ctx, row, no_queues, none);
        else
            report(ctx, row, pmq_follow_probe(*b, &why), &why);
    }
    check_following_sysv(ctx);
    row.applet = "mqpeek";
    row.verbs = "follow";
    row.backend = "ends of processes";
    report(ctx, row, proc_events_open(&ev, &e), &e);
}

static int open_device(const char *path)
{
    _cleanup_(closep) int fd = open(path, O_RDWR | O_CLOEXEC);

    return fd < 0 ? -errno : 0;
}

static void check_bus1(struct cli_ctx *ctx)
{
    struct doctor_row row = {.applet = "b1ctl", .verbs = "all"};
    struct err e = ERR_INIT;
    int r = open_device(BUS1_DEVICE_PATH);

    if (r == -ENOENT)
        err_set(&e, r, "a kernel with bus1; b1ctl serve offers the same",
                "this kernel has no bus1");
    else if (r == -EACCES || r == -EPERM)
        err_set(&e, r, "chmod 0666 " BUS1_DEVICE_PATH " (the kernel's own mode), or run as root",
                "this user may not open " BUS1_DEVICE_PATH);
    else if (r < 0)
        err_set(&e, r, NULL, "cannot open %s: %s", BUS1_DEVICE_PATH, err_text(NULL, r));
    row.backend = "kernel";
    report(ctx, row, r, &e);
#ifdef IPCBOX_HAVE_FUSE
    r = open_device("/dev/fuse");
    if (r < 0)
        err_set(&e, r, "modprobe fuse, as a user who may open /dev/fuse", "cannot open /dev/fuse");
#else
    r = err_set(&e, -EOPNOTSUPP, "build it with -DIPCBOX_FUSE=ON", "this build is without FUSE");
#endif
    row.backend = "served";
    report(ctx, row, r, &e);
    e = (struct err)ERR_INIT;
    row.verbs = "monitor, dump";
    row.backend = "calls";
    report(ctx, row, b1_monitor_probe(&e), &e);
#if defined IPCBOX_LIBEDIT && defined IPCBOX_STATIC
    r = 0;
#elif defined IPCBOX_LIBEDIT
    r = dlopen(IPCBOX_LIBEDIT, RTLD_LAZY | RTLD_LOCAL) ? 0 : -EOPNOTSUPP;
    if (r < 0)
        err_set(&e, r, "install libedit", "%s", dlerror());
#else
    r = err_set(&e, -EOPNOTSUPP, "build it with -DIPCBOX_LIBEDIT=ON",
                "this build is without libedit");
#endif
    row.verbs = "shell";
    row.backend = "line editing";
    report(ctx, row, r, &e);
}

static void check_descriptors(struct cli_ctx *ctx)
{
    const struct doctor_row following = {
        .applet = "fdpeek",
        .verbs = "follow",
        .backend = "calls of sockets",
    };
    struct err follow = ERR_INIT;

    for (const char *const *b = fdq_backends; *b; b++) {
        const struct doctor_row row = {
            .applet = "fdpeek",
            .verbs = strcmp(*b, "bpf") ? "peek" : "list, peek, info",
            .backend = *b,
        };
        struct err e = ERR_INIT;

        report(ctx, row, fdq_backend_check(*b, &e), &e);
    }
    report(ctx, following, fdq_follow_probe(&follow), &follow);
}

static void check_channels(struct cli_ctx *ctx)
{
    static const struct uipc_ops *const providers[] = {&uipc_kernel_ops, &uipc_embedded_ops};

    for (size_t i = 0; i < ARRAY_SIZE(providers); i++) {
        const struct doctor_row row = {
            .applet = "uringipc",
            .verbs = "all",
            .backend = providers[i]->name,
        };
        struct err e = ERR_INIT;

        report(ctx, row, providers[i]->probe(&e), &e);
    }
}

static void check_run(struct cli_ctx *ctx)
{
    static const struct {
        unsigned int part;
        const char *name;
    } parts[] = {
        {0, "seccomp"},
        {RUN_MQ, "run --only mq"},
        {RUN_BUS1, "run --only bus1"},
        {RUN_URING, "run --only uring"},
    };
    struct err no_trap = ERR_INIT;
    int trap = run_probe(0, &no_trap);

    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        const struct doctor_row row = {
            .applet = "ipcbox",
            .verbs = "run",
            .backend = parts[i].name,
        };
        struct err e = no_trap;
        int r = trap;

        if (r == 0 && parts[i].part)
            r = run_probe(parts[i].part, &e);
        report(ctx, row, r, &e);
    }
}

static int doctor_run(struct cli_ctx *ctx, const void *argp _unused_)
{
    struct err none = ERR_INIT;
    int no_queues;

    out_list_begin(ctx->out, "backends", doctor_cols, OUT_RECORDS);
    no_queues = check_listing(ctx, &none);
    check_peeking(ctx, no_queues, &none);
    check_sysv(ctx);
    check_following(ctx, no_queues, &none);
    check_bus1(ctx);
    check_channels(ctx);
    check_descriptors(ctx);
    check_run(ctx);
    out_list_end(ctx->out);
    return CLI_OK;
}

static const struct cli_example doctor_examples[] = {
    {"ipcbox doctor", "what works here, and what does not"},
    {"ipcbox -J doctor | jq -r '.backends[] | select(.usable | not) | .backend + \": \" + .why'",
     "only the reasons"},
    {NULL, NULL},
};

const struct cli_verb ipcbox_doctor_verb = {
    .name = "doctor",
    .summary = "what works on this kernel for this user, why not, what helps",
    .description = "Tries every backend of every applet, without a side effect that lasts, and "
                   "shows which can be used with the privileges that the caller has now. For what "
                   "cannot be used it says why, and what would change that.",
    .examples = doctor_examples,
    .cols = doctor_cols,
    .run = doctor_run,
};
