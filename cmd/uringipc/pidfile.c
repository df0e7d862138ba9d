/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A file that holds a process's number. It belongs to the process that has the lock on it, which
 * the kernel releases however that process ends: so no number has to be compared.
 */
#include "pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "fileio.h"

struct pidfile {
    char *path;
    int fd;
};

/* Whether @path still names the file that is open: another may have removed it meanwhile. */
static bool is_named(int fd, const char *path)
{
    struct stat a, b;

    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

static int lock_file(int fd, const char *path, struct err *e)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char text[24] = "";
    ssize_t n;

    if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return 0;
    if (errno != EAGAIN && errno != EACCES)
        return err_set(e, -errno, NULL, "%s: %s", path, strerrordesc_np(errno));
    n = pread(fd, text, sizeof(text) - 1, 0);
    text[n < 0 ? 0 : strcspn(text, "\n")] = '\0';
    return err_set(e, -EBUSY, "choose another file", "%s is in use by process %s", path, text);
}

/* Opens and locks it. Return: a descriptor or -errno. */
static int take_file(const char *path, struct err *e)
{
    for (;;) {
        _cleanup_(closep) int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
        struct stat st;
        int r;

        if (fd < 0) /* ENOENT would be reported as a missing channel, but it is the directory */
            return err_set(e, errno == ENOENT ? -ENOTDIR : -errno, NULL, "%s: %s", path,
                           strerrordesc_np(errno));
        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
            return err_set(e, -EINVAL, NULL, "%s is no regular file", path);
        r = lock_file(fd, path, e);
        if (r < 0)
            return r;
        if (is_named(fd, path))
            return TAKE_FD(fd);
    }
}

int pidfile_write(const char *path, struct pidfile **ret, struct err *e)
{
    struct pidfile *p = calloc(1, sizeof(*p));
    char text[24];
    int r;

    if (!p)
        return -ENOMEM;
    p->fd = take_file(path, e);
    if (p->fd < 0) {
        r = p->fd;
        free(p);
        return r;
    }
    p->path = realpath(path, NULL); /* its process changes its directory */
    r = p->path ? 0 : -errno;
    snprintf(text, sizeof(text), "%d\n", (int)getpid());
    if (r == 0 && ftruncate(p->fd, 0) < 0)
        r = -errno;
    if (r == 0)
        r = file_write_all(p->fd, text, strlen(text));
    if (r < 0) {
        pidfile_remove(p);
        return err_set(e, r, NULL, "%s: %s", path, strerrordesc_np(-r));
    }
    *ret = p;
    return 0;
}

void pidfile_remove(struct pidfile *p)
{
    if (!p)
        return;
    if (p->path && is_named(p->fd, p->path))
        (void)unlink(p->path);
    close(p->fd);
    free(p->path);
    free(p);
}
