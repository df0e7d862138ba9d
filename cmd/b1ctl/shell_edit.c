/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lines from a terminal. libedit and what it needs are four libraries, a fifth of the start of
 * every short command: they are loaded when a shell begins, which does without them where they are
 * not there. A static program has them linked.
 */
#include "shell_edit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef IPCBOX_LIBEDIT
#ifndef IPCBOX_STATIC
#include <dlfcn.h>
#endif
#include <histedit.h>
#endif

#include "buf.h"
#include "macros.h"

static bool is_word(const char *line, const char *const *words)
{
    const char *p = line + strspn(line, " \t");
    size_t n = strcspn(p, " \t\r\n;");

    for (; *words; words++)
        if (strlen(*words) == n && !strncmp(p, *words, n))
            return true;
    return false;
}

bool shell_edit_is_quit(const char *line)
{
    return is_word(line, (const char *const[]){"quit", "exit", NULL});
}

bool shell_edit_is_help(const char *line)
{
    return is_word(line, (const char *const[]){"help", "?", NULL});
}

void shell_edit_help(void)
{
    for (const struct b1_script_command *c = b1_script_commands; c->name; c++) {
        fprintf(stderr, "  %s %s\n", c->name, c->args ? c->args : "");
        fprintf(stderr, "      %s\n", c->help);
    }
    fprintf(stderr, "  help\n  quit\n");
}

struct shell_edit {
#ifdef IPCBOX_LIBEDIT
    const struct b1_script *script;
    EditLine *el; /* NULL without libedit */
    History *history;
    HistEvent event;
#endif
    char *line;
    size_t cap;
};

#ifdef IPCBOX_LIBEDIT

/* clang-format off */
#define FUNCTIONS(X) \
    X(el_init) X(el_end) X(el_get) X(el_set) X(el_line) X(el_insertstr) \
    X(el_source) X(el_gets) X(history) X(history_init) X(history_end)
/* clang-format on */

/* The functions of libedit, once it is loaded; it stays. A static program has it from the start. */
static struct {
#define X(name) __typeof__(name) *name;
    FUNCTIONS(X)
#undef X
} lib
#ifdef IPCBOX_STATIC
    = {
#define X(name) name,
        FUNCTIONS(X)
#undef X
};

static const char *load_library(void)
{
    return NULL;
}
#else
    ;

/* Return: NULL, or why not. */
static const char *load_library(void)
{
    void *library = dlopen(IPCBOX_LIBEDIT, RTLD_NOW | RTLD_LOCAL), *address;

    if (!library)
        return dlerror();
#define X(name)                      \
    address = dlsym(library, #name); \
    if (!address)                    \
        return dlerror();            \
    memcpy(&lib.name, &address, sizeof(lib.name));
    FUNCTIONS(X)
#undef X
    return NULL;
}
#endif

/* Finds the completions of a word: how many there are, and how many bytes they all share. */
struct match {
    const char *word;
    size_t n_word;
    size_t n;
    struct buf common;
};

static void match_add(struct match *m, const char *candidate)
{
    size_t same = 0;

    if (strncmp(candidate, m->word, m->n_word))
        return;
    if (m->n++ == 0) {
        buf_add_str(&m->common, candidate);
        return;
    }
    while (same < m->common.len && m->common.data[same] == candidate[same])
        same++;
    if (m->common.data)
        m->common.data[same] = '\0';
    m->common.len = same;
}

static void match_name(void *ctx, const struct b1_script_name *n)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;

    buf_add_str(&b, n->peer);
    if (n->name)
        buf_printf(&b, ".%s", n->name);
    match_add(ctx, buf_str(&b));
}

static unsigned char complete(EditLine *el, int c _unused_)
{
    struct shell_edit *e = NULL;
    const LineInfo *line = lib.el_line(el);
    const char *start = line->cursor, *before;
    struct match m = {0};
    unsigned char r = CC_ERROR;

    lib.el_get(el, EL_CLIENTDATA, &e);
    while (start > line->buffer && !strchr(" \t;,", start[-1]))
        start--;
    m.word = start;
    m.n_word = (size_t)(line->cursor - start);
    for (before = start; before > line->buffer && strchr(" \t", before[-1]); before--)
        ;
    if (before == line->buffer || before[-1] == ';')
        for (const struct b1_script_command *k = b1_script_commands; k->name; k++)
            match_add(&m, k->name);
    else
        b1_script_names(e->script, match_name, &m);
    if (m.n && m.common.len > m.n_word) {
        r = lib.el_insertstr(el, m.common.data + m.n_word) == 0 ? CC_REFRESH : CC_ERROR;
        if (m.n == 1 && r == CC_REFRESH)
            (void)lib.el_insertstr(el, " ");
    }
    buf_done(&m.common);
    return r;
}

static const char *prompt(EditLine *el _unused_)
{
    return "b1> ";
}

static const char *begin(struct shell_edit *e, const struct b1_script *s)
{
    const char *why = load_library();

    if (why)
        return why;
    e->script = s;
    e->el = lib.el_init("b1ctl", stdin, stderr, stderr);
    e->history = e->el ? lib.history_init() : NULL;
    if (!e->history)
        return "out of memory";
    lib.history(e->history, &e->event, H_SETSIZE, 1000);
    lib.history(e->history, &e->event, H_SETUNIQUE, 1);
    lib.el_set(e->el, EL_CLIENTDATA, e);
    lib.el_set(e->el, EL_PROMPT, prompt);
    lib.el_set(e->el, EL_EDITOR, "emacs");
    lib.el_set(e->el, EL_SIGNAL, 1);
    lib.el_set(e->el, EL_HIST, lib.history, e->history);
    lib.el_set(e->el, EL_ADDFN, "complete", "complete a word", complete);
    lib.el_set(e->el, EL_BIND, "^I", "complete", NULL);
    lib.el_source(e->el, NULL);
    return NULL;
}

static void end(struct shell_edit *e)
{
    if (e->el)
        lib.el_end(e->el);
    if (e->history)
        lib.history_end(e->history);
    e->el = NULL;
    e->history = NULL;
}

static int edited_line(struct shell_edit *e, const char **ret)
{
    int n = 0;
    const char *line = lib.el_gets(e->el, &n);

    if (!line || n <= 0)
        return n < 0 ? -errno : 0;
    if (line[strspn(line, " \t\r\n")])
        lib.history(e->history, &e->event, H_ENTER, line);
    *ret = line;
    return 1;
}

#else

static const char *begin(struct shell_edit *e _unused_, const struct b1_script *s _unused_)
{
    return "this build is without libedit";
}

static void end(struct shell_edit *e _unused_)
{
}

#endif

int shell_edit_new(const struct b1_script *s, struct shell_edit **ret)
{
    struct shell_edit *e = calloc(1, sizeof(*e));
    const char *why;

    if (!e)
        return -ENOMEM;
    why = begin(e, s);
    if (why) {
        end(e);
        fprintf(stderr, "no line editing, history and completion: %s\n", why);
    }
    *ret = e;
    return 0;
}

void shell_edit_free(struct shell_edit *e)
{
    if (!e)
        return;
    end(e);
    free(e->line);
    free(e);
}

int shell_edit_line(struct shell_edit *e, const char **ret)
{
#ifdef IPCBOX_LIBEDIT
    if (e->el)
        return edited_line(e, ret);
#endif
    fputs("b1> ", stderr);
    if (getline(&e->line, &e->cap, stdin) < 0)
        return ferror(stdin) ? -errno : 0;
    *ret = e->line;
    return 1;
}
