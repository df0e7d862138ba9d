/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A client that lives with both kinds of bus1. */
#include "bus_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "bus1_abi.h"
#include "cleanup.h"
#include "macros.h"
#include "timefmt.h"

enum {
    DATA_START = 64 * 1024,
    DATA_MAX = 1024 * 1024 * 1024,
    /* room for transfers, in an array whose end adjoins a page that cannot be written */
    TRANSFERS = 16384,
};

struct known_id {
    uint64_t id;
    bool is_node;
};

struct b1_client {
    struct b1_device dev;
    int fd;
    bool single;
    bool knows; /* all ids of the peer are known */
    struct known_id *ids;
    size_t n_ids;
    size_t ids_cap;
    char *data;
    size_t data_cap;
    struct bus1_transfer *transfers;
    uint64_t *received;
    void *guarded;
    size_t guarded_size;
};

const char *b1_client_error(int r)
{
    switch (r) {
    case -EBADRQC:
        return "this peer has no such handle or node, or what it leads to is gone";
    case -EDQUOT:
        return "over a quota: the bus limits the peers, nodes, handles and waiting messages of a "
               "user, and the size of a message";
    case -ENOTCONN:
    case -ESHUTDOWN:
        return "the bus has ended";
    case -ENOTTY:
        return "it is not a bus1";
    case -ETIMEDOUT:
        return "nothing came in time";
    default:
        return err_text(NULL, r);
    }
}

static uint64_t ptr(const void *p)
{
    return (uint64_t)(uintptr_t)p;
}

static int call(struct b1_client *c, unsigned int cmd, void *arg)
{
    return c->dev.ioctl(c->dev.ctx, c->fd, cmd, arg);
}

int b1_probe(const struct b1_device *dev, bool *single)
{
    struct bus1_transfer src[2] = {{BUS1_TRANSFER_FLAG_CREATE, BUS1_INVALID},
                                   {BUS1_TRANSFER_FLAG_CREATE, BUS1_INVALID}};
    struct bus1_transfer dst[2];
    struct bus1_cmd_transfer cmd = {
        .to = BUS1_INVALID, .n_transfers = 2, .ptr_src = ptr(src), .ptr_dst = ptr(dst)};
    int fd = dev->open(dev->ctx), r;

    if (fd < 0)
        return fd;
    r = dev->ioctl(dev->ctx, fd, BUS1_CMD_TRANSFER, &cmd);
    dev->close(dev->ctx, fd);
    if (r < 0 && r != -EINVAL)
        return r;
    *single = r < 0;
    return 0;
}

/*
 * Makes the array for received transfers. The RFC's code ignores its length, so the page after it
 * cannot be written.
 */
static int guarded_new(struct b1_client *c)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t size = (TRANSFERS * sizeof(struct bus1_transfer) + page - 1) / page * page;
    char *p = mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        return -errno;
    c->guarded = p;
    c->guarded_size = size + page;
    if (mprotect(p + size, page, PROT_NONE) < 0)
        return -errno;
    c->transfers = (struct bus1_transfer *)(void *)(p + size) - TRANSFERS;
    return 0;
}

static int client_new(const struct b1_device *dev, bool single, int fd, bool knows,
                      struct b1_client **ret)
{
    struct b1_client *c = calloc(1, sizeof(*c));
    int r;

    if (!c)
        return -ENOMEM;
    c->dev = *dev;
    c->fd = -1;
    c->single = single;
    c->knows = knows;
    r = guarded_new(c);
    if (r < 0) {
        b1_client_close(c);
        return r;
    }
    c->fd = fd;
    *ret = c;
    return 0;
}

int b1_client_open(const struct b1_device *dev, bool single, struct b1_client **ret)
{
    int fd = dev->open(dev->ctx), r;

    if (fd < 0)
        return fd;
    r = client_new(dev, single, fd, true, ret);
    if (r < 0)
        dev->close(dev->ctx, fd);
    return r;
}

int b1_client_adopt(const struct b1_device *dev, bool single, int fd, struct b1_client **ret)
{
    return client_new(dev, single, fd, false, ret);
}

void b1_client_close(struct b1_client *c)
{
    if (!c)
        return;
    if (c->fd >= 0)
        c->dev.close(c->dev.ctx, c->fd);
    if (c->guarded)
        munmap(c->guarded, c->guarded_size);
    free(c->ids);
    free(c->data);
    free(c->received);
    free(c);
}

int b1_client_fd(const struct b1_client *c)
{
    return c->fd;
}

/* Makes room for @n more ids, so that adding them cannot fail later. */
static int ids_reserve(struct b1_client *c, size_t n)
{
    size_t cap = MAX(c->ids_cap * 2, c->n_ids + n);
    struct known_id *p;

    if (c->n_ids + n <= c->ids_cap)
        return 0;
    p = realloc(c->ids, cap * sizeof(*p));
    if (!p)
        return -ENOMEM;
    c->ids = p;
    c->ids_cap = cap;
    return 0;
}

static void id_keep(struct b1_client *c, uint64_t id, bool is_node)
{
    c->ids[c->n_ids++] = (struct known_id){id, is_node};
}

static struct known_id *id_find(const struct b1_client *c, uint64_t id)
{
    for (size_t i = 0; i < c->n_ids; i++)
        if (c->ids[i].id == id)
            return &c->ids[i];
    return NULL;
}

/*
 * Tells whether a message may carry an id: the RFC's code crashes on unknown ids and on ids of
 * nodes.
 */
static bool id_may_go_along(const struct b1_client *c, uint64_t id)
{
    const struct known_id *known = c->knows ? id_find(c, id) : NULL;

    return known && !known->is_node;
}

/* Tells whether an id may be passed to the bus: in places the RFC's code crashes on unknown ids. */
static bool id_usable(const struct b1_client *c, uint64_t id)
{
    return !c->knows || id_find(c, id);
}

static int transfer_one(struct b1_client *c, struct b1_client *to, struct bus1_transfer *src,
                        uint64_t *ret)
{
    /* A server may answer without setting the id. */
    struct bus1_transfer dst = {.id = BUS1_INVALID};
    struct bus1_cmd_transfer cmd = {
        .to = to == c ? BUS1_INVALID : (uint64_t)to->fd,
        .n_transfers = 1,
        .ptr_src = ptr(src),
        .ptr_dst = ptr(&dst),
    };
    int r = ids_reserve(c, 2);

    if (r == 0)
        r = ids_reserve(to, 1);
    if (r == 0)
        r = call(c, BUS1_CMD_TRANSFER, &cmd);
    if (r < 0)
        return r;
    id_keep(to, dst.id, false);
    *ret = dst.id;
    return 0;
}

int b1_client_node(struct b1_client *c, struct b1_client *to, uint64_t *node, uint64_t *handle)
{
    struct bus1_transfer src = {BUS1_TRANSFER_FLAG_CREATE, BUS1_INVALID};
    int r = transfer_one(c, to, &src, handle);

    if (r < 0)
        return r;
    id_keep(c, src.id, true);
    *node = src.id;
    return 0;
}

int b1_client_give(struct b1_client *c, struct b1_client *to, uint64_t handle, uint64_t *ret)
{
    struct bus1_transfer src = {.id = handle};

    return id_usable(c, handle) ? transfer_one(c, to, &src, ret) : -EBADRQC;
}

/*
 * Refuses several ids where the RFC's code cannot take them in one transaction: several calls would
 * have another effect.
 */
static int check_single(const struct b1_client *c, size_t n, const char *what, struct err *e)
{
    if (!c->single || n <= 1)
        return 0;
    return err_set(e, -EOPNOTSUPP, "one at a time works",
                   "this kernel's bus1 garbles arrays: it cannot %s in one transaction", what);
}

int b1_client_release(struct b1_client *c, const uint64_t *ids, size_t n, struct err *e)
{
    struct bus1_cmd_release cmd = {.n_ids = n, .ptr_ids = ptr(ids)};
    int r = check_single(c, n, "release several ids", e);

    if (r < 0)
        return r;
    for (size_t i = 0; i < n; i++)
        if (!id_usable(c, ids[i]))
            return -EBADRQC;
    r = call(c, BUS1_CMD_RELEASE, &cmd);
    for (size_t i = 0; r >= 0 && i < n; i++) {
        struct known_id *at = id_find(c, ids[i]);

        if (at)
            *at = c->ids[--c->n_ids];
    }
    return r < 0 ? r : 0;
}

/*
 * Names the destination that made a SEND fail. A conforming bus writes an int32 for each
 * destination.
 */
static void name_culprit(const struct b1_client *c, const uint64_t *to, size_t n,
                         const uint64_t *errors, int r, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        int64_t error = (int64_t)errors[i];
        int32_t narrow;

        memcpy(&narrow, (const char *)errors + i * sizeof(narrow), sizeof(narrow));
        if (!c->single)
            error = narrow;
        if (error < 0 && error >= -4095) {
            err_set(e, r, NULL, "handle %llu: %s; nothing was sent", (unsigned long long)to[i],
                    strerror((int)-error));
            return;
        }
    }
}

int b1_client_send(struct b1_client *c, const uint64_t *to, size_t n, const void *data, size_t len,
                   const uint64_t *carry, size_t n_carry, struct err *e)
{
    _cleanup_(freep) struct bus1_transfer *transfers = calloc(n_carry + 1, sizeof(*transfers));
    /* The RFC's code writes a u64 for each destination. */
    _cleanup_(freep) uint64_t *errors = calloc(n + 1, sizeof(*errors));
    struct iovec vec = {(void *)(uintptr_t)data, len};
    struct bus1_message msg = {
        .type = BUS1_MESSAGE_TYPE_USER,
        .n_transfers = n_carry,
        .ptr_transfers = ptr(transfers),
        .n_data = len,
        .n_data_vecs = len ? 1 : 0,
        .ptr_data_vecs = ptr(&vec),
    };
    struct bus1_cmd_send cmd = {
        .n_destinations = n,
        .ptr_destinations = ptr(to),
        .ptr_errors = ptr(errors),
        .ptr_message = ptr(&msg),
    };
    int r = check_single(c, n, "send to several handles", e);

    if (r == 0)
        r = check_single(c, n_carry, "pass several handles", e);
    if (r < 0)
        return r;
    if (!transfers || !errors)
        return -ENOMEM;
    for (size_t i = 0; i < n_carry; i++) {
        if (!id_may_go_along(c, carry[i]))
            return err_set(e, -EBADRQC, NULL, "a handle that goes along is not one of this peer");
        transfers[i].id = carry[i];
    }
    r = call(c, BUS1_CMD_SEND, &cmd);
    if (r < 0 && n > 1)
        name_culprit(c, to, n, errors, r, e);
    return r < 0 ? r : 0;
}

/* Makes room for @n bytes of data. */
static int data_reserve(struct b1_client *c, size_t n)
{
    char *p;

    if (n <= c->data_cap)
        return 0;
    p = realloc(c->data, n);
    if (!p)
        return -ENOMEM;
    c->data = p;
    c->data_cap = n;
    return 0;
}

static int recv_once(struct b1_client *c, struct bus1_message *msg, struct bus1_metadata *meta)
{
    struct iovec vec = {c->data, c->data_cap};
    struct bus1_cmd_recv cmd = {.ptr_metadata = ptr(meta), .ptr_message = ptr(msg)};

    *meta = (struct bus1_metadata){.account = BUS1_INVALID};
    *msg = (struct bus1_message){
        .type = BUS1_INVALID,
        .n_transfers = TRANSFERS,
        .ptr_transfers = ptr(c->transfers),
        .n_data = c->data_cap,
        .n_data_vecs = 1,
        .ptr_data_vecs = ptr(&vec),
    };
    return call(c, BUS1_CMD_RECV, &cmd);
}

/*
 * Keeps the handles that the message carried. The RFC's code writes the array by bytes: then only
 * the last id in it is intact.
 */
static int recv_keep(struct b1_client *c, const struct bus1_message *msg, struct b1_received *m)
{
    size_t n = (size_t)msg->n_transfers;
    const char *at = (const char *)c->transfers;
    uint64_t *p = realloc(c->received, (n + 1) * sizeof(*p));

    if (!p)
        return -ENOMEM;
    c->received = p;
    if (c->single && n > 1) {
        m->lost_ids = n - 1;
        at += n - 1;
        n = 1;
    }
    for (size_t i = 0; i < n; i++) {
        struct bus1_transfer t;

        memcpy(&t, at + i * sizeof(t), sizeof(t));
        c->received[i] = t.id;
        id_keep(c, t.id, false);
    }
    m->transfers = c->received;
    m->n_transfers = n;
    return 0;
}

int b1_client_recv(struct b1_client *c, struct b1_received *m, struct err *e)
{
    struct bus1_message msg;
    struct bus1_metadata meta;
    size_t want;
    int r = ids_reserve(c, TRANSFERS);

    if (r == 0)
        r = data_reserve(c, DATA_START);
    while (r == 0) {
        r = recv_once(c, &msg, &meta);
        if (r != -EMSGSIZE)
            break;
        if (msg.n_transfers > TRANSFERS)
            return err_set(e, -EMSGSIZE, NULL, "a message carries more than %d handles", TRANSFERS);
        if (c->data_cap >= DATA_MAX)
            return err_set(e, -EMSGSIZE, NULL, "a message is larger than %d bytes", DATA_MAX);
        /* A conforming bus has returned the length of the message; the RFC's code has not. */
        want = MAX(c->data_cap * 2, (size_t)msg.n_data);
        r = data_reserve(c, MIN(want, (size_t)DATA_MAX));
    }
    if (r < 0)
        return r;
    if (msg.n_data > c->data_cap || msg.n_transfers > TRANSFERS)
        return err_set(e, -EPROTO, NULL, "the bus reports more than it was given room for");
    *m = (struct b1_received){
        .type = msg.type,
        .id = meta.id,
        .account = meta.account,
        .data = c->data,
        .len = (size_t)msg.n_data,
    };
    return recv_keep(c, &msg, m);
}

int b1_client_wait(struct b1_client *c, int timeout_ms, struct b1_received *m, struct err *e)
{
    uint64_t start = timefmt_now(CLOCK_MONOTONIC);

    for (;;) {
        const struct timespec pause = {.tv_nsec = NSEC_PER_MSEC};
        uint64_t waited;
        int left = -1, r = b1_client_recv(c, m, e);

        if (r != -EAGAIN)
            return r;
        waited = (timefmt_now(CLOCK_MONOTONIC) - start) / NSEC_PER_MSEC;
        if (timeout_ms >= 0 && waited >= (uint64_t)timeout_ms)
            return -ETIMEDOUT;
        if (timeout_ms >= 0)
            left = timeout_ms - (int)waited;
        r = c->dev.poll(c->dev.ctx, c->fd, left);
        if (r < 0)
            return r;
        /* With the RFC's code POLLIN may stay set, which must not make this loop spin. */
        r = b1_client_recv(c, m, e);
        if (r != -EAGAIN)
            return r;
        nanosleep(&pause, NULL);
    }
}
