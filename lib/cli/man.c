/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Manual pages, from the tables, in the man(7) macros. */
#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "cli_internal.h"

enum { LINE_COLUMNS = 78 };

static void escaped(FILE *f, const char *s, size_t n, bool start)
{
    if (start && n && (*s == '.' || *s == '\''))
        fputs("\\&", f);
    for (; n; n--, s++)
        if (*s == '\\')
            fputs("\\e", f);
        else if (*s == '-')
            fputs("\\-", f);
        else
            fputc(*s, f);
}

/* Text inside a line. */
static void text(FILE *f, const char *s)
{
    escaped(f, s, strlen(s), false);
}

/* Bytes that a formatter sees of it: it turns other than ASCII into \[u2026]. */
static size_t escaped_length(const char *s, size_t n)
{
    size_t length = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];

        length += c >= 0xc0 ? 8 : c >= 0x80 ? 0 : c == '\\' || c == '-' ? 2 : 1;
    }
    return length;
}

/* Running text: broken at spaces, and after a sentence. */
static void prose(FILE *f, const char *s)
{
    size_t column = 0;

    while (*s) {
        size_t n = strcspn(s, " \n");
        size_t length = escaped_length(s, n);

        if (column && column + 1 + length > LINE_COLUMNS) {
            fputc('\n', f);
            column = 0;
        } else if (column) {
            fputc(' ', f);
            column++;
        }
        escaped(f, s, n, column == 0);
        column += length;
        if (n && s[n - 1] == '.')
            column = LINE_COLUMNS;
        s += n;
        s += strspn(s, " \n");
    }
    fputc('\n', f);
}

/* Lines as they are. */
static void verbatim(FILE *f, const char *s)
{
    while (*s) {
        size_t n = strcspn(s, "\n");

        escaped(f, s, n, true);
        fputc('\n', f);
        s += n + (s[n] == '\n');
    }
}

static void title(FILE *f, const char *name, const char *section, const char *summary)
{
    fputs(".TH ", f);
    for (const char *p = name; *p; p++)
        fputc(*p >= 'a' && *p <= 'z' ? *p - 32 : *p, f);
    fprintf(f, " %s %s \"ipcbox %s\"\n.SH NAME\n", section, IPCBOX_DATE, IPCBOX_VERSION);
    text(f, name);
    fputs(" \\- ", f);
    text(f, summary);
    fputc('\n', f);
}

/* One paragraph: verbatim when its lines begin with a space. */
static void paragraph(FILE *f, const char *s, size_t n, bool first, const char *with)
{
    _cleanup_(freep) char *copy = strndup(s, n);

    if (!copy)
        return;
    if (copy[0] == ' ') {
        fputs(first ? ".nf\n" : ".PP\n.nf\n", f);
        verbatim(f, copy);
        fputs(".fi\n", f);
    } else {
        if (!first)
            fprintf(f, "%s\n", with);
        prose(f, copy);
    }
}

/* Paragraphs, separated by empty lines. @with: the macro between them. */
static void paragraphs(FILE *f, const char *s, const char *with)
{
    bool first = true;

    while (s && *s) {
        const char *end = strstr(s, "\n\n");
        size_t n = end ? (size_t)(end - s) : strlen(s);

        while (n && s[n - 1] == '\n')
            n--;
        paragraph(f, s, n, first, with);
        first = false;
        s = end ? end + 2 : NULL;
    }
}

static void section(FILE *f, const char *name, const char *s)
{
    if (!s)
        return;
    fprintf(f, ".SH %s\n", name);
    paragraphs(f, s, ".PP");
}

static void options(FILE *f, const struct cli_opt *opts)
{
    for (; opts->type != CLI_TYPE_END; opts++) {
        _cleanup_(buf_done) struct buf help = BUF_INIT;
        const char *metavar = cli_metavar(opts);

        fputs(".TP\n", f);
        if (opts->short_name)
            fprintf(f, "\\fB\\-%c\\fR, ", opts->short_name);
        fputs("\\fB\\-\\-", f);
        text(f, opts->name);
        fputs("\\fR", f);
        if (metavar) {
            fputs(" \\fI", f);
            text(f, metavar);
            fputs("\\fR", f);
        }
        fputc('\n', f);
        buf_add_str(&help, opts->help);
        for (size_t i = 0; opts->choices && opts->choices[i]; i++)
            buf_printf(&help, "%s%s", i ? ", " : ": ", opts->choices[i]);
        prose(f, buf_str(&help));
    }
}

static const char *json_type(const struct out_col *col)
{
    switch (col->type) {
    case OUT_TYPE_BOOL:
        return "boolean";
    case OUT_TYPE_STR:
    case OUT_TYPE_CHARS:
    case OUT_TYPE_HEX64:
    case OUT_TYPE_MODE:
    case OUT_TYPE_TIME:
        return "string";
    case OUT_TYPE_VALUE:
        return "array";
    case OUT_TYPE_BYTES:
        return "data_base64 and text";
    case OUT_TYPE_SPAN:
        return "number, seconds";
    case OUT_TYPE_SIZE:
        return "number, bytes";
    default:
        return "number";
    }
}

static void columns(FILE *f, const struct out_col *cols)
{
    for (; cols->type != OUT_TYPE_END; cols++) {
        _cleanup_(buf_done) struct buf help = BUF_INIT;

        fputs(".TP\n\\fB", f);
        text(f, cols->key);
        fprintf(f, "\\fR (%s)\n", json_type(cols));
        buf_add_str(&help, cols->help);
        if (cols->flags & OUT_JSON)
            buf_add_str(&help, "; in JSON only");
        else if (cols->flags & OUT_TEXT)
            buf_add_str(&help, "; not in JSON");
        else if (cols->flags & OUT_HIDDEN)
            buf_add_str(&help, "; with -o or in JSON");
        else if (cols->flags & OUT_SPARE)
            buf_add_str(&help, "; not on a narrow terminal");
        prose(f, buf_str(&help));
    }
}

static void examples(FILE *f, const struct cli_example *e)
{
    for (; e && e->command; e++) {
        fputs(".PP\n", f);
        prose(f, e->text);
        fputs(".PP\n.nf\n    ", f);
        text(f, e->command);
        fputc('\n', f);
        fputs(".fi\n", f);
    }
}

static void verb(FILE *f, const struct cli_applet *applet, const struct cli_verb *v)
{
    fputs(".SS \"", f);
    text(f, applet->name);
    fputc(' ', f);
    text(f, v->name);
    fputs(" [OPTIONS]", f);
    if (v->operands) {
        fputc(' ', f);
        text(f, v->operands);
    }
    fputs("\"\n", f);
    if (v->description) {
        paragraphs(f, v->description, ".PP");
    } else {
        fprintf(f, "%c",
                v->summary[0] >= 'a' && v->summary[0] <= 'z' ? v->summary[0] - 32 : v->summary[0]);
        text(f, v->summary + 1);
        fputs(".\n", f);
    }
    for (const struct cli_word *w = v->commands; w && w->word; w++) {
        fputs(".TP\n\\fB", f);
        text(f, w->word);
        fputs("\\fR\n", f);
        text(f, w->help);
        fputc('\n', f);
    }
    options(f, cli_group(applet, v, GROUP_VERB));
    if (v->cols) {
        fputs(".PP\nColumns:\n", f);
        columns(f, v->cols);
    }
    examples(f, v->examples);
}

int cli_write_man(FILE *f, const struct cli_applet *applet)
{
    title(f, applet->name, "1", applet->summary);
    fputs(".SH SYNOPSIS\n.nf\n", f);
    for (size_t i = 0; applet->verbs[i]; i++) {
        const struct cli_verb *v = applet->verbs[i];

        if (v->flags & CLI_HIDDEN)
            continue;
        fputs("\\fB", f);
        text(f, applet->name);
        fputc(' ', f);
        text(f, v->name);
        fputs("\\fR [OPTIONS]", f);
        if (v->operands) {
            fputs(" \\fI", f);
            text(f, v->operands);
            fputs("\\fR", f);
        }
        fputc('\n', f);
    }
    fputs(".fi\n", f);
    section(f, "DESCRIPTION", applet->description);
    fputs(".SH COMMANDS\n", f);
    for (size_t i = 0; applet->verbs[i]; i++)
        if (!(applet->verbs[i]->flags & CLI_HIDDEN))
            verb(f, applet, applet->verbs[i]);
    fputs(".SH OPTIONS\nThese may stand anywhere after the applet's name; \"\\-\\-\" ends them.\n",
          f);
    for (enum cli_group g = 0; g < GROUP_VERB; g++)
        options(f, cli_group(applet, NULL, g));
    fputs(".SH EXIT STATUS\n"
          ".TP\n0\nDone.\n"
          ".TP\n1\nFailed.\n"
          ".TP\n2\nWrong usage.\n"
          ".TP\n3\nNo such queue, peer, channel or process.\n"
          ".TP\n4\nThis kernel or this build lacks it.\n"
          ".TP\n5\nNot permitted.\n"
          ".TP\n128 and the signal\\(aqs number\nInterrupted before it had what it was for.\n"
          ".PP\nOf several operands the numerically highest counts.\n"
          ".PP\nA command that goes on until it is told to end (follow, monitor, record, \\&...)\n"
          "ends with 0 on SIGINT, SIGTERM and SIGHUP, after it has written what it has;\n"
          "unless it had a goal, a count or a message to wait for, and has not reached it.\n"
          "A second such signal, 0.3 seconds later or more, ends it at once. One that was\n"
          "ignored when it was started stays ignored: a shell does so with SIGINT for what\n"
          "it runs in the background.\n",
          f);
    section(f, "ENVIRONMENT", applet->environment);
    section(f, "FILES", applet->files);
    section(f, "NOTES", applet->notes);
    fputs(".SH SEE ALSO\n"
          ".BR ipcbox (1),\n.BR mqpeek (1),\n.BR ipcbox\\-json (7),\n.BR mq_overview (7)\n",
          f);
    return ferror(f) ? -EIO : 0;
}

static void json_verb(FILE *f, const struct cli_applet *applet, const struct cli_verb *v)
{
    if (!v->cols && !v->more_cols)
        return;
    fputs(".SS \"", f);
    text(f, applet->name);
    fputc(' ', f);
    text(f, v->name);
    fputs("\"\n", f);
    prose(f, v->summary);
    if (v->cols) {
        fputs(".PP\nEach record:\n", f);
        columns(f, v->cols);
    }
    for (const struct cli_table *t = v->more_cols; t && t->key; t++) {
        if (t->key[0]) {
            fputs(".PP\nEach element of \\fB", f);
            text(f, t->key);
            fputs("\\fR:\n", f);
        } else {
            fputs(".PP\nAround the records:\n", f);
        }
        columns(f, t->cols);
    }
}

int cli_write_json_man(FILE *f, const struct cli_applet *const *applets)
{
    title(f, "ipcbox-json", "7", "the JSON that ipcbox writes");
    section(f, "DESCRIPTION",
            "With -J (--json) a command writes one JSON document, with --jsonl one JSON object a "
            "line. Commands that follow something write lines for -J too. In lines, what stands "
            "around the records in the document is repeated in each record.\n\n"
            "Keys do not change between versions; new ones may be added. Numbers are exact, also "
            "beyond 2^53 where a reader keeps them; identifiers that may pass 2^53 are strings "
            "(\"0x1f\"). What is not known is null; an empty list is an empty array. Times are RFC "
            "3339 in UTC with nanoseconds, spans are decimal seconds, modes are octal strings.\n\n"
            "A payload is length, data_base64, and text, which is present only when the bytes are "
            "UTF-8 without U+0000. A string that is not UTF-8 has U+FFFD for what cannot be "
            "written, and a second member KEY_base64 with its bytes.");
    fputs(".SH COMMANDS\n", f);
    for (; *applets; applets++)
        for (size_t i = 0; (*applets)->verbs[i]; i++)
            json_verb(f, *applets, (*applets)->verbs[i]);
    fputs(".SH SEE ALSO\n.BR ipcbox (1),\n.BR jq (1)\n", f);
    return ferror(f) ? -EIO : 0;
}
