/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records of the kernel channels that ipcbox keeps, beside the embedded channels. */
#include "kernel_record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chan_handle.h"
#include "cleanup.h"
#include "fileio.h"

enum { RECORD_NAME = 32 };

static void kernel_record_name(char out[RECORD_NAME], uint32_t id)
{
    snprintf(out, RECORD_NAME, "kernel-%u", id);
}

int kernel_record_write(const char *dir, const struct kernel_record *record, struct err *e)
{
    _cleanup_(closep) int dirfd = chan_dir_open(dir, geteuid(), true, e);
    _cleanup_(closep) int fd = -1;
    char name[RECORD_NAME];
    int r;

    if (dirfd < 0)
        return dirfd;
    kernel_record_name(name, record->id);
    /* Another record of this id is left over, for we have just made the channel of this id. */
    (void)unlinkat(dirfd, name, 0);
    fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    if (!chan_lock(fd, 0))
        return -ENOLCK;
    r = file_write_all(fd, record, sizeof(*record));
    return r < 0 ? r : TAKE_FD(fd);
}

void kernel_record_remove(const char *dir, uint32_t id, int fd)
{
    _cleanup_(closep) int dirfd = chan_dir_open(dir, geteuid(), false, NULL);
    char name[RECORD_NAME];

    kernel_record_name(name, id);
    if (dirfd >= 0)
        (void)unlinkat(dirfd, name, 0);
    if (fd >= 0)
        close(fd);
}

/* Reads a record. Return: 0; -EBADMSG when it is none; -ESRCH when its process has gone; -errno. */
static int kernel_record_read(int dirfd, uid_t uid, const char *name, struct kernel_record *out)
{
    _cleanup_(closep) int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct kernel_record rec;
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || st.st_uid != uid || read(fd, &rec, sizeof(rec)) != sizeof(rec))
        return -EBADMSG;
    if (rec.magic != KERNEL_RECORD_MAGIC || rec.pid <= 0 || !rec.id ||
        rec.delivery > CHAN_MULTICAST || rec.name[sizeof(rec.name) - 1])
        return -EBADMSG;
    if (!chan_lock_held(fd, 0))
        return -ESRCH;
    rec.uid = uid; /* not what it says */
    *out = rec;
    return 0;
}

/* Calls back with each record of a directory whose process lives. Return: as kernel_record_visit().
 */
static int visit_dir(int fd, uid_t uid, int (*visit)(const struct kernel_record *record, void *ctx),
                     void *ctx)
{
    _cleanup_(closedirp) DIR *d = NULL;
    const char *name;
    int r = chan_names_open(&d, fd);

    while (r == 0 && (name = dir_next(d, &r))) {
        struct kernel_record rec;

        if (strncmp(name, "kernel-", 7) != 0)
            continue;
        r = kernel_record_read(fd, uid, name, &rec);
        if (r == -ESRCH && uid == geteuid())
            (void)unlinkat(fd, name, 0);
        r = r == 0 ? visit(&rec, ctx) : 0;
    }
    return r;
}

int kernel_record_visit(const char *dir,
                        int (*visit)(const struct kernel_record *record, void *ctx), void *ctx)
{
    _cleanup_(chan_dirs_close) struct chan_dirs w = CHAN_DIRS_INIT;
    int r = chan_dirs_open(&w, dir);

    while (r == 0 && (r = chan_dirs_next(&w)) == 1) {
        r = visit_dir(w.fd, w.uid, visit, ctx);
        if (r)
            return r;
    }
    return r;
}

static int kernel_record_same(const struct kernel_record *record, void *ctx)
{
    const struct kernel_record *wanted = ctx;

    return record->id == wanted->id && record->pid == wanted->pid && record->uid == wanted->uid;
}

bool kernel_record_alive(const char *dir, const struct kernel_record *record)
{
    struct kernel_record wanted = *record;

    return kernel_record_visit(dir, kernel_record_same, &wanted) != 0; /* when in doubt, yes */
}
