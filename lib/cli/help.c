/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --help, from the tables. */
#include <string.h>

#include "cleanup.h"
#include "cli_internal.h"
#include "escape.h"

enum { HELP_COLUMNS = 79, TEXT_AT = 26 };

/* Appends words, breaking lines so that they stay right of @indent. */
static void wrap(struct buf *b, const char *text, size_t indent)
{
    size_t line = b->len;
    size_t column;

    while (line > 0 && b->data[line - 1] != '\n')
        line--;
    column = esc_columns(b->data + line, b->len - line);
    while (*text) {
        size_t n = strcspn(text, " ");
        size_t w = esc_columns(text, n);

        if (column + w > HELP_COLUMNS && column > indent) {
            while (b->len && b->data[b->len - 1] == ' ')
                b->len--;
            buf_add_char(b, '\n');
            buf_add_repeat(b, ' ', indent);
            column = indent;
        }
        buf_add(b, text, n);
        column += w;
        text += n;
        if (*text) {
            buf_add_char(b, ' ');
            column++;
            text++;
        }
    }
    buf_add_char(b, '\n');
}

/* "  term      text", the text in a column of its own. */
static void term(struct buf *b, const char *name, const char *text, size_t at)
{
    size_t w = esc_columns(name, strlen(name));

    buf_printf(b, "  %s", name);
    if (w + 4 > at) {
        buf_add_char(b, '\n');
        buf_add_repeat(b, ' ', at);
    } else {
        buf_add_repeat(b, ' ', at - w - 2);
    }
    wrap(b, text, at);
}

static void options(struct buf *b, const struct cli_opt *opts)
{
    for (; opts->type != CLI_TYPE_END; opts++) {
        _cleanup_(buf_done) struct buf name = BUF_INIT;
        _cleanup_(buf_done) struct buf text = BUF_INIT;

        if (!opts->short_name)
            buf_add_str(&name, "    ");
        cli_opt_spelling(&name, opts);
        buf_add_str(&text, opts->help);
        for (size_t i = 0; opts->choices && opts->choices[i]; i++)
            buf_printf(&text, "%s%s", i ? ", " : ": ", opts->choices[i]);
        term(b, buf_str(&name), buf_str(&text), TEXT_AT);
        buf_inherit_error(b, &name);
        buf_inherit_error(b, &text);
    }
}

static void short_list(struct buf *b, const struct cli_applet *applet)
{
    bool first = true;

    buf_add_str(b, "Everywhere: ");
    for (enum cli_group g = 0; g <= GROUP_COMMON; g++)
        for (const struct cli_opt *o = cli_group(applet, NULL, g); o->type != CLI_TYPE_END; o++) {
            _cleanup_(buf_done) struct buf one = BUF_INIT;
            size_t line = b->len;

            buf_add_str(&one, first ? "" : ", ");
            if (o->short_name)
                buf_printf(&one, "-%c", o->short_name);
            else
                buf_printf(&one, "--%s", o->name);
            if (cli_metavar(o))
                buf_printf(&one, " %s", cli_metavar(o));
            buf_inherit_error(b, &one);
            if (buf_error(b))
                return;
            while (line > 0 && b->data[line - 1] != '\n')
                line--;
            if (b->len - line + one.len > HELP_COLUMNS) {
                buf_add_str(b, ",\n  ");
                buf_add(b, buf_str(&one) + 2, one.len - 2);
            } else {
                buf_add(b, buf_str(&one), one.len);
            }
            first = false;
        }
    buf_add_char(b, '\n');
}

static void applet_help(struct buf *b, const struct cli_applet *applet)
{
    size_t at = 0;

    buf_printf(b, "%s: %s\n\n", applet->name, applet->summary);
    for (size_t i = 0; applet->usage[i]; i++)
        at = MAX(at, esc_columns(applet->usage[i], strcspn(applet->usage[i], "\t")) + 4);
    for (size_t i = 0; applet->usage[i]; i++) {
        const char *line = applet->usage[i];
        const char *tab = strchr(line, '\t');

        buf_printf(b, "  %.*s", (int)strcspn(line, "\t"), line);
        if (tab) {
            buf_add_repeat(b, ' ', at - esc_columns(line, (size_t)(tab - line)) - 2);
            wrap(b, tab + 1, at);
        } else {
            buf_add_char(b, '\n');
        }
    }
    buf_add_str(b, "\nCommands:\n");
    for (size_t i = 0; applet->verbs[i]; i++) {
        _cleanup_(buf_done) struct buf name = BUF_INIT;

        if (applet->verbs[i]->flags & CLI_HIDDEN)
            continue;
        buf_printf(&name, "%s%s%s", applet->verbs[i]->name, applet->verbs[i]->operands ? " " : "",
                   applet->verbs[i]->operands ? applet->verbs[i]->operands : "");
        term(b, buf_str(&name), applet->verbs[i]->summary, TEXT_AT);
        buf_inherit_error(b, &name);
    }
    buf_add_char(b, '\n');
    short_list(b, applet);
    buf_printf(b, "More: %s COMMAND --help, man %s\n", applet->name, applet->name);
}

static void columns(struct buf *b, const struct out_col *cols)
{
    for (; cols->type != OUT_TYPE_END; cols++) {
        _cleanup_(buf_done) struct buf text = BUF_INIT;

        buf_add_str(&text, cols->help);
        if (cols->flags & OUT_JSON)
            buf_add_str(&text, " (JSON)");
        else if (cols->flags & OUT_TEXT)
            buf_add_str(&text, " (not in JSON)");
        else if (cols->flags & OUT_HIDDEN)
            buf_add_str(&text, " (with -o or in JSON)");
        else if (cols->flags & OUT_SPARE)
            buf_add_str(&text, " (not on a narrow terminal)");
        term(b, cols->key, buf_str(&text), TEXT_AT);
        buf_inherit_error(b, &text);
    }
}

static void verb_help(struct buf *b, const struct cli_applet *applet, const struct cli_verb *verb)
{
    buf_printf(b, "Usage: %s %s [OPTIONS]%s%s\n\n", applet->name, verb->name,
               verb->operands ? " " : "", verb->operands ? verb->operands : "");
    wrap(b, verb->summary, 0);
    if (verb->commands)
        buf_printf(b, "\nCommands of %s:\n", verb->name);
    for (const struct cli_word *w = verb->commands; w && w->word; w++)
        term(b, w->word, w->help, TEXT_AT);
    if (verb->opts && verb->opts->type != CLI_TYPE_END) {
        buf_add_str(b, "\nOptions:\n");
        options(b, verb->opts);
    }
    if (applet->common_opts) {
        buf_printf(b, "\nOptions of all %s commands:\n", applet->name);
        options(b, applet->common_opts);
    }
    buf_add_str(b, "\nEverywhere:\n");
    options(b, cli_group(applet, verb, GROUP_OUTPUT));
    options(b, cli_group(applet, verb, GROUP_BACKEND));
    options(b, cli_group(applet, verb, GROUP_GLOBAL));
    if (verb->cols) {
        buf_add_str(b, "\nColumns:\n");
        columns(b, verb->cols);
    }
    for (const struct cli_example *e = verb->examples; e && e->command; e++)
        buf_printf(b, "%s  %s\n      %s\n", e == verb->examples ? "\nExamples:\n" : "", e->command,
                   e->text);
}

void cli_help(struct buf *b, const struct cli_applet *applet, const struct cli_verb *verb)
{
    if (verb)
        verb_help(b, applet, verb);
    else
        applet_help(b, applet);
}
