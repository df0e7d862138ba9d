/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Collects all buses and peers that can be seen. */
#include "bus_view.h"

#include <errno.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bus1_abi.h"
#include "escape.h"
#include "macros.h"
#include "proc.h"
#include "served_bus.h"

struct scan {
    struct view *v;
    struct err *e;
    int proc;
    const char *dir;
    dev_t dev;
    size_t first; /* index of the first peer of this bus */
    bool whole;   /* this bus shows all of its peers */
    /* Indexes of the device's peers, in the order that kcmp(2) gives to their files. */
    size_t *ordered;
    size_t n_ordered;
};

void view_done(struct view *v)
{
    for (size_t i = 0; i < v->n; i++) {
        free(v->peers[i].bus);
        free(v->peers[i].nodes);
        free(v->peers[i].handles);
        free(v->peers[i].holders);
    }
    free(v->peers);
}

/* Makes room for one more after @n elements: the array doubles at each power of two. */
static void *grow(void *array, size_t n, size_t size)
{
    if (n & (n - 1))
        return array;
    return realloc(array, MAX(n * 2, (size_t)1) * size);
}

static struct view_peer *peer_add(struct view *v, const char *bus)
{
    struct view_peer *p = grow(v->peers, v->n, sizeof(*p));

    if (!p)
        return NULL;
    v->peers = p;
    p += v->n;
    *p = (struct view_peer){.bus = strdup(bus)};
    if (!p->bus)
        return NULL;
    v->n++;
    return p;
}

static int add_peer(struct scan *s, const struct b1_record *r)
{
    struct view_peer *p = peer_add(s->v, s->dir);

    if (!p)
        return -ENOMEM;
    p->dev = s->dev;
    p->ino = r->ino;
    p->known = true;
    p->serial = r->serial;
    p->pid = r->pid;
    p->uid = r->uid;
    p->messages = r->messages;
    p->bytes = r->bytes;
    return 0;
}

static int add_record(void *ctx, const struct b1_record *r)
{
    struct scan *s = ctx;
    struct view_peer *p = s->v->n > s->first ? &s->v->peers[s->v->n - 1] : NULL;

    if (r->kind == B1_RECORD_USAGE)
        s->whole = true;
    if (r->kind == B1_RECORD_PEER)
        return add_peer(s, r);
    if (r->kind != B1_RECORD_NODE && r->kind != B1_RECORD_HANDLE)
        return 0;
    if (!p)
        return -EBADMSG;
    if (r->kind == B1_RECORD_NODE) {
        uint64_t *nodes = grow(p->nodes, p->n_nodes, sizeof(*nodes));

        if (!nodes)
            return -ENOMEM;
        p->nodes = nodes;
        nodes[p->n_nodes++] = r->id;
    } else if (r->kind == B1_RECORD_HANDLE) {
        struct view_handle *h = grow(p->handles, p->n_handles, sizeof(*h));

        if (!h)
            return -ENOMEM;
        p->handles = h;
        h[p->n_handles++] = (struct view_handle){r->id, -1, r->owner, r->node, r->waiting != 0};
    }
    return 0;
}

static ssize_t find_serial(const struct scan *s, uint64_t serial)
{
    for (size_t i = s->first; i < s->v->n; i++)
        if (s->v->peers[i].serial == serial)
            return (ssize_t)i;
    return -1;
}

static int add_bus(void *ctx, const struct b1_mount *m)
{
    struct scan *s = ctx;
    _cleanup_(buf_done) struct buf text = BUF_INIT;
    int r = b1_debug_read(m->dir, 0, &text);

    s->v->hidden_buses += r == -EACCES;
    /* The server is dead, is just ending, or belongs to another user. */
    if (r == -ENOTCONN || r == -ECONNABORTED || r == -ENOENT || r == -EACCES)
        return 0;
    s->dir = m->dir;
    s->dev = m->dev;
    s->first = s->v->n;
    s->whole = false;
    if (r == 0 && text.len)
        r = b1_debug_parse(text.data, add_record, s);
    if (r < 0)
        return err_set(s->e, r, NULL, "%s/debug: %s", m->dir, err_text(NULL, r));
    s->v->partial_buses += !s->whole;
    for (size_t i = s->first; i < s->v->n; i++)
        for (size_t k = 0; k < s->v->peers[i].n_handles; k++)
            s->v->peers[i].handles[k].to = s->v->peers[i].handles[k].owner
                                               ? find_serial(s, s->v->peers[i].handles[k].owner)
                                               : -1;
    return 0;
}

/* Compares a descriptor's file with that of a peer. Return: as kcmp(2), or -errno. */
static int compare_files(const struct scan *s, const struct proc_fd *fd, size_t i)
{
    const struct view_peer *p = &s->v->peers[s->ordered[i]];
    const struct view_holder *h = &p->holders[0];
    long r = syscall(SYS_kcmp, fd->pid, h->pid, KCMP_FILE, fd->fd, h->fd);

    return r < 0 ? -errno : (int)r;
}

/*
 * Finds the device's peer behind a descriptor: an existing one when another process shares its
 * file, else a new one.
 */
static int device_peer(struct scan *s, const struct proc_fd *fd, struct view_peer **ret)
{
    size_t low = 0, high = s->n_ordered, *more;
    struct view_peer *p;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_files(s, fd, middle);

        if (order == 0) {
            *ret = &s->v->peers[s->ordered[middle]];
            return 0;
        }
        s->v->cannot_compare |= order == -ENOSYS;
        if (order == 1)
            high = middle;
        else
            low = middle + 1;
    }
    more = grow(s->ordered, s->n_ordered, sizeof(*more));
    if (!more)
        return -ENOMEM;
    s->ordered = more;
    p = peer_add(s->v, BUS1_DEVICE_PATH);
    if (!p)
        return -ENOMEM;
    memmove(more + low + 1, more + low, (s->n_ordered++ - low) * sizeof(*more));
    more[low] = s->v->n - 1;
    *ret = p;
    return 0;
}

/* Finds the peer behind a descriptor, or NULL. Return: 0 or -ENOMEM. */
static int holder_peer(struct scan *s, const struct proc_fd *fd, struct view_peer **ret)
{
    dev_t dev;
    uint64_t ino;

    if (!strcmp(fd->link, BUS1_DEVICE_PATH)) {
        struct stat st;

        if (fstatat(fd->dir, fd->entry, &st, 0) == 0 && S_ISCHR(st.st_mode))
            return device_peer(s, fd, ret);
    }
    if (!strstr(fd->link, "/bus1") || b1_fd_identity(fd->pid, fd->fd, &dev, &ino) < 0)
        return 0;
    for (size_t i = 0; i < s->v->n; i++)
        if (s->v->peers[i].known && s->v->peers[i].dev == dev && s->v->peers[i].ino == ino)
            *ret = &s->v->peers[i];
    return 0;
}

static int add_holder(const struct proc_fd *fd, void *ctx)
{
    struct scan *s = ctx;
    struct view_peer *p = NULL;
    struct view_holder *h;
    int r = holder_peer(s, fd, &p);

    if (r < 0 || !p)
        return r;
    h = grow(p->holders, p->n_holders, sizeof(*h));
    if (!h)
        return -ENOMEM;
    p->holders = h;
    h += p->n_holders++;
    *h = (struct view_holder){.pid = (uint32_t)fd->pid, .fd = (uint32_t)fd->fd, .comm = "?"};
    (void)proc_comm(s->proc, fd->pid, fd->pid, h->comm); /* the process may be gone: then "?" */
    return 0;
}

static int add_process(pid_t pid, void *ctx)
{
    struct scan *s = ctx;
    int r = proc_visit_fds(s->proc, pid, add_holder, s);

    s->v->hidden_processes += r == -EACCES || r == -EPERM;
    return r == -ENOMEM ? r : 0; /* the process may have ended meanwhile */
}

int view_read(struct view *v, struct err *e)
{
    struct scan s = {.v = v, .e = e, .proc = proc_open(NULL)};
    int r;

    if (s.proc < 0)
        return s.proc;
    r = b1_mounts_visit(add_bus, &s);
    if (r == 0)
        r = proc_visit_pids(s.proc, add_process, &s);
    close(s.proc);
    free(s.ordered);
    return r;
}
