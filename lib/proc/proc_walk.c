/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Walking /proc: what vanishes under the walk is skipped, what is forbidden is told. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "cleanup.h"
#include "fileio.h"
#include "proc.h"

/* Far more than fdinfo or syscall ever hold. */
enum { TEXT_MAX = 64 * 1024 };

int proc_open(const char *root)
{
    int fd = open(root ? root : "/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

/* A file or directory that is not there belongs to a process that is not there any more. */
static int gone(int r)
{
    return r == -ENOENT ? -ESRCH : r;
}

static int open_dir(int proc, const char *path, DIR **ret)
{
    int fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d;

    if (fd < 0)
        return gone(-errno);
    d = fdopendir(fd);
    if (!d) {
        int r = -errno;

        close(fd);
        return r;
    }
    *ret = d;
    return 0;
}

/* The next entry that is a number; NULL at the end, with errno as readdir() leaves it. */
static const char *next_number(DIR *d, pid_t *id)
{
    const struct dirent *e;

    do {
        errno = 0;
        e = readdir(d);
        if (!e)
            return NULL;
    } while (proc_parse_id(e->d_name, id) < 0);
    return e->d_name;
}

static int visit_ids(int proc, const char *path, proc_id_fn visit, void *ctx)
{
    _cleanup_(closedirp)
    DIR *d = NULL;
    pid_t id;
    int r = open_dir(proc, path, &d);

    while (r == 0 && next_number(d, &id))
        r = visit(id, ctx);
    return r ? r : gone(-errno);
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

int proc_visit_fds(int proc, pid_t pid, proc_fd_fn visit, void *ctx)
{
    _cleanup_(closedirp)
    DIR *d = NULL;
    char link[PATH_MAX + 1];
    struct proc_fd f = {.pid = pid, .link = link};
    const struct dirent *e;
    int r;

    snprintf(link, sizeof(link), "%d/fd", (int)pid);
    r = open_dir(proc, link, &d);
    if (r < 0)
        return r;
    f.dir = dirfd(d);
    while (errno = 0, (e = readdir(d))) {
        ssize_t n;

        /* Descriptor 0 is no process number. */
        if (strcmp(e->d_name, "0") && proc_parse_id(e->d_name, &f.fd) < 0)
            continue;
        if (e->d_name[0] == '0')
            f.fd = 0;
        n = readlinkat(f.dir, e->d_name, link, sizeof(link) - 1);
        if (n < 0 && (errno == EACCES || errno == EPERM))
            return -errno;
        if (n < 0)
            continue; /* closed meanwhile */
        link[n] = '\0';
        f.entry = e->d_name;
        r = visit(&f, ctx);
        if (r)
            return r;
    }
    return gone(-errno);
}

static int read_text(int proc, const char *path, struct buf *out)
{
    int r = gone(file_read(proc, path, TEXT_MAX, out));

    if (r == 0)
        r = buf_error(out);
    return r;
}

int proc_fd_flags(int proc, pid_t pid, int fd, int *flags)
{
    _cleanup_(buf_done)
    struct buf text = BUF_INIT;
    char path[64];
    int r;

    snprintf(path, sizeof(path), "%d/fdinfo/%d", (int)pid, fd);
    r = read_text(proc, path, &text);
    return r < 0 ? r : proc_parse_fd_flags(buf_str(&text), flags);
}

int proc_comm(int proc, pid_t pid, pid_t tid, char out[PROC_COMM_SIZE])
{
    _cleanup_(buf_done)
    struct buf text = BUF_INIT;
    char path[64];
    size_t n;
    int r;

    snprintf(path, sizeof(path), "%d/task/%d/comm", (int)pid, (int)tid);
    r = read_text(proc, path, &text);
    if (r < 0)
        return r;
    /* Only the last newline is not part of the name. */
    n = text.len && text.data[text.len - 1] == '\n' ? text.len - 1 : text.len;
    n = MIN(n, (size_t)PROC_COMM_SIZE - 1);
    memcpy(out, buf_str(&text), n);
    out[n] = '\0';
    return 0;
}

int proc_ns(int proc, pid_t pid, const char *kind, uint64_t *out)
{
    char path[64], link[64];
    ssize_t n;

    snprintf(path, sizeof(path), "%d/ns/%s", (int)pid, kind);
    n = readlinkat(proc, path, link, sizeof(link) - 1);
    if (n < 0)
        return gone(-errno);
    link[n] = '\0';
    return proc_parse_ns(link, kind, out);
}

int proc_thread_call(int proc, pid_t pid, pid_t tid, struct proc_call *out)
{
    _cleanup_(buf_done)
    struct buf text = BUF_INIT;
    char path[64];
    int r;

    snprintf(path, sizeof(path), "%d/task/%d/syscall", (int)pid, (int)tid);
    r = read_text(proc, path, &text);
    return r < 0 ? r : proc_parse_call(buf_str(&text), out);
}
