/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * io_uring IPC channels for the command and its children: the system calls that concern them.
 * uring_ring.c follows the rings of programs, uring_sq.c looks at submissions, uring_chan.c has the
 * channels, uring_deferred.c the operations that begin later.
 */
#include "emul_uring.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "fileio.h"
#include "proc.h"
#include "uringk.h"

enum {
    PROBE_OPS = 256, /* as many as the kernel answers for */
    ROUND_MS = 50,   /* how often it is checked which rings still exist */
};

/* ---- io_uring_setup() ---- */

int64_t uring_setup(struct uring_emulator *u, const struct call *c)
{
    const uint32_t polling = IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF;
    struct pending p = {.entries = call_u32(c, 0)};

    /* If it cannot be read the kernel refuses the call. */
    if (call_read(c, c->args[1], &p.p, sizeof(p.p)) < 0)
        return CALL_CONTINUE;
    /* Older kernels answer so, and libraries then do without. */
    if (p.p.flags & (~(uint32_t)RING_SETUP_KNOWN | RING_SETUP_REGISTERED_FD_ONLY))
        return -EINVAL;
    if (p.p.flags & IORING_SETUP_SQPOLL) {
        /* What a thread of the kernel takes from the ring could not be trapped. */
        p.p.flags &= ~polling;
        p.stripped = true;
        if (call_write(c, c->args[1] + offsetof(struct io_uring_params, flags), &p.p.flags,
                       sizeof(p.p.flags)) < 0)
            return CALL_CONTINUE;
    }
    (void)ring_expect(u, c, &p);
    return CALL_CONTINUE;
}

/* ---- io_uring_enter() ---- */

int64_t uring_enter(struct uring_emulator *u, const struct call *c)
{
    struct ring *r = call_u32(c, 3) & IORING_ENTER_REGISTERED_RING
                         ? NULL /* no ring can be registered, and the kernel says so */
                         : ring_find(u, c, call_int(c, 0));

    if (r) {
        ring_submit(u, r, c, call_u32(c, 1));
        ring_unref(u, r);
    }
    return CALL_CONTINUE;
}

/* ---- permission ---- */

/* Whether a "Groups:" line names it. */
static bool in_groups(const char *line, gid_t gid)
{
    char *end;

    while (line) {
        line += strspn(line, " \t");
        if (*line < '0' || *line > '9')
            break;
        if ((gid_t)strtoul(line, &end, 10) == gid)
            return true;
        line = end;
    }
    return false;
}

/* The caller's fsuid and fsgid, from its status. */
static int read_ids(const struct buf *status, uid_t *uid, gid_t *gid)
{
    const char *u = call_status_line(status, "Uid"), *g = call_status_line(status, "Gid");

    return u && g && sscanf(u, "%*u %*u %*u %u", uid) == 1 && sscanf(g, "%*u %*u %*u %u", gid) == 1
               ? 0
               : -ESRCH;
}

/* The first class that the caller belongs to decides, as for files; root is no exception. */
bool uchan_allowed(const struct call *c, const struct uchan *chan, uint32_t want)
{
    uint32_t bits = (want & URING_IPC_SUB_SEND ? 02 : 0) | (want & URING_IPC_SUB_RECV ? 04 : 0);
    _cleanup_(buf_done) struct buf status = BUF_INIT;
    uint32_t mode = chan->mode;
    uid_t uid;
    gid_t gid;

    if ((mode & bits * 0111) == bits * 0111)
        return true; /* every class may */
    if (call_status(c, &status) < 0 || read_ids(&status, &uid, &gid) < 0)
        return false;
    if (uid == chan->uid)
        mode >>= 6;
    else if (gid == chan->gid || in_groups(call_status_line(&status, "Groups"), chan->gid))
        mode >>= 3;
    return (mode & bits) == bits;
}

static int caller_ids(const struct call *c, uid_t *uid, gid_t *gid)
{
    _cleanup_(buf_done) struct buf status = BUF_INIT;

    return call_status(c, &status) < 0 ? -ESRCH : read_ids(&status, uid, gid);
}

/* ---- io_uring_register() ---- */

struct uchan *uring_find_channel(struct uring_emulator *u, uint32_t id, uint64_t key)
{
    struct uchan *c = uchan_find(&u->chans, id, key);

    if (!c || rings_alive(u, c->owner))
        return c;
    uchan_unref(&u->chans, c);
    rings_reap(u, true);
    return uchan_find(&u->chans, id, key);
}

static int64_t do_create(struct uring_emulator *u, const struct call *c, struct ring *r)
{
    struct uring_ipc_create conf;
    struct uchan *chan;
    uid_t uid;
    gid_t gid;
    int e;

    if (!c->args[2] || call_u32(c, 3) != 1)
        return -EINVAL;
    e = call_read(c, c->args[2], &conf, sizeof(conf));
    if (e == 0 && !uchan_conf_valid(&conf))
        e = -EINVAL;
    if (e == 0)
        e = caller_ids(c, &uid, &gid);
    if (e == 0)
        e = uchan_new(&u->chans, &conf, uid, gid, r, &chan);
    if (e < 0)
        return e;
    conf.channel_id_out = chan->id;
    e = call_write(c, c->args[2], &conf, sizeof(conf));
    if (e < 0)
        (void)uchan_unlist(&u->chans, chan);
    uchan_unref(&u->chans, chan);
    return e;
}

/* Subscribes and gives the caller the channel's file. */
static int64_t attach_to(struct uring_emulator *u, const struct call *c, struct ring *r,
                         struct uchan *chan, struct uring_ipc_attach *a)
{
    struct usub *sub;
    int64_t fd;

    if (!uchan_allowed(c, chan, a->flags))
        return -EACCES;
    sub = usub_new(&u->chans, chan, a->flags);
    if (!sub)
        return -ENOMEM;
    a->local_id_out = sub->id;
    a->mmap_offset_out = 0;
    a->region_size = (uint32_t)chan->size;
    a->channel_fd = -1;
    /* First a write that may fail: the caller would not know of a descriptor given before. */
    fd = call_write(c, c->args[2], a, sizeof(*a));
    if (fd == 0)
        fd = call_give_fd(c, chan->fd, true);
    if (fd < 0) {
        usub_free(&u->chans, sub);
        return fd;
    }
    a->channel_fd = (int32_t)fd;
    pthread_mutex_lock(&r->lock);
    sub->owned = r->subs;
    r->subs = sub;
    pthread_mutex_unlock(&r->lock);
    return call_write(c, c->args[2], a, sizeof(*a));
}

static int64_t do_attach(struct uring_emulator *u, const struct call *c, struct ring *r)
{
    struct uring_ipc_attach a;
    struct uchan *chan;
    int64_t res;
    int e;

    if (!c->args[2] || call_u32(c, 3) != 1)
        return -EINVAL;
    e = call_read(c, c->args[2], &a, sizeof(a));
    if (e < 0)
        return e;
    if (!a.flags || a.flags & ~(uint32_t)(URING_IPC_SUB_SEND | URING_IPC_SUB_RECV) ||
        a.reserved[0] || a.reserved[1] || a.reserved[2])
        return -EINVAL;
    chan = uring_find_channel(u, a.channel_id, a.key);
    if (!chan)
        return -ENOENT;
    res = attach_to(u, c, r, chan, &a);
    uchan_unref(&u->chans, chan);
    return res;
}

static int64_t do_detach(struct uring_emulator *u, const struct call *c, struct ring *r)
{
    uint32_t id = call_u32(c, 3);
    struct usub **at = &r->subs;
    struct uchan *chan;
    struct usub *sub;

    if (c->args[2])
        return -EINVAL;
    pthread_mutex_lock(&r->lock);
    while (*at && (*at)->id != id)
        at = &(*at)->owned;
    sub = *at;
    if (sub) {
        *at = sub->owned;
        chan = sub->chan;
        uchan_ref(&u->chans, chan);
        deferred_recv_free(sub);
        usub_free(&u->chans, sub);
        deferred_flush(u, chan); /* it may have been the slowest */
        uchan_unref(&u->chans, chan);
    }
    pthread_mutex_unlock(&r->lock);
    return sub ? 0 : -ENOENT;
}

static int64_t do_destroy(struct uring_emulator *u, const struct call *c)
{
    struct uchan *chan;
    int64_t res = 0;
    uid_t uid;
    gid_t gid;

    if (c->args[2])
        return -EINVAL;
    chan = uring_find_channel(u, call_u32(c, 3), 0);
    if (!chan)
        return -ENOENT;
    if (caller_ids(c, &uid, &gid) < 0 || (uid != 0 && uid != chan->uid))
        res = -EPERM;
    else if (!uchan_unlist(&u->chans, chan))
        res = -ENOENT;
    uchan_unref(&u->chans, chan);
    return res;
}

/* Answers with the operations that this kernel supports, and those on channels. */
static int64_t do_probe(const struct uring_emulator *u, const struct call *c)
{
    uint32_t nr = call_u32(c, 3);
    uint32_t last = MAX((uint32_t)u->probe->last_op, (uint32_t)URING_IPC_OP_RECV);
    _cleanup_(freep) struct io_uring_probe *p = NULL;
    size_t size;
    int e;

    if (!c->args[2] || nr > PROBE_OPS)
        return -EINVAL;
    nr = MIN(nr, last + 1);
    size = sizeof(*p) + nr * sizeof(struct io_uring_probe_op);
    p = malloc(size);
    if (!p)
        return -ENOMEM;
    e = call_read(c, c->args[2], p, size);
    if (e < 0)
        return e;
    for (size_t i = 0; i < size; i++)
        if (((const unsigned char *)p)[i])
            return -EINVAL;
    p->last_op = (uint8_t)last;
    p->ops_len = (uint8_t)nr;
    for (uint32_t i = 0; i < nr; i++) {
        p->ops[i].op = (uint8_t)i;
        if (i == URING_IPC_OP_SEND || i == URING_IPC_OP_RECV)
            p->ops[i].flags = IO_URING_OP_SUPPORTED;
        else if (i <= u->probe->last_op)
            p->ops[i].flags = u->probe->ops[i].flags;
    }
    return call_write(c, c->args[2], p, size);
}

int64_t uring_register(struct uring_emulator *u, const struct call *c)
{
    uint32_t op = call_u32(c, 1);
    int is_ring = ring_is(c, call_int(c, 0));
    struct ring *r;
    int64_t res;

    if (op == RING_REGISTER_RESIZE || op == RING_REGISTER_QUERY)
        return -EINVAL; /* as older kernels answer */
    if (is_ring <= 0)
        return is_ring < 0 ? is_ring : -EOPNOTSUPP;
    if (op == IORING_REGISTER_RING_FDS)
        return -EINVAL; /* the supervisor could not tell which ring such a number means */
    if (op == IORING_REGISTER_PROBE)
        return do_probe(u, c);
    r = ring_find(u, c, call_int(c, 0));
    if (!r)
        return -EOPNOTSUPP;
    switch (op) {
    case URING_IPC_REGISTER_CREATE:
        res = do_create(u, c, r);
        break;
    case URING_IPC_REGISTER_ATTACH:
        res = do_attach(u, c, r);
        break;
    case URING_IPC_REGISTER_DETACH:
        res = do_detach(u, c, r);
        break;
    default:
        res = do_destroy(u, c);
    }
    ring_unref(u, r);
    return res;
}

/* ---- the channels' files ---- */

static bool is_channel(struct uring_emulator *u, const char *path, size_t *size)
{
    struct stat st;

    return stat(path, &st) == 0 && uchan_has_file(&u->chans, st.st_dev, st.st_ino, size);
}

/*
 * The path by which the supervisor finds a link in /proc/PID/fd that the caller names. Return:
 * false when it is no such link, or one of the supervisor itself.
 */
static bool fd_link(const struct call *c, int dirfd, const char *path, char out[PATH_MAX])
{
    static const char *const own[] = {"/proc/self/fd/", "/proc/thread-self/fd/", "/dev/fd/"};
    const char *name = strrchr(path, '/');
    char dir[PATH_MAX];
    size_t used;
    ssize_t n;

    name = name ? name + 1 : path;
    if (!*name || name[strspn(name, "0123456789")])
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(own); i++)
        if (!strncmp(path, own[i], strlen(own[i])) && path + strlen(own[i]) == name)
            return snprintf(out, PATH_MAX, "/proc/%d/fd/%s", c->tid, name) < PATH_MAX;
    if (path[0] == '/')
        return !strncmp(path, "/proc/", 6) && atoi(path + 6) != getpid() &&
               snprintf(out, PATH_MAX, "/proc/%d/root%s", c->tid, path) < PATH_MAX;
    snprintf(out, PATH_MAX, dirfd == AT_FDCWD ? "/proc/%d/cwd" : "/proc/%d/fd/%d", c->tid, dirfd);
    n = readlink(out, dir, sizeof(dir) - 1);
    if (n <= 0)
        return false;
    dir[n] = '\0';
    used = strlen(out);
    return !strncmp(dir, "/proc/", 6) && atoi(dir + 6) != getpid() &&
           snprintf(out + used, PATH_MAX - used, "/%s", path) < (int)(PATH_MAX - used);
}

int64_t uring_readlink(struct uring_emulator *u, const struct call *c)
{
    char path[PATH_MAX], link[PATH_MAX];
    int dirfd = AT_FDCWD, r;
    size_t first = 0, size;
    int64_t room;

#ifdef SYS_readlink
    if (c->nr != SYS_readlink)
#endif
    {
        dirfd = call_int(c, 0);
        first = 1;
    }
    room = call_int(c, first + 2);
    if (!uchans_any(&u->chans) || room <= 0 || call_read_string(c, c->args[first], path) < 0 ||
        !fd_link(c, dirfd, path, link) || !is_channel(u, link, &size))
        return CALL_CONTINUE;
    room = MIN(room, (int64_t)strlen(URING_IPC_FD_LINK));
    r = call_write(c, c->args[first + 1], URING_IPC_FD_LINK, (size_t)room);
    return r < 0 ? r : room;
}

/* ---- mmap() ---- */

int64_t uring_mmap(struct uring_emulator *u, const struct call *c)
{
    uint64_t length = c->args[1], prot = c->args[2], offset = c->args[5];
    size_t page = (size_t)sysconf(_SC_PAGESIZE), size;
    char path[48];

    /* A new ring is recognised most surely when it is mapped for the first time. */
    if (rings_pending(u) && ring_is(c, call_int(c, 4)) == 1) {
        struct ring *r = ring_find(u, c, call_int(c, 4));

        if (r)
            ring_unref(u, r);
        return CALL_CONTINUE;
    }
    snprintf(path, sizeof(path), "/proc/%d/fd/%d", c->tid, call_int(c, 4));
    if (!uchans_any(&u->chans) || !is_channel(u, path, &size))
        return CALL_CONTINUE;
    if (size == 0)
        return -EINVAL;
    if (prot & PROT_WRITE)
        return -EACCES;
    if (prot & PROT_EXEC)
        return -EPERM;
    /* The kernel itself refuses a length of 0 and an offset that is no multiple of the page. */
    if (offset % page == 0 && (offset || length > (size + page - 1) / page * page))
        return -EINVAL;
    return CALL_CONTINUE;
}

/* ---- making and ending ---- */

/* The background thread: sends deferred messages, and ends rings that no process has any more. */
static void *background(void *argp)
{
    struct uring_emulator *u = argp;
    struct pollfd p[] = {{.fd = u->wake, .events = POLLIN},
                         {.fd = deferred_fd(u), .events = POLLIN}};
    eventfd_t n;

    while (!__atomic_load_n(&u->stopping, __ATOMIC_ACQUIRE)) {
        (void)poll(p, ARRAY_SIZE(p), rings_any(u) ? ROUND_MS : -1);
        (void)eventfd_read(u->wake, &n);
        deferred_flush_all(u);
        rings_reap(u, false);
    }
    return NULL;
}

/* Whether this kernel's io_uring can do what channels are made of. */
static int check_kernel(struct uring_emulator *u, struct err *e)
{
    const struct io_uring_sqe nop = {
        .opcode = IORING_OP_NOP,
        .rw_flags = RING_NOP_INJECT_RESULT,
        .len = (uint32_t)-ENOANO,
        .__pad2 = {u->tag},
    };
    _cleanup_(uringk_freep) struct uringk *ring = NULL;
    int fd, r = uringk_new(&ring, e);

    if (r < 0)
        return r;
    if (uringk_run(ring, &nop) != -ENOANO)
        return err_set(e, -EOPNOTSUPP, "use Linux 6.10 or later, or --only mq,bus1",
                       "this kernel's io_uring is too old to emulate channels on it");
    r = uringk_register(ring, IORING_REGISTER_PROBE, u->probe, PROBE_OPS);
    if (r < 0)
        return err_set(e, r, NULL, "asking what io_uring can do: %s", err_text(NULL, r));
    fd = (int)syscall(SYS_io_uring_setup, 1, &u->plain);
    if (fd < 0)
        return -errno;
    close(fd);
    return 0;
}

int uring_emulator_new(struct uring_emulator **ret, struct err *e)
{
    struct uring_emulator *u = calloc(1, sizeof(*u));
    int r;

    if (!u)
        return -ENOMEM;
    uchans_init(&u->chans);
    pthread_mutex_init(&u->lock, NULL);
    u->proc = u->wake = -1;
    u->probe = calloc(1, sizeof(*u->probe) + PROBE_OPS * sizeof(struct io_uring_probe_op));
    if (getrandom(&u->tag, sizeof(u->tag), 0) != (ssize_t)sizeof(u->tag))
        u->tag = (uint64_t)(uintptr_t)u;
    u->tag |= 1; /* not 0 */
    r = u->probe ? check_kernel(u, e) : -ENOMEM;
    if (r == 0) {
        u->proc = proc_open(NULL);
        u->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        r = u->proc < 0 ? u->proc : u->wake < 0 ? -errno : deferred_new(&u->deferred);
    }
    if (r == 0) {
        r = -pthread_create(&u->background, NULL, background, u);
        if (r < 0)
            u->background = 0;
    }
    if (r < 0) {
        uring_emulator_free(u);
        return r;
    }
    *ret = u;
    return 0;
}

void uring_emulator_free(struct uring_emulator *u)
{
    if (!u)
        return;
    if (u->background) {
        __atomic_store_n(&u->stopping, true, __ATOMIC_RELEASE);
        event_raise(u->wake);
        pthread_join(u->background, NULL);
    }
    rings_free(u);
    deferred_free(u);
    uchans_done(&u->chans);
    closep(&u->proc);
    closep(&u->wake);
    pthread_mutex_destroy(&u->lock);
    free(u->probe);
    free(u);
}
