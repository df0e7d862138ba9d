/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The tables of all applets keep the rules that parser, help and documentation count on. */
#include <ctype.h>
#include <strings.h>

#include "applets.h"
#include "check.h"
#include "cleanup.h"

static void say(const char *where, const char *what, const char *name)
{
    check_failed++;
    fprintf(stderr, "%s: %s: %s\n", where, what, name);
}

static void need(int cond, const char *where, const char *what, const char *name)
{
    check_count++;
    if (!cond)
        say(where, what, name);
}

/* A phrase: no capital at its start (but for names and abbreviations), no full stop. */
static void check_phrase(const char *where, const char *name, const char *text)
{
    need(text && *text, where, "no text", name);
    if (!text || !*text)
        return;
    need(!isupper((unsigned char)text[0]) || !islower((unsigned char)text[1]), where,
         "begins with a capital", name);
    need(text[strlen(text) - 1] != '.', where, "ends with a full stop", name);
}

/* Every column with a heading that was seen: a key has no two of them. */
static const struct out_col *seen[2000];
static size_t n_seen;

static void check_one_name(const char *where, const struct out_col *col)
{
    if (!col->heading || col->flags & OUT_TEXT)
        return;
    for (size_t i = 0; i < n_seen; i++)
        if (strcmp(seen[i]->key, col->key) == 0) {
            need(strcmp(seen[i]->heading, col->heading) == 0, where,
                 "has another heading elsewhere", col->key);
            return;
        }
    if (n_seen < sizeof(seen) / sizeof(seen[0]))
        seen[n_seen++] = col;
}

/* A heading is a name for --output: it may not be that of another column of the table. */
static void check_heading(const char *where, const struct out_col *cols, size_t n)
{
    const char *bad;
    size_t len;

    if (!cols[n].heading || cols[n].flags & OUT_TEXT)
        return;
    need(out_columns_check(cols[n].heading, cols, &bad, &len) == 0, where, "heading is no name",
         cols[n].heading);
    for (size_t i = 0; cols[i].type != OUT_TYPE_END; i++)
        need(i == n ||
                 (strcasecmp(cols[n].heading, cols[i].key) != 0 &&
                  (!cols[i].heading || strcmp(cols[n].heading, cols[i].heading) != 0)) ||
                 cols[i].flags & (OUT_HIDDEN | OUT_JSON | OUT_TEXT),
             where, "heading of two columns", cols[n].heading);
}

/*
 * The members that a column gives in JSON: strings that are not UTF-8 have a second one, and a
 * payload has two.
 */
static int gives(const struct out_col *col, const char *member)
{
    size_t n = strlen(col->key);

    if (col->flags & OUT_TEXT)
        return 0;
    if (col->type == OUT_TYPE_BYTES)
        return !strcmp(member, "data_base64") || !strcmp(member, "text");
    if (!strcmp(col->key, member))
        return 1;
    return (col->type == OUT_TYPE_STR || col->type == OUT_TYPE_CHARS) &&
           !strncmp(col->key, member, n) && !strcmp(member + n, "_base64");
}

static void check_members(const char *where, const struct out_col *cols)
{
    for (size_t i = 0; cols[i].type != OUT_TYPE_END; i++) {
        const char *name = cols[i].type == OUT_TYPE_BYTES ? "data_base64" : cols[i].key;

        for (size_t k = 0; cols[k].type != OUT_TYPE_END; k++)
            need(k == i || cols[i].flags & OUT_TEXT || !gives(&cols[k], name), where,
                 "a JSON member twice", name);
    }
}

/* Words that mean one thing in all of the tools: how many there are is never called as they are. */
static void check_words(const char *where, const struct out_col *col)
{
    static const char *const lists[] = {
        "messages", "holders",   "senders", "receivers", "waiters",   "readers",      "queues",
        "nodes",    "processes", "peers",   "records",   "transfers", "destinations", "threads",
    };
    static const char *const old[] = {"ipc_ns", "taken", "receive", "total", "n_transfers"};

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        need(strcmp(col->key, lists[i]) != 0 || col->flags & OUT_TEXT ||
                 col->type == OUT_TYPE_VALUE,
             where, "named as a list", col->key);
    for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++)
        need(strcmp(col->key, old[i]) != 0, where, "has another name in the other tools", col->key);
}

static void check_columns(const char *where, const struct out_col *cols)
{
    check_members(where, cols);
    for (size_t i = 0; cols[i].type != OUT_TYPE_END; i++) {
        need(strspn(cols[i].key, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(cols[i].key),
             where, "key", cols[i].key);
        check_phrase(where, cols[i].key, cols[i].help);
        check_one_name(where, &cols[i]);
        check_heading(where, cols, i);
        check_words(where, &cols[i]);
        for (size_t k = 0; k < i; k++)
            need(strcmp(cols[i].key, cols[k].key) != 0, where, "twice", cols[i].key);
    }
}

/* Whoever names a column that is not there is told all that there are: the text may not be cut. */
static void check_no_column(const struct cli_verb *verb)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;
    char name[64];

    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    cli_no_column(&b, verb->cols, name);
    need(b.len < sizeof(((struct err *)0)->why), verb->name, "too many columns for an error's text",
         buf_str(&b));
}

static const struct cli_opt *find(const struct cli_opt *opts, const char *name)
{
    for (; opts && opts->type != CLI_TYPE_END; opts++)
        if (!strcmp(opts->name, name))
            return opts;
    return NULL;
}

static void check_options(const struct cli_applet *applet, const struct cli_verb *verb)
{
    static const char reserved[] = "Joqh";

    for (const struct cli_opt *o = verb->opts; o && o->type != CLI_TYPE_END; o++) {
        check_phrase(verb->name, o->name, o->help);
        need(!o->short_name || !strchr(reserved, o->short_name), verb->name, "letter", o->name);
        need(!find(applet->common_opts, o->name), verb->name, "common option again", o->name);
        need(o->type != CLI_TYPE_ENUM || o->choices, verb->name, "no words", o->name);
        for (const struct cli_opt *p = verb->opts; p < o; p++)
            need(strcmp(p->name, o->name) && (!o->short_name || p->short_name != o->short_name),
                 verb->name, "twice", o->name);
    }
}

static void check_verb(const struct cli_applet *applet, const struct cli_verb *verb)
{
    check_phrase(applet->name, verb->name, verb->summary);
    need(verb->run != NULL, applet->name, "no run", verb->name);
    need(!verb->opts || verb->args_size > 0, applet->name, "no size", verb->name);
    need(verb->args_size == 0 || verb->args_size >= applet->common_size, applet->name,
         "does not begin with the common options", verb->name);
    need(!verb->max_operands || verb->operands, applet->name, "operands without a name",
         verb->name);
    check_options(applet, verb);
    if (verb->cols) {
        check_columns(verb->name, verb->cols);
        check_no_column(verb);
    }
    for (const struct cli_table *t = verb->more_cols; t && t->key; t++)
        check_columns(verb->name, t->cols);
}

int main(void)
{
    for (size_t i = 0; applets[i]; i++) {
        if (i)
            need(strcmp(applets[i - 1]->name, applets[i]->name) < 0, "applets", "order",
                 applets[i]->name);
        check_phrase("applets", applets[i]->name, applets[i]->summary);
        for (size_t k = 0; applets[i]->verbs[k]; k++)
            check_verb(applets[i], applets[i]->verbs[k]);
    }
    return check_done();
}
