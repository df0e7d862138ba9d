/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Two tables of the kernel that name processes: file locks, and System V queues of our namespace.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "buf.h"
#include "cleanup.h"
#include "fileio.h"
#include "graph.h"

enum { TABLE_MAX = 64 << 20 };

/* Calls @add with each line of a file below /proc. */
static void each_line(struct graph *g, const char *path, void (*add)(struct graph *, const char *))
{
    _cleanup_(buf_done) struct buf text = BUF_INIT;
    char *line, *rest;

    if (file_read(g->proc, path, TABLE_MAX, &text) < 0 || !text.data)
        return;
    rest = text.data;
    while ((line = strsep(&rest, "\n")))
        add(g, line);
}

/*
 * Parses "1: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF". A lock that is still waited for has
 * "->".
 */
static void add_lock(struct graph *g, const char *line)
{
    const char *at = strchr(line, ':');
    struct file_lock l = {0}, *more;
    unsigned int major, minor;
    unsigned long inode;
    char kind[16];

    if (!at)
        return;
    at += 1 + strspn(at + 1, " ");
    l.waits = !strncmp(at, "-> ", 3);
    if (sscanf(at + (l.waits ? 3 : 0), "%15s %*s %*s %d %x:%x:%lu", kind, &l.pid, &major, &minor,
               &inode) != 5)
        return;
    l.flock = !strcmp(kind, "FLOCK");
    l.dev = makedev(major, minor);
    l.inode = inode;
    more = ARRAY_MORE(g->locks, g->n_locks, g->locks_room);
    if (more)
        *more = l;
    else
        g->error = -ENOMEM;
}

void graph_read_locks(struct graph *g)
{
    if (!g->locks_read)
        each_line(g, "locks", add_lock);
    g->locks_read = true;
}

/* Parses "key msqid perms cbytes qnum lspid lrpid …". The first line has headings. */
static void add_queue(struct graph *g, const char *line)
{
    unsigned long bytes, messages;
    struct sysv_queue q = {0}, *more;

    if (sscanf(line, "%*d %d %*o %lu %lu %d %d", &q.id, &bytes, &messages, &q.sender,
               &q.receiver) != 5)
        return;
    q.bytes = bytes;
    q.messages = messages;
    more = ARRAY_MORE(g->queues, g->n_queues, g->queues_room);
    if (more)
        *more = q;
    else
        g->error = -ENOMEM;
}

void graph_read_queues(struct graph *g)
{
    if (!g->queues_read)
        each_line(g, "sysvipc/msg", add_queue);
    g->queues_read = true;
}
