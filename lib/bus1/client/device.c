/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The two kinds of devices: a file, whose ioctls a kernel or a server runs, and a bus in this
 * process.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bus1_abi.h"
#include "bus_client.h"
#include "bus_ioctl.h"
#include "macros.h"

static int file_open(void *ctx)
{
    int fd = open(ctx, O_RDWR | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

static int file_ioctl(void *ctx _unused_, int fd, unsigned int cmd, void *arg)
{
    int r = ioctl(fd, cmd, arg);

    return r < 0 ? -errno : r;
}

static int file_poll(void *ctx _unused_, int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int r = poll(&p, 1, timeout_ms);

    if (r > 0 && (p.revents & (POLLERR | POLLNVAL)) && !(p.revents & POLLIN))
        return p.revents & POLLNVAL ? -EBADF : -ENOTCONN;
    return r < 0 ? -errno : r;
}

static void file_close(void *ctx _unused_, int fd)
{
    close(fd);
}

void b1_device_file(struct b1_device *dev, const char *path)
{
    *dev = (struct b1_device){file_open, file_ioctl, file_poll, file_close,
                              (void *)(uintptr_t)path};
}

struct b1_embedded {
    struct b1_bus *bus;
    struct b1_peer **peers; /* indexed by descriptor; NULL: closed */
    size_t n_peers;
#ifdef BUS1_RFC_DEFECTS
    unsigned int oopses;
#endif
};

struct b1_peer *b1_embedded_peer(const struct b1_embedded *m, int fd)
{
    return fd >= 0 && (size_t)fd < m->n_peers ? m->peers[fd] : NULL;
}

static int own_read(void *ctx _unused_, const struct vm_range *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (v[i].n) {
            if (!v[i].remote)
                return -EFAULT;
            memcpy(v[i].local, (const void *)(uintptr_t)v[i].remote, v[i].n);
        }
    return 0;
}

static int own_write(void *ctx _unused_, const struct vm_range *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (v[i].n) {
            if (!v[i].remote)
                return -EFAULT;
            memcpy((void *)(uintptr_t)v[i].remote, v[i].local, v[i].n);
        }
    return 0;
}

static int own_peer(void *ctx, uint64_t fd, struct b1_peer **ret)
{
    struct b1_peer *p = b1_embedded_peer(ctx, (int)fd);

    if (!p)
        return -EBADF;
    *ret = b1_peer_ref(p);
    return 0;
}

#ifdef BUS1_RFC_DEFECTS
unsigned int b1_embedded_oopses(const struct b1_embedded *m)
{
    return m->oopses;
}

static int own_oops(void *ctx)
{
    struct b1_embedded *m = ctx;

    m->oopses++;
    return -EIO;
}
#endif

static const struct b1_client_ops own_ops = {
    .read = own_read,
    .write = own_write,
    .peer = own_peer,
#ifdef BUS1_RFC_DEFECTS
    .oops = own_oops,
#endif
};

static int own_open(void *ctx)
{
    struct b1_embedded *m = ctx;
    struct b1_peer **p = realloc(m->peers, (m->n_peers + 1) * sizeof(struct b1_peer *));
    int r;

    if (!p)
        return -ENOMEM;
    m->peers = p;
    r = b1_peer_new(m->bus, (uint32_t)geteuid(), NULL, &m->peers[m->n_peers]);
    return r < 0 ? r : (int)m->n_peers++;
}

static int own_ioctl(void *ctx, int fd, unsigned int cmd, void *arg)
{
    struct b1_peer *p = b1_embedded_peer(ctx, fd);

    return p ? b1_ioctl(p, cmd, arg, &own_ops, ctx) : -EBADF;
}

/* No other thread or process can send to a bus in this process, so a wait would never end. */
static int own_poll(void *ctx, int fd, int timeout_ms _unused_)
{
    struct b1_peer *p = b1_embedded_peer(ctx, fd);

    if (!p)
        return -EBADF;
    return b1_peer_readable(p) ? 1 : -EDEADLK;
}

static void own_close(void *ctx, int fd)
{
    struct b1_embedded *m = ctx;

    if (b1_embedded_peer(m, fd))
        b1_peer_close(TAKE_PTR(m->peers[fd]));
}

int b1_embedded_new(const struct b1_config *cfg, struct b1_device *dev, struct b1_embedded **ret)
{
    struct b1_embedded *m = calloc(1, sizeof(*m));
    int r;

    if (!m)
        return -ENOMEM;
    r = b1_bus_new(cfg, &m->bus);
    if (r < 0) {
        free(m);
        return r;
    }
    *dev = (struct b1_device){own_open, own_ioctl, own_poll, own_close, m};
    *ret = m;
    return 0;
}

void b1_embedded_free(struct b1_embedded *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->n_peers; i++)
        own_close(m, (int)i);
    b1_bus_free(m->bus);
    free(m->peers);
    free(m);
}
