/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From words to a verb and its arguments. getopt_long() does the splitting; the tables say what
 * there is. Options may stand before the verb, so the words are read twice: first, knowing the
 * options of all verbs, to find the verb; then with the verb's own.
 */
#include <errno.h>
#include <fnmatch.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "cli_internal.h"
#include "escape.h"
#include "parse.h"

enum { OPTS_MAX = 256, LONG_BASE = 256 };

/* The options of one reading, in the two forms that getopt_long() wants. */
struct optset {
    const struct cli_opt *opt[OPTS_MAX];
    void *base[OPTS_MAX];
    struct option longs[OPTS_MAX + 1];
    char shorts[2 * OPTS_MAX + 4];
    size_t n;
    size_t n_shorts;
};

static bool known(const struct optset *s, const struct cli_opt *opt)
{
    for (size_t i = 0; i < s->n; i++)
        if (!strcmp(s->opt[i]->name, opt->name))
            return true;
    return false;
}

static void optset_add(struct optset *s, const struct cli_opt *opt, void *base)
{
    for (; opt->type != CLI_TYPE_END && s->n < OPTS_MAX; opt++) {
        bool argument = opt->type != CLI_TYPE_FLAG;

        if (known(s, opt))
            continue;
        s->longs[s->n] = (struct option){
            .name = opt->name,
            .has_arg = argument ? required_argument : no_argument,
            .val = LONG_BASE + (int)s->n,
        };
        if (opt->short_name) {
            s->shorts[s->n_shorts++] = opt->short_name;
            if (argument)
                s->shorts[s->n_shorts++] = ':';
        }
        s->base[s->n] = base;
        s->opt[s->n++] = opt;
    }
}

static size_t optset_find(const struct optset *s, int code)
{
    size_t i = 0;

    if (code >= LONG_BASE)
        return (size_t)(code - LONG_BASE);
    while (i < s->n && s->opt[i]->short_name != code)
        i++;
    return i;
}

/* ---- values ---- */

static int bad_value(struct err *e, const struct cli_opt *opt, const char *arg, const char *want)
{
    return err_set(e, -EINVAL, NULL, "--%s: \"%s\" is not %s", opt->name, arg, want);
}

static int out_of_range(struct err *e, const struct cli_opt *opt, const char *arg, uint64_t max)
{
    if (opt->min)
        return err_set(e, -EINVAL, NULL, "--%s: %s is not between %llu and %llu", opt->name, arg,
                       (unsigned long long)opt->min, (unsigned long long)max);
    return err_set(e, -EINVAL, NULL, "--%s: %s is too large (at most %llu)", opt->name, arg,
                   (unsigned long long)max);
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
        return out_of_range(e, opt, arg, max);
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
        return out_of_range(e, opt, arg, opt->max);
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

static const struct cli_verb *find_verb(const struct cli_applet *applet, const char *name)
{
    for (size_t i = 0; applet->verbs[i]; i++)
        if (!strcmp(applet->verbs[i]->name, name))
            return applet->verbs[i];
    return NULL;
}

static int unknown_verb(const struct cli_applet *applet, const char *name, struct err *e)
{
    const char *names[64];
    const char *near;
    size_t n = 0;

    for (; applet->verbs[n] && n < ARRAY_SIZE(names) - 1; n++)
        names[n] = applet->verbs[n]->name;
    for (size_t i = 0; applet->applets && applet->applets[i] && n < ARRAY_SIZE(names) - 1; i++) {
        if (!strcmp(applet->applets[i]->name, name))
            return err_set(e, -EINVAL, NULL, "an applet's options stand behind it: %s %s …",
                           applet->name, name);
        names[n++] = applet->applets[i]->name;
    }
    names[n] = NULL;
    near = cli_nearest(name, names);
    if (near)
        return err_set(e, -EINVAL, NULL, "\"%s\" is no command; did you mean \"%s\"?", name, near);
    if (applet->operand_verb)
        return err_set(e, -EINVAL, NULL, "\"%s\" is no command; if it is a name, write \"%s %s\"",
                       name, applet->operand_verb->name, name);
    return err_set(e, -EINVAL, NULL, "\"%s\" is no command", name);
}

/* The place of the first operand in argv, or 0 when there is none. */
static int first_operand(const struct cli_applet *applet, int argc, char **argv)
{
    _cleanup_(freep) struct optset *s = calloc(1, sizeof(*s));
    int c;

    if (!s)
        return -ENOMEM;
    s->shorts[s->n_shorts++] = '-'; /* operands come as they stand, nothing is moved */
    for (enum cli_group g = 0; g < GROUP_MAX; g++)
        optset_add(s, cli_group(applet, NULL, g), NULL);
    for (size_t i = 0; applet->verbs[i]; i++)
        optset_add(s, cli_group(applet, applet->verbs[i], GROUP_VERB), NULL);
    opterr = 0;
    optind = 0;
    while ((c = getopt_long(argc, argv, s->shorts, s->longs, NULL)) != -1)
        if (c == 1)
            return optind - 1;
    return optind < argc ? optind : 0;
}

static int unknown_option(const struct optset *s, const char *text, struct err *e)
{
    const char *names[OPTS_MAX + 1];
    char name[64];
    const char *near = NULL;

    if (!strncmp(text, "--", 2)) {
        for (size_t i = 0; i < s->n; i++)
            names[i] = s->opt[i]->name;
        names[s->n] = NULL;
        snprintf(name, sizeof(name), "%.*s", (int)strcspn(text + 2, "="), text + 2);
        near = cli_nearest(name, names);
        if (near)
            return err_set(e, -EINVAL, NULL, "there is no option --%s; did you mean --%s?", name,
                           near);
        return err_set(e, -EINVAL, NULL, "there is no option --%s", name);
    }
    return err_set(e, -EINVAL, NULL, "there is no option -%c", optopt);
}

static int read_options(const struct cli_applet *applet, int argc, struct cli_parsed *p,
                        struct err *e)
{
    _cleanup_(freep) struct optset *s = calloc(1, sizeof(*s));
    int c, r;

    if (!s)
        return -ENOMEM;
    if (p->verb && p->verb->flags & CLI_COMMAND)
        s->shorts[s->n_shorts++] = '+';
    s->shorts[s->n_shorts++] = ':';
    for (enum cli_group g = 0; g < GROUP_MAX; g++)
        optset_add(s, cli_group(applet, p->verb, g),
                   g == GROUP_COMMON || g == GROUP_VERB ? p->args : &p->globals);
    optind = 0;
    opterr = 0;
    while ((c = getopt_long(argc, p->argv, s->shorts, s->longs, NULL)) != -1) {
        size_t i = optset_find(s, c);

        if (c == ':')
            return err_set(e, -EINVAL, NULL, "%s needs a value", p->argv[optind - 1]);
        if (c == '?' && optopt >= LONG_BASE)
            return err_set(e, -EINVAL, NULL, "--%s takes no value",
                           s->opt[optopt - LONG_BASE]->name);
        if (c == '?' || i >= s->n)
            return unknown_option(s, p->argv[optind - 1], e);
        r = apply(s->opt[i], s->base[i], optarg, e);
        if (r < 0)
            return r;
    }
    p->operands = p->argv + optind;
    p->n_operands = (size_t)(argc - optind);
    return 0;
}

const char *const *cli_operand_patterns(const struct cli_applet *applet)
{
    static const char *const usual[] = {"/*", "pid:*", NULL};

    return applet->operand_patterns ? applet->operand_patterns : usual;
}

static bool is_operand(const struct cli_applet *applet, const char *word)
{
    for (const char *const *p = cli_operand_patterns(applet); applet->operand_verb && *p; p++)
        if (fnmatch(*p, word, 0) == 0)
            return true;
    return false;
}

/* Chooses the verb by the first operand, and takes it out of the words when it is the verb's name.
 */
static int choose_verb(const struct cli_applet *applet, int *argc, struct cli_parsed *p,
                       struct err *e)
{
    int at = first_operand(applet, *argc, p->argv);
    const char *operand;

    if (at < 0)
        return at;
    p->verb = applet->default_verb;
    if (at == 0)
        return 0;
    p->named = true;
    operand = p->argv[at];
    if (is_operand(applet, operand)) {
        p->verb = applet->operand_verb;
        return 0;
    }
    p->verb = find_verb(applet, operand);
    if (!p->verb) {
        if (strcmp(operand, "help"))
            return unknown_verb(applet, operand, e);
        p->globals.help = true;
        operand = at + 1 < *argc ? p->argv[at + 1] : NULL;
        if (operand) {
            p->verb = find_verb(applet, operand);
            if (!p->verb)
                return unknown_verb(applet, operand, e);
        }
        *argc = 1;
        return 0;
    }
    memmove(p->argv + at, p->argv + at + 1, (size_t)(*argc - at) * sizeof(*p->argv));
    (*argc)--;
    return 0;
}

static int check_operands(const struct cli_verb *verb, const struct cli_parsed *p, struct err *e)
{
    const char *what = verb->operands ? verb->operands : "";

    if (p->n_operands < verb->min_operands)
        return err_set(e, -EINVAL, NULL, "%s needs %s", verb->name, what);
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
    const char *keys[64] = {NULL};
    const char *bad = NULL, *near;
    char name[64];
    size_t n = 0;

    if (!p->verb->cols)
        return err_set(e, -EINVAL, NULL, "%s has no columns to choose", p->verb->name);
    if (out_columns_check(p->globals.columns, cols, &bad, &n) == 0)
        return 0;
    for (size_t i = 0; i + 1 < ARRAY_SIZE(keys) && cols[i].type != OUT_TYPE_END; i++)
        keys[i] = cols[i].key;
    snprintf(name, sizeof(name), "%.*s", (int)MIN(n, sizeof(name)), bad);
    near = cli_nearest(name, keys);
    if (near)
        return err_set(e, -EINVAL, NULL, "there is no column \"%s\"; did you mean \"%s\"?", name,
                       near);
    return err_set(e, -EINVAL, NULL, "there is no column \"%s\"", name);
}

int cli_parse(const struct cli_applet *applet, int argc, char **argv, struct cli_parsed *p,
              struct err *e)
{
    size_t size;
    int r;

    *p = (struct cli_parsed){0};
    p->argv = calloc((size_t)argc + 1, sizeof(*p->argv));
    if (!p->argv)
        return -ENOMEM;
    memcpy(p->argv, argv, (size_t)argc * sizeof(*argv));
    p->operands = p->argv + argc;
    r = choose_verb(applet, &argc, p, e);
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
