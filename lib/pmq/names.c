/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names that appear and vanish: inotify on the root of the mqueue filesystem. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "cleanup.h"
#include "pmq.h"
#include "pmq_names.h"
#include "queuedir.h"

struct pmq_names {
    int dir; /* keeps the mount */
    int notify;
};

int pmq_names_open(struct pmq_names **ret, struct err *e)
{
    struct pmq_names *n = calloc(1, sizeof(*n));
    char path[64];
    int r;

    if (!n)
        return -ENOMEM;
    n->notify = -1;
    n->dir = pmq_queuedir_open(-1);
    if (n->dir < 0) {
        r = err_set(e, n->dir, "run as root", "cannot mount the mqueue filesystem: %s",
                    err_text(NULL, n->dir));
        pmq_names_close(n);
        return r;
    }
    n->notify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", n->dir);
    if (n->notify < 0 || inotify_add_watch(n->notify, path, IN_CREATE | IN_DELETE) < 0) {
        r = err_set(e, -errno, NULL, "cannot watch the mqueue filesystem: %s",
                    err_text(NULL, -errno));
        pmq_names_close(n);
        return r;
    }
    *ret = n;
    return 0;
}

void pmq_names_close(struct pmq_names *n)
{
    if (!n)
        return;
    closep(&n->notify);
    closep(&n->dir);
    free(n);
}

void pmq_names_closep(struct pmq_names **n)
{
    pmq_names_close(*n);
}

int pmq_names_fd(const struct pmq_names *n)
{
    return n->notify;
}

static int visit_event(const struct inotify_event *ev, pmq_name_fn visit, void *ctx)
{
    char name[PMQ_NAME_MAX + 2];
    size_t len = strnlen(ev->name, ev->len);

    if (ev->mask & IN_Q_OVERFLOW)
        return -ENOBUFS;
    if (!(ev->mask & (IN_CREATE | IN_DELETE)) || !len || len > PMQ_NAME_MAX)
        return 0;
    name[0] = '/';
    memcpy(name + 1, ev->name, len);
    name[len + 1] = '\0';
    return visit(name, ev->mask & IN_CREATE, ctx);
}

int pmq_names_read(struct pmq_names *n, pmq_name_fn visit, void *ctx)
{
    union {
        struct inotify_event align;
        char bytes[16 * (sizeof(struct inotify_event) + PMQ_NAME_MAX + 1)];
    } u;

    for (;;) {
        ssize_t got = read(n->notify, &u, sizeof(u));

        if (got < 0)
            return errno == EAGAIN ? 0 : -errno;
        for (const char *p = u.bytes; p < u.bytes + got;) {
            const struct inotify_event *ev = (const void *)p;
            int r = visit_event(ev, visit, ctx);

            if (r)
                return r;
            p += sizeof(*ev) + ev->len;
        }
    }
}
