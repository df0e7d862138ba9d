/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where embedded channels live and how they come and go.
 *
 * DIR/ipcbox is root's, DIR/ipcbox-UID a user's. A directory counts only when it belongs to whom
 * its name says and nobody else may write to it: DIR is world-writable. A channel is ID and ID.ctl
 * in it; both are made without a name, filled, and linked, ID last: it exists from then on. A
 * creator that is killed in between leaves an ID.ctl, which the next creation removes: it is
 * recognised by nobody holding the creator's lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chan_handle.h"
#include "cleanup.h"
#include "fileio.h"
#include "parse.h"
#include "timefmt.h"

enum {
    LOCK_CREATOR = CHAN_SUBS, /* byte of the control file */
    ID_MAX = 999999,          /* short enough to type */
    NAME_SIZE = 32,
};

uint64_t chan_key_of_name(const char *name)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (const unsigned char *p = (const unsigned char *)name; *p; p++)
        h = (h ^ *p) * UINT64_C(0x100000001b3);
    return h ? h : 1;
}

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

static const char *base_dir(const char *dir)
{
    return dir ? dir : "/dev/shm";
}

static void owner_dir_name(char out[NAME_SIZE], uid_t uid)
{
    if (uid == 0)
        snprintf(out, NAME_SIZE, "ipcbox");
    else
        snprintf(out, NAME_SIZE, "ipcbox-%u", uid);
}

int chan_dir_open(const char *dir, uid_t uid, bool create, struct err *e)
{
    _cleanup_(closep) int fd = -1;
    _cleanup_(closep) int base = open(base_dir(dir), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char name[NAME_SIZE];
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

/* Nothing is known of what could not be opened; all else says something about it alone. */
static bool is_want_of_resources(int r)
{
    return r == -EMFILE || r == -ENFILE || r == -ENOMEM || r == -EIO || r == -ENOSPC;
}

static int visit_dir(const char *dir, uid_t uid, int (*visit)(int fd, uid_t uid, void *ctx),
                     void *ctx)
{
    _cleanup_(closep) int fd = chan_dir_open(dir, uid, false, NULL);

    if (fd < 0)
        return is_want_of_resources(fd) ? fd : 0;
    return visit(fd, uid, ctx);
}

int chan_visit_dirs(const char *dir, int (*visit)(int fd, uid_t uid, void *ctx), void *ctx)
{
    _cleanup_(closedirp) DIR *d = opendir(base_dir(dir));
    uid_t own = geteuid();
    const char *name;
    int r = 0;

    if (!d)
        return -errno;
    r = visit_dir(dir, own, visit, ctx);
    if (r == 0 && own != 0)
        r = visit_dir(dir, 0, visit, ctx);
    while (r == 0 && (name = dir_next(d, &r))) {
        uint64_t uid;

        if (strncmp(name, "ipcbox-", 7) == 0 &&
            parse_u64_max(name + 7, UINT32_MAX - 1, &uid) == 0 && uid != 0 && uid != own)
            r = visit_dir(dir, (uid_t)uid, visit, ctx);
    }
    return r;
}

/* ---- opening --------------------------------------------------------------------------------- */

static int open_checked(int dirfd, const char *name, int flags, struct stat *st, struct err *e)
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

/* Opens channel @id of one directory. */
static int open_in(int dirfd, uint32_t id, unsigned int access, struct chan **ret, struct err *e)
{
    _cleanup_(chan_closep) struct chan *c = calloc(1, sizeof(*c));
    struct stat st, ctl_st;
    char name[NAME_SIZE];
    int r;

    if (!c)
        return -ENOMEM;
    c->data_fd = c->ctl_fd = c->sender = c->sub = -1;
    c->access = access;
    snprintf(name, sizeof(name), "%u", id);
    c->data_fd = open_checked(dirfd, name, access & CHAN_SEND ? O_RDWR : O_RDONLY, &st, e);
    if (c->data_fd < 0)
        return c->data_fd == -EACCES ? open_denied(access, e) : c->data_fd;
    snprintf(name, sizeof(name), "%u.ctl", id);
    c->ctl_fd = open_checked(dirfd, name, O_RDWR, &ctl_st, e);
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

/* Whether a directory entry is a channel's data file. */
static bool is_id(const char *name, uint32_t *id)
{
    uint64_t v;

    if (name[0] < '1' || name[0] > '9' || parse_u64_max(name, UINT32_MAX, &v) < 0)
        return false;
    *id = (uint32_t)v;
    return true;
}

/* Calls back with the id of each channel in a directory. */
static int visit_ids(int dirfd, int (*visit)(int dirfd, uint32_t id, void *ctx), void *ctx)
{
    _cleanup_(closedirp) DIR *d = NULL;
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const char *name;
    int r = 0;

    if (fd < 0)
        return -errno;
    d = fdopendir(fd);
    if (!d) {
        r = -errno;
        close(fd);
        return r;
    }
    while (r == 0 && (name = dir_next(d, &r))) {
        uint32_t id;

        if (is_id(name, &id))
            r = visit(dirfd, id, ctx);
    }
    return r;
}

/* ---- finding --------------------------------------------------------------------------------- */

/* The search for a reference; the first directory that has a match ends it. */
struct search {
    const struct chan_ref *ref;
    uint32_t id;
    uint64_t created_ns;
    int dirfd;
    bool denied;
};

static int search_key(int dirfd, uint32_t id, void *ctx)
{
    struct search *s = ctx;
    struct chan *c = NULL;
    int r = open_in(dirfd, id, CHAN_LOOK, &c, NULL);

    if (r == -EACCES)
        s->denied = true;
    if (r == 0 && c->ext->key == s->ref->key && c->ext->created_ns >= s->created_ns) {
        s->id = id;
        s->created_ns = c->ext->created_ns;
    }
    chan_close(c);
    return is_want_of_resources(r) ? r : 0;
}

static int search_dir(int fd, uid_t uid _unused_, void *ctx)
{
    struct search *s = ctx;
    char name[NAME_SIZE];
    struct stat st;
    int r = 0;

    if (s->ref->id) {
        snprintf(name, sizeof(name), "%u", s->ref->id);
        if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            s->id = s->ref->id;
    } else {
        r = visit_ids(fd, search_key, s);
    }
    if (r < 0 || !s->id)
        return r;
    s->dirfd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return s->dirfd < 0 ? -errno : 1;
}

/* Return: 0 with the channel's directory and id, or -errno. */
static int search(const char *dir, const struct chan_ref *ref, int *dirfd, uint32_t *id,
                  struct err *e)
{
    struct search s = {.ref = ref, .dirfd = -1};
    int r;

    if (!ref->id && !ref->key)
        return err_set(e, -EINVAL, NULL, "neither an id nor a key");
    r = chan_visit_dirs(dir, search_dir, &s);
    if (r < 0)
        return r;
    if (!s.id && s.denied)
        return err_set(e, -ENOENT, NULL, "no channel with this key among those that you may read");
    if (!s.id)
        return err_set(e, -ENOENT, "uringipc list shows what there is", "no such channel");
    *dirfd = s.dirfd;
    *id = s.id;
    return 0;
}

int chan_open(const char *dir, const struct chan_ref *ref, unsigned int access, struct chan **ret,
              struct err *e)
{
    _cleanup_(closep) int dirfd = -1;
    uint32_t id;
    int r = search(dir, ref, &dirfd, &id, e);

    return r < 0 ? r : open_in(dirfd, id, access, ret, e);
}

bool chan_exists(const char *dir, uint32_t id)
{
    _cleanup_(closep) int dirfd = -1;
    uint32_t found;

    return search(dir, &(struct chan_ref){.id = id}, &dirfd, &found, NULL) != -ENOENT;
}

/* ---- listing --------------------------------------------------------------------------------- */

struct listing {
    int (*visit)(const struct chan_info *info, int r, void *ctx);
    void *ctx;
};

static int list_one(int dirfd, uint32_t id, void *ctx)
{
    const struct listing *l = ctx;
    struct chan_info info = {.id = id};
    struct chan *c = NULL;
    char name[NAME_SIZE];
    struct stat st;
    int r = open_in(dirfd, id, CHAN_LOOK, &c, NULL);

    if (r == 0)
        r = chan_get_info(c, &info);
    chan_close(c);
    if (r == 0)
        return l->visit(&info, 0, l->ctx);
    snprintf(name, sizeof(name), "%u", id);
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0; /* it went meanwhile */
    info = (struct chan_info){
        .id = id, .uid = st.st_uid, .gid = st.st_gid, .mode = st.st_mode & URING_IPC_MODE_MASK};
    return l->visit(&info, r, l->ctx);
}

static int list_dir(int fd, uid_t uid _unused_, void *ctx)
{
    return visit_ids(fd, list_one, ctx);
}

int chan_visit(const char *dir, int (*visit)(const struct chan_info *info, int r, void *ctx),
               void *ctx)
{
    struct listing l = {.visit = visit, .ctx = ctx};

    return chan_visit_dirs(dir, list_dir, &l);
}

/* ---- creating -------------------------------------------------------------------------------- */

/* Tells everyone who has a channel open that its name has gone. */
static void end_control(int fd)
{
    struct guard *g = NULL;
    struct chan_ctl *ctl;
    struct stat st;

    if (fstat(fd, &st) < 0 || (size_t)st.st_size < sizeof(struct chan_ctl) ||
        guard_map(&g, fd, sizeof(struct chan_ctl), true) < 0)
        return;
    ctl = guard_base(g);
    __atomic_store_n(&ctl->destroyed, 1U, __ATOMIC_SEQ_CST);
    chan_wake_all(ctl);
    guard_unmap(g);
}

/* Removes what a creator or destroyer left that was killed between its two names. */
static void sweep(int dirfd)
{
    _cleanup_(closedirp) DIR *d = NULL;
    int dup = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const char *entry;
    int r = 0; /* what is left now is removed another time */

    d = dup < 0 ? NULL : fdopendir(dup);
    if (!d) {
        if (dup >= 0)
            close(dup);
        return;
    }
    while ((entry = dir_next(d, &r))) {
        _cleanup_(closep) int fd = -1;
        char name[NAME_SIZE];
        size_t n = strlen(entry);
        struct stat st;

        if (n < 5 || n >= sizeof(name) || strcmp(entry + n - 4, ".ctl") != 0)
            continue;
        snprintf(name, sizeof(name), "%.*s", (int)(n - 4), entry);
        if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            continue;
        fd = openat(dirfd, entry, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        /* With its lock no creator is at work; one that has just finished has made the name. */
        if (fd >= 0 && chan_lock(fd, LOCK_CREATOR) &&
            fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
            end_control(fd);
            unlinkat(dirfd, entry, 0);
        }
    }
}

/* A file without a name, of which every byte is there. Return: fd or -errno. */
static int make_file(int dirfd, size_t size, uint32_t mode, struct err *e)
{
    _cleanup_(closep) int fd = openat(dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    int r;

    if (fd < 0)
        return -errno;
    /* tmpfs would otherwise kill the first sender that touches a page which is not to be had. */
    do
        r = fallocate(fd, 0, 0, (off_t)size);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return err_set(e, -errno, "choose fewer --entries or a smaller --size",
                       "no room for %zu bytes in shared memory", size);
    if (fchmod(fd, mode) < 0)
        return -errno;
    return TAKE_FD(fd);
}

static int fill_data(int fd, size_t size, const struct chan_conf *conf, uint32_t id)
{
    struct uring_ipc_ring *ring;
    struct chan_ext *ext;
    struct guard *g;
    int r = guard_map(&g, fd, size, true);

    if (r < 0)
        return r;
    ring = guard_base(g);
    ring->ring_entries = conf->entries;
    ring->ring_mask = conf->entries - 1;
    ring->max_msg_size = conf->max_msg;
    ext = (struct chan_ext *)(void *)((char *)guard_base(g) +
                                      chan_ext_offset(conf->entries, conf->max_msg));
    ext->version = CHAN_VERSION;
    ext->id = id;
    ext->key = conf->key;
    ext->created_ns = timefmt_now(CLOCK_REALTIME);
    ext->delivery = conf->delivery;
    ext->creator = (uint32_t)getpid();
    snprintf(ext->name, sizeof(ext->name), "%s", conf->name ? conf->name : "");
    ext->magic = CHAN_EXT_MAGIC;
    guard_unmap(g);
    return 0;
}

static int fill_ctl(int fd, uint32_t id)
{
    struct chan_ctl head = {.magic = CHAN_CTL_MAGIC, .version = CHAN_VERSION, .id = id};
    ssize_t n = pwrite(fd, &head, sizeof(head), 0);

    if (n < 0)
        return -errno;
    return n == (ssize_t)sizeof(head) ? 0 : -EIO;
}

static int link_file(int fd, int dirfd, const char *name)
{
    char path[NAME_SIZE];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, path, dirfd, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

/* Makes the channel with this id. Return: 0, -EEXIST when the id is taken, -errno. */
static int create_as(int dirfd, const struct chan_conf *conf, uint32_t id, struct err *e)
{
    size_t size = chan_ext_offset(conf->entries, conf->max_msg) + sizeof(struct chan_ext);
    uint32_t mode = conf->mode & URING_IPC_MODE_MASK;
    uint32_t ctl_mode = 0600U | (mode & 060 ? 060U : 0) | (mode & 06 ? 06U : 0);
    _cleanup_(closep) int data = make_file(dirfd, size, mode, e);
    _cleanup_(closep) int ctl = data < 0 ? -1
                                         : make_file(dirfd, sizeof(struct chan_ctl), ctl_mode, e);
    char name[NAME_SIZE], ctl_name[NAME_SIZE];
    int r;

    if (data < 0 || ctl < 0)
        return data < 0 ? data : ctl;
    snprintf(name, sizeof(name), "%u", id);
    snprintf(ctl_name, sizeof(ctl_name), "%u.ctl", id);
    r = fill_data(data, size, conf, id);
    if (r == 0)
        r = fill_ctl(ctl, id);
    if (r == 0 && !chan_lock(ctl, LOCK_CREATOR))
        r = -ENOLCK;
    if (r == 0)
        r = link_file(ctl, dirfd, ctl_name);
    if (r < 0)
        return r;
    r = link_file(data, dirfd, name);
    if (r < 0)
        unlinkat(dirfd, ctl_name, 0);
    return r;
}

int chan_create(const char *dir, const struct chan_conf *conf, uint32_t *id, struct err *e)
{
    _cleanup_(closep) int dirfd = -1;
    int r = ringmap_check(conf->entries, conf->max_msg, e);

    if (r < 0)
        return r;
    if (conf->delivery > CHAN_MULTICAST)
        return err_set(e, -EINVAL, NULL, "no such way of delivery");
    if (conf->name && strlen(conf->name) > CHAN_NAME_MAX)
        return err_set(e, -EINVAL, NULL, "a name has at most %d bytes", CHAN_NAME_MAX);
    dirfd = chan_dir_open(dir, geteuid(), true, e);
    if (dirfd < 0)
        return dirfd;
    sweep(dirfd);
    for (int tries = 0; tries < 1000; tries++) {
        struct search s = {.ref = &(struct chan_ref){0}, .dirfd = -1};
        struct chan_ref ref = {0};

        if (getrandom(&ref.id, sizeof(ref.id), 0) != (ssize_t)sizeof(ref.id))
            return -errno;
        ref.id = ref.id % ID_MAX + 1;
        s.ref = &ref;
        r = chan_visit_dirs(dir, search_dir, &s);
        if (s.dirfd >= 0)
            close(s.dirfd);
        if (r < 0)
            return r;
        r = r == 0 ? create_as(dirfd, conf, ref.id, e) : -EEXIST;
        if (r == 0)
            *id = ref.id;
        if (r != -EEXIST)
            return r;
    }
    return err_set(e, -EEXIST, NULL, "no free channel id");
}

/* ---- destroying ------------------------------------------------------------------------------ */

int chan_destroy(const char *dir, const struct chan_ref *ref, struct err *e)
{
    _cleanup_(closep) int dirfd = -1;
    _cleanup_(closep) int ctl = -1;
    char name[NAME_SIZE];
    struct stat st;
    uint32_t id;
    int r = search(dir, ref, &dirfd, &id, e);

    if (r < 0)
        return r;
    snprintf(name, sizeof(name), "%u", id);
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (geteuid() != 0 && st.st_uid != geteuid())
        return err_set(e, -EPERM, NULL, "only its owner (user %u) or root may destroy it",
                       st.st_uid);
    if (unlinkat(dirfd, name, 0) < 0)
        return -errno;
    /* Killed here: those who have it open find out by themselves, the next creation removes the
     * other name. */
    snprintf(name, sizeof(name), "%u.ctl", id);
    ctl = open_checked(dirfd, name, O_RDWR, &st, NULL);
    if (ctl >= 0)
        end_control(ctl);
    if (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
        return -errno;
    return 0;
}
