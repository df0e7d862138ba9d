/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From main() to a verb and back: the output's form, errors in one line, the exit status. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "cleanup.h"
#include "cli_internal.h"
#include "escape.h"
#include "fileio.h"
#include "parse.h"

enum cli_exit cli_exit_status(int r)
{
    switch (-r) {
    case 0:
        return CLI_OK;
    case ENOENT:
    case ESRCH:
        return CLI_NOT_FOUND;
    case EPERM:
    case EACCES:
        return CLI_DENIED;
    case ENOSYS:
    case EOPNOTSUPP:
        return CLI_UNSUPPORTED;
    default:
        return CLI_FAILED;
    }
}

/* Bytes that a terminal could act on, or take for part of a character, are left out. */
static void say_without_memory(const char *applet, const char *text)
{
    char line[1024];
    size_t n = 0;

    for (const char *part[] = {applet, ": ", text, NULL}, **p = part; *p; p++)
        for (const char *s = *p; *s && n < sizeof(line) - 1; s++)
            line[n++] = *s >= ' ' && *s <= '~' ? *s : '?';
    line[n++] = '\n';
    (void)file_write_all(STDERR_FILENO, line, n);
}

/* One line on stderr, escaped as a whole: parts of it come from anywhere. */
static void say(const char *applet, const char *text)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;

    buf_printf(&b, "%s: ", applet);
    esc_terminal_str(&b, text);
    buf_add_char(&b, '\n');
    if (buf_error(&b))
        say_without_memory(applet, text);
    else
        (void)file_write_all(STDERR_FILENO, buf_str(&b), b.len);
}

/*
 * What is to be said, in memory of its own, or cut short in @room when there is none: what went
 * wrong must be told then, too.
 */
static const char *format(char **own, char *room, size_t size, const char *fmt, va_list ap)
    _printf_(4, 0);
static const char *format(char **own, char *room, size_t size, const char *fmt, va_list ap)
{
    va_list again;

    va_copy(again, ap);
    if (vasprintf(own, fmt, ap) < 0) {
        *own = NULL;
        vsnprintf(room, size, fmt, again);
    }
    va_end(again);
    return *own ? *own : room;
}

static void keep_status(struct cli_ctx *ctx, enum cli_exit status)
{
    ctx->status = MAX(ctx->status, (int)status);
}

int cli_fail(struct cli_ctx *ctx, int r, const struct err *e, const char *fmt, ...)
{
    bool remedy = e && e->remedy[0];
    _cleanup_(buf_done) struct buf b = BUF_INIT;
    _cleanup_(freep) char *own = NULL;
    char room[256], full[1024] = "";
    const char *what;
    va_list ap;

    va_start(ap, fmt);
    what = format(&own, room, sizeof(room), fmt, ap);
    va_end(ap);
    buf_printf(&b, "%s: %s", what, err_text(e, r));
    if (remedy)
        buf_printf(&b, " (%s)", e->remedy);
    if (buf_error(&b))
        snprintf(full, sizeof(full), remedy ? "%s: %s (%s)" : "%s: %s", what, err_text(e, r),
                 remedy ? e->remedy : NULL);
    out_flush(ctx->out);
    cli_progress_clear(ctx);
    say(ctx->applet->name, full[0] ? full : buf_str(&b));
    keep_status(ctx, cli_exit_status(r));
    return (int)cli_exit_status(r);
}

int cli_fail_status(struct cli_ctx *ctx, enum cli_exit status, const char *fmt, ...)
{
    _cleanup_(freep) char *own = NULL;
    char room[256];
    const char *text;
    va_list ap;

    va_start(ap, fmt);
    text = format(&own, room, sizeof(room), fmt, ap);
    va_end(ap);
    out_flush(ctx->out);
    cli_progress_clear(ctx);
    say(ctx->applet->name, text);
    keep_status(ctx, status);
    return (int)status;
}

static void say_usage(const struct cli_applet *applet, const struct cli_verb *verb, const char *why)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;

    buf_printf(&b, "%s (try: %s%s%s --help)", why, applet->name, verb ? " " : "",
               verb ? verb->name : "");
    say(applet->name, buf_error(&b) ? why : buf_str(&b));
}

int cli_usage(struct cli_ctx *ctx, const char *fmt, ...)
{
    _cleanup_(freep) char *own = NULL;
    char room[256];
    const char *text;
    va_list ap;

    va_start(ap, fmt);
    text = format(&own, room, sizeof(room), fmt, ap);
    va_end(ap);
    say_usage(ctx->applet, ctx->verb, text);
    keep_status(ctx, CLI_USAGE);
    return CLI_USAGE;
}

int cli_bad_operand(struct cli_ctx *ctx, const char *operand, const char *what, int r,
                    const struct err *e)
{
    bool remedy = e->remedy[0];

    return cli_usage(ctx, "\"%s\" names no %s: %s%s%s%s", operand, what, err_text(e, r),
                     remedy ? " (" : "", e->remedy, remedy ? ")" : "");
}

void cli_note(const struct cli_ctx *ctx, const char *fmt, ...)
{
    _cleanup_(freep) char *own = NULL;
    char room[256];
    const char *text;
    va_list ap;

    if (ctx->quiet)
        return;
    va_start(ap, fmt);
    text = format(&own, room, sizeof(room), fmt, ap);
    va_end(ap);
    out_sync(ctx->out);
    cli_progress_clear(ctx);
    say(ctx->applet->name, text);
}

/* ---- the output's form ---- */

static unsigned int terminal_width(void)
{
    const char *columns = getenv("COLUMNS");
    struct winsize ws;
    uint64_t v;

    if (columns && parse_u64_max(columns, 10000, &v) == 0 && v > 0)
        return (unsigned int)v;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0)
        return ws.ws_col;
    return 80;
}

static bool want_color(int when, bool tty)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

    if (when != CLI_COLOR_AUTO)
        return when == CLI_COLOR_ALWAYS;
    return tty && !(no && *no) && !(term && !strcmp(term, "dumb"));
}

static int open_output(const struct cli_parsed *p, struct cli_ctx *ctx)
{
    bool tty = isatty(STDOUT_FILENO);
    struct out_opts opts = {
        .mode = p->globals.jsonl || (p->globals.json && p->verb->flags & CLI_STREAM)
                    ? OUT_MODE_JSONL
                : p->globals.json ? OUT_MODE_JSON
                                  : OUT_MODE_TABLE,
        .stream = stdout,
        .columns = p->globals.columns,
        .noheadings = p->globals.noheadings,
        .color = want_color(p->globals.color, tty),
        .tty = tty,
        .width = tty ? terminal_width() : 0,
    };

    ctx->color = opts.color;
    return out_new(&opts, &ctx->out);
}

/*
 * Closed standard descriptors would be taken by the next open(), and what is printed would go
 * there. They are filled with descriptors on which reading or writing fails as it should.
 */
static void guard_standard_fds(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
            _exit(CLI_FAILED);
}

/* ---- running ---- */

static int print_text(const char *applet, const struct buf *b)
{
    if (buf_error(b)) {
        say(applet, err_text(NULL, buf_error(b)));
        return CLI_FAILED;
    }
    fwrite(buf_str(b), 1, b->len, stdout);
    if (fflush(stdout) != 0 && errno != EPIPE) {
        struct err e = ERR_INIT;

        err_set(&e, -errno, NULL, "cannot write the output: %s", err_text(NULL, -errno));
        say(applet, e.why);
        return CLI_FAILED;
    }
    return CLI_OK;
}

static int show_help(const struct cli_applet *applet, const struct cli_verb *verb)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;

    cli_help(&b, applet, verb);
    return print_text(applet->name, &b);
}

static int show_version(const struct cli_applet *applet)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;

    buf_printf(&b, "%s (ipcbox) %s\n", applet->name, IPCBOX_VERSION);
    return print_text(applet->name, &b);
}

static int run_verb(const struct cli_applet *applet, const struct cli_parsed *p)
{
    struct cli_ctx ctx = {
        .applet = applet,
        .verb = p->verb,
        .operands = p->operands,
        .n_operands = p->n_operands,
        .backend = p->globals.backend,
        .quiet = p->globals.quiet,
    };
    int r = open_output(p, &ctx);
    int status;

    if (r < 0) {
        say(applet->name, err_text(NULL, r));
        return CLI_FAILED;
    }
    if (!(p->verb->flags & CLI_EXECS))
        (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); /* always there since Linux 3.5 */
    status = p->verb->run(&ctx, p->args);
    status = MAX(status, ctx.status);
    /* A verb that failed before it had anything to say leaves no empty document behind. */
    if (status != CLI_OK && !out_started(ctx.out))
        r = out_error(ctx.out);
    else
        r = out_finish(ctx.out);
    if (fflush(stdout) != 0 && r == 0)
        r = -errno;
    if (r < 0 && r != -EPIPE) {
        struct err e = ERR_INIT;

        err_set(&e, r, NULL, "cannot write the output: %s%s%s", err_text(NULL, r),
                ctx.done ? "; " : "", ctx.done ? ctx.done : "");
        say(applet->name, e.why);
        status = MAX(status, (int)CLI_FAILED);
    }
    out_free(ctx.out);
    return status;
}

int cli_main(const struct cli_applet *applet, const struct cli_applet *const *all, int argc,
             char **argv)
{
    static char buffer[64 * 1024];
    _cleanup_(cli_parsed_done) struct cli_parsed p;
    struct err e = ERR_INIT;
    int r;

    guard_standard_fds();
    signal(SIGPIPE, SIG_IGN); /* a write then says EPIPE */
    setlocale(LC_CTYPE, "C.UTF-8");
    setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
    r = cli_parse(applet, all, argc, argv, &p, &e);
    if (r < 0) {
        say_usage(applet, p.verb, err_text(&e, r));
        return r == -ENOMEM ? CLI_FAILED : CLI_USAGE;
    }
    if (p.globals.help)
        return show_help(applet, p.named ? p.verb : NULL);
    if (p.globals.version)
        return show_version(applet);
    return run_verb(applet, &p);
}
