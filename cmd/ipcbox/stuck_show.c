/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A report of ipcbox stuck in three forms: text, JSON, Graphviz. */
#include "stuck_show.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "escape.h"
#include "stuck_words.h"
#include "waits.h"

/* ---- text ---- */

static const char indent[] = "            ";

static void advice_line(struct cli_ctx *ctx, const struct wait_finding *f)
{
    _cleanup_(buf_done) struct buf line = BUF_INIT;

    for (size_t i = 0;; i++) {
        _cleanup_(buf_done) struct buf one = BUF_INIT;

        if (!stuck_add_advice(&one, f, i))
            break;
        buf_printf(&line, "%s%s", i ? "; " : "          try: ", buf_str(&one));
    }
    if (line.len)
        out_line(ctx->out, "%s", buf_str(&line));
}

static void finding_text(struct cli_ctx *ctx, const struct wait_finding *f)
{
    _cleanup_(buf_done) struct buf line = BUF_INIT;
    const char *kind = wait_finding_name(f->kind);
    size_t n = strlen(kind);

    for (size_t i = 0; i < n; i++)
        buf_add_char(&line, (char)toupper((unsigned char)kind[i]));
    buf_add_repeat(&line, ' ', 10 - n);
    stuck_add_headline(&line, f);
    out_line(ctx->out, "%s", buf_str(&line));
    for (size_t i = 0; i < f->n; i++)
        waits_line(ctx->out, indent, &f->threads[i], f->kind != WAIT_STOPPED);
    advice_line(ctx, f);
}

static void unread_line(struct cli_ctx *ctx, const struct stuck_unread *u)
{
    out_line(ctx->out, "UNREAD    %s[%d]%s has not read %" PRIu64 " bytes%s%s (fdpeek %s)", u->comm,
             (int)u->pid, u->state[0] == 'T' || u->state[0] == 't' ? ", which is stopped," : "",
             u->bytes, u->message ? ": " : "", u->message ? u->message : "", u->target);
}

static void not_seen(struct cli_ctx *ctx, const struct wait_report *r)
{
    out_line(ctx->out, "seen through: %s", strcmp(r->backend, "bpf") ? "/proc" : "BPF");
    if (r->processes_hidden)
        out_line(ctx->out,
                 "not seen: %" PRIu64 " process%s that you may not look into (taken as running)",
                 r->processes_hidden, r->processes_hidden == 1 ? "" : "es");
    if (!r->all_users)
        out_line(ctx->out, "not seen: processes that /proc hides (hidepid)");
}

void stuck_show_text(struct cli_ctx *ctx, const struct wait_report *r,
                     const struct stuck_unread_list *unread, bool chain)
{
    for (size_t i = 0; i < r->n_findings; i++)
        finding_text(ctx, &r->findings[i]);
    if (chain) {
        out_line(ctx->out, "CHAIN");
        for (size_t i = 0; i < r->n_chain; i++)
            waits_line(ctx->out, indent, &r->chain[i], true);
    } else if (!r->n_findings) {
        out_line(ctx->out,
                 "nothing is stuck among the %" PRIu64 " threads of %" PRIu64 " processes",
                 r->threads_seen, r->processes_seen);
    }
    for (size_t i = 0; i < unread->n; i++)
        unread_line(ctx, &unread->v[i]);
    not_seen(ctx, r);
}

/* ---- JSON ---- */

struct finding_row {
    const char *kind;
    int32_t stopped_pid;
    const char *summary;
    const char *advice;
};

#define FINDING struct finding_row

const struct out_col stuck_finding_cols[] = {
    OUT_STR(
        FINDING, kind, "kind",
        "deadlock (threads that nobody outside can wake), stopped (they wait for a process that is "
        "stopped, traced or frozen) or orphan (it waits for what nobody else has open)"),
    OUT_I32(FINDING, stopped_pid, "stopped_pid", "the process that is stopped"),
    OUT_STR(FINDING, summary, "summary", "the same in words"),
    OUT_VALUE(FINDING, advice, "advice", "commands to try", .flags = OUT_JSON),
    OUT_END,
};

static void add_string(struct buf *b, const struct buf *s, bool first)
{
    if (!first)
        buf_add_char(b, ',');
    esc_json(b, buf_str(s), s->len);
}

static void finding_json(struct cli_ctx *ctx, const struct wait_finding *f)
{
    _cleanup_(buf_done) struct buf advice = BUF_INIT, summary = BUF_INIT;
    struct finding_row row = {
        .kind = wait_finding_name(f->kind),
        .stopped_pid = f->stopped_pid ? f->stopped_pid : OUT_UNKNOWN_I32,
    };

    buf_add_char(&advice, '[');
    for (size_t i = 0;; i++) {
        _cleanup_(buf_done) struct buf one = BUF_INIT;

        if (!stuck_add_advice(&one, f, i))
            break;
        add_string(&advice, &one, i == 0);
    }
    buf_add_char(&advice, ']');
    stuck_add_headline(&summary, f);
    row.advice = buf_str(&advice);
    row.summary = buf_str(&summary);
    out_item_begin(ctx->out, stuck_finding_cols, &row);
    waits_threads_json(ctx->out, "threads", f->threads, f->n);
    out_item_end(ctx->out);
}

struct report_row {
    const char *backend, *backend_reason;
    uint64_t processes_seen, threads_seen, processes_hidden;
    bool all_users;
};

#define REPORT struct report_row

const struct out_col stuck_cols[] = {
    OUT_STR(REPORT, backend, "backend", "where threads and descriptors were found: bpf or proc"),
    OUT_STR(REPORT, backend_reason, "backend_reason", "why not through BPF",
            .flags = OUT_OPTIONAL),
    OUT_U64(REPORT, processes_seen, "processes_seen", "processes that were looked into"),
    OUT_U64(REPORT, threads_seen, "threads_seen", "their threads"),
    OUT_U64(REPORT, processes_hidden, "processes_hidden",
            "processes that may not be looked into; they are taken as running"),
    OUT_BOOL(REPORT, all_users, "all_users_visible", "/proc hides no process (hidepid)"),
    OUT_END,
};

void stuck_show_json(struct cli_ctx *ctx, const struct wait_report *r,
                     const struct stuck_unread_list *unread, bool chain)
{
    const struct report_row row = {
        .backend = r->backend,
        .backend_reason = r->no_bpf.why[0] ? r->no_bpf.why : NULL,
        .processes_seen = r->processes_seen,
        .threads_seen = r->threads_seen,
        .processes_hidden = r->processes_hidden,
        .all_users = r->all_users,
    };

    out_fields(ctx->out, stuck_cols, &row);
    out_list_begin(ctx->out, "findings", stuck_finding_cols, OUT_RECORDS);
    for (size_t i = 0; i < r->n_findings; i++)
        finding_json(ctx, &r->findings[i]);
    out_list_end(ctx->out);
    out_list_begin(ctx->out, "unread", stuck_unread_cols, 0);
    for (size_t i = 0; i < unread->n; i++)
        out_row(ctx->out, &unread->v[i]);
    out_list_end(ctx->out);
    if (chain)
        waits_threads_json(ctx->out, "chain", r->chain, r->n_chain);
}

/* ---- Graphviz ---- */

/* A node for the thread, and an edge to each process that could wake it. Quoted as JSON is. */
static void thread_dot(struct cli_ctx *ctx, const struct wait_thread *t, const char *color)
{
    _cleanup_(buf_done) struct buf name = BUF_INIT, wait = BUF_INIT, label = BUF_INIT,
                                   edge = BUF_INIT;

    waits_add_thread(&name, t);
    esc_terminal_str(&label, buf_str(&name));
    buf_clear(&name);
    esc_json(&name, buf_str(&label), label.len);
    out_text(ctx->out, "  \"%d\" [label=%s, color=%s];", (int)t->pid, buf_str(&name), color);
    waits_add_wait(&wait, t);
    buf_clear(&label);
    esc_terminal_str(&label, buf_str(&wait));
    esc_json(&edge, buf_str(&label), label.len);
    for (size_t i = 0; i < t->n_wakers; i++)
        out_text(ctx->out, "  \"%d\" -> \"%d\" [label=%s];", (int)t->pid, (int)t->wakers[i],
                 buf_str(&edge));
}

void stuck_show_dot(struct cli_ctx *ctx, const struct wait_report *r, bool chain)
{
    out_text(ctx->out, "digraph stuck {\n  node [shape=box];");
    for (size_t i = 0; i < r->n_findings; i++) {
        const struct wait_finding *f = &r->findings[i];

        if (f->stopped_pid)
            out_text(ctx->out, "  \"%d\" [label=\"%d is stopped\", style=filled];",
                     (int)f->stopped_pid, (int)f->stopped_pid);
        for (size_t k = 0; k < f->n; k++)
            thread_dot(ctx, &f->threads[k], "red");
    }
    for (size_t i = 0; chain && i < r->n_chain; i++)
        thread_dot(ctx, &r->chain[i], "black");
    out_text(ctx->out, "}");
}
