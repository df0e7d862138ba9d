/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where embedded channels live, and how one is found.
 *
 * DIR/ipcbox is root's directory, DIR/ipcbox-UID that of another user. A directory counts only when
 * it belongs to the user whom its name says and nobody else may write to it, for everybody may
 * write to DIR. Channel ID is the files ID and ID.ctl in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chan_handle.h"
#include "cleanup.h"
#include "fileio.h"
#include "parse.h"

static const char *base_dir(const char *dir)
{
    return dir ? dir : "/dev/shm";
}

static void owner_dir_name(char out[CHAN_FILE_NAME], uid_t uid)
{
    if (uid == 0)
        snprintf(out, CHAN_FILE_NAME, "ipcbox");
    else
        snprintf(out, CHAN_FILE_NAME, "ipcbox-%u", uid);
}

int chan_dir_open(const char *dir, uid_t uid, bool create, struct err *e)
{
    _cleanup_(closep) int fd = -1;
    _cleanup_(closep) int base = open(base_dir(dir), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char name[CHAN_FILE_NAME];
    struct stat st;

    if (base < 0)
        return err_set(e, -errno, NULL, "%s: %s", base_dir(dir), strerrordesc_np(errno));
    owner_dir_name(name, uid);
    if (create && mkdirat(base, name, 0755) == 0 && fchmodat(base, name, 0755, 0) < 0)
        return -errno; /* the umask must not hide it */
    fd = openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_set(e, -errno, NULL, "%s/%s: %s", base_dir(dir), name, strerrordesc_np(errno));
    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_uid != uid || (st.st_mode & 022))
        return err_set(e, -EACCES, "have its owner or root remove it",
                       "%s/%s is not a directory that only user %u can write to", base_dir(dir),
                       name, uid);
    return TAKE_FD(fd);
}

/* ---- going through the directories ----------------------------------------------------------- */

int chan_names_open(DIR **ret, int dirfd)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = 0;

    *ret = fd < 0 ? NULL : fdopendir(fd);
    if (!*ret)
        r = -errno;
    if (r < 0 && fd >= 0)
        close(fd);
    return r;
}

int chan_dirs_open(struct chan_dirs *w, const char *dir)
{
    *w = (struct chan_dirs){.base = dir, .fd = -1};
    w->all = opendir(base_dir(dir));
    return w->all ? 0 : -errno;
}

void chan_dirs_close(struct chan_dirs *w)
{
    if (w->fd >= 0)
        close(w->fd);
    closedirp(&w->all);
}

/* The user whose directory comes next. Return: 1, 0 at the end, -errno. */
static int next_user(struct chan_dirs *w, uid_t *uid)
{
    uid_t own = geteuid();
    const char *name;
    uint64_t id;
    int r = 0;

    if (w->step++ == 0) {
        *uid = own;
        return 1;
    }
    if (w->step == 2 && own != 0) {
        *uid = 0;
        return 1;
    }
    while ((name = dir_next(w->all, &r)))
        if (strncmp(name, "ipcbox-", 7) == 0 && parse_u64_max(name + 7, UINT32_MAX - 1, &id) == 0 &&
            id != 0 && id != own) {
            *uid = (uid_t)id;
            return 1;
        }
    return r;
}

int chan_dirs_next(struct chan_dirs *w)
{
    int r;

    while ((r = next_user(w, &w->uid)) == 1) {
        if (w->fd >= 0)
            close(w->fd);
        w->fd = chan_dir_open(w->base, w->uid, false, NULL);
        if (w->fd >= 0)
            return 1;
        if (chan_no_resources(w->fd))
            return w->fd;
    }
    return r;
}

/* Whether a directory entry is a channel's data file. */
static bool is_id(const char *name, uint32_t *id)
{
    uint64_t v;

    if (name[0] < '1' || name[0] > '9' || parse_u64_max(name, UINT32_MAX, &v) < 0)
        return false;
    *id = (uint32_t)v;
    return true;
}

/* The next channel of a directory. Return: 1, 0 at the end, -errno. */
static int next_id(DIR *d, uint32_t *id)
{
    const char *name;
    int r = 0;

    while ((name = dir_next(d, &r)))
        if (is_id(name, id))
            return 1;
    return r;
}

/* ---- finding --------------------------------------------------------------------------------- */

bool chan_id_in(int dirfd, uint32_t id)
{
    char name[CHAN_FILE_NAME];
    struct stat st;

    snprintf(name, sizeof(name), "%u", id);
    return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/*
 * The newest channel with a key in a directory. @denied: set when one may not be looked into.
 * Return: 1 with its id, 0 when there is none, -errno.
 */
static int newest_with_key(int dirfd, uint64_t key, uint32_t *ret, bool *denied)
{
    _cleanup_(closedirp) DIR *d = NULL;
    uint64_t created_ns = 0;
    uint32_t id;
    int r = chan_names_open(&d, dirfd), found = 0;

    while (r == 0 && (r = next_id(d, &id)) == 1) {
        struct chan *c = NULL;

        r = chan_open_in(dirfd, id, CHAN_LOOK, &c, NULL);
        *denied |= r == -EACCES;
        if (r == 0 && c->ext->key == key && c->ext->created_ns >= created_ns) {
            *ret = id;
            created_ns = c->ext->created_ns;
            found = 1;
        }
        chan_close(c);
        r = chan_no_resources(r) ? r : 0;
    }
    return r < 0 ? r : found;
}

int chan_find(const char *dir, const struct chan_ref *ref, int *dirfd, uint32_t *id, struct err *e)
{
    _cleanup_(chan_dirs_close) struct chan_dirs w = CHAN_DIRS_INIT;
    bool denied = false;
    int r;

    if (!ref->id && !ref->key)
        return err_set(e, -EINVAL, NULL, "neither an id nor a key");
    r = chan_dirs_open(&w, dir);
    while (r == 0 && (r = chan_dirs_next(&w)) == 1) {
        *id = ref->id;
        r = ref->id ? chan_id_in(w.fd, ref->id) : newest_with_key(w.fd, ref->key, id, &denied);
        if (r == 1) {
            *dirfd = TAKE_FD(w.fd);
            return 0;
        }
    }
    if (r < 0)
        return r;
    if (denied)
        return err_set(e, -ENOENT, NULL, "no channel with this key among those that you may read");
    return err_set(e, -ENOENT, "uringipc list shows what there is", "no such channel");
}

bool chan_exists(const char *dir, uint32_t id)
{
    _cleanup_(closep) int dirfd = -1;
    uint32_t found;

    return chan_find(dir, &(struct chan_ref){.id = id}, &dirfd, &found, NULL) != -ENOENT;
}

/* ---- listing --------------------------------------------------------------------------------- */

/* Return: 0 with what can be told of a channel, and in @why 0 or why that is not all; -ENOENT. */
static int describe(int dirfd, uint32_t id, struct chan_info *info, int *why)
{
    struct chan *c = NULL;
    char name[CHAN_FILE_NAME];
    struct stat st;

    *info = (struct chan_info){.id = id};
    *why = chan_open_in(dirfd, id, CHAN_LOOK, &c, NULL);
    if (*why == 0)
        *why = chan_get_info(c, info);
    chan_close(c);
    if (*why == 0)
        return 0;
    snprintf(name, sizeof(name), "%u", id);
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -ENOENT;
    *info = (struct chan_info){
        .id = id, .uid = st.st_uid, .gid = st.st_gid, .mode = st.st_mode & URING_IPC_MODE_MASK};
    return 0;
}

static int visit_dir(int dirfd, int (*visit)(const struct chan_info *info, int r, void *ctx),
                     void *ctx)
{
    _cleanup_(closedirp) DIR *d = NULL;
    uint32_t id;
    int r = chan_names_open(&d, dirfd);

    while (r == 0 && (r = next_id(d, &id)) == 1) {
        struct chan_info info;
        int why;

        r = describe(dirfd, id, &info, &why) == 0 ? visit(&info, why, ctx) : 0;
        if (r)
            return r;
    }
    return r;
}

int chan_visit(const char *dir, int (*visit)(const struct chan_info *info, int r, void *ctx),
               void *ctx)
{
    _cleanup_(chan_dirs_close) struct chan_dirs w = CHAN_DIRS_INIT;
    int r = chan_dirs_open(&w, dir);

    while (r == 0 && (r = chan_dirs_next(&w)) == 1) {
        r = visit_dir(w.fd, visit, ctx);
        if (r)
            return r;
    }
    return r;
}
