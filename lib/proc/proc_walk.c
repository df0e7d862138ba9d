/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Processes, threads and small files of /proc. Entries that vanish meanwhile are skipped; a refused
 * access is reported.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "buf.h"
#include "cleanup.h"
#include "fileio.h"
#include "proc.h"
#include "proc_numbers.h"

/* Far more than fdinfo or syscall ever hold. */
enum { TEXT_MAX = 64 * 1024 };

int proc_open(const char *root)
{
    _cleanup_(closep) int fd = open(root ? root : "/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct statfs fs;

    if (fd < 0)
        return -errno;
    if (!root && (fstatfs(fd, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC))
        return -ENODEV;
    return TAKE_FD(fd);
}

int proc_numbers_open(struct proc_numbers *d, int proc, const char *path)
{
    d->at = d->n = 0;
    d->fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return d->fd < 0 ? proc_gone(-errno) : 0;
}

void proc_numbers_close(const struct proc_numbers *d)
{
    if (d->fd >= 0)
        close(d->fd);
}

const char *proc_numbers_next(struct proc_numbers *d, bool zero, pid_t *id, int *r)
{
    for (;;) {
        const struct dirent64 *e;
        ssize_t n;

        if (d->at == d->n) {
            n = getdents64(d->fd, d->buf, sizeof(d->buf));
            if (n <= 0) {
                *r = n < 0 ? proc_gone(-errno) : 0;
                return NULL;
            }
            d->at = 0;
            d->n = (size_t)n;
        }
        e = (const void *)(d->buf + d->at);
        d->at += e->d_reclen;
        if (zero && !strcmp(e->d_name, "0")) {
            *id = 0;
            return e->d_name;
        }
        if (proc_parse_id(e->d_name, id) == 0)
            return e->d_name;
    }
}

static int visit_ids(int proc, const char *path, proc_id_fn visit, void *ctx)
{
    struct proc_numbers d;
    pid_t id;
    int r = proc_numbers_open(&d, proc, path);

    while (r == 0 && proc_numbers_next(&d, false, &id, &r))
        r = visit(id, ctx);
    proc_numbers_close(&d);
    return r;
}

int proc_visit_pids(int proc, proc_id_fn visit, void *ctx)
{
    return visit_ids(proc, ".", visit, ctx);
}

int proc_visit_tids(int proc, pid_t pid, proc_id_fn visit, void *ctx)
{
    char path[32];

    snprintf(path, sizeof(path), "%d/task", (int)pid);
    return visit_ids(proc, path, visit, ctx);
}

int proc_read_text(int proc, const char *path, struct buf *out)
{
    int r = proc_gone(file_read(proc, path, TEXT_MAX, out));

    if (r == 0)
        r = buf_error(out);
    return r;
}

int proc_read_stat(int proc, pid_t pid, pid_t tid, struct buf *out)
{
    char path[64];

    snprintf(path, sizeof(path), "%d/task/%d/stat", (int)pid, (int)tid);
    return proc_read_text(proc, path, out);
}

int proc_fd_flags(int proc, pid_t tid, int fd, int *flags)
{
    _cleanup_(buf_done) struct buf text = BUF_INIT;
    char path[64];
    int r;

    snprintf(path, sizeof(path), "%d/fdinfo/%d", (int)tid, fd);
    r = proc_read_text(proc, path, &text);
    return r < 0 ? r : proc_parse_fd_flags(buf_str(&text), flags);
}

int proc_comm(int proc, pid_t pid, pid_t tid, char out[PROC_COMM_SIZE])
{
    _cleanup_(buf_done) struct buf text = BUF_INIT;
    char path[64];
    size_t n;
    int r;

    snprintf(path, sizeof(path), "%d/task/%d/comm", (int)pid, (int)tid);
    r = proc_read_text(proc, path, &text);
    if (r < 0)
        return r;
    /* Only the newline at the end does not belong to the name. */
    n = text.len && text.data[text.len - 1] == '\n' ? text.len - 1 : text.len;
    n = MIN(n, (size_t)PROC_COMM_SIZE - 1);
    memcpy(out, buf_str(&text), n);
    out[n] = '\0';
    return 0;
}

int proc_name_and_state(int proc, pid_t pid, char comm[PROC_COMM_SIZE], char *state)
{
    _cleanup_(buf_done) struct buf text = BUF_INIT;
    char path[32];
    int r;

    snprintf(path, sizeof(path), "%d/stat", (int)pid);
    r = proc_read_text(proc, path, &text);
    return r < 0 ? r : proc_parse_state(buf_str(&text), comm, state);
}

int proc_thread_call(int proc, pid_t pid, pid_t tid, struct proc_call *out)
{
    _cleanup_(buf_done) struct buf text = BUF_INIT;
    char path[64];
    int r;

    snprintf(path, sizeof(path), "%d/task/%d/syscall", (int)pid, (int)tid);
    r = proc_read_text(proc, path, &text);
    return r < 0 ? r : proc_parse_call(buf_str(&text), out);
}

struct ending {
    int proc;
    pid_t pid;
};

/* Ends the walk at a thread that is not exiting. */
static int goes_on(pid_t tid, void *ctx)
{
    enum { PF_EXITING = 4 }; /* unchanged since before 2.6; set before the exit is reported */
    _cleanup_(buf_done) struct buf text = BUF_INIT;
    const struct ending *e = ctx;
    unsigned int flags;

    if (proc_read_stat(e->proc, e->pid, tid, &text) < 0 ||
        proc_parse_thread_flags(buf_str(&text), &flags) < 0)
        return 0; /* it has ended */
    return !(flags & PF_EXITING);
}

bool proc_is_ending(int proc, pid_t pid)
{
    struct ending e = {.proc = proc, .pid = pid};

    return proc_visit_tids(proc, pid, goes_on, &e) != 1;
}

int proc_missing(int r, struct err *e)
{
    return err_set(e, r, "mount -t proc proc /proc", "cannot read /proc: %s", err_text(NULL, r));
}

int proc_refused(pid_t pid, int r, struct err *e)
{
    if (r == -ENOENT || r == -ESRCH)
        return err_set(e, -ESRCH, NULL, "there is no process %d", (int)pid);
    if (r == -EACCES || r == -EPERM)
        return err_set(e, r, geteuid() ? "run as root" : NULL,
                       "not permitted to look into process %d", (int)pid);
    return err_set(e, r, NULL, "process %d: %s", (int)pid, err_text(NULL, r));
}
