/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs an ioctl of a client: reaches its memory and its file descriptors, and answers. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "fileio.h"
#include "macros.h"
#include "serve_private.h"
#include "vmcopy.h"

/*
 * The errno that the client gets when its memory could not be reached. Notes the cause where that
 * helps the user.
 */
static int access_error(struct b1_call *c, int error)
{
    if (error == EPERM || error == EACCES) {
        b1_serve_note(c->s,
                      "the memory of process %d cannot be reached: the server must have the "
                      "client's user, or CAP_SYS_PTRACE",
                      (int)c->pid);
        return -EPERM;
    }
    return error == ESRCH || error == ENOMEM ? -error : -EFAULT;
}

static int call_read(void *ctx, const struct vm_range *v, size_t n)
{
    struct b1_call *c = ctx;
    int r = vm_read(c->pid, v, n);

    return r < 0 ? access_error(c, -r) : 0;
}

static int call_write(void *ctx, const struct vm_range *v, size_t n)
{
    struct b1_call *c = ctx;
    int r = vm_write(c->pid, v, n);

    return r < 0 ? access_error(c, -r) : 0;
}

/* ioctl() does not accept a descriptor that was opened with O_PATH. */
static bool is_path_only(pid_t pid, uint64_t fd)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;
    char name[64];
    const char *flags;

    snprintf(name, sizeof(name), "/proc/%d/fdinfo/%llu", (int)pid, (unsigned long long)fd);
    if (file_read(AT_FDCWD, name, 65536, &b) < 0)
        return false;
    flags = strstr(buf_str(&b), "flags:");
    return flags && strtoul(flags + strlen("flags:"), NULL, 8) & O_PATH;
}

static int call_peer(void *ctx, uint64_t fd, struct b1_peer **ret)
{
    struct b1_call *c = ctx;
    struct b1_file *f;
    struct statx st;
    char name[64];

    snprintf(name, sizeof(name), "/proc/%d/fd/%llu", (int)c->pid, (unsigned long long)fd);
    /* The file system of the file is not asked: it may be our own, or one that never answers. */
    if (statx(AT_FDCWD, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO, &st) < 0)
        return errno == ENOENT ? -EBADF : access_error(c, errno);
    if (is_path_only(c->pid, fd))
        return -EBADF;
    if (makedev(st.stx_dev_major, st.stx_dev_minor) != c->s->dev)
        return -EOPNOTSUPP;
    f = b1_file_find(c->s, st.stx_ino);
    if (!f)
        return -EOPNOTSUPP;
    *ret = b1_peer_ref(f->peer);
    b1_file_unref(c->s, f);
    return 0;
}

static int call_commit(void *ctx)
{
    struct b1_call *c = ctx;
    enum b1_call_state running = B1_CALL_RUNNING;

    if (atomic_compare_exchange_strong(&c->state, &running, B1_CALL_COMMITTED) ||
        running == B1_CALL_COMMITTED)
        return 0;
    return -EINTR;
}

#ifdef BUS1_RFC_DEFECTS
static int call_oops(void *ctx)
{
    struct b1_call *c = ctx;

    b1_serve_note(c->s, "here the kernel of the RFC would have crashed (SEND of process %d)",
                  (int)c->pid);
    return -EIO;
}
#endif

static const struct b1_client_ops call_ops = {
    .read = call_read,
    .write = call_write,
    .peer = call_peer,
    .commit = call_commit,
#ifdef BUS1_RFC_DEFECTS
    .oops = call_oops,
#endif
};

void b1_call_answer(struct b1_call *c, int r)
{
    if (r < 0)
        fuse_reply_err(c->req, -r);
    else
        fuse_reply_ioctl(c->req, r, NULL, 0);
}

void b1_call_run(struct b1_call *c)
{
    int r;

    if (c->pid == 0) {
        b1_serve_note(c->s, "a client outside the server's PID namespace was refused");
        r = -EPERM;
    } else {
        r = b1_ioctl(c->file->peer, c->cmd, c->arg, &call_ops, c);
    }
    b1_wake_flush(c->s);
    if (call_commit(c) == 0)
        b1_call_answer(c, r);
    b1_file_unref(c->s, c->file);
}

bool b1_client_dying(pid_t tid)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;
    char name[64];
    const char *pending;

    snprintf(name, sizeof(name), "/proc/%d/status", (int)tid);
    if (file_read(AT_FDCWD, name, 65536, &b) < 0)
        return false;
    pending = strstr(buf_str(&b), "\nSigPnd:");
    /* When a process is being killed, each of its threads has its own SIGKILL pending. */
    return pending && strtoull(pending + strlen("\nSigPnd:"), NULL, 16) & (1u << (9 - 1));
}
