/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The namespaces of a process. A thread leaves them when it ends; this is also true of the first
 * one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "proc.h"
#include "proc_numbers.h"

static void path_of(pid_t pid, const char *kind, char out[64])
{
    if (pid == PROC_SELF)
        snprintf(out, 64, "self/ns/%s", kind);
    else
        snprintf(out, 64, "%d/ns/%s", (int)pid, kind);
}

struct search {
    int proc;
    const char *kind;
    int (*get)(int proc, const char *path, const char *kind, void *out);
    void *out;
    int result;
};

/* Ends the walk at a thread that still has namespaces. */
static int ask_thread(pid_t tid, void *ctx)
{
    struct search *s = ctx;
    char path[64];

    path_of(tid, s->kind, path); /* /proc/TID exists, though it is not listed */
    s->result = s->get(s->proc, path, s->kind, s->out);
    return s->result != -ESRCH;
}

static int ask(pid_t pid, struct search *s)
{
    char path[64];
    int r;

    path_of(pid, s->kind, path);
    r = s->get(s->proc, path, s->kind, s->out);
    if (r != -ESRCH || pid == PROC_SELF)
        return r;
    r = proc_visit_tids(s->proc, pid, ask_thread, s);
    return r == 1 ? s->result : r < 0 ? r : -ESRCH;
}

static int read_ns(int proc, const char *path, const char *kind, void *out)
{
    char link[64];
    ssize_t n = readlinkat(proc, path, link, sizeof(link) - 1);

    if (n < 0)
        return proc_gone(-errno);
    link[n] = '\0';
    return proc_parse_ns(link, kind, out);
}

static int open_ns(int proc, const char *path, const char *kind, void *out)
{
    int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);

    (void)kind;
    if (fd < 0)
        return proc_gone(-errno);
    *(int *)out = fd;
    return 0;
}

int proc_ns(int proc, pid_t pid, const char *kind, uint64_t *out)
{
    return ask(pid, &(struct search){.proc = proc, .kind = kind, .get = read_ns, .out = out});
}

int proc_ns_open(int proc, pid_t pid, const char *kind)
{
    int fd = -1;
    int r = ask(pid, &(struct search){.proc = proc, .kind = kind, .get = open_ns, .out = &fd});

    return r < 0 ? r : fd;
}
