/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Mounts the file system of a served bus, and removes it without leaving anything behind. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "fileio.h"
#include "macros.h"
#include "privileges.h"
#include "serve_private.h"
#include "timefmt.h"

void b1_serve_note(struct b1_serve *s, const char *fmt, ...)
{
    uint64_t now = timefmt_now(CLOCK_MONOTONIC), after = atomic_load(&s->note_after);
    char text[256];
    va_list ap;

    if (!s->cfg.note || now < after ||
        !atomic_compare_exchange_strong(&s->note_after, &after, now + NSEC_PER_SEC))
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    s->cfg.note(s->cfg.ctx, text);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* Tells whether the directory is the mount of a server that died without unmounting it. */
static bool is_dead_mount(const char *dir)
{
    struct statfs st;

    /* stat() may answer from a cache; statfs() always asks the server. */
    return statfs(dir, &st) < 0 && errno == ENOTCONN;
}

/* The absolute form of @path, whose directory exists. */
static int absolute(const char *path, char **ret)
{
    const char *base = base_name(path);
    _cleanup_(freep) char *dir = NULL, *real = NULL;

    dir = base == path ? strdup(".") : strndup(path, (size_t)(base - path));
    if (!dir)
        return -ENOMEM;
    if (!*base || !strcmp(base, ".") || !strcmp(base, ".."))
        return -EISDIR;
    real = realpath(dir, NULL);
    if (!real)
        return -errno;
    if (asprintf(ret, "%s/%s", strcmp(real, "/") ? real : "", base) < 0)
        return -ENOMEM;
    return 0;
}

/*
 * Makes room for the mount: the remains of a dead server are removed, anything else is left alone.
 */
static int claim(struct b1_serve *s, struct err *e)
{
    struct stat st;

    if (is_dead_mount(s->dir)) {
        if (umount2(s->dir, MNT_DETACH) < 0)
            return err_set(e, -errno, "unmount it: fusermount3 -u DIRECTORY",
                           "%s is the mount of a server that has died", s->dir);
        unlink(s->path);
        rmdir(s->dir);
    }
    if (lstat(s->path, &st) == 0)
        return err_set(e, -EEXIST, "choose another path, or remove it", "%s exists", s->path);
    if (mkdir(s->dir, 0755) < 0)
        return err_set(e, -errno, NULL, "%s: %s", s->dir, strerror(errno));
    s->made_dir = true;
    return 0;
}

static int session_mount(struct b1_serve *s, struct err *e)
{
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    int r = 0;

    if (fuse_opt_add_arg(&args, "b1ctl") ||
        fuse_opt_add_arg(&args, "-ofsname=bus1,subtype=b1ctl,default_permissions,nosuid,nodev,"
                                "noexec,noatime") ||
        (s->cfg.all_users && fuse_opt_add_arg(&args, "-oallow_other")))
        r = -ENOMEM;
    if (r == 0) {
        s->se = fuse_session_new(&args, &b1_serve_ops, sizeof(b1_serve_ops), s);
        r = s->se ? 0 : -ENOMEM;
    }
    fuse_opt_free_args(&args);
    if (r < 0)
        return r;
    if (access("/dev/fuse", R_OK | W_OK) < 0)
        return err_set(e, -errno,
                       errno == ENOENT ? "load the module fuse, or give the container /dev/fuse"
                                       : "let this user read and write /dev/fuse",
                       "cannot open /dev/fuse: %s", strerror(errno));
    if (fuse_session_mount(s->se, s->dir) < 0)
        return err_set(e, -EPERM,
                       "run as root, in a user namespace (unshare -Urm), or with fusermount3",
                       "cannot mount on %s", s->dir);
    s->mounted = true;
    return 0;
}

/* Finds the device number of the mount without a request to the server. */
static int find_dev(struct b1_serve *s)
{
    struct statx st;

    /*
     * Asking for the root's attributes would be a request to ourselves; its device number is not.
     */
    if (statx(AT_FDCWD, s->dir, AT_STATX_DONT_SYNC, 0, &st) < 0)
        return -errno;
    s->dev = makedev(st.stx_dev_major, st.stx_dev_minor);
    return 0;
}

static int serve_start(struct b1_serve *s, struct err *e)
{
    _cleanup_(freep) char *target = NULL;
    int r = absolute(s->cfg.path, &s->path);

    if (r == 0 && asprintf(&s->dir, "%s.d", s->path) < 0)
        r = -ENOMEM;
    if (r == 0)
        r = claim(s, e);
    if (r == 0)
        r = session_mount(s, e);
    if (r == 0)
        r = find_dev(s);
    if (r < 0)
        return r;
    s->fd = fuse_session_fd(s->se);
    s->end_fd = eventfd(0, EFD_CLOEXEC);
    if (s->end_fd < 0)
        return -errno;
    if (asprintf(&target, "%s/bus1", base_name(s->dir)) < 0)
        return -ENOMEM;
    if (symlink(target, s->path) < 0)
        return err_set(e, -errno, NULL, "%s: %s", s->path, strerror(errno));
    s->made_link = true;
    return 0;
}

int b1_serve_open(const struct b1_serve_config *cfg, struct b1_serve **ret, struct err *e)
{
    struct b1_serve *s = calloc(1, sizeof(*s));
    struct b1_config bus = {
        .limits = cfg->limits,
#ifdef BUS1_RFC_DEFECTS
        .defects = cfg->defects,
#endif
        .on_message = b1_wake_collect,
        .on_event = b1_tap_event,
        .ctx = s,
    };
    int r;

    if (!s)
        return -ENOMEM;
    s->cfg = *cfg;
    s->uid = geteuid();
    s->end_fd = -1;
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->tap_lock, NULL);
    r = b1_bus_new(&bus, &s->bus);
    if (r == 0)
        r = serve_start(s, e);
    if (r < 0) {
        b1_serve_close(s);
        return r;
    }
    *ret = s;
    return 0;
}

/*
 * Keeps only the privileges that serving needs: access to the memory and descriptors of clients
 * (CAP_SYS_PTRACE), and removing its link from any directory at the end. The privilege to unmount
 * is set aside until then. The server of an ordinary user unmounts through fusermount3, which is
 * set-user-ID.
 */
static int keep_privileges(const struct b1_serve *s)
{
    int r = privileges_keep(PRIVILEGES_LOOK | PRIVILEGE(CAP_DAC_OVERRIDE),
                            PRIVILEGE(CAP_SYS_ADMIN));

    if (r == 0 && s->uid == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        r = -errno;
    return r;
}

static void raise_for_unmount(void)
{
    struct privileges p;

    if (privileges_get(&p) < 0)
        return;
    p.effective |= p.permitted & PRIVILEGE(CAP_SYS_ADMIN);
    privileges_set(&p);
}

int b1_serve_run(struct b1_serve *s, int stop_fd)
{
    int r = keep_privileges(s);

    if (r == 0)
        r = b1_loop_run(s, stop_fd);
    raise_for_unmount();
    return r;
}

static void close_files(struct b1_serve *s)
{
    for (size_t i = 0; i < B1_FILE_BUCKETS; i++)
        while (s->files[i]) {
            struct b1_file *f = s->files[i];

            s->files[i] = f->next;
            b1_peer_close(f->peer);
            b1_file_unref(s, f);
        }
    b1_wake_flush(s);
}

void b1_serve_close(struct b1_serve *s)
{
    bool ended;

    if (!s)
        return;
    /* Threads that can answer at once do so while the mount still exists. */
    ended = pool_close(s->pool, 0, NSEC_PER_SEC / 10);
    if (s->made_link)
        unlink(s->path);
    if (s->mounted)
        fuse_session_unmount(s->se);
    if (s->made_dir)
        rmdir(s->dir);
    /*
     * A thread that waits for a client's memory uses the server until it returns or the process
     * ends.
     */
    if (!ended && !pool_close(s->pool, 0, NSEC_PER_SEC))
        return;
    assert(!s->stuck && !s->parked);
    close_files(s);
    while (s->taps)
        b1_tap_close(s->taps);
    if (s->se)
        fuse_session_destroy(s->se);
    b1_bus_free(s->bus);
    if (s->end_fd >= 0)
        close(s->end_fd);
    pthread_mutex_destroy(&s->tap_lock);
    pthread_mutex_destroy(&s->lock);
    free(s->path);
    free(s->dir);
    free(s);
}
