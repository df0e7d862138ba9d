/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How embedded channels come and go.
 *
 * A channel is the files ID and ID.ctl. Both are made without a name, filled, and linked, ID last:
 * the channel exists from then on. A creator that is killed in between leaves an ID.ctl, which the
 * next creation removes: it can be told by nobody holding the creator's lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chan_handle.h"
#include "cleanup.h"
#include "fileio.h"
#include "timefmt.h"

enum {
    LOCK_CREATOR = CHAN_SUBS, /* byte of the control file */
    ID_MAX = 999999,          /* short enough to type */
};

uint64_t chan_key_of_name(const char *name)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (const unsigned char *p = (const unsigned char *)name; *p; p++)
        h = (h ^ *p) * UINT64_C(0x100000001b3);
    return h ? h : 1;
}

/* Tells all processes that have a channel open that it has been destroyed. */
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
    const char *entry;
    int r = 0; /* if this fails the next creation removes it */

    if (chan_names_open(&d, dirfd) < 0)
        return;
    while ((entry = dir_next(d, &r))) {
        _cleanup_(closep) int fd = -1;
        char name[CHAN_FILE_NAME];
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
    char path[CHAN_FILE_NAME];

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
    char name[CHAN_FILE_NAME], ctl_name[CHAN_FILE_NAME];
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

/* Whether a channel that can be seen here has the id. Return: 1, 0, -errno. */
static int id_taken(const char *dir, uint32_t id)
{
    _cleanup_(closep) int dirfd = -1;
    int r = chan_find(dir, &(struct chan_ref){.id = id}, &dirfd, &id, NULL);

    return r == -ENOENT ? 0 : r < 0 ? r : 1;
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
        uint32_t random;

        if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
            return -errno;
        random = random % ID_MAX + 1;
        r = id_taken(dir, random);
        if (r < 0)
            return r;
        r = r == 0 ? create_as(dirfd, conf, random, e) : -EEXIST;
        if (r == 0)
            *id = random;
        if (r != -EEXIST)
            return r;
    }
    return err_set(e, -EEXIST, NULL, "no free channel id");
}

int chan_destroy(const char *dir, const struct chan_ref *ref, struct err *e)
{
    _cleanup_(closep) int dirfd = -1;
    _cleanup_(closep) int ctl = -1;
    char name[CHAN_FILE_NAME];
    struct stat st;
    uint32_t id;
    int r = chan_find(dir, ref, &dirfd, &id, e);

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
    /* If we are killed here, processes that have it open notice by themselves, and the next
     * creation removes the other file. */
    snprintf(name, sizeof(name), "%u.ctl", id);
    ctl = chan_open_file(dirfd, name, O_RDWR, &st, NULL);
    if (ctl >= 0)
        end_control(ctl);
    if (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
        return -errno;
    return 0;
}
