/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqdump criu restore: the queues first, in the namespaces where criu will put their processes. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "criu.h"
#include "fileio.h"
#include "ipcns.h"

/* Runtimes of containers, and criu, put descriptors of their own at low numbers. */
enum { FIRST_FD = 200 };

/* Where the queues are mounted, for criu, on a machine without DEV_MQUEUE. */
#define DEV_MQUEUE "/dev/mqueue"
#define RUN_MQUEUE "/run/ipcbox-mqueue"

void criu_lines_add(struct criu_lines *l, const char *fmt, ...)
{
    char **v = reallocarray(l->v, l->n + 1, sizeof(*v));
    va_list ap;

    if (!v) {
        l->error = -ENOMEM;
        return;
    }
    l->v = v;
    va_start(ap, fmt);
    if (vasprintf(&l->v[l->n], fmt, ap) < 0)
        l->error = -ENOMEM;
    else
        l->n++;
    va_end(ap);
}

void criu_lines_done(struct criu_lines *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i]);
    free(l->v);
    *l = (struct criu_lines){0};
}

int criu_exec(char *const argv[])
{
    signal(SIGPIPE, SIG_DFL); /* as it was before cli_main() */
    execvp(argv[0], argv);
    return -errno;
}

/* ---- namespaces ---- */

static int write_sysctl(const char *name, uint64_t value)
{
    char path[64], text[24];
    _cleanup_(closep) int fd = -1;
    int n = snprintf(text, sizeof(text), "%" PRIu64, value);

    snprintf(path, sizeof(path), "/proc/sys/fs/mqueue/%s", name);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return file_write_all(fd, text, (size_t)n);
}

/* A new IPC namespace with the tree's limits. Return: 0, or -errno with a reason. */
static int new_namespace(const struct pmq_limits *l, struct err *e)
{
    int r = 0;

    if (unshare(CLONE_NEWIPC) < 0)
        return err_set(e, -errno, "run as root", "cannot make an IPC namespace: %s",
                       strerrordesc_np(errno));
    if (l->queues_max != PMQ_UNKNOWN)
        r = write_sysctl("queues_max", l->queues_max);
    if (r == 0 && l->msg_max != PMQ_UNKNOWN)
        r = write_sysctl("msg_max", l->msg_max);
    if (r == 0 && l->msgsize_max != PMQ_UNKNOWN)
        r = write_sysctl("msgsize_max", l->msgsize_max);
    if (r < 0)
        return err_set(e, r, NULL, "the new IPC namespace cannot get the limits of the old one: %s",
                       strerrordesc_np(-r));
    return 0;
}

/* The namespace that a container shares with others; whoever runs criu tells it to join. */
static int enter_namespace(const char *path, struct err *e)
{
    _cleanup_(closep) int ns = ipcns_open_path(path);
    int r = ns < 0 ? ns : setns(ns, CLONE_NEWIPC) < 0 ? -errno : 0;

    if (r == -EINVAL)
        return err_set(e, r, "give a file such as /proc/PID/ns/ipc", "%s is no IPC namespace",
                       path);
    return r < 0 ? err_set(e, r, NULL, "the IPC namespace at %s cannot be entered: %s", path,
                           strerrordesc_np(-r))
                 : 0;
}

/* The directory to mount on. A directory in /run stays behind, empty. */
static const char *mount_point(void)
{
    struct stat st;

    if (stat(DEV_MQUEUE, &st) == 0 && S_ISDIR(st.st_mode))
        return DEV_MQUEUE;
    if (mkdir(RUN_MQUEUE, 0700) < 0 && errno != EEXIST)
        return NULL;
    return lstat(RUN_MQUEUE, &st) == 0 && S_ISDIR(st.st_mode) ? RUN_MQUEUE : NULL;
}

/*
 * The queues of the IPC namespace that this process is in, mounted where only this process and
 * criu see it. Mounts of the machine still come in, those of criu do not go out.
 */
static int add_mount(struct criu_lines *l, const char *key, struct err *e)
{
    const char *dir = mount_point();

    if (!dir)
        return err_set(e, -errno, NULL, RUN_MQUEUE " cannot be made: %s", strerrordesc_np(errno));
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ||
        mount("mqueue", dir, "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        return err_set(e, -errno, NULL, "the queues cannot be mounted: %s", strerrordesc_np(errno));
    criu_lines_add(l, "external mnt[%s]:%s", key, dir);
    return 0;
}

/* ---- descriptors ---- */

/* A duplicate that stays open over exec, at a number that nobody else will want. */
static int lasting(int fd, struct err *e)
{
    int high = fcntl(fd, F_DUPFD, FIRST_FD);

    return high < 0 ? err_set(e, -errno, "raise ulimit -n", "a queue cannot be handed over: %s",
                              strerrordesc_np(errno))
                    : high;
}

/* One inherited descriptor for each name that CRIU has for a queue. */
static int hand_over(const struct msgdump_plan *plan, const struct msgdump_checkpoint *c,
                     struct criu_lines *l, struct err *e)
{
    for (size_t i = 0; i < c->n; i++) {
        int fd = lasting(msgdump_plan_fd(plan, c->files[i].queue), e);

        if (fd < 0)
            return fd;
        criu_lines_add(l, "inherit-fd fd[%d]:file[%" PRIx64 ":%" PRIx64 "]", fd, c->files[i].mnt_id,
                       c->files[i].ino);
    }
    return 0;
}

/* Criu puts the tree into the namespace that was made, to which this process is not to belong. */
static int join_and_leave(int home, bool join, struct criu_lines *l, struct err *e)
{
    if (join) {
        _cleanup_(closep) int ns = open("/proc/self/ns/ipc", O_RDONLY | O_CLOEXEC);
        int fd = ns < 0 ? err_set(e, -errno, NULL, "/proc/self/ns/ipc: %s", strerrordesc_np(errno))
                        : lasting(ns, e);

        if (fd < 0)
            return fd;
        criu_lines_add(l, "join-ns ipc:/proc/self/fd/%d", fd);
    }
    if (home < 0 || setns(home, CLONE_NEWIPC) < 0)
        return err_set(e, -errno, NULL, "cannot go back to the IPC namespace: %s",
                       strerrordesc_np(errno));
    return 0;
}

/* ---- all of it ---- */

/* Queues that no process of the tree had open: in a namespace that others share they are theirs. */
static bool *closed_queues(const struct msgdump_checkpoint *c)
{
    bool *closed = calloc(c->n_queues + 1, sizeof(*closed));

    for (size_t i = 0; closed && i < c->n_queues; i++)
        closed[i] = true;
    for (size_t i = 0; closed && i < c->n; i++)
        closed[c->files[i].queue] = false;
    return closed;
}

static void tell_items(const struct cli_ctx *ctx, const struct msgdump_plan *plan)
{
    size_t n;
    const struct msgdump_item *items = msgdump_plan_items(plan, &n);

    for (size_t i = 0; i < n; i++) {
        if (items[i].saved)
            cli_note(ctx, "%s: what was there is in %s", items[i].name, items[i].saved);
        if (items[i].action == MSGDUMP_SKIP)
            cli_note(ctx, "%s: it exists with other messages, and was not open: left as it is",
                     items[i].name);
    }
}

int criu_make_queues(struct cli_ctx *ctx, const struct criu_args *args, const char *path,
                     struct criu_lines *l, struct err *e)
{
    const struct msgq_peek_opts peek = criu_peek_opts(ctx, args);
    _cleanup_(dump_reader_freep) struct dump_reader *reader = NULL;
    _cleanup_(msgdump_checkpoint_done) struct msgdump_checkpoint c = {0};
    _cleanup_(closep) int home = open("/proc/self/ns/ipc", O_RDONLY | O_CLOEXEC);
    _cleanup_(freep) bool *closed = NULL;
    struct msgdump_opts opts = {
        .keep = true,
        .hide_unlinked = true,
        .replace = args->replace,
        .peek = &peek,
        .tool = ctx->applet->name,
    };
    _cleanup_(msgdump_plan_freep) struct msgdump_plan *plan = NULL;
    int r = dump_reader_open(path, DUMP_REWIND, &reader, e);

    if (r == 0)
        r = msgdump_checkpoint_read(reader, &c, e);
    if (r < 0)
        return r;
    if (args->ipc) {
        opts.leave = closed = closed_queues(&c);
        r = closed ? enter_namespace(args->ipc, e) : -ENOMEM;
    } else if (c.own_ipc_ns) {
        r = new_namespace(&c.limits, e);
    }
    if (r == 0)
        r = msgdump_plan_new(reader, &opts, &plan, e);
    if (r == 0 && args->mount)
        r = add_mount(l, args->mount, e);
    if (r == 0)
        r = msgdump_plan_run(plan, e);
    if (r < 0)
        return r;
    tell_items(ctx, plan);
    r = hand_over(plan, &c, l, e);
    if (r == 0 && (args->ipc || c.own_ipc_ns))
        r = join_and_leave(home, !args->ipc, l, e);
    return r < 0 ? r : l->error;
}

/* "name value" becomes --name and value. */
static void add_words(const struct criu_lines *l, struct criu_lines *words)
{
    for (size_t i = 0; i < l->n; i++) {
        int name = (int)strcspn(l->v[i], " ");

        criu_lines_add(words, "--%.*s", name, l->v[i]);
        criu_lines_add(words, "%s", l->v[i] + name + 1);
    }
}

static int run_criu(const struct cli_ctx *ctx, const struct criu_args *args,
                    const struct criu_lines *l)
{
    _cleanup_(criu_lines_done) struct criu_lines words = {0};
    _cleanup_(freep) char **argv = NULL;

    criu_lines_add(&words, "%s", args->program);
    criu_lines_add(&words, "restore");
    add_words(l, &words);
    argv = calloc(words.n + ctx->n_operands, sizeof(*argv));
    if (words.error || !argv)
        return -ENOMEM;
    memcpy(argv, words.v, words.n * sizeof(*argv));
    memcpy(argv + words.n, ctx->operands + 1, (ctx->n_operands - 1) * sizeof(*argv));
    return criu_exec(argv);
}

int criu_run_restore(struct cli_ctx *ctx, const struct criu_args *args)
{
    _cleanup_(criu_lines_done) struct criu_lines l = {0};
    char path[4096];
    struct err e = ERR_INIT;
    int r;

    if (snprintf(path, sizeof(path), "%s/" MSGDUMP_CRIU_FILE, args->dir) >= (int)sizeof(path))
        return cli_fail(ctx, -ENAMETOOLONG, NULL, "%s", args->dir);
    qcmd_tell_journals(ctx, NULL);
    r = criu_make_queues(ctx, args, path, &l, &e);
    if (r < 0)
        return cli_fail(ctx, r, &e, "%s: nothing was restored", path);
    r = run_criu(ctx, args, &l);
    return cli_fail(ctx, r, NULL, "the queues are there, but %s cannot be run", args->program);
}
