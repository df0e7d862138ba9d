/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From words to a verb and its arguments: cli_verb_of() finds the verb, getopt_long() splits the
 * words by the verb's tables, and each option's argument is checked as its type wants it.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "cli_internal.h"
#include "escape.h"
#include "parse.h"
#include "timefmt.h"

/* ---- values ---- */

static int bad_value(struct err *e, const struct cli_opt *opt, const char *arg, const char *want)
{
    return err_set(e, -EINVAL, NULL, "--%s: \"%s\" is not %s", opt->name, arg, want);
}

/* A bound as a user would write it as the option's value. */
static void bound(const struct cli_opt *opt, uint64_t v, struct buf *b)
{
    static const char suffix[] = "\0KMG";
    char text[TIMEFMT_SECONDS_SIZE];
    size_t n, power = 0;

    if (opt->type == CLI_TYPE_SPAN) {
        n = timefmt_seconds(text, v);
        while (text[n - 1] == '0')
            n--;
        buf_add(b, text, text[n - 1] == '.' ? n - 1 : n);
        return;
    }
    if (opt->type == CLI_TYPE_SIZE)
        for (; v && v % 1024 == 0 && power < 3; power++)
            v /= 1024;
    buf_printf(b, "%" PRIu64, v);
    if (power)
        buf_add_char(b, suffix[power]);
}

/* A bound that no real value comes near says nothing: it is left out. */
static int out_of_range(struct err *e, const struct cli_opt *opt, const char *arg, bool below,
                        uint64_t max)
{
    _cleanup_(buf_done) struct buf min = BUF_INIT, most = BUF_INIT;
    const char *unit = opt->type == CLI_TYPE_SPAN ? " seconds" : "";
    bool bounded = max < UINT64_MAX - 1;

    bound(opt, opt->min, &min);
    bound(opt, max, &most);
    if (opt->min && bounded)
        return err_set(e, -EINVAL, NULL, "--%s: %s is not between %s and %s%s", opt->name, arg,
                       buf_str(&min), buf_str(&most), unit);
    if (below)
        return err_set(e, -EINVAL, NULL, "--%s: %s is too small (at least %s%s)", opt->name, arg,
                       buf_str(&min), unit);
    if (!bounded)
        return err_set(e, -EINVAL, NULL, "--%s: %s is too large", opt->name, arg);
    return err_set(e, -EINVAL, NULL, "--%s: %s is too large (at most %s%s)", opt->name, arg,
                   buf_str(&most), unit);
}

static int number(const struct cli_opt *opt, const char *arg, uint64_t max, uint64_t *out,
                  struct err *e)
{
    uint64_t v = 0;
    int r;

    switch (opt->type) {
    case CLI_TYPE_SIZE:
        r = parse_size(arg, &v);
        break;
    case CLI_TYPE_SPAN:
        r = parse_span(arg, &v);
        break;
    default:
        r = parse_u64(arg, &v);
    }
    if (opt->max)
        max = MIN(max, opt->max);
    if (r == -EINVAL)
        return bad_value(e, opt, arg,
                         opt->type == CLI_TYPE_SIZE   ? "a number of bytes, e.g. 512 or 64K"
                         : opt->type == CLI_TYPE_SPAN ? "a number of seconds, e.g. 1.5 or 200ms"
                                                      : "a number");
    if (r < 0 || v < opt->min || v > max)
        return out_of_range(e, opt, arg, r == 0 && v < opt->min, max);
    *out = v;
    return 0;
}

static int range(const struct cli_opt *opt, const char *arg, struct cli_range *out, struct err *e)
{
    const char *colon = strchr(arg, ':');
    struct cli_range v = {.set = true};
    char first[24];
    int r;

    if (colon && (size_t)(colon - arg) >= sizeof(first))
        return bad_value(e, opt, arg, "N or N:M");
    snprintf(first, sizeof(first), "%.*s", colon ? (int)(colon - arg) : (int)sizeof(first) - 1,
             arg);
    if (!colon && strlen(arg) >= sizeof(first))
        return bad_value(e, opt, arg, "N or N:M");
    r = parse_u64(first, &v.first);
    v.last = v.first;
    if (r == 0 && colon && colon[1])
        r = parse_u64(colon + 1, &v.last);
    else if (colon)
        v.last = UINT64_MAX;
    if (r < 0)
        return bad_value(e, opt, arg, "N or N:M (whole numbers from 0)");
    if (v.last < v.first)
        return bad_value(e, opt, arg, "a range: its end is before its start");
    if (opt->max && (v.first > opt->max || (v.last > opt->max && v.last != UINT64_MAX)))
        return out_of_range(e, opt, arg, false, opt->max);
    *out = v;
    return 0;
}

static int word(const struct cli_opt *opt, const char *arg, int *out, struct err *e)
{
    char all[128] = "";

    for (int i = 0; opt->choices[i]; i++) {
        if (!strcmp(arg, opt->choices[i])) {
            *out = i;
            return 0;
        }
        if (strlen(all) + strlen(opt->choices[i]) + 3 < sizeof(all)) {
            strcat(all, i ? ", " : "");
            strcat(all, opt->choices[i]);
        }
    }
    return err_set(e, -EINVAL, NULL, "--%s: \"%s\" is none of %s", opt->name, arg, all);
}

static int add_word(struct cli_strv *s, const char *arg)
{
    const char **v = reallocarray(s->v, s->n + 1, sizeof(*v));

    if (!v)
        return -ENOMEM;
    s->v = v;
    s->v[s->n++] = arg;
    return 0;
}

static int apply(const struct cli_opt *opt, void *base, const char *arg, struct err *e)
{
    void *field = (char *)base + opt->offset;
    uint64_t v = 0;
    uint32_t mode;
    int r;

    switch (opt->type) {
    case CLI_TYPE_FLAG:
        *(bool *)field = true;
        return 0;
    case CLI_TYPE_STR:
        *(const char **)field = arg;
        return 0;
    case CLI_TYPE_U64:
    case CLI_TYPE_SIZE:
    case CLI_TYPE_SPAN:
        return number(opt, arg, UINT64_MAX, field, e);
    case CLI_TYPE_U32:
        r = number(opt, arg, UINT32_MAX, &v, e);
        if (r == 0)
            *(uint32_t *)field = (uint32_t)v;
        return r;
    case CLI_TYPE_PID:
        r = number(opt, arg, INT_MAX, &v, e);
        if (r == 0 && v == 0)
            return bad_value(e, opt, arg, "a process number");
        if (r == 0)
            *(int32_t *)field = (int32_t)v;
        return r;
    case CLI_TYPE_MODE:
        if (parse_mode(arg, &mode) < 0)
            return bad_value(e, opt, arg, "a mode: octal, at most 777");
        *(uint32_t *)field = mode;
        return 0;
    case CLI_TYPE_RANGE:
        return range(opt, arg, field, e);
    case CLI_TYPE_ENUM:
        return word(opt, arg, field, e);
    case CLI_TYPE_STRV:
        return add_word(field, arg);
    case CLI_TYPE_END:
        break;
    }
    return -EINVAL;
}

/* ---- words ---- */

static int read_options(const struct cli_applet *applet, int argc, struct cli_parsed *p,
                        struct err *e)
{
    _cleanup_(freep) struct cli_optset *s = calloc(1, sizeof(*s));
    int c, r;

    if (!s)
        return -ENOMEM;
    cli_optset_init(s, p->verb && p->verb->flags & CLI_COMMAND ? "+:" : ":");
    for (enum cli_group g = 0; g < GROUP_MAX; g++)
        cli_optset_add(s, cli_group(applet, p->verb, g),
                       g == GROUP_COMMON || g == GROUP_VERB ? p->args : &p->globals);
    optind = 0;
    opterr = 0;
    while ((c = getopt_long(argc, p->argv, s->shorts, s->longs, NULL)) != -1) {
        size_t i = cli_optset_find(s, c);

        if (c == ':')
            return err_set(e, -EINVAL, NULL, "%s needs a value", p->argv[optind - 1]);
        if (c == '?' && optopt >= CLI_OPT_LONG)
            return err_set(e, -EINVAL, NULL, "--%s takes no value",
                           s->opt[optopt - CLI_OPT_LONG]->name);
        if (c == '?' || i >= s->n)
            return cli_unknown_option(s, p->argv[optind - 1], e);
        r = apply(s->opt[i], s->base[i], optarg, e);
        if (r < 0)
            return r;
    }
    p->operands = p->argv + optind;
    p->n_operands = (size_t)(argc - optind);
    return 0;
}

static int unknown_command(const struct cli_verb *verb, const char *word, struct err *e)
{
    _cleanup_(buf_done) struct buf all = BUF_INIT;
    const char *words[16];
    const char *near;
    size_t n = 0;

    for (; n < ARRAY_SIZE(words) - 1 && verb->commands[n].word; n++) {
        words[n] = verb->commands[n].word;
        buf_printf(&all, "%s%s", n ? ", " : "", words[n]);
    }
    words[n] = NULL;
    near = cli_nearest(word, words);
    return err_set(e, -EINVAL, NULL, "%s: there is no command \"%s\" (%s)%s%s%s", verb->name, word,
                   buf_str(&all), near ? "; did you mean \"" : "", near ? near : "",
                   near ? "\"?" : "");
}

static int check_operands(const struct cli_verb *verb, const struct cli_parsed *p, struct err *e)
{
    const char *what = verb->operands ? verb->operands : "";

    if (p->n_operands < verb->min_operands)
        return err_set(e, -EINVAL, NULL, "%s needs %s", verb->name, what);
    if (verb->commands && p->n_operands)
        for (size_t i = 0; strcmp(verb->commands[i].word, p->operands[0]) != 0; i++)
            if (!verb->commands[i + 1].word)
                return unknown_command(verb, p->operands[0], e);
    if (p->n_operands > verb->max_operands)
        return err_set(e, -EINVAL, NULL, "%s: \"%s\" is too much (it takes %s)", verb->name,
                       p->operands[verb->max_operands], verb->max_operands ? what : "no operands");
    return 0;
}

static int check_backend(const struct cli_applet *applet, const char *name, struct err *e)
{
    const char *near;

    for (size_t i = 0; applet->backends[i]; i++)
        if (!strcmp(applet->backends[i], name))
            return 0;
    near = cli_nearest(name, applet->backends);
    if (near)
        return err_set(e, -EINVAL, NULL, "there is no backend \"%s\"; did you mean \"%s\"?", name,
                       near);
    return err_set(e, -EINVAL, NULL, "there is no backend \"%s\" (ipcbox doctor lists them)", name);
}

static int check_columns(const struct cli_parsed *p, struct err *e)
{
    const struct out_col *cols = p->verb->cols;
    _cleanup_(buf_done) struct buf why = BUF_INIT;
    const char *bad = NULL;
    char name[64];
    size_t n = 0;

    if (!p->verb->cols)
        return err_set(e, -EINVAL, NULL, "%s has no columns to choose", p->verb->name);
    if (out_columns_check(p->globals.columns, cols, &bad, &n) == 0)
        return 0;
    snprintf(name, sizeof(name), "%.*s", (int)MIN(n, sizeof(name)), bad);
    cli_no_column(&why, cols, name);
    return err_set(e, -EINVAL, NULL, "%s", buf_str(&why));
}

/* Fills @p->verb, and takes the verb's name out of the words. */
static int choose_verb(const struct cli_applet *applet, const struct cli_applet *const *all,
                       int *argc, struct cli_parsed *p, struct err *e)
{
    struct cli_choice c;
    int r = cli_verb_of(applet, all, *argc, p->argv, &c, e);

    p->verb = c.verb;
    if (r < 0)
        return r;
    p->named = c.at > 0;
    if (c.help) {
        p->globals.help = true;
        *argc = 1;
    } else if (c.by_name) {
        memmove(p->argv + c.at, p->argv + c.at + 1, (size_t)(*argc - c.at) * sizeof(*p->argv));
        (*argc)--;
    }
    return 0;
}

int cli_parse(const struct cli_applet *applet, const struct cli_applet *const *all, int argc,
              char **argv, struct cli_parsed *p, struct err *e)
{
    size_t size;
    int r;

    *p = (struct cli_parsed){0};
    p->argv = calloc((size_t)argc + 1, sizeof(*p->argv));
    if (!p->argv)
        return -ENOMEM;
    memcpy(p->argv, argv, (size_t)argc * sizeof(*argv));
    p->operands = p->argv + argc;
    r = choose_verb(applet, all, &argc, p, e);
    if (r < 0)
        return r;
    size = MAX(applet->common_size, p->verb ? p->verb->args_size : 0);
    p->args = calloc(1, size + 1);
    if (!p->args)
        return -ENOMEM;
    if (applet->common_defaults)
        memcpy(p->args, applet->common_defaults, applet->common_size);
    if (p->verb && p->verb->defaults)
        memcpy(p->args, p->verb->defaults, p->verb->args_size);
    r = read_options(applet, argc, p, e);
    if (r == 0 && !p->verb)
        p->globals.help = !p->globals.version;
    if (r < 0 || p->globals.help || p->globals.version)
        return r;
    r = check_operands(p->verb, p, e);
    if (r == 0 && p->globals.backend)
        r = check_backend(applet, p->globals.backend, e);
    if (r == 0 && p->globals.columns)
        r = check_columns(p, e);
    return r;
}

static void free_words(const struct cli_opt *opt, void *base)
{
    for (; opt->type != CLI_TYPE_END; opt++)
        if (opt->type == CLI_TYPE_STRV)
            free(((struct cli_strv *)(void *)((char *)base + opt->offset))->v);
}

void cli_parsed_done(struct cli_parsed *p)
{
    if (p->verb && p->verb->opts && p->args)
        free_words(p->verb->opts, p->args);
    free(p->args);
    free(p->argv);
    *p = (struct cli_parsed){0};
}
