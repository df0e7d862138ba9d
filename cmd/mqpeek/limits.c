/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqpeek limits: why mq_open() fails, in the caller's own figures. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "limits_memory.h"
#include "limits_sysv.h"
#include "mqpeek_verbs.h"
#include "parse.h"
#include "pmq_inspect.h"
#include "privileges.h"
#include "proc.h"
#include "qcmd.h"
#include "queue_row.h"
#include "timefmt.h"

struct limits_args {
    struct qcmd_common common;
    bool exact;
};

static const struct cli_opt limits_opts[] = {
    CLI_FLAG(struct limits_args, exact, 0, "exact",
             "fail where the kernel cannot be asked, through BPF, what is charged to you"),
    CLI_END,
};

/**
 * struct limits_row - the figures
 * @charged: bytes that are charged to the caller
 * @charged_exact: it is the kernel's own figure
 * @queues: number of queues in the caller's IPC namespace
 * @queues_exact: it is the kernel's own figure, or every queue could be listed
 * @holders_complete: all processes were seen, so that none can have one of the orphans open
 * @files, @files_max: the caller's descriptors
 * @memory: the memory that the kernel can use for a queue
 * @privileged: CAP_SYS_RESOURCE, which lifts all limits but bytes and descriptors
 * @maxmsg, @msgsize, @cost: the queue that the user wants to create
 */
struct limits_row {
    struct pmq_limits l;
    uint32_t uid;
    char user[40];
    uint64_t charged;
    bool charged_exact;
    uint64_t available;
    uint64_t unread;
    uint64_t queues;
    bool queues_exact;
    bool holders_complete;
    uint64_t files;
    uint64_t files_max;
    struct limits_memory memory;
    bool privileged;
    uint64_t maxmsg;
    uint64_t msgsize;
    uint64_t cost;
    const char *note;
};

#define LIMIT(type, field, ...) OUT_##type(struct limits_row, field, __VA_ARGS__)

static const struct out_col limits_cols[] = {
    LIMIT(CHARS, user, "user", "the caller's real user, who is charged"),
    LIMIT(U32, uid, "uid", "its number"),
    LIMIT(SIZE, charged, "charged", "bytes charged to the user for all queues"),
    LIMIT(BOOL, charged_exact, "charged_exact",
          "the kernel's own figure; else added up by owner, and it may be more"),
    LIMIT(SIZE, l.rlimit_soft, "rlimit_soft", "RLIMIT_MSGQUEUE, bytes; null for no limit"),
    LIMIT(SIZE, l.rlimit_hard, "rlimit_hard", "to which it can be raised; null for no limit"),
    LIMIT(SIZE, available, "available", "bytes left; null for no limit"),
    LIMIT(U64, queues, "queue_count", "in this IPC namespace, unlinked ones that are open included",
          .heading = "QUEUES"),
    LIMIT(U64, l.queues_max, "queues_max", "fs.mqueue.queues_max"),
    LIMIT(U64, l.msg_max, "msg_max", "fs.mqueue.msg_max: most messages of a new queue"),
    LIMIT(SIZE, l.msgsize_max, "msgsize_max",
          "fs.mqueue.msgsize_max: largest message of a new queue"),
    LIMIT(U64, l.msg_default, "msg_default", "messages of a queue made without attributes"),
    LIMIT(SIZE, l.msgsize_default, "msgsize_default", "message size of such a queue"),
    LIMIT(U64, files, "open_file_count", "descriptors of this process"),
    LIMIT(U64, files_max, "open_files_max", "RLIMIT_NOFILE"),
    LIMIT(SIZE, memory.available, "memory_available", "bytes that the machine has left"),
    LIMIT(SIZE, memory.group_used, "group_memory",
          "bytes that the caller's control group uses; null when it has no limit"),
    LIMIT(SIZE, memory.group_max, "group_memory_max", "its limit"),
    LIMIT(BOOL, privileged, "privileged",
          "CAP_SYS_RESOURCE: msg_max, msgsize_max and queues_max do not apply"),
    LIMIT(U64, maxmsg, "new_maxmsg", "the new queue that is asked about: messages"),
    LIMIT(SIZE, msgsize, "new_msgsize", "bytes of a message"),
    LIMIT(SIZE, cost, "new_charge", "bytes it would be charged, full or empty"),
    LIMIT(BOOL, holders_complete, "holders_complete",
          "no process can have a queue open unseen; else no orphans are listed", .flags = OUT_JSON),
    LIMIT(STR, note, "note", "what is missing, and what would show it", .flags = OUT_JSON),
    OUT_END,
};

/**
 * struct verdict_row - whether one error of mq_open() would occur
 * @result: "ok": not for this queue at this moment; "fails"; "unknown"
 */
struct verdict_row {
    const char *error;
    const char *result;
    const char *why;
    const char *remedy;
};

static const struct out_col verdict_cols[] = {
    OUT_STR(struct verdict_row, error, "error", "errno of mq_open(3)"),
    OUT_STR(struct verdict_row, result, "result", "ok, fails or unknown: for that new queue, now"),
    OUT_STR(struct verdict_row, why, "why", "the figures", .flags = OUT_WRAP),
    OUT_STR(struct verdict_row, remedy, "remedy", "what to change; null when ok",
            .flags = OUT_WRAP),
    OUT_END,
};

struct user_row {
    char user[40];
    struct pmq_usage u;
};

static const struct out_col user_cols[] = {
    OUT_CHARS(struct user_row, user, "user", "owner of queues"),
    OUT_U32(struct user_row, u.uid, "uid", "its number"),
    OUT_U64(struct user_row, u.queues, "queue_count", "how many it owns", .heading = "QUEUES"),
    OUT_SIZE(struct user_row, u.charged, "charged", "bytes they cost, added up by owner"),
    OUT_U64(struct user_row, u.unread, "unread", "queues that could not be read: not in the sum"),
    OUT_END,
};

/* ---- collecting ---- */

static bool has_sys_resource(void)
{
    struct privileges p;

    return privileges_get(&p) == 0 && p.effective & PRIVILEGE(CAP_SYS_RESOURCE) &&
           privileges_of_machine();
}

static int count_fd(const struct proc_fd *f, void *ctx)
{
    uint64_t *n = ctx;

    (void)f;
    ++*n;
    return 0;
}

static void count_files(struct limits_row *row)
{
    struct rlimit rl;
    int proc = proc_open(NULL);
    uint64_t n = 0;

    row->files = OUT_UNKNOWN_U64;
    row->files_max = getrlimit(RLIMIT_NOFILE, &rl) == 0 ? (uint64_t)rl.rlim_cur : OUT_UNKNOWN_U64;
    if (proc < 0)
        return;
    /* Two descriptors were opened by this walk itself. */
    if (proc_visit_fds(proc, getpid(), count_fd, &n) == 0 && n >= 2)
        row->files = n - 2;
    close(proc);
}

/* Reads the kernel's own counters, which mq_open() checks. */
static int ask_kernel(struct limits_row *row, struct err *e)
{
    _cleanup_(pmq_inspector_freep) struct pmq_inspector *inspector = NULL;
    struct pmq_account a;
    int r = pmq_inspector_new(&inspector, e);

    if (r == 0)
        r = pmq_inspector_account(inspector, &a, e);
    if (r < 0)
        return r;
    row->queues = a.queues;
    row->queues_exact = true;
    if (a.charged == PMQ_UNKNOWN || a.uid != row->uid)
        return err_set(e, -EOPNOTSUPP, NULL, "this kernel's account could not be found");
    row->charged = a.charged;
    row->charged_exact = true;
    row->unread = 0;
    return 0;
}

static void add_up(struct limits_row *row, const struct pmq_set *set, const struct pmq_usage *u,
                   size_t n)
{
    uint64_t own = 0;

    for (size_t i = 0; i < n; i++)
        if (u[i].uid == row->uid) {
            row->charged = u[i].charged;
            row->unread = u[i].unread;
        }
    for (size_t i = 0; i < set->n; i++)
        own += !set->v[i].ns_pid;
    row->queues = own;
}

static int read_number(struct cli_ctx *ctx, const char *text, uint64_t max, const char *what,
                       uint64_t *out)
{
    uint64_t v;

    if (parse_size(text, &v) < 0)
        return cli_usage(ctx, "\"%s\" is no %s", text, what);
    if (v < 1 || v > max)
        return cli_usage(ctx, "%s is from 1 to %" PRIu64 ", in any kernel", what, max);
    *out = v;
    return CLI_OK;
}

/*
 * The queue that the user wants to create: as the operands say, or with the defaults of mq_open().
 */
static int new_queue(struct cli_ctx *ctx, struct limits_row *row)
{
    int status;

    row->maxmsg = MIN(row->l.msg_default, row->l.msg_max);
    row->msgsize = MIN(row->l.msgsize_default, row->l.msgsize_max);
    if (ctx->n_operands != 0 && ctx->n_operands != 2)
        return cli_usage(ctx, "MAXMSG and MSGSIZE go together");
    if (ctx->n_operands == 2) {
        status = read_number(ctx, ctx->operands[0], PMQ_HARD_MSGMAX, "MAXMSG", &row->maxmsg);
        if (status == CLI_OK)
            status = read_number(ctx, ctx->operands[1], PMQ_HARD_MSGSIZEMAX, "MSGSIZE",
                                 &row->msgsize);
        if (status != CLI_OK)
            return status;
    }
    row->cost = row->maxmsg == PMQ_UNKNOWN || row->msgsize == PMQ_UNKNOWN
                    ? OUT_UNKNOWN_U64
                    : pmq_charge(row->maxmsg, row->msgsize);
    return CLI_OK;
}

/* ---- judging ---- */

enum verdict { VERDICT_OK, VERDICT_FAILS, VERDICT_UNKNOWN };

static enum verdict verdict(bool known, bool fails)
{
    return !known ? VERDICT_UNKNOWN : fails ? VERDICT_FAILS : VERDICT_OK;
}

struct verdicts {
    struct {
        const char *error;
        enum verdict v;
        char why[240];
        char remedy[240];
    } of[8];
    size_t n;
};

static void judge(struct verdicts *all, const char *error, enum verdict v, const char *why,
                  const char *remedy)
{
    assert(all->n < ARRAY_SIZE(all->of));
    all->of[all->n].error = error;
    all->of[all->n].v = v;
    snprintf(all->of[all->n].why, sizeof(all->of[0].why), "%s", why);
    snprintf(all->of[all->n].remedy, sizeof(all->of[0].remedy), "%s", remedy);
    all->n++;
}

/* Shows the answer to the user's question, before the figures. */
static void show_answer(struct out *out, const struct limits_row *row, const struct verdicts *all)
{
    _cleanup_(buf_done) struct buf fails = BUF_INIT, unknown = BUF_INIT;
    char queue[80] = "a queue without attributes";

    for (size_t i = 0; i < all->n; i++) {
        struct buf *b = all->of[i].v == VERDICT_FAILS ? &fails : &unknown;

        if (all->of[i].v != VERDICT_OK && !strstr(buf_str(b), all->of[i].error))
            buf_printf(b, "%s%s", b->len ? ", " : "", all->of[i].error);
    }
    if (row->cost != OUT_UNKNOWN_U64)
        snprintf(queue, sizeof(queue), "a queue of %" PRIu64 " messages of %" PRIu64 " bytes",
                 row->maxmsg, row->msgsize);
    if (fails.len)
        out_line(out, "mq_open(3) of %s fails: %s", queue, buf_str(&fails));
    else if (unknown.len)
        out_line(out, "mq_open(3) of %s may fail: not known whether with %s", queue,
                 buf_str(&unknown));
    else
        out_line(out, "mq_open(3) of %s works", queue);
    out_text(out, "%s", "");
}

/* Remedies are shown only when some check does not pass. */
static void show_verdicts(struct out *out, const struct verdicts *all)
{
    static const char *const words[] = {"ok", "fails", "unknown"};

    out_list_begin(out, "errors", verdict_cols, OUT_RECORDS);
    for (size_t i = 0; i < all->n; i++)
        out_row(out, &(struct verdict_row){
                         .error = all->of[i].error,
                         .result = words[all->of[i].v],
                         .why = all->of[i].why,
                         .remedy = all->of[i].v == VERDICT_OK ? NULL : all->of[i].remedy,
                     });
    out_list_end(out);
}

static void judge_bytes(struct verdicts *all, const struct limits_row *row)
{
    uint64_t limit = row->l.rlimit_soft, need = row->charged + row->cost;
    bool unlimited = limit == PMQ_UNLIMITED, sized = row->cost != OUT_UNKNOWN_U64;
    bool fails = sized && !unlimited && row->cost > row->available;
    /* If the sum may be too small, it can prove a failure but not a success. */
    bool known = unlimited || fails || (sized && row->charged_exact);
    char why[240] = "no limit on the bytes of queues (RLIMIT_MSGQUEUE)", remedy[200];

    if (!unlimited && sized)
        snprintf(why, sizeof(why),
                 "%s%" PRIu64 " bytes charged to you + %" PRIu64
                 " for the new queue, limit %" PRIu64 " (RLIMIT_MSGQUEUE)",
                 row->charged_exact ? "" : "at least ", row->charged, row->cost, limit);
    else if (!unlimited)
        snprintf(why, sizeof(why), "what a queue without attributes costs is not known");
    snprintf(remedy, sizeof(remedy), "mqpeek limits MAXMSG MSGSIZE");
    if (fails)
        snprintf(remedy, sizeof(remedy),
                 "ulimit -q %" PRIu64 "%s (LimitMSGQUEUE= in a unit), fewer or smaller messages%s",
                 need, need > row->l.rlimit_hard ? " as root" : "",
                 row->holders_complete ? ", or remove queues that nobody has open" : "");
    else if (sized)
        snprintf(remedy, sizeof(remedy),
                 "other IPC namespaces and other owners' queues may be charged to you, too: "
                 "mqpeek limits --exact, with BPF, tells");
    judge(all, "EMFILE", verdict(known, fails), why, remedy);
}

static void judge_files(struct verdicts *all, const struct limits_row *row)
{
    char why[120] = "how many files are open in this process cannot be told";
    bool known = row->files != OUT_UNKNOWN_U64;

    if (known)
        snprintf(why, sizeof(why),
                 "%" PRIu64 " files open in this process, limit %" PRIu64 " (RLIMIT_NOFILE)",
                 row->files, row->files_max);
    judge(all, "EMFILE", verdict(known, row->files >= row->files_max), why,
          "ulimit -n, or close descriptors; this is about the calling process");
}

/* Formats a limit; a /proc without /proc/sys does not show those of the system. */
static const char *limit_text(uint64_t limit, char out[32])
{
    if (limit == PMQ_UNKNOWN)
        return "not known";
    snprintf(out, 32, "%" PRIu64, limit);
    return out;
}

static void judge_count(struct verdicts *all, const struct limits_row *row)
{
    bool over = row->l.queues_max != PMQ_UNKNOWN && row->queues >= row->l.queues_max;
    bool known = row->privileged || over || (row->l.queues_max != PMQ_UNKNOWN && row->queues_exact);
    char why[200], limit[32];

    snprintf(why, sizeof(why),
             "%s%" PRIu64 " queues in this IPC namespace, limit %s (fs.mqueue.queues_max)%s",
             row->queues_exact ? "" : "at least ", row->queues,
             limit_text(row->l.queues_max, limit),
             row->privileged ? ", not for you: CAP_SYS_RESOURCE" : "");
    judge(all, "ENOSPC", verdict(known, over && !row->privileged), why,
          over ? "sysctl fs.mqueue.queues_max, or remove queues"
               : "unlinked queues of other users count, too: look as root");
}

static void judge_shape(struct verdicts *all, const struct limits_row *row)
{
    uint64_t most = row->privileged ? PMQ_HARD_MSGMAX : row->l.msg_max;
    uint64_t size = row->privileged ? PMQ_HARD_MSGSIZEMAX : row->l.msgsize_max;
    bool known = most != PMQ_UNKNOWN && size != PMQ_UNKNOWN && row->cost != OUT_UNKNOWN_U64;
    char why[240], texts[4][32];

    snprintf(why, sizeof(why), "%s messages, limit %s (%s); %s bytes each, limit %s (%s)",
             limit_text(row->maxmsg, texts[0]), limit_text(most, texts[1]),
             row->privileged ? "of any kernel" : "fs.mqueue.msg_max",
             limit_text(row->msgsize, texts[2]), limit_text(size, texts[3]),
             row->privileged ? "of any kernel" : "fs.mqueue.msgsize_max");
    judge(all, "EINVAL", verdict(known, row->maxmsg > most || row->msgsize > size), why,
          known ? "sysctl fs.mqueue.msg_max and fs.mqueue.msgsize_max, or a smaller queue"
                : "mount a whole /proc, with /proc/sys");
}

/* An empty queue takes a page or two; memory for messages is allocated when they are sent. */
static void judge_memory(struct verdicts *all, const struct limits_row *row)
{
    enum { NEEDED = 64 * 1024 };
    const struct limits_memory *m = &row->memory;
    bool group = m->group_max != OUT_UNKNOWN_U64;
    bool fails = m->available < NEEDED ||
                 (group && m->group_max - MIN(m->group_used, m->group_max) < NEEDED);
    char why[240] = "how much memory is left cannot be told";
    int n = 0;

    if (m->available != OUT_UNKNOWN_U64)
        n = snprintf(why, sizeof(why), "%" PRIu64 " bytes of memory left (MemAvailable)",
                     m->available);
    if (n && group)
        snprintf(why + n, sizeof(why) - (size_t)n,
                 "; the control group uses %" PRIu64 ", limit %" PRIu64, m->group_used,
                 m->group_max);
    judge(all, "ENOMEM", verdict(m->available != OUT_UNKNOWN_U64, fails), why,
          "free memory, or raise the memory limit of the control group");
}

/* ---- the verb ---- */

static void show_users(struct out *out, const struct pmq_usage *u, size_t n)
{
    out_text(out, "%s", "");
    out_list_begin(out, "users", user_cols, 0);
    for (size_t i = 0; i < n; i++) {
        struct user_row row = {.u = u[i]};

        queue_row_user(u[i].uid, row.user, sizeof(row.user));
        out_row(out, &row);
    }
    out_list_end(out);
}

/* A queue that only a hidden process has open looks like an orphan. */
static void show_orphans(struct out *out, const struct pmq_set *set)
{
    uint64_t now = timefmt_now(CLOCK_REALTIME), n = 0;

    for (size_t i = 0; i < set->n && set->holders_complete; i++)
        n += !set->v[i].n_holders;
    if (n)
        out_text(out, "%s", "\nqueues that no process has open:");
    else if (!set->holders_complete)
        out_text(out, "%s", "\nwhich queues no process has open is not known");
    out_list_begin(out, "orphans", queue_row_cols, 0);
    for (size_t i = 0; i < set->n && n; i++) {
        struct queue_row row;

        if (set->v[i].n_holders)
            continue;
        queue_row_fill(&row, set, &set->v[i], now);
        out_row(out, &row);
    }
    out_list_end(out);
}

static void show(struct cli_ctx *ctx, struct limits_row *row, const struct pmq_set *set,
                 const struct pmq_usage *u, size_t n)
{
    bool table = out_get_mode(ctx->out) == OUT_MODE_TABLE;
    struct limits_row shown = *row;
    struct verdicts all = {.n = 0};

    if (row->l.rlimit_soft != PMQ_UNLIMITED)
        row->available = row->l.rlimit_soft - MIN(row->charged, row->l.rlimit_soft);
    else
        row->available = OUT_UNKNOWN_U64;
    shown.available = row->available;
    if (row->l.rlimit_soft == PMQ_UNLIMITED)
        shown.l.rlimit_soft = OUT_UNKNOWN_U64;
    if (row->l.rlimit_hard == PMQ_UNLIMITED)
        shown.l.rlimit_hard = OUT_UNKNOWN_U64;
    judge_bytes(&all, row);
    judge_files(&all, row);
    judge_count(&all, row);
    judge_shape(&all, row);
    judge_memory(&all, row);
    if (!table) /* in lines of JSON, the object with the figures comes first */
        out_fields(ctx->out, limits_cols, &shown);
    else if (out_get_headings(ctx->out))
        show_answer(ctx->out, row, &all);
    show_verdicts(ctx->out, &all);
    show_users(ctx->out, u, n);
    show_orphans(ctx->out, set);
    if (table) {
        out_text(ctx->out, "%s", "");
        out_fields(ctx->out, limits_cols, &shown);
    }
}

static int limits_run(struct cli_ctx *ctx, const void *argp)
{
    const struct limits_args *args = argp;
    const unsigned int flags = PMQ_SCAN_HOLDERS | PMQ_SCAN_UNLINKED | PMQ_SCAN_ALL_NAMESPACES |
                               PMQ_SCAN_KERNEL;
    struct limits_row row = {.uid = getuid(), .privileged = has_sys_resource()};
    _cleanup_(pmq_set_freep) struct pmq_set *set = NULL;
    _cleanup_(freep) struct pmq_usage *usage = NULL;
    struct err e = ERR_INIT;
    size_t n = 0;
    int r = pmq_limits_read(&row.l);

    if (ctx->n_operands == 1 && !strcmp(ctx->operands[0], "sysv"))
        return limits_sysv(ctx);
    if (ctx->n_operands && !strcmp(ctx->operands[0], "posix")) {
        ctx->operands++;
        ctx->n_operands--;
    }
    if (r < 0)
        return cli_fail(ctx, r, NULL, "cannot read the limits");
    count_files(&row);
    limits_memory_read(&row.memory);
    queue_row_user(row.uid, row.user, sizeof(row.user));
    r = new_queue(ctx, &row);
    if (r != CLI_OK)
        return r;
    r = pmq_scan(flags, 0, &set, &e);
    if (r == 0)
        r = pmq_usage_estimate(set, &usage, &n);
    if (r < 0)
        return cli_fail(ctx, r, &e, "cannot list queues");
    add_up(&row, set, usage, n);
    row.queues_exact = set->names_complete && set->holders_complete;
    row.holders_complete = set->holders_complete;
    r = ask_kernel(&row, &e);
    if (r < 0 && args->exact)
        return cli_fail(ctx, r, &e, "cannot tell exactly what is charged");
    row.note = set->note[0] ? set->note : NULL;
    show(ctx, &row, set, usage, n);
    qcmd_tell_journals(ctx, set);
    if (row.note)
        cli_note(ctx, "%s", row.note);
    return CLI_OK;
}

static const struct cli_example limits_examples[] = {
    {"mqpeek limits", "would mq_open(3) without attributes work, and why not"},
    {"mqpeek limits 100 64K", "and with 100 messages of 64 KiB"},
    {"mqpeek limits sysv", "System V queues: ENOSPC, EAGAIN, EINVAL, E2BIG, EIDRM"},
    {"mqpeek -J limits | jq .available", "bytes left"},
    {NULL, NULL},
};

static const struct cli_table limits_tables[] = {
    {"", limits_cols},           {"errors", verdict_cols}, {"users", user_cols},
    {"orphans", queue_row_cols}, {"", limits_sysv_cols},   {NULL, NULL},
};

const struct cli_verb mqpeek_limits_verb = {
    .name = "limits",
    .operands = "[posix] [MAXMSG MSGSIZE] | sysv",
    .max_operands = 3,
    .summary = "why mq_open or msgsnd fails, in figures",
    .description =
        "Shows what stands between the caller and a new queue: one of MAXMSG messages of MSGSIZE "
        "bytes, or as mq_open(3) makes it without attributes. Each error of mq_open(3) is "
        "explained in figures, with what to change.\n"
        "\n"
        "A queue's whole worst-case size is charged when it is created, to the real user who "
        "creates it, in all IPC namespaces together: MAXMSG * (MSGSIZE + 48) bytes and 48 bytes "
        "for each of its first 32768 messages. Past RLIMIT_MSGQUEUE mq_open(3) fails with EMFILE, "
        "which reads like too many open files.\n"
        "\n"
        "What is charged, and how many queues there are, is the kernel's own figure where BPF may "
        "be "
        "used. Else it is added up from the owners of the queues that can be listed, which misses "
        "queues that cannot be read and ones in namespaces that cannot be entered, and takes the "
        "owner for the creator: then the result is \"fails\" or \"unknown\", never \"ok\". --exact "
        "fails where the kernel cannot be asked.\n"
        "\n"
        "Queues that no process has open are listed only where no process is hidden.\n"
        "\n"
        "With sysv it explains the errors of msgget(2), msgsnd(2) and msgrcv(2), for the System V "
        "queues of this IPC namespace.",
    .examples = limits_examples,
    .opts = limits_opts,
    .args_size = sizeof(struct limits_args),
    .cols = verdict_cols,
    .more_cols = limits_tables,
    .run = limits_run,
};
