/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files: read a small one whole, write one whole or not at all. */
#include "fileio.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

void closep(const int *fd)
{
    int saved = errno;

    if (*fd >= 0)
        close(*fd);
    errno = saved;
}

int file_read(int dirfd, const char *path, size_t max, struct buf *out)
{
    _cleanup_(closep) int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
    size_t total = 0;

    if (fd < 0)
        return -errno;
    for (;;) {
        size_t want = MIN((size_t)4096, max - total + 1);
        char *at = buf_extend(out, want);
        ssize_t n;

        if (!at)
            return -ENOMEM;
        do
            n = read(fd, at, want);
        while (n < 0 && errno == EINTR);
        out->len -= want - (n > 0 ? (size_t)n : 0);
        out->data[out->len] = '\0';
        if (n < 0)
            return -errno;
        if (n == 0)
            return 0;
        total += (size_t)n;
        if (total > max)
            return -EFBIG;
    }
}

int file_write_all(int fd, const void *data, size_t n)
{
    const char *p = data;

    while (n) {
        ssize_t k = write(fd, p, n);

        if (k < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

struct file_out {
    FILE *stream;
    char *path;
    char *tmp; /* NULL when the target is written directly */
    char *dir;
};

void file_out_close(struct file_out *o)
{
    if (!o)
        return;
    if (o->stream)
        fclose(o->stream);
    if (o->tmp)
        unlink(o->tmp);
    free(o->tmp);
    free(o->path);
    free(o->dir);
    free(o);
}

void file_out_closep(struct file_out **o)
{
    file_out_close(*o);
}

static int make_temporary(struct file_out *o, mode_t mode, const struct stat *old)
{
    _cleanup_(freep) char *copy = strdup(o->path);
    _cleanup_(closep) int fd = -1;
    mode_t mask;

    if (!copy)
        return -ENOMEM;
    o->dir = strdup(dirname(copy));
    if (!o->dir)
        return -ENOMEM;
    if (asprintf(&o->tmp, "%s/.%s.XXXXXX", o->dir, basename(o->path)) < 0) {
        o->tmp = NULL;
        return -ENOMEM;
    }
    fd = mkostemp(o->tmp, O_CLOEXEC);
    if (fd < 0) {
        int r = -errno;

        free(TAKE_PTR(o->tmp));
        return r;
    }
    mask = umask(0);
    umask(mask);
    if (fchmod(fd, old ? old->st_mode & 07777 : mode & ~mask) < 0)
        return -errno;
    if (old && (old->st_uid != geteuid() || old->st_gid != getegid()) &&
        fchown(fd, old->st_uid, old->st_gid) < 0 && errno != EPERM)
        return -errno;
    o->stream = fdopen(fd, "w");
    if (!o->stream)
        return -errno;
    TAKE_FD(fd);
    return 0;
}

int file_out_open(const char *path, mode_t mode, struct file_out **ret)
{
    _cleanup_(file_out_closep) struct file_out *o = calloc(1, sizeof(*o));
    bool exists;
    struct stat st;
    int r;

    if (!o)
        return -ENOMEM;
    exists = stat(path, &st) == 0;
    /* A symbolic link stays one: what it points to is replaced. */
    o->path = exists ? realpath(path, NULL) : strdup(path);
    if (!o->path)
        return -errno;
    if (exists && !S_ISREG(st.st_mode)) {
        if (S_ISDIR(st.st_mode))
            return -EISDIR;
        o->stream = fopen(path, "we");
        if (!o->stream)
            return -errno;
    } else {
        r = make_temporary(o, mode, exists ? &st : NULL);
        if (r < 0)
            return r;
    }
    *ret = TAKE_PTR(o);
    return 0;
}

FILE *file_out_stream(struct file_out *o)
{
    return o->stream;
}

int file_out_commit(struct file_out *o)
{
    FILE *stream = TAKE_PTR(o->stream);
    _cleanup_(closep) int dir = -1;
    int r = 0;

    if (fflush(stream) != 0 || ferror(stream))
        r = -(errno ? errno : EIO);
    if (r == 0 && o->tmp && fsync(fileno(stream)) < 0)
        r = -errno;
    if (fclose(stream) != 0 && r == 0)
        r = -errno;
    if (r < 0 || !o->tmp)
        return r;
    if (rename(o->tmp, o->path) < 0)
        return -errno;
    free(TAKE_PTR(o->tmp));
    /* The rename itself must outlive a power cut; the file is in place whatever this says. */
    dir = open(o->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0)
        (void)fsync(dir);
    return 0;
}
