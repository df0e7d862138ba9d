/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All buses and peers that can be seen. */
#include "bus_view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "b1_served.h"
#include "bus1_abi.h"
#include "escape.h"
#include "macros.h"
#include "proc.h"

struct scan {
    struct view *v;
    struct err *e;
    int proc;
    const char *dir;
    dev_t dev;
    size_t first; /* of this bus's peers */
};

void view_done(struct view *v)
{
    for (size_t i = 0; i < v->n; i++) {
        free(v->peers[i].bus);
        free(v->peers[i].nodes);
        free(v->peers[i].handles);
        buf_done(&v->peers[i].holders);
    }
    free(v->peers);
}

/* Room for one more behind @n elements: the array doubles at each power of two. */
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

    if (r->kind == B1_RECORD_PEER)
        return add_peer(s, r);
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

    /* A server that is dead, or ends now, or is another user's: there is nothing to see. */
    if (r == -ENOTCONN || r == -ECONNABORTED || r == -ENOENT || r == -EACCES)
        return 0;
    s->dir = m->dir;
    s->dev = m->dev;
    s->first = s->v->n;
    if (r == 0 && text.len)
        r = b1_debug_parse(text.data, add_record, s);
    if (r < 0)
        return err_set(s->e, r, NULL, "%s/debug: %s", m->dir, err_text(NULL, r));
    for (size_t i = s->first; i < s->v->n; i++)
        for (size_t k = 0; k < s->v->peers[i].n_handles; k++)
            s->v->peers[i].handles[k].to = s->v->peers[i].handles[k].owner
                                               ? find_serial(s, s->v->peers[i].handles[k].owner)
                                               : -1;
    return 0;
}

/* The peer behind a descriptor: one of a served bus, or a new entry for the kernel's. */
static struct view_peer *holder_peer(struct scan *s, const struct proc_fd *fd)
{
    dev_t dev;
    uint64_t ino;

    if (!strcmp(fd->link, BUS1_DEVICE_PATH)) {
        struct stat st;

        if (fstatat(fd->dir, fd->entry, &st, 0) == 0 && S_ISCHR(st.st_mode))
            return peer_add(s->v, BUS1_DEVICE_PATH);
    }
    if (!strstr(fd->link, "/bus1") || b1_fd_identity(fd->pid, fd->fd, &dev, &ino) < 0)
        return NULL;
    for (size_t i = 0; i < s->v->n; i++)
        if (s->v->peers[i].known && s->v->peers[i].dev == dev && s->v->peers[i].ino == ino)
            return &s->v->peers[i];
    return NULL;
}

static int add_holder(const struct proc_fd *fd, void *ctx)
{
    struct scan *s = ctx;
    struct view_peer *p = holder_peer(s, fd);
    char comm[PROC_COMM_SIZE] = "?";

    if (!p)
        return 0;
    (void)proc_comm(s->proc, fd->pid, fd->pid, comm); /* it may have gone: "?" */
    buf_printf(&p->holders, "%s%d:%d ", p->holders.len ? ", " : "", (int)fd->pid, fd->fd);
    buf_add_str(&p->holders, comm);
    return buf_error(&p->holders);
}

static int add_process(pid_t pid, void *ctx)
{
    struct scan *s = ctx;
    int r = proc_visit_fds(s->proc, pid, add_holder, s);

    return r == -ENOMEM ? r : 0; /* others come and go, or may not be looked at */
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
    return r;
}
