/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds the queues that an operand names. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "fdq.h"
#include "kdev.h"
#include "parse.h"
#include "realuser.h"

/* ---- parsing ---- */

static int parse_pid_fd(const char *text, struct fdq_target *out)
{
    const char *colon = strchr(text, ':');
    char pid[16];
    uint64_t fd = 0;
    size_t n = colon ? (size_t)(colon - text) : strlen(text);

    if (n >= sizeof(pid))
        return -EINVAL;
    memcpy(pid, text, n);
    pid[n] = '\0';
    if (proc_parse_id(pid, &out->pid) < 0)
        return -EINVAL;
    if (colon &&
        (colon[1] == '0' ? colon[2] != '\0' : parse_u64_max(colon + 1, INT32_MAX, &fd) < 0))
        return -EINVAL;
    out->kind = colon ? FDQ_TARGET_FD : FDQ_TARGET_PID;
    out->fd = (int)fd;
    return 0;
}

int fdq_target_parse(const char *text, struct fdq_target *out, struct err *e)
{
    struct fdq_target t = {.text = text};

    if (text[0] == '/') {
        t.kind = FDQ_TARGET_PATH;
    } else if (text[0] == '@' && text[1]) {
        t.kind = FDQ_TARGET_NAME;
    } else if (proc_parse_ns(text, "socket", &t.inode) == 0) {
        t.kind = FDQ_TARGET_SOCKET;
    } else if (proc_parse_ns(text, "pipe", &t.inode) == 0) {
        t.kind = FDQ_TARGET_PIPE;
    } else if (parse_pid_fd(text, &t) < 0) {
        return err_set(e, -EINVAL, NULL,
                       "a queue is PID:FD, PID, /path, @name, socket:[INODE] or pipe:[INODE]");
    }
    *out = t;
    return 0;
}

/* ---- finding ---- */

struct finding {
    struct fdq_queue **found;
    size_t max;
    size_t n;
};

static void take(struct finding *f, struct fdq_queue *q)
{
    if (f->n < f->max)
        f->found[f->n] = q;
    f->n++;
}

static int find_fd(const struct fdq_target *t, const struct fdq_set *s, struct finding *f,
                   struct err *e)
{
    struct fdq_queue *q;
    struct stat st;
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)t->pid, t->fd);
    if (stat(path, &st) < 0) {
        int r = -errno;

        snprintf(path, sizeof(path), "/proc/%d", (int)t->pid);
        if (r == -ENOENT && access(path, F_OK) < 0)
            return err_set(e, -ESRCH, NULL, "there is no process %d", (int)t->pid);
        if (r == -ENOENT)
            return err_set(e, -ENOENT, NULL, "process %d has no descriptor %d", (int)t->pid, t->fd);
        return err_set(e, r, "run as root, or as its user", "process %d may not be looked at",
                       (int)t->pid);
    }
    q = fdq_set_find(s, S_ISFIFO(st.st_mode) ? st.st_dev : 0, st.st_ino);
    if (!q || !(S_ISSOCK(st.st_mode) || S_ISFIFO(st.st_mode)))
        return err_set(e, -ENOENT, NULL, "descriptor %d of process %d is %s", t->fd, (int)t->pid,
                       S_ISSOCK(st.st_mode) ? "a socket of another family, or of a network "
                                              "namespace that cannot be entered"
                                            : "neither a unix socket nor a pipe");
    take(f, q);
    return 0;
}

static bool holds(const struct fdq_holders *h, pid_t pid)
{
    for (size_t i = 0; i < h->n; i++)
        if (h->v[i].pid == pid)
            return true;
    return false;
}

bool fdq_held_by(const struct fdq_queue *q, pid_t pid)
{
    return holds(&q->readers, pid) || (!fdq_is_socket(q->kind) && holds(&q->writers, pid));
}

static int find_pid(const struct fdq_target *t, const struct fdq_set *s, struct finding *f,
                    struct err *e)
{
    char path[64];

    for (size_t i = 0; i < s->n; i++)
        if (fdq_held_by(&s->v[i], t->pid))
            take(f, &s->v[i]);
    if (f->n)
        return 0;
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)t->pid);
    if (access(path, F_OK) < 0)
        return err_set(e, -ESRCH, NULL, "there is no process %d", (int)t->pid);
    if (access(path, R_OK | X_OK) < 0)
        return err_set(e, -EPERM, "run as root, or as its user", "process %d may not be looked at",
                       (int)t->pid);
    return err_set(e, -ENOENT, NULL, "process %d has no unix socket and no pipe open", (int)t->pid);
}

/*
 * The file of a socket is compared by inode, because the path may be relative to the server's
 * working directory.
 */
static bool at_path(const struct fdq_queue *q, const char *path, const struct stat *st)
{
    if (st && S_ISFIFO(st->st_mode))
        return q->kind == FDQ_FIFO && q->dev == st->st_dev && q->inode == st->st_ino;
    if (!fdq_is_socket(q->kind) || !q->path || q->path[0] == '@')
        return false;
    if (st && q->vfs_inode == (uint32_t)st->st_ino && q->vfs_dev == kdev_in_kernel(st->st_dev))
        return true;
    return !strcmp(q->path, path);
}

static int find_path(const struct fdq_target *t, const struct fdq_set *s, struct finding *f,
                     struct err *e)
{
    struct stat st;
    bool there = stat(t->text, &st) == 0;

    for (size_t i = 0; i < s->n; i++)
        if (at_path(&s->v[i], t->text, there ? &st : NULL))
            take(f, &s->v[i]);
    if (f->n)
        return 0;
    if (there && !S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode))
        return err_set(e, -ENOENT, NULL, "it is neither a socket nor a FIFO");
    return err_set(e, -ENOENT, NULL,
                   there ? "nobody that can be seen has it open: nothing is in it"
                         : "there is no such file, and no socket was bound to it");
}

static int find_name(const struct fdq_target *t, const struct fdq_set *s, struct finding *f,
                     struct err *e)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].path && fdq_is_socket(s->v[i].kind) && !strcmp(s->v[i].path, t->text))
            take(f, &s->v[i]);
    return f->n ? 0 : err_set(e, -ENOENT, NULL, "no unix socket has this name");
}

static int find_inode(const struct fdq_target *t, const struct fdq_set *s, struct finding *f,
                      struct err *e)
{
    bool socket = t->kind == FDQ_TARGET_SOCKET;

    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].inode == t->inode && fdq_is_socket(s->v[i].kind) == socket &&
            s->v[i].kind != FDQ_FIFO)
            take(f, &s->v[i]);
    if (f->n)
        return 0;
    return err_set(e, -ENOENT, NULL,
                   s->processes_hidden ? "there is none that can be seen" : "there is none");
}

ssize_t fdq_target_find(const struct fdq_target *t, const struct fdq_set *s,
                        struct fdq_queue **found, size_t max, struct err *e)
{
    static int (*const find[])(const struct fdq_target *, const struct fdq_set *, struct finding *,
                               struct err *) = {
        [FDQ_TARGET_FD] = find_fd,        [FDQ_TARGET_PID] = find_pid,
        [FDQ_TARGET_PATH] = find_path,    [FDQ_TARGET_NAME] = find_name,
        [FDQ_TARGET_SOCKET] = find_inode, [FDQ_TARGET_PIPE] = find_inode,
    };
    struct finding f = {.found = found, .max = max};
    struct realuser saved;
    int r = realuser_enter(&saved);

    if (r < 0)
        return r;
    r = find[t->kind](t, s, &f, e);
    realuser_leave(&saved);
    return r < 0 ? r : (ssize_t)f.n;
}
