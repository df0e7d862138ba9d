/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opening an embedded channel: its two files are mapped and checked, for they are hostile. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chan_handle.h"
#include "cleanup.h"

static int lock_op(int fd, int op, short type, uint32_t byte, struct flock *out)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    int r = fcntl(fd, op, &lock) < 0 ? -errno : 0;

    if (out)
        *out = lock;
    return r;
}

bool chan_lock(int fd, uint32_t byte)
{
    return lock_op(fd, F_OFD_SETLK, F_WRLCK, byte, NULL) == 0;
}

void chan_unlock(int fd, uint32_t byte)
{
    lock_op(fd, F_OFD_SETLK, F_UNLCK, byte, NULL);
}

bool chan_lock_held(int fd, uint32_t byte)
{
    struct flock lock;

    /* Asked as a reader, so that a read lock, which a mere receiver could take, does not count. */
    return lock_op(fd, F_OFD_GETLK, F_RDLCK, byte, &lock) < 0 || lock.l_type != F_UNLCK;
}

bool chan_unlinked(const struct chan *c)
{
    struct stat st;

    return fstat(c->data_fd, &st) == 0 && st.st_nlink == 0;
}

bool chan_no_resources(int r)
{
    return r == -EMFILE || r == -ENFILE || r == -ENOMEM || r == -EIO || r == -ENOSPC;
}

int chan_open_file(int dirfd, const char *name, int flags, struct stat *st, struct err *e)
{
    _cleanup_(closep) int fd = openat(dirfd, name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    if (fstat(fd, st) < 0)
        return -errno;
    if (!S_ISREG(st->st_mode) || st->st_size > SSIZE_MAX)
        return err_set(e, -EBADMSG, NULL, "%s is no channel's file", name);
    return TAKE_FD(fd);
}

static int map_data(struct chan *c, const struct stat *st, struct err *e)
{
    size_t size = (size_t)st->st_size, offset;
    int r;

    if (size < sizeof(struct uring_ipc_ring))
        return err_set(e, -EBADMSG, NULL, "its file is only %zu bytes long", size);
    r = guard_map(&c->data_file, c->data_fd, size, c->access & CHAN_SEND);
    if (r < 0)
        return r;
    c->data = guard_base(c->data_file);
    r = ringmap_init(&c->map, c->data, size, true, e);
    if (r < 0)
        return r;
    offset = chan_ext_offset(c->map.entries, c->map.max_msg);
    if (size < offset + sizeof(struct chan_ext))
        return err_set(e, -EBADMSG, NULL, "its file is only %zu bytes long", size);
    c->ext = (struct chan_ext *)(void *)(c->data + offset);
    if (c->ext->magic != CHAN_EXT_MAGIC || c->ext->version != CHAN_VERSION)
        return err_set(e, -EBADMSG, NULL, "its file is not of a version that this program knows");
    c->delivery = c->ext->delivery;
    if (c->delivery > CHAN_MULTICAST)
        return err_set(e, -EBADMSG, NULL, "it has an unknown way of delivery");
    return 0;
}

static int map_ctl(struct chan *c, const struct stat *st, struct err *e)
{
    int r;

    if ((size_t)st->st_size < sizeof(struct chan_ctl))
        return err_set(e, -EBADMSG, NULL, "its control file is too short");
    r = guard_map(&c->ctl_file, c->ctl_fd, sizeof(struct chan_ctl), true);
    if (r < 0)
        return r;
    c->ctl = guard_base(c->ctl_file);
    if (c->ctl->magic != CHAN_CTL_MAGIC || c->ctl->version != CHAN_VERSION ||
        c->ctl->id != c->ext->id)
        return err_set(e, -EBADMSG, NULL, "its control file is not its own");
    return 0;
}

static int open_denied(unsigned int access, struct err *e)
{
    return err_set(e, -EACCES, "ask its owner, or see uringipc create --mode", "%s",
                   access & CHAN_SEND ? "sending needs read and write permission"
                                      : "receiving needs read permission");
}

int chan_open_in(int dirfd, uint32_t id, unsigned int access, struct chan **ret, struct err *e)
{
    _cleanup_(chan_closep) struct chan *c = calloc(1, sizeof(*c));
    struct stat st, ctl_st;
    char name[CHAN_FILE_NAME];
    int r;

    if (!c)
        return -ENOMEM;
    c->data_fd = c->ctl_fd = c->sender = c->sub = -1;
    c->access = access;
    snprintf(name, sizeof(name), "%u", id);
    c->data_fd = chan_open_file(dirfd, name, access & CHAN_SEND ? O_RDWR : O_RDONLY, &st, e);
    if (c->data_fd < 0)
        return c->data_fd == -EACCES ? open_denied(access, e) : c->data_fd;
    snprintf(name, sizeof(name), "%u.ctl", id);
    c->ctl_fd = chan_open_file(dirfd, name, O_RDWR, &ctl_st, e);
    if (c->ctl_fd < 0)
        return c->ctl_fd == -EACCES ? open_denied(access, e) : c->ctl_fd;
    if (st.st_uid != ctl_st.st_uid)
        return err_set(e, -EBADMSG, NULL, "its two files have different owners");
    c->uid = st.st_uid;
    c->gid = st.st_gid;
    c->mode = st.st_mode & URING_IPC_MODE_MASK;
    r = map_data(c, &st, e);
    if (r == 0)
        r = map_ctl(c, &ctl_st, e);
    if (r == 0 && guard_broken(c->data_file))
        r = err_set(e, -EBADMSG, NULL, "its file is being cut short");
    if (r == 0 && access && chan_unlinked(c))
        r = -ENOENT;
    if (r == 0 && (access & CHAN_SEND))
        r = chan_join_senders(c);
    if (r == 0 && (access & CHAN_RECV))
        r = chan_join_subs(c);
    if (r == -EUSERS)
        err_set(e, r, NULL, "%d handles have it open for this already", CHAN_SUBS);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(c);
    return 0;
}

void chan_close(struct chan *c)
{
    if (!c)
        return;
    if (c->ctl && c->ext)
        chan_leave(c);
    guard_unmap(c->data_file);
    guard_unmap(c->ctl_file);
    if (c->data_fd >= 0)
        close(c->data_fd);
    if (c->ctl_fd >= 0)
        close(c->ctl_fd);
    free(c);
}

void chan_closep(struct chan **c)
{
    chan_close(*c);
}

int chan_open(const char *dir, const struct chan_ref *ref, unsigned int access, struct chan **ret,
              struct err *e)
{
    _cleanup_(closep) int dirfd = -1;
    uint32_t id;
    int r = chan_find(dir, ref, &dirfd, &id, e);

    return r < 0 ? r : chan_open_in(dirfd, id, access, ret, e);
}
