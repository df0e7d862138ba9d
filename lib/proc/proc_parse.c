/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parsers of files of /proc. They stay within the text whatever it contains. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "proc.h"

/* Parses a number at *@p in @base, and moves *@p after it. */
static int take_number(const char **p, int base, uint64_t *out)
{
    const char *digits = base == 8 ? "01234567" : base == 10 ? "0123456789" : "0123456789abcdef";
    uint64_t v = 0;
    size_t n = 0;

    for (const char *at; (*p)[n] && (at = strchr(digits, (*p)[n])); n++)
        if (__builtin_mul_overflow(v, (uint64_t)base, &v) ||
            __builtin_add_overflow(v, (uint64_t)(at - digits), &v))
            return -EBADMSG;
    if (!n)
        return -EBADMSG;
    *p += n;
    *out = v;
    return 0;
}

int proc_parse_id(const char *text, pid_t *out)
{
    uint64_t v;

    if (take_number(&text, 10, &v) < 0 || *text || !v || v > INT_MAX)
        return -EBADMSG;
    *out = (pid_t)v;
    return 0;
}

int proc_parse_fd_flags(const char *text, int *flags)
{
    static const char key[] = "flags:";
    uint64_t v;

    for (; text; text = strchr(text, '\n')) {
        text += *text == '\n';
        if (strncmp(text, key, sizeof(key) - 1))
            continue;
        text += sizeof(key) - 1;
        text += strspn(text, " \t");
        if (take_number(&text, 8, &v) < 0 || v > INT_MAX || (*text && *text != '\n'))
            return -EBADMSG;
        *flags = (int)v;
        return 0;
    }
    return -EBADMSG;
}

int proc_parse_call(const char *text, struct proc_call *out)
{
    struct proc_call c = {.state = PROC_CALL_BLOCKED};
    uint64_t v;

    if (!strncmp(text, "running", 7)) {
        *out = (struct proc_call){.state = PROC_CALL_RUNNING};
        return 0;
    }
    if (!strncmp(text, "-1 ", 3)) {
        *out = (struct proc_call){.state = PROC_CALL_OUTSIDE};
        return 0;
    }
    if (take_number(&text, 10, &v) < 0 || v > LONG_MAX)
        return -EBADMSG;
    c.nr = (long)v;
    for (size_t i = 0; i < ARRAY_SIZE(c.args); i++) {
        if (strncmp(text, " 0x", 3))
            return -EBADMSG;
        text += 3;
        if (take_number(&text, 16, &c.args[i]) < 0)
            return -EBADMSG;
    }
    *out = c;
    return 0;
}

int proc_parse_thread_flags(const char *text, unsigned int *flags)
{
    enum { FLAGS = 7 }; /* fields after the name, which may contain any byte, even a parenthesis */
    const char *p = strrchr(text, ')');
    uint64_t v;

    for (int field = 0; p && field < FLAGS; field++)
        p = strchr(p + 1, ' ');
    if (!p)
        return -EBADMSG;
    p++;
    if (take_number(&p, 10, &v) < 0 || v > UINT_MAX || *p != ' ')
        return -EBADMSG;
    *flags = (unsigned int)v;
    return 0;
}

int proc_parse_state(const char *text, char comm[PROC_COMM_SIZE], char *state)
{
    const char *open = strchr(text, '('), *close = strrchr(text, ')');
    size_t n;

    /* The name may contain any byte, even parentheses. */
    if (!open || !close || close < open || close[1] != ' ' || !close[2] || close[3] != ' ')
        return -EBADMSG;
    n = MIN((size_t)(close - open - 1), (size_t)PROC_COMM_SIZE - 1);
    memcpy(comm, open + 1, n);
    comm[n] = '\0';
    *state = close[2];
    return 0;
}

int proc_parse_ns(const char *text, const char *kind, uint64_t *out)
{
    size_t n = strlen(kind);
    uint64_t v;

    if (strncmp(text, kind, n) || strncmp(text + n, ":[", 2))
        return -EBADMSG;
    text += n + 2;
    if (take_number(&text, 10, &v) < 0 || strcmp(text, "]"))
        return -EBADMSG;
    *out = v;
    return 0;
}
