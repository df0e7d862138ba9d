/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus1 for the command and its children: one bus in the supervisor. A peer is one end of a socket
 * pair that open("/dev/bus1") returns, so that the kernel itself does poll, dup, fork, passing and
 * closing; bytes in it mean that messages wait, and its end means that the last descriptor was
 * closed.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bus1_abi.h"
#include "bus_ioctl.h"
#include "cleanup.h"
#include "fileio.h"
#include "run_internal.h"

enum { BUCKETS = 256, ARG_SIZE = 64, LINKS_MAX = 16 };

/* An open file of the device. */
struct bus_file {
    struct bus_file *next; /* in its bucket */
    uint64_t inode;        /* of the client's end, by which it is found */
    struct b1_peer *peer;
    int end; /* ours */
    pthread_mutex_t lock;
    bool signalled; /* there are bytes in the client's end */
};

struct bus1_emulator {
    const char *path; /* a served bus to join instead; then nothing below is used */
    struct b1_bus *bus;
    int epoll; /* watches all our ends, to see when the client's end has been closed */
    int stop;
    pthread_t reaper;
    pthread_mutex_t ending; /* held while peers are closed; taken before lock */
    pthread_mutex_t lock;   /* protects the buckets */
    struct bus_file *buckets[BUCKETS];
};

/* ---- readiness ---- */

/*
 * Adds a byte for each message, so that an edge-triggered epoll reports each. Once the socket is
 * full there are more unread edges than anybody counts, and no byte is needed.
 */
static void signal_message(struct bus_file *s)
{
    pthread_mutex_lock(&s->lock);
    if (send(s->end, "m", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1)
        s->signalled = true;
    pthread_mutex_unlock(&s->lock);
}

static void on_message(void *ctx _unused_, void *data)
{
    signal_message(data);
}

/* After a receive: takes the bytes away when no message is left. @theirs is the client's end. */
static void settle_messages(struct bus_file *s, int theirs)
{
    char bytes[512];

    if (b1_peer_readable(s->peer))
        return;
    pthread_mutex_lock(&s->lock);
    if (s->signalled)
        while (recv(theirs, bytes, sizeof(bytes), MSG_DONTWAIT) == (ssize_t)sizeof(bytes))
            ;
    s->signalled = false;
    pthread_mutex_unlock(&s->lock);
    /* A message may have come in between, and its byte was taken away with the others. */
    if (b1_peer_readable(s->peer))
        signal_message(s);
}

/* ---- open files ---- */

static struct bus_file **bucket(struct bus1_emulator *b, uint64_t inode)
{
    return &b->buckets[inode % BUCKETS];
}

static void bus_file_free(struct bus_file *s)
{
    if (s->peer)
        b1_peer_close(s->peer);
    closep(&s->end);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* Makes a peer. Return: the client's end, or -errno. */
static int bus_file_new(struct bus1_emulator *b, uint32_t uid)
{
    struct epoll_event ev = {.events = EPOLLHUP};
    struct bus_file *s = calloc(1, sizeof(*s));
    int pair[2] = {-1, -1};
    struct stat st;
    int r = 0;

    if (!s)
        return -ENOMEM;
    s->end = -1;
    pthread_mutex_init(&s->lock, NULL);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 || fstat(pair[1], &st) < 0)
        r = -errno;
    s->end = pair[0];
    if (r == 0)
        r = b1_peer_new(b->bus, uid, s, &s->peer);
    ev.data.ptr = s;
    if (r == 0 && epoll_ctl(b->epoll, EPOLL_CTL_ADD, s->end, &ev) < 0)
        r = -errno;
    if (r < 0) {
        closep(&pair[1]);
        bus_file_free(s);
        return r;
    }
    s->inode = st.st_ino;
    pthread_mutex_lock(&b->lock);
    s->next = *bucket(b, s->inode);
    *bucket(b, s->inode) = s;
    pthread_mutex_unlock(&b->lock);
    return pair[1];
}

/*
 * The open file of the device that a descriptor of ours is of, with a reference to its peer; NULL
 * when the descriptor is of something else. The file lives as long as the descriptor is open.
 */
static struct bus_file *bus_file_find(struct bus1_emulator *b, int fd)
{
    struct bus_file *s = NULL;
    struct stat st;

    if (fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode))
        return NULL;
    pthread_mutex_lock(&b->lock);
    for (s = *bucket(b, st.st_ino); s && s->inode != st.st_ino; s = s->next)
        ;
    if (s)
        b1_peer_ref(s->peer);
    pthread_mutex_unlock(&b->lock);
    return s;
}

static void bus_file_end(struct bus1_emulator *b, struct bus_file *s)
{
    struct bus_file **at;

    pthread_mutex_lock(&b->lock);
    for (at = bucket(b, s->inode); *at && *at != s; at = &(*at)->next)
        ;
    if (*at)
        *at = s->next;
    pthread_mutex_unlock(&b->lock);
    bus_file_free(s);
}

/*
 * Closes the peers whose last descriptor has gone. Done before each call, so that a close() that
 * returned before the call began has its effect before it. Return: false when it is time to end.
 */
static bool end_closed(struct bus1_emulator *b)
{
    struct epoll_event ev[32];
    bool go_on = true;
    int n;

    pthread_mutex_lock(&b->ending);
    do {
        n = epoll_wait(b->epoll, ev, ARRAY_SIZE(ev), 0);
        for (int i = 0; i < n; i++) {
            if (!ev[i].data.ptr)
                go_on = false;
            else if (ev[i].events & EPOLLHUP)
                bus_file_end(b, ev[i].data.ptr);
        }
    } while (n == (int)ARRAY_SIZE(ev) && go_on);
    pthread_mutex_unlock(&b->ending);
    return go_on;
}

/*
 * A thread that closes peers also while no calls come: somebody may wait in poll() for the
 * notification that the end of another peer brings.
 */
static void *reap(void *argp)
{
    struct bus1_emulator *b = argp;
    struct pollfd p = {.fd = b->epoll, .events = POLLIN};

    do
        while (poll(&p, 1, -1) < 0 && errno == EINTR)
            ;
    while (end_closed(b));
    return NULL;
}

/* ---- making and ending ---- */

void bus1_emulator_free(struct bus1_emulator *b)
{
    if (!b)
        return;
    if (b->reaper) {
        event_raise(b->stop);
        pthread_join(b->reaper, NULL);
    }
    for (size_t i = 0; i < BUCKETS; i++)
        while (b->buckets[i]) {
            struct bus_file *s = b->buckets[i];

            b->buckets[i] = s->next;
            bus_file_free(s);
        }
    if (b->bus)
        b1_bus_free(b->bus);
    closep(&b->epoll);
    closep(&b->stop);
    pthread_mutex_destroy(&b->ending);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

static int join(struct bus1_emulator *b, struct err *e)
{
    _cleanup_(closep) int fd = open(b->path, O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return err_set(e, -errno, "b1ctl serve makes one", "cannot open the bus %s: %s", b->path,
                       err_text(NULL, -errno));
    return 0;
}

int bus1_emulator_new(const struct run_opts *opts, struct bus1_emulator **ret, struct err *e)
{
    const struct b1_config config = {.limits = B1_LIMITS_DEFAULT, .on_message = on_message};
    struct epoll_event ev = {.events = EPOLLIN};
    struct bus1_emulator *b = calloc(1, sizeof(*b));
    int r;

    if (!b)
        return -ENOMEM;
    pthread_mutex_init(&b->ending, NULL);
    pthread_mutex_init(&b->lock, NULL);
    b->epoll = b->stop = -1;
    b->path = opts->bus;
    if (b->path) {
        r = join(b, e);
        if (r < 0)
            bus1_emulator_free(b);
        else
            *ret = b;
        return r;
    }
    b->epoll = epoll_create1(EPOLL_CLOEXEC);
    b->stop = eventfd(0, EFD_CLOEXEC);
    r = b->epoll < 0 || b->stop < 0 ? -errno : b1_bus_new(&config, &b->bus);
    if (r == 0 && epoll_ctl(b->epoll, EPOLL_CTL_ADD, b->stop, &ev) < 0)
        r = -errno;
    if (r == 0) {
        r = -pthread_create(&b->reaper, NULL, reap, b);
        if (r < 0)
            b->reaper = 0;
    }
    if (r < 0) {
        bus1_emulator_free(b);
        return r;
    }
    *ret = b;
    return 0;
}

/* ---- open() ---- */

/* A path as the caller sees it: what its root and its directory are. */
static int caller_path(const struct call *c, int dirfd, const char *path, char out[PATH_MAX])
{
    int n;

    if (path[0] == '/')
        n = snprintf(out, PATH_MAX, "/proc/%d/root%s", c->tid, path);
    else if (dirfd == AT_FDCWD)
        n = snprintf(out, PATH_MAX, "/proc/%d/cwd/%s", c->tid, path);
    else
        n = snprintf(out, PATH_MAX, "/proc/%d/fd/%d/%s", c->tid, dirfd, path);
    return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* Whether the directory that @path ends in is the caller's /dev. */
static bool in_dev(const struct call *c, const char *path)
{
    char dev[64], dir[PATH_MAX];
    struct stat a, b;
    const char *slash = strrchr(path, '/');

    if (!slash)
        return false;
    snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path + 1), path);
    snprintf(dev, sizeof(dev), "/proc/%d/root/dev", c->tid);
    return stat(dir, &a) == 0 && stat(dev, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* Whether an open of @path would reach /dev/bus1, also by way of symbolic links. */
static bool is_device(const struct call *c, int dirfd, const char *path)
{
    char link[PATH_MAX], at[PATH_MAX], target[PATH_MAX];

    snprintf(link, sizeof(link), "%s", path);
    for (int hops = 0; hops < LINKS_MAX; hops++) {
        const char *base = strrchr(link, '/');
        ssize_t n;

        if (caller_path(c, dirfd, link, at) < 0)
            return false;
        base = base ? base + 1 : link;
        if (!strcmp(base, "bus1") && in_dev(c, at))
            return true;
        n = readlink(at, target, sizeof(target) - 1);
        if (n <= 0)
            return false;
        target[n] = '\0';
        if (target[0] == '/') {
            memcpy(link, target, (size_t)n + 1);
        } else if ((size_t)(base - link) + (size_t)n < sizeof(link)) {
            memcpy(link + (base - link), target, (size_t)n + 1);
        } else {
            return false;
        }
    }
    return false;
}

/* The user whom an open charges: the caller's effective one. */
static int caller_uid(const struct call *c, uint32_t *uid)
{
    _cleanup_(buf_done) struct buf status = BUF_INIT;
    const char *at = call_status(c, &status) < 0 ? NULL : call_status_line(&status, "Uid");

    return at && sscanf(at, "%*u %u", uid) == 1 ? 0 : -ESRCH;
}

static int64_t open_device(struct bus1_emulator *b, const struct call *c, uint64_t flags)
{
    _cleanup_(closep) int fd = -1;
    uint32_t uid;
    int r;

    if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
        return -EEXIST;
    if (flags & O_DIRECTORY)
        return -ENOTDIR;
    r = caller_uid(c, &uid);
    if (r < 0)
        return r;
    fd = b->path ? open(b->path, O_RDWR | O_CLOEXEC) : bus_file_new(b, uid);
    if (fd < 0)
        return b->path ? -errno : fd;
    if (flags & O_NONBLOCK && fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        return -errno;
    return call_give_fd(c, fd, (flags & O_CLOEXEC) != 0);
}

int64_t bus1_open(struct bus1_emulator *b, const struct call *c)
{
    struct open_how how = {0};
    char path[PATH_MAX];
    int dirfd = AT_FDCWD;
    size_t first = 0;

#ifdef SYS_open
    if (c->nr != SYS_open)
#endif
    {
        dirfd = call_int(c, 0);
        first = 1;
    }
    how.flags = call_u32(c, first + 1);
    /* If it cannot be read the kernel refuses the call. */
    if (c->nr == SYS_openat2 &&
        (c->args[3] < sizeof(how) || call_read(c, c->args[2], &how, sizeof(how)) < 0))
        return CALL_CONTINUE;
    if (how.flags & O_PATH || call_read_string(c, c->args[first], path) < 0 ||
        !is_device(c, dirfd, path))
        return CALL_CONTINUE;
    return open_device(b, c, how.flags);
}

/* ---- ioctl() ---- */

struct bus1_call {
    const struct call *call;
    struct bus1_emulator *emulator;
};

/* codec_commit() checks once, before anything is done with it, that it was the caller's memory. */
static int codec_read(void *ctx, const struct vm_range *v, size_t n)
{
    const struct bus1_call *bc = ctx;

    return call_read_ranges(bc->call, v, n);
}

static int codec_write(void *ctx, const struct vm_range *v, size_t n)
{
    const struct bus1_call *bc = ctx;

    return call_write_ranges(bc->call, v, n);
}

static int codec_peer(void *ctx, uint64_t fd, struct b1_peer **ret)
{
    const struct bus1_call *bc = ctx;
    _cleanup_(closep) int own = fd > INT_MAX ? -EBADF : call_getfd(bc->call, (int)fd);
    struct bus_file *s;

    if (own < 0)
        return own;
    s = bus_file_find(bc->emulator, own);
    if (!s)
        return -EOPNOTSUPP;
    *ret = s->peer;
    return 0;
}

static int codec_commit(void *ctx)
{
    const struct bus1_call *bc = ctx;

    return call_alive(bc->call) ? 0 : -ESRCH;
}

int64_t bus1_ioctl(struct bus1_emulator *b, const struct call *c)
{
    static const struct b1_client_ops ops = {
        .read = codec_read,
        .write = codec_write,
        .peer = codec_peer,
        .commit = codec_commit,
    };
    struct bus1_call bc = {.call = c, .emulator = b};
    _cleanup_(closep) int fd = call_getfd(c, call_int(c, 0));
    unsigned int cmd = call_u32(c, 1);
    char arg[ARG_SIZE];
    struct b1_peer *peer;
    struct bus_file *s;
    int r;

    s = fd < 0 || b->path ? NULL : bus_file_find(b, fd);
    if (!s)
        return CALL_CONTINUE;
    peer = s->peer;
    (void)end_closed(b);
    switch (cmd) {
    case BUS1_CMD_TRANSFER:
    case BUS1_CMD_RELEASE:
    case BUS1_CMD_SEND:
    case BUS1_CMD_RECV:
        r = codec_read(&bc, &(struct vm_range){c->args[2], arg, _IOC_SIZE(cmd)}, 1);
        if (r == 0)
            r = b1_ioctl(peer, cmd, arg, &ops, &bc);
        break;
    default:
        r = -ENOTTY;
    }
    if (cmd == BUS1_CMD_RECV)
        settle_messages(s, fd);
    b1_peer_unref(peer);
    return r;
}
