/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The descriptors of a process, in all tables that its threads use. Nearly every process has one
 * table; finding that out costs one stat().
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "proc.h"
#include "proc_numbers.h"

/* How many descriptors of one process are compared where kcmp() is refused, before giving up. */
enum { COMPARED_MAX = 100000 };

/**
 * struct walk - a process whose tables are being visited
 * @tables, @n_tables: one thread for each table that has been visited, in the order of kcmp(2)
 * @kcmp: the numbers of this /proc can be passed to kcmp()
 * @first: directory of the first table, with which others are compared without kcmp()
 * @compared: how many descriptors have been compared
 * @denied: a table may not be read
 */
struct walk {
    int proc;
    pid_t pid;
    proc_fd_fn visit;
    void *ctx;
    pid_t *tables;
    size_t n_tables;
    bool kcmp;
    int first;
    size_t compared;
    int denied;
};

static int visit_table(struct walk *w, pid_t tid, proc_fd_fn visit, void *ctx)
{
    char link[PATH_MAX + 1];
    struct proc_fd f = {.pid = w->pid, .tid = tid, .link = link};
    struct proc_numbers d;
    int r;

    snprintf(link, sizeof(link), "%d/fd", (int)tid);
    r = proc_numbers_open(&d, w->proc, link);
    f.dir = d.fd;
    while (r == 0 && (f.entry = proc_numbers_next(&d, true, &f.fd, &r))) {
        ssize_t n = readlinkat(f.dir, f.entry, link, sizeof(link) - 1);

        if (n < 0 && (errno == EACCES || errno == EPERM)) {
            r = -errno;
        } else if (n >= 0) { /* otherwise it was closed meanwhile */
            link[n] = '\0';
            r = visit(&f, ctx);
        }
    }
    proc_numbers_close(&d);
    return r;
}

/* ---- which threads share a table ---- */

/*
 * Searches the visited tables for a thread's table. Return: true if it was visited; otherwise *@at
 * is set to its place. *@r: -errno where the kernel does not tell.
 */
static bool find_table(const struct walk *w, pid_t tid, size_t *at, int *r)
{
    size_t low = 0, high = w->n_tables;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        long c = syscall(SYS_kcmp, tid, w->tables[mid], KCMP_FILES, 0, 0);

        if (c < 0) {
            *r = -errno;
            return false;
        }
        if (c == 0)
            return true;
        if (c == 1)
            high = mid;
        else
            low = mid + 1;
    }
    *at = low;
    return false;
}

static int add_table(struct walk *w, pid_t tid, size_t at)
{
    pid_t *v = reallocarray(w->tables, w->n_tables + 1, sizeof(*v));

    if (!v)
        return -ENOMEM;
    memmove(&v[at + 1], &v[at], (w->n_tables - at) * sizeof(*v));
    v[at] = tid;
    w->tables = v;
    w->n_tables++;
    return 0;
}

/* Without kcmp(): skips a descriptor that the first table has under the same number and name. */
static int visit_if_new(const struct proc_fd *f, void *ctx)
{
    struct walk *w = ctx;
    char link[PATH_MAX + 1];
    ssize_t n;

    if (++w->compared > COMPARED_MAX)
        return -EACCES;
    n = w->first < 0 ? -1 : readlinkat(w->first, f->entry, link, sizeof(link) - 1);
    if (n >= 0) {
        link[n] = '\0';
        if (!strcmp(link, f->link))
            return 0;
    }
    return w->visit(f, w->ctx);
}

static int compare_table(struct walk *w, pid_t tid)
{
    char path[32];
    bool is_first = w->first < 0;
    int r = visit_table(w, tid, visit_if_new, w);

    if (is_first) {
        snprintf(path, sizeof(path), "%d/fd", (int)tid);
        w->first = openat(w->proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    return r;
}

static int see_thread(pid_t tid, void *ctx)
{
    struct walk *w = ctx;
    size_t at = 0;
    int r = w->kcmp ? 0 : -EPERM;

    if (tid == w->pid || (r == 0 && find_table(w, tid, &at, &r)))
        return 0;
    if (r == 0) {
        r = add_table(w, tid, at);
        if (r == 0)
            r = visit_table(w, tid, w->visit, w->ctx);
    } else {
        r = compare_table(w, tid);
    }
    if (r == -EACCES || r == -EPERM) {
        w->denied = r;
        return 0;
    }
    return r == -ESRCH ? 0 : r;
}

/* ---- the process ---- */

/* A directory has one link more for each of its subdirectories. */
bool proc_has_threads(int proc, pid_t pid)
{
    struct stat st;
    char path[32];

    snprintf(path, sizeof(path), "%d/task", (int)pid);
    return fstatat(proc, path, &st, 0) == 0 && st.st_nlink > 3;
}

/* A thread that has ended has no table, and its files in /proc belong to root. */
static bool has_ended(int proc, pid_t pid)
{
    char comm[PROC_COMM_SIZE], state;

    return proc_name_and_state(proc, pid, comm, &state) == 0 && (state == 'Z' || state == 'X');
}

static int see_threads(struct walk *w)
{
    char path[32];
    int r = add_table(w, w->pid, 0);

    if (r < 0)
        return r;
    w->kcmp = proc_numbers_are_own(w->proc);
    if (!has_ended(w->proc, w->pid)) {
        snprintf(path, sizeof(path), "%d/fd", (int)w->pid);
        w->first = openat(w->proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    return proc_visit_tids(w->proc, w->pid, see_thread, w);
}

int proc_visit_fds(int proc, pid_t pid, proc_fd_fn visit, void *ctx)
{
    struct walk w = {.proc = proc, .pid = pid, .visit = visit, .ctx = ctx, .first = -1};
    int r = visit_table(&w, pid, visit, ctx);

    if ((r == -EACCES || r == -EPERM) && has_ended(proc, pid))
        r = 0;
    if (r == 0 && proc_has_threads(proc, pid))
        r = see_threads(&w);
    free(w.tables);
    closep(&w.first);
    return r ? r : w.denied;
}

struct open_search {
    int proc;
    pid_t ended; /* a thread that has ended, 0 if there is none */
    int fd;
    int flags;
    int result;
};

/* Ends the walk at a thread whose table has the descriptor. */
static int open_of_thread(pid_t tid, void *ctx)
{
    struct open_search *s = ctx;
    char path[64];
    int fd;

    if (tid == s->ended)
        return 0;
    snprintf(path, sizeof(path), "%d/fd/%d", (int)tid, s->fd);
    fd = openat(s->proc, path, s->flags | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return 0;
    s->result = fd < 0 ? -errno : fd;
    return 1;
}

int proc_fd_open(int proc, pid_t pid, int fd, int flags)
{
    struct open_search s = {.proc = proc, .fd = fd, .flags = flags};
    int r = open_of_thread(pid, &s);

    /*
     * Either that thread's table lacks the descriptor; or the thread has ended, which for another
     * user's process looks like a refusal.
     */
    if (r == 1 && s.result == -EACCES && has_ended(proc, pid)) {
        s.ended = pid;
        r = 0;
    }
    if (r == 0)
        r = proc_visit_tids(proc, pid, open_of_thread, &s);
    return r == 1 ? s.result : r < 0 ? r : -ENOENT;
}
