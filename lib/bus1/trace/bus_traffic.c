/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads the lines of a file that grows. */
#include "bus_traffic.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"

enum { CHUNK = 128 * 1024 };

struct b1_traffic {
    int fd;
    struct buf text;
    size_t start;   /* of the first line that was not visited */
    size_t scanned; /* there is no newline before this offset */
    struct b1_event_lists lists;
};

int b1_traffic_open(const char *dir, bool whole, struct b1_traffic **ret)
{
    _cleanup_(buf_done) struct buf path = BUF_INIT;
    struct b1_traffic *t = calloc(1, sizeof(*t));
    int r;

    buf_printf(&path, "%s/%s", dir, whole ? "record" : "traffic");
    if (!t || buf_error(&path) < 0) {
        free(t);
        return -ENOMEM;
    }
    t->fd = open(buf_str(&path), O_RDONLY | O_CLOEXEC);
    if (t->fd < 0) {
        r = -errno;
        free(t);
        return r;
    }
    *ret = t;
    return 0;
}

void b1_traffic_close(struct b1_traffic *t)
{
    if (!t)
        return;
    close(t->fd);
    buf_done(&t->text);
    b1_event_lists_done(&t->lists);
    free(t);
}

int b1_traffic_fd(const struct b1_traffic *t)
{
    return t->fd;
}

/* Visits the complete lines that were read. */
static int visit_lines(struct b1_traffic *t, b1_traffic_fn visit, void *ctx)
{
    int r = 0;

    while (r == 0 && t->scanned < t->text.len) {
        char *from = t->text.data + t->scanned;
        char *end = memchr(from, '\n', t->text.len - t->scanned);
        struct b1_event ev;

        if (!end) {
            t->scanned = t->text.len;
            break;
        }
        *end = '\0';
        r = b1_event_parse(t->text.data + t->start, &t->lists, &ev);
        if (r == 0)
            r = visit(&ev, ctx);
        else if (r > 0)
            r = 0; /* an event of a newer server: skip it */
        t->start = t->scanned = (size_t)(end + 1 - t->text.data);
    }
    return r;
}

/* Drops the lines that were visited. */
static void compact(struct b1_traffic *t)
{
    if (!t->start)
        return;
    memmove(t->text.data, t->text.data + t->start, t->text.len - t->start);
    t->text.len -= t->start;
    t->scanned -= t->start;
    t->start = 0;
}

int b1_traffic_read(struct b1_traffic *t, b1_traffic_fn visit, void *ctx)
{
    int r = visit_lines(t, visit, ctx);

    while (r == 0) {
        char *at;
        ssize_t n;

        compact(t);
        at = buf_extend(&t->text, CHUNK);
        if (!at)
            return -ENOMEM;
        n = read(t->fd, at, CHUNK);
        t->text.len -= CHUNK - (n > 0 ? (size_t)n : 0);
        if (n < 0 && errno != EINTR)
            return errno == ECONNABORTED ? -ENOTCONN : -errno;
        if (n == 0)
            return 0;
        r = visit_lines(t, visit, ctx);
    }
    return r;
}
