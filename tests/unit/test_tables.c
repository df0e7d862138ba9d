/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The tables of all applets keep the rules that parser, help and documentation count on. */
#include <ctype.h>

#include "applets.h"
#include "check.h"

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

static void check_columns(const char *where, const struct out_col *cols)
{
    for (size_t i = 0; cols[i].type != OUT_TYPE_END; i++) {
        need(strspn(cols[i].key, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(cols[i].key),
             where, "key", cols[i].key);
        check_phrase(where, cols[i].key, cols[i].help);
        for (size_t k = 0; k < i; k++)
            need(strcmp(cols[i].key, cols[k].key) != 0, where, "twice", cols[i].key);
    }
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
    if (verb->cols)
        check_columns(verb->name, verb->cols);
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
