/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The operations of the served file system: looking up, opening, polling, and the debug files. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "macros.h"
#include "parse.h"
#include "serve_private.h"

/*
 * Attributes never change and may be cached. A name is looked up each time, because each open() is
 * a new peer.
 */
#define FOREVER 1e9

static __thread struct b1_waiter *woken;

/* Inode numbers: the file of a peer has an even one, the file with its messages the next. */
static bool ino_is_bus(fuse_ino_t ino)
{
    return ino > B1_INO_PEERS && ino % 2 == 0;
}

static bool ino_is_tap(fuse_ino_t ino)
{
    return ino == B1_INO_TRAFFIC || ino == B1_INO_RECORD;
}

static void attr_fill(const struct b1_serve *s, fuse_ino_t ino, struct stat *st)
{
    *st = (struct stat){.st_ino = ino, .st_nlink = 1, .st_uid = s->uid, .st_gid = getgid()};
    if (ino == B1_INO_ROOT) {
        st->st_mode = S_IFDIR | 0555;
        st->st_nlink = 2;
    } else if (ino_is_tap(ino)) {
        st->st_mode = S_IFREG | 0400;
    } else {
        st->st_mode = S_IFREG | (ino_is_bus(ino) ? 0666 : 0444);
    }
}

static void op_init(void *userdata _unused_, struct fuse_conn_info *conn)
{
    conn->max_write = 4096;
    conn->max_readahead = 0;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct b1_serve *s = fuse_req_userdata(req);
    struct fuse_entry_param e = {.attr_timeout = FOREVER, .generation = 1};
    uint64_t ino;

    if (parent == B1_INO_ROOT && !strcmp(name, "bus1")) {
        pthread_mutex_lock(&s->lock);
        e.ino = B1_INO_PEERS + 2 * ++s->last_open;
        pthread_mutex_unlock(&s->lock);
    } else if (parent == B1_INO_ROOT && !strcmp(name, "debug")) {
        e.ino = B1_INO_DEBUG;
    } else if (parent == B1_INO_ROOT && !strcmp(name, "traffic")) {
        e.ino = B1_INO_TRAFFIC;
    } else if (parent == B1_INO_ROOT && !strcmp(name, "record")) {
        e.ino = B1_INO_RECORD;
    } else if (parent == B1_INO_ROOT && !strncmp(name, "peer-", 5) &&
               parse_u64(name + 5, &ino) == 0 && ino_is_bus(ino)) {
        struct b1_file *f = b1_file_find(s, ino);

        if (f) {
            e.ino = ino + 1;
            b1_file_unref(s, f);
        }
    }
    if (!strcmp(name, B1_STOP_NAME) && atomic_load(&s->stop))
        atomic_store(&s->stop_seen, true);
    if (!e.ino) {
        fuse_reply_err(req, ENOENT);
        return;
    }
    attr_fill(s, e.ino, &e.attr);
    fuse_reply_entry(req, &e);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino _unused_, uint64_t n _unused_)
{
    fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi _unused_)
{
    struct stat st;

    attr_fill(fuse_req_userdata(req), ino, &st);
    fuse_reply_attr(req, &st, FOREVER);
}

static struct b1_file **bucket_of(struct b1_serve *s, uint64_t ino)
{
    return &s->files[ino / 2 % B1_FILE_BUCKETS];
}

static struct b1_file *file_lookup(struct b1_serve *s, uint64_t ino)
{
    struct b1_file *f = *bucket_of(s, ino);

    while (f && f->ino != ino)
        f = f->next;
    return f;
}

struct b1_file *b1_file_find(struct b1_serve *s, uint64_t ino)
{
    struct b1_file *f;

    pthread_mutex_lock(&s->lock);
    f = file_lookup(s, ino);
    if (f)
        f->refs++;
    pthread_mutex_unlock(&s->lock);
    return f;
}

static void waiter_free(struct b1_waiter *w)
{
    if (!w)
        return;
    fuse_pollhandle_destroy(w->ph);
    free(w);
}

void b1_file_unref(struct b1_serve *s, struct b1_file *f)
{
    bool last;

    pthread_mutex_lock(&s->lock);
    assert(f->refs > 0);
    last = --f->refs == 0;
    pthread_mutex_unlock(&s->lock);
    if (!last)
        return;
    assert(!f->n_stuck);
    waiter_free(atomic_exchange(&f->waiter, NULL));
    b1_peer_unref(f->peer);
    free(f);
}

static int file_new(struct b1_serve *s, fuse_ino_t ino, const struct fuse_ctx *ctx,
                    struct b1_file **ret)
{
    struct b1_file *f = calloc(1, sizeof(*f));
    int r;

    if (!f)
        return -ENOMEM;
    f->ino = ino;
    f->refs = 1;
    f->pid = ctx->pid;
    r = b1_peer_new(s->bus, ctx->uid, f, &f->peer);
    if (r < 0) {
        free(f);
        return r;
    }
    b1_peer_ref(f->peer);
    pthread_mutex_lock(&s->lock);
    if (file_lookup(s, ino)) {
        /* the same file was opened again, through /proc/PID/fd: a peer has one file only */
        r = -ESTALE;
    } else {
        f->next = *bucket_of(s, ino);
        *bucket_of(s, ino) = f;
    }
    pthread_mutex_unlock(&s->lock);
    if (r < 0) {
        b1_peer_close(f->peer);
        b1_file_unref(s, f);
        return r;
    }
    *ret = f;
    return 0;
}

static void file_end(struct b1_serve *s, struct b1_file *f)
{
    struct b1_file **at = bucket_of(s, f->ino);

    pthread_mutex_lock(&s->lock);
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    pthread_mutex_unlock(&s->lock);
    b1_peer_close(f->peer);
    b1_wake_flush(s);
    b1_file_unref(s, f);
}

static int debug_open(struct b1_serve *s, fuse_ino_t ino, uid_t uid, struct buf **ret)
{
    struct buf *b = calloc(1, sizeof(*b));
    int r;

    if (!b)
        return -ENOMEM;
    r = ino == B1_INO_DEBUG ? b1_debug_bus(s, uid, b) : b1_debug_peer(s, ino - 1, uid, b);
    if (r == 0)
        r = buf_error(b);
    if (r < 0) {
        buf_done(b);
        free(b);
        return r;
    }
    *ret = b;
    return 0;
}

static void debug_close(struct buf *b)
{
    buf_done(b);
    free(b);
}

/* Opens a file whose content is made at its opening, or grows with the events of the bus. */
static void op_open_tap(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct b1_serve *s = fuse_req_userdata(req);
    struct b1_tap *t;
    /* CAP_DAC_OVERRIDE lets a process open the file, but does not entitle it to listen. */
    int r = b1_sees_all(s, fuse_req_ctx(req)->uid) ? 0 : -EACCES;

    if (r == 0)
        r = b1_tap_open(s, ino == B1_INO_RECORD, &t);
    if (r < 0) {
        fuse_reply_err(req, -r);
        return;
    }
    fi->fh = (uint64_t)(uintptr_t)t;
    fi->direct_io = 1;
    fi->noflush = 1;
    fi->nonseekable = 1;
    if (fuse_reply_open(req, fi) == -ENOENT)
        b1_tap_close(t);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct b1_serve *s = fuse_req_userdata(req);
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    struct b1_file *f = NULL;
    struct buf *b = NULL;
    int r;

    if (ino_is_tap(ino)) {
        op_open_tap(req, ino, fi);
        return;
    }
    if (ino_is_bus(ino))
        r = file_new(s, ino, ctx, &f);
    else
        r = debug_open(s, ino, ctx->uid, &b);
    if (r < 0) {
        fuse_reply_err(req, -r);
        return;
    }
    fi->fh = f ? (uint64_t)(uintptr_t)f : (uint64_t)(uintptr_t)b;
    fi->direct_io = 1;
    fi->noflush = 1;
    fi->nonseekable = f != NULL;
    /* An open() that was interrupted is not followed by a release request. */
    if (fuse_reply_open(req, fi) == -ENOENT) {
        if (f)
            file_end(s, f);
        else
            debug_close(b);
    }
    b1_taps_wake(s);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    if (ino_is_bus(ino))
        file_end(fuse_req_userdata(req), (struct b1_file *)(uintptr_t)fi->fh);
    else if (ino_is_tap(ino))
        b1_tap_close((struct b1_tap *)(uintptr_t)fi->fh);
    else
        debug_close((struct buf *)(uintptr_t)fi->fh);
    fuse_reply_err(req, 0);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                    struct fuse_file_info *fi)
{
    const struct buf *b = (struct buf *)(uintptr_t)fi->fh;

    if (ino_is_tap(ino))
        b1_tap_read((struct b1_tap *)(uintptr_t)fi->fh, req, size);
    else if (ino_is_bus(ino))
        fuse_reply_err(req, EINVAL);
    else if (off < 0 || (size_t)off >= b->len)
        fuse_reply_buf(req, NULL, 0);
    else
        fuse_reply_buf(req, b->data + off, MIN(size, b->len - (size_t)off));
}

static void op_write(fuse_req_t req, fuse_ino_t ino _unused_, const char *data _unused_,
                     size_t size _unused_, off_t off _unused_, struct fuse_file_info *fi _unused_)
{
    fuse_reply_err(req, EINVAL);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino _unused_, size_t size, off_t off,
                       struct fuse_file_info *fi _unused_)
{
    static const char *const names[] = {".", "..", "bus1", "debug", "traffic", "record"};
    char out[512];
    size_t used = 0;

    size = MIN(size, sizeof(out));
    for (size_t i = (size_t)off; i < ARRAY_SIZE(names); i++) {
        struct stat st = {.st_mode = i < 2 ? S_IFDIR : S_IFREG, .st_ino = B1_INO_DEBUG};
        size_t n = fuse_add_direntry(req, out + used, size - used, names[i], &st, (off_t)i + 1);

        if (n > size - used)
            break;
        used += n;
    }
    fuse_reply_buf(req, out, used);
}

static void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int cmd, void *arg _unused_,
                     struct fuse_file_info *fi, unsigned int flags, const void *in, size_t n_in,
                     size_t n_out _unused_)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    struct b1_call c;

    if (!ino_is_bus(ino) || _IOC_TYPE(cmd) != BUS1_IOCTL_MAGIC || (flags & FUSE_IOCTL_COMPAT) ||
        n_in != _IOC_SIZE(cmd) || n_in > sizeof(c.arg)) {
        fuse_reply_err(req, ENOTTY);
        return;
    }
    c = (struct b1_call){
        .s = fuse_req_userdata(req),
        .file = (struct b1_file *)(uintptr_t)fi->fh,
        .req = req,
        .pid = ctx->pid,
        .uid = ctx->uid,
        .cmd = cmd,
    };
    if (n_in)
        memcpy(c.arg, in, n_in);
    b1_loop_ioctl(c.s, &c);
}

void b1_wake_collect(void *ctx _unused_, void *peer_data)
{
    struct b1_file *f = peer_data;
    struct b1_waiter *w;

    w = atomic_load(&f->waiter) ? atomic_exchange(&f->waiter, NULL) : NULL;
    if (w) {
        w->next = woken;
        woken = w;
    }
}

void b1_wake_flush(struct b1_serve *s)
{
    while (woken) {
        struct b1_waiter *w = woken;

        woken = w->next;
        fuse_lowlevel_notify_poll(w->ph);
        waiter_free(w);
    }
    b1_taps_wake(s);
}

static void op_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
                    struct fuse_pollhandle *ph)
{
    struct b1_serve *s = fuse_req_userdata(req);
    struct b1_file *f = (struct b1_file *)(uintptr_t)fi->fh;
    struct b1_waiter *w = ph ? calloc(1, sizeof(*w)) : NULL;
    bool readable;

    if (ino_is_tap(ino)) {
        free(w);
        b1_tap_poll((struct b1_tap *)(uintptr_t)fi->fh, req, ph);
        return;
    }
    if (!ino_is_bus(ino) || (ph && !w)) {
        free(w);
        if (ph)
            fuse_pollhandle_destroy(ph);
        if (ino_is_bus(ino))
            fuse_reply_err(req, ENOMEM);
        else
            fuse_reply_poll(req, POLLIN | POLLRDNORM);
        return;
    }
    readable = b1_peer_readable(f->peer);
    if (w) {
        w->ph = ph;
        waiter_free(atomic_exchange(&f->waiter, w));
        /* A message may have come before the waiter was registered. */
        if (!readable && b1_peer_readable(f->peer)) {
            readable = true;
            w = atomic_exchange(&f->waiter, NULL);
            if (w) {
                w->next = woken;
                woken = w;
            }
        }
    }
    fuse_reply_poll(req, (readable ? POLLIN | POLLRDNORM : 0u) | POLLOUT | POLLWRNORM);
    b1_wake_flush(s);
}

const struct fuse_lowlevel_ops b1_serve_ops = {
    .init = op_init,
    .lookup = op_lookup,
    .forget = op_forget,
    .getattr = op_getattr,
    .open = op_open,
    .read = op_read,
    .write = op_write,
    .release = op_release,
    .readdir = op_readdir,
    .ioctl = op_ioctl,
    .poll = op_poll,
};
