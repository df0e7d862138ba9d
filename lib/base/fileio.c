/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads small files completely; writes files completely or not at all. */
#include "fileio.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
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

const char *dir_next(DIR *d, int *r)
{
    const struct dirent *e;

    do {
        errno = 0;
        e = readdir(d);
    } while (e && (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")));
    if (!e && errno)
        *r = -errno;
    return e ? e->d_name : NULL;
}

/*
 * A full counter is readable too, so EAGAIN is a success. After EINTR the write is repeated,
 * because a thread waits for it.
 */
void event_raise(int fd)
{
    while (eventfd_write(fd, 1) < 0 && errno != EAGAIN && errno != EBADF)
        continue;
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

const char *file_spool_dir(void)
{
    const char *dir = getenv("TMPDIR");

    return dir && dir[0] == '/' ? dir : "/var/tmp";
}

int file_spool_open(struct err *e)
{
    const char *dir = file_spool_dir();
    _cleanup_(freep) char *path = NULL;
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd >= 0)
        return fd;
    if (asprintf(&path, "%s/ipcbox.XXXXXX", dir) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return err_set(e, -errno, "set TMPDIR", "cannot make a temporary file in %s", dir);
    unlink(path);
    return fd;
}

struct file_out {
    FILE *stream;
    int fd;
    int error; /* -errno of the first write that failed; stdio only records that one did */
    char *path;
    char *tmp; /* NULL when there is no name yet, or the target is written directly */
    char *dir; /* NULL when the target is written directly */
    bool keep; /* @tmp is kept even without a commit */
};

void file_out_close(struct file_out *o)
{
    if (!o)
        return;
    if (o->stream)
        fclose(o->stream);
    closep(&o->fd);
    if (o->tmp && !o->keep)
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

/*
 * Chooses an unused name in the target's directory, cut so that it fits if the target's name is
 * long.
 */
static int choose_temporary(struct file_out *o)
{
    uint64_t random;

    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        return -errno;
    if (asprintf(&o->tmp, "%s/.%.200s.%016" PRIx64, o->dir, basename(o->path), random) < 0) {
        o->tmp = NULL;
        return -ENOMEM;
    }
    return 0;
}

/*
 * Creates the file under the target's name with a suffix, and a number if that exists: no file is
 * overwritten.
 */
static int create_beside(struct file_out *o, const char *suffix)
{
    for (unsigned int i = 0; i < 1000; i++) {
        char number[16] = "";
        int fd;

        if (i)
            snprintf(number, sizeof(number), ".%u", i);
        free(TAKE_PTR(o->tmp));
        if (asprintf(&o->tmp, "%s%s%s", o->path, suffix, number) < 0) {
            o->tmp = NULL;
            return -ENOMEM;
        }
        fd = open(o->tmp, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
        if (fd >= 0 || errno != EEXIST) {
            int r = fd < 0 ? -errno : fd;

            if (r < 0)
                free(TAKE_PTR(o->tmp));
            return r;
        }
    }
    return -EEXIST;
}

/*
 * Creates a file without a name, so that nothing is left of it if the process is killed;
 * file_out_commit() names it. On file systems without such files it has a name from the start.
 * Return: a descriptor or -errno.
 */
static int create_temporary(struct file_out *o, const char *suffix)
{
    int fd = -1, r = 0;

    if (suffix)
        return create_beside(o, suffix);
    if (access("/proc/self/fd", X_OK) == 0)
        fd = open(o->dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    while (fd < 0 && r == 0) {
        free(TAKE_PTR(o->tmp));
        r = choose_temporary(o);
        if (r == 0)
            fd = open(o->tmp, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
        if (r == 0 && fd < 0 && errno != EEXIST) {
            r = -errno;
            free(TAKE_PTR(o->tmp));
        }
    }
    return r < 0 ? r : fd;
}

/* The stream's write function. */
static ssize_t write_out(void *cookie, const char *data, size_t n)
{
    struct file_out *o = cookie;
    size_t done = 0;

    while (!o->error && done < n) {
        ssize_t w = write(o->fd, data + done, n - done);

        if (w >= 0)
            done += (size_t)w;
        else if (errno != EINTR)
            o->error = -errno;
    }
    return o->error ? 0 : (ssize_t)n;
}

static int make_temporary(struct file_out *o, mode_t mode, const struct stat *old,
                          const char *suffix)
{
    _cleanup_(freep) char *copy = strdup(o->path);
    mode_t mask;

    if (!copy)
        return -ENOMEM;
    o->dir = strdup(dirname(copy));
    if (!o->dir)
        return -ENOMEM;
    o->fd = create_temporary(o, suffix);
    if (o->fd < 0)
        return o->fd;
    mask = umask(0);
    umask(mask);
    if (fchmod(o->fd, old ? old->st_mode & 07777 : mode & ~mask) < 0)
        return -errno;
    if (old && (old->st_uid != geteuid() || old->st_gid != getegid()) &&
        fchown(o->fd, old->st_uid, old->st_gid) < 0 && errno != EPERM)
        return -errno;
    return 0;
}

/* The descriptor of this process that a path names, as "-" names standard output; -1 if none. */
static int own_descriptor(const char *path)
{
    int fd, end = 0;

    if (!strcmp(path, "-") || !strcmp(path, "/dev/stdout"))
        return STDOUT_FILENO;
    if (!strcmp(path, "/dev/stderr"))
        return STDERR_FILENO;
    if ((sscanf(path, "/dev/fd/%d%n", &fd, &end) == 1 ||
         sscanf(path, "/proc/self/fd/%d%n", &fd, &end) == 1) &&
        !path[end])
        return fd;
    return -1;
}

/*
 * Targets that another file cannot replace are written directly. A descriptor that the shell has
 * opened is continued at its position: it may be a pipe, or the end of a file.
 */
static int open_target(struct file_out *o, const char *path, mode_t mode, const char *suffix)
{
    struct stat st;
    bool exists = stat(path, &st) == 0;
    int own = own_descriptor(path);

    if (own >= 0)
        o->fd = fcntl(own, F_DUPFD_CLOEXEC, 3);
    else if (exists && S_ISDIR(st.st_mode))
        return -EISDIR;
    else if (exists && !S_ISREG(st.st_mode))
        o->fd = open(path, O_WRONLY | O_CLOEXEC);
    if (own >= 0 || (exists && !S_ISREG(st.st_mode)))
        return o->fd < 0 ? -errno : 0;
    /* A symbolic link is kept, and the file that it points to is replaced. */
    o->path = exists ? realpath(path, NULL) : strdup(path);
    return o->path ? make_temporary(o, mode, exists ? &st : NULL, suffix) : -errno;
}

static int open_out(const char *path, mode_t mode, const char *suffix, struct file_out **ret)
{
    _cleanup_(file_out_closep) struct file_out *o = calloc(1, sizeof(*o));
    int r;

    if (!o)
        return -ENOMEM;
    o->fd = -1;
    r = open_target(o, path, mode, suffix);
    if (r < 0)
        return r;
    o->stream = fopencookie(o, "w", (cookie_io_functions_t){.write = write_out});
    if (!o->stream)
        return -errno;
    *ret = TAKE_PTR(o);
    return 0;
}

int file_out_open(const char *path, mode_t mode, struct file_out **ret)
{
    return open_out(path, mode, NULL, ret);
}

int file_out_open_long(const char *path, mode_t mode, struct file_out **ret)
{
    return open_out(path, mode, ".partial", ret);
}

const char *file_out_keep(struct file_out *o)
{
    o->keep = true;
    return o->tmp;
}

FILE *file_out_stream(struct file_out *o)
{
    return o->stream;
}

static int link_to(int fd, const char *path)
{
    char self[40];

    snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

/*
 * Moves the complete file to its name. A file without a name is linked there directly if the name
 * is free; only to replace a file, it gets another name first.
 */
static int put_into_place(struct file_out *o)
{
    int r = o->tmp ? 0 : link_to(o->fd, o->path);

    if (!o->tmp && r != -EEXIST)
        return r;
    while (r == -EEXIST) {
        free(TAKE_PTR(o->tmp));
        r = choose_temporary(o);
        if (r == 0)
            r = link_to(o->fd, o->tmp);
    }
    if (r == 0 && rename(o->tmp, o->path) < 0)
        return -errno;
    free(TAKE_PTR(o->tmp));
    return r;
}

int file_out_commit(struct file_out *o)
{
    _cleanup_(closep) int dir = -1;
    int r = 0;

    /* If no write failed, only memory can be short. */
    if (fflush(o->stream) != 0 || ferror(o->stream))
        r = o->error ? o->error : -ENOMEM;
    if (r == 0 && o->dir && fsync(o->fd) < 0)
        r = -errno;
    if (r == 0 && o->dir)
        r = put_into_place(o);
    fclose(TAKE_PTR(o->stream));
    if (close(TAKE_FD(o->fd)) < 0 && r == 0)
        r = -errno;
    if (r < 0 || !o->dir)
        return r;
    /*
     * Sync the directory, so that the rename survives a power failure. The result is ignored,
     * because the file is in place.
     */
    dir = open(o->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0)
        (void)fsync(dir);
    return 0;
}
