/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which verb a command line means. Options may stand before the verb, and one letter may take an
 * argument in one verb and none in another. So the words are read once for each verb, with that
 * verb's options: the verb whose name is the first operand of its own reading is meant.
 */
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "cli_internal.h"

/* ---- the options of one reading ---- */

void cli_optset_init(struct cli_optset *s, const char *mode)
{
    *s = (struct cli_optset){.n = 0};
    s->n_shorts = strlen(mode);
    memcpy(s->shorts, mode, s->n_shorts + 1);
}

static bool known(const struct cli_optset *s, const struct cli_opt *opt)
{
    for (size_t i = 0; i < s->n; i++)
        if (!strcmp(s->opt[i]->name, opt->name))
            return true;
    return false;
}

void cli_optset_add(struct cli_optset *s, const struct cli_opt *opt, void *base)
{
    for (; opt->type != CLI_TYPE_END && s->n < CLI_OPTS_MAX; opt++) {
        bool argument = opt->type != CLI_TYPE_FLAG;

        if (known(s, opt))
            continue;
        s->longs[s->n] = (struct option){
            .name = opt->name,
            .has_arg = argument ? required_argument : no_argument,
            .val = CLI_OPT_LONG + (int)s->n,
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

size_t cli_optset_find(const struct cli_optset *s, int code)
{
    size_t i = 0;

    if (code >= CLI_OPT_LONG)
        return (size_t)(code - CLI_OPT_LONG);
    while (i < s->n && s->opt[i]->short_name != code)
        i++;
    return i;
}

int cli_unknown_option(const struct cli_optset *s, const char *text, struct err *e)
{
    const char *names[CLI_OPTS_MAX + 1];
    char name[64];
    const char *near = NULL;

    if (strncmp(text, "--", 2) != 0)
        return err_set(e, -EINVAL, NULL, "there is no option -%c", optopt);
    for (size_t i = 0; i < s->n; i++)
        names[i] = s->opt[i]->name;
    names[s->n] = NULL;
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(text + 2, "="), text + 2);
    near = cli_nearest(name, names);
    if (near)
        return err_set(e, -EINVAL, NULL, "there is no option --%s; did you mean --%s?", name, near);
    return err_set(e, -EINVAL, NULL, "there is no option --%s", name);
}

/* ---- one reading ---- */

/* What a reading with one verb's options finds: the places of words in argv, or 0. */
struct reading {
    int operand;    /* the first operand */
    int bad_option; /* an option before it that the verb does not have */
};

static void add_all(struct cli_optset *s, const struct cli_applet *applet,
                    const struct cli_verb *verb)
{
    cli_optset_init(s, "-"); /* operands come as they stand, nothing is moved */
    for (enum cli_group g = 0; g < GROUP_MAX; g++)
        cli_optset_add(s, cli_group(applet, verb, g), NULL);
}

static struct reading read_words(const struct cli_optset *s, int argc, char **argv)
{
    struct reading r = {.operand = 0};
    int c;

    opterr = 0;
    optind = 0;
    while ((c = getopt_long(argc, argv, s->shorts, s->longs, NULL)) != -1) {
        if (c == 1) {
            r.operand = optind - 1;
            return r;
        }
        if (c == '?' && !r.bad_option)
            r.bad_option = optind - 1;
    }
    r.operand = optind < argc ? optind : 0;
    return r;
}

/* ---- choosing ---- */

/* Whether the word names an object (/jobs, pid:1:/q) and so cannot be a verb. */
static bool is_object(const struct cli_applet *applet, const char *word)
{
    static const char *const usual[] = {"/*", "pid:*", NULL};
    const char *const *p = applet->operand_patterns ? applet->operand_patterns : usual;

    for (; applet->operand_verb && *p; p++)
        if (fnmatch(*p, word, 0) == 0)
            return true;
    return false;
}

const struct cli_verb *cli_find_verb(const struct cli_applet *applet, const char *name)
{
    for (size_t i = 0; applet->verbs[i]; i++)
        if (!strcmp(applet->verbs[i]->name, name))
            return applet->verbs[i];
    return NULL;
}

/* What the operands of an applet are: the first kind that only its own tables know. */
static enum cli_complete object_kind(const struct cli_applet *applet)
{
    for (size_t i = 0; applet->verbs[i]; i++)
        if (applet->verbs[i]->complete >= CLI_COMPLETE_QUEUE)
            return applet->verbs[i]->complete;
    return CLI_COMPLETE_NONE;
}

/* Another applet that does @name to the same kind of object, or NULL. */
static const struct cli_applet *elsewhere(const struct cli_applet *applet,
                                          const struct cli_applet *const *all, const char *name)
{
    enum cli_complete kind = object_kind(applet);

    for (; all && *all; all++)
        if (*all != applet && kind && object_kind(*all) == kind && cli_find_verb(*all, name))
            return *all;
    return NULL;
}

static int unknown_verb(const struct cli_applet *applet, const struct cli_applet *const *all,
                        const char *name, struct err *e)
{
    const struct cli_applet *other = elsewhere(applet, all, name);
    const char *names[64];
    const char *near;
    size_t n = 0;

    if (other)
        return err_set(e, -EINVAL, NULL, "there is no command \"%s\" here; did you mean \"%s %s\"?",
                       name, other->name, name);
    for (; applet->verbs[n] && n < ARRAY_SIZE(names) - 1; n++)
        names[n] = applet->verbs[n]->name;
    for (size_t i = 0; applet->applets && applet->applets[i] && n < ARRAY_SIZE(names) - 1; i++) {
        if (!strcmp(applet->applets[i]->name, name))
            return err_set(e, -EINVAL, NULL, "write options after the applet's name: %s %s …",
                           applet->name, name);
        names[n++] = applet->applets[i]->name;
    }
    names[n] = NULL;
    near = cli_nearest(name, names);
    if (near)
        return err_set(e, -EINVAL, NULL, "there is no command \"%s\"; did you mean \"%s\"?", name,
                       near);
    if (applet->operand_verb)
        return err_set(e, -EINVAL, NULL,
                       "there is no command \"%s\"; if it is a name, write \"%s %s\"", name,
                       applet->operand_verb->name, name);
    return err_set(e, -EINVAL, NULL, "there is no command \"%s\"", name);
}

/* The verb whose own reading meets its name; one whose reading knows every option is preferred. */
static void by_own_reading(struct cli_optset *s, const struct cli_applet *applet, int argc,
                           char **argv, struct cli_choice *ret)
{
    for (size_t i = 0; applet->verbs[i]; i++) {
        struct reading r;

        add_all(s, applet, applet->verbs[i]);
        r = read_words(s, argc, argv);
        if (!r.operand || (ret->verb && r.bad_option) ||
            strcmp(argv[r.operand], applet->verbs[i]->name) != 0)
            continue;
        *ret = (struct cli_choice){.verb = applet->verbs[i], .at = r.operand, .by_name = true};
        if (!r.bad_option)
            return;
    }
}

static int choose_help(const struct cli_applet *applet, const struct cli_applet *const *all,
                       const char *name, struct cli_choice *ret, struct err *e)
{
    ret->help = true;
    if (!name)
        return 0;
    ret->verb = cli_find_verb(applet, name);
    return ret->verb ? 0 : unknown_verb(applet, all, name, e);
}

/* No verb is named. An object means the applet's verb for objects, nothing means its default. */
static int by_operand(struct cli_optset *s, const struct cli_applet *applet,
                      const struct cli_applet *const *all, int argc, char **argv,
                      struct cli_choice *ret, struct err *e)
{
    struct reading r;

    if (applet->operand_verb) {
        add_all(s, applet, applet->operand_verb);
        ret->at = read_words(s, argc, argv).operand;
        ret->verb = applet->operand_verb;
        if (ret->at && is_object(applet, argv[ret->at]))
            return 0;
    }
    add_all(s, applet, NULL);
    for (size_t i = 0; applet->verbs[i]; i++)
        cli_optset_add(s, cli_group(applet, applet->verbs[i], GROUP_VERB), NULL);
    r = read_words(s, argc, argv);
    *ret = (struct cli_choice){.verb = applet->default_verb, .at = r.operand};
    if (!r.operand)
        return 0;
    if (r.bad_option) { /* it may have taken the operand as its value: no verb is known */
        ret->verb = NULL;
        return cli_unknown_option(s, argv[r.bad_option], e);
    }
    ret->verb = cli_find_verb(applet, argv[r.operand]);
    if (ret->verb) { /* after an option of another verb, which the reading to come reports */
        ret->by_name = true;
        return 0;
    }
    if (!strcmp(argv[r.operand], "help"))
        return choose_help(applet, all, r.operand + 1 < argc ? argv[r.operand + 1] : NULL, ret, e);
    if (is_object(applet, argv[r.operand])) {
        ret->verb = applet->operand_verb;
        return 0;
    }
    return unknown_verb(applet, all, argv[r.operand], e);
}

int cli_verb_of(const struct cli_applet *applet, const struct cli_applet *const *all, int argc,
                char **argv, struct cli_choice *ret, struct err *e)
{
    _cleanup_(freep) struct cli_optset *s = calloc(1, sizeof(*s));

    *ret = (struct cli_choice){.verb = NULL};
    if (!s)
        return -ENOMEM;
    by_own_reading(s, applet, argc, argv, ret);
    return ret->verb ? 0 : by_operand(s, applet, all, argc, argv, ret, e);
}
