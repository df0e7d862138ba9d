/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A model of a kernel with io_uring IPC channels. */
#include "uringmodel.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "macros.h"
#include "mapping.h"

#define FD_NAME "[io_uring_ipc]"
#define FD_LINK "/memfd:" FD_NAME " (deleted)"

enum { RINGS = 64, CHANNELS = 64, SUBS = 128, REMEMBERED = 8, LAZY = 16 };

struct ring {
    pid_t pid; /* 0: unused */
    int fd;
    uint32_t destroyed[REMEMBERED];
    uint32_t n_destroyed;
};

struct channel {
    bool used;
    uint32_t id; /* 0: destroyed, but still attached to */
    uint32_t linger;
    uint64_t order;
    pid_t pid; /* who made it: its descriptor @fd is the file */
    int fd;
    int ring; /* index */
    uint32_t flags, entries, max_msg, mode;
    uint64_t key;
    uid_t uid;
    gid_t gid;
    uint32_t tail, head; /* head: the common one */
};

struct sub {
    uint32_t id; /* 0: unused */
    int ring, channel;
    int fd; /* of its process */
    uint32_t flags, head;
};

struct state {
    pthread_mutex_t lock;
    struct umodel_quirks quirks;
    struct io_uring_sqe last;
    uint64_t submitted, order, receivers;
    uint32_t next_sub;
    struct ring rings[RINGS];
    struct channel channels[CHANNELS];
    struct sub subs[SUBS];
};

static struct state *m;
static struct uringk_calls real;

static void lock(void)
{
    if (pthread_mutex_lock(&m->lock) == EOWNERDEAD)
        pthread_mutex_consistent(&m->lock);
}

static void unlock(void)
{
    pthread_mutex_unlock(&m->lock);
}

/* ---- rings and channels that go -------------------------------------------------------------- */

static bool attached(int channel)
{
    for (int i = 0; i < SUBS; i++)
        if (m->subs[i].id && m->subs[i].channel == channel)
            return true;
    return false;
}

static struct channel *by_id(uint32_t id)
{
    for (int i = 0; i < CHANNELS; i++)
        if (m->channels[i].used && m->channels[i].id == id)
            return &m->channels[i];
    return NULL;
}

static int index_of(const struct channel *c)
{
    return (int)(c - m->channels);
}

static void destroy(struct channel *c)
{
    c->id = 0;
    if (c->pid == getpid()) /* those who are attached have descriptors of their own */
        close(c->fd);
    if (!attached(index_of(c)))
        c->used = false;
}

static void end_ring(int r)
{
    struct ring *ring = &m->rings[r];

    for (int i = 0; i < SUBS; i++)
        if (m->subs[i].id && m->subs[i].ring == r)
            m->subs[i].id = 0;
    for (int i = 0; i < CHANNELS; i++) {
        struct channel *c = &m->channels[i];

        if (c->used && c->id && c->ring == r && m->quirks.linger)
            c->linger = m->quirks.linger;
        else if (c->used && c->id && c->ring == r)
            destroy(c);
    }
    /* What it remembers it takes along, whosever it is by now. */
    for (uint32_t i = 0; i < ring->n_destroyed; i++) {
        struct channel *c = by_id(ring->destroyed[i]);

        if (c)
            destroy(c);
    }
    *ring = (struct ring){0};
}

static void reap(void)
{
    for (int i = 0; i < RINGS; i++)
        if (m->rings[i].pid && kill(m->rings[i].pid, 0) < 0 && errno == ESRCH)
            end_ring(i);
}

static int ring_of(int fd)
{
    for (int i = 0; i < RINGS; i++)
        if (m->rings[i].pid == getpid() && m->rings[i].fd == fd)
            return i;
    return -1;
}

static int model_setup(struct io_uring_params *p _unused_)
{
    int fd = eventfd(0, EFD_CLOEXEC), r = -ENFILE;

    lock();
    reap();
    for (int i = 0; i < RINGS && r < 0 && fd >= 0; i++)
        if (!m->rings[i].pid) {
            m->rings[i] = (struct ring){.pid = getpid(), .fd = fd};
            r = fd;
        }
    unlock();
    return r;
}

static void model_gone(int fd)
{
    lock();
    if (ring_of(fd) >= 0)
        end_ring(ring_of(fd));
    unlock();
}

/* ---- registering ----------------------------------------------------------------------------- */

static bool any(const uint32_t *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (v[i])
            return true;
    return false;
}

/* The file of a channel, as a descriptor of the caller: one more of the same file. */
static int file_of(const struct channel *c)
{
    _cleanup_(closep) int pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);

    return pidfd < 0 ? -errno : (int)syscall(SYS_pidfd_getfd, pidfd, c->fd, 0);
}

static int make_file(struct channel *c)
{
    struct uring_ipc_ring head = {
        .ring_mask = c->entries - 1, .ring_entries = c->entries, .max_msg_size = c->max_msg};

    c->fd = memfd_create(FD_NAME, MFD_CLOEXEC);
    if (c->fd < 0 || ftruncate(c->fd, (off_t)ringmap_size(c->entries, c->max_msg)) < 0 ||
        pwrite(c->fd, &head, sizeof(head), 0) != sizeof(head))
        return -ENOMEM;
    return 0;
}

static int model_create(int ring, struct uring_ipc_create *a)
{
    struct ring *r = &m->rings[ring];
    struct channel *c = NULL;
    uint32_t id = 1;

    if (a->flags & ~7U || (a->flags & 3U) == 3U || any(a->reserved, 3) ||
        !ringmap_size(a->ring_entries, a->max_msg_size))
        return -EINVAL;
    for (int i = 0; i < CHANNELS && !c; i++)
        if (!m->channels[i].used)
            c = &m->channels[i];
    if (!c)
        return -ENOMEM;
    while (by_id(id))
        id++;
    for (uint32_t i = 0; i < r->n_destroyed; i++)
        if (r->destroyed[i] == id)
            return -EBUSY;
    if (m->quirks.busy) {
        m->quirks.busy--;
        return -EBUSY;
    }
    *c = (struct channel){.used = true,
                          .id = id,
                          .order = ++m->order,
                          .pid = getpid(),
                          .ring = ring,
                          .flags = a->flags,
                          .entries = a->ring_entries,
                          .max_msg = a->max_msg_size,
                          .mode = a->mode & 0666,
                          .key = a->key,
                          .uid = geteuid(),
                          .gid = getegid()};
    a->channel_id_out = id;
    if (make_file(c) < 0)
        return -ENOMEM;
    if (m->quirks.vanish) {
        m->quirks.vanish--;
        destroy(c);
    }
    return 0;
}

static bool permitted(const struct channel *c, uint32_t flags)
{
    uint32_t bits = c->uid == geteuid()   ? c->mode >> 6
                    : c->gid == getegid() ? c->mode >> 3
                                          : c->mode;

    return !(flags & URING_IPC_SUB_SEND && !(bits & 2)) &&
           !(flags & URING_IPC_SUB_RECV && !(bits & 4));
}

static struct channel *by_key(uint64_t key)
{
    struct channel *c = NULL;

    for (int i = 0; i < CHANNELS; i++) {
        struct channel *k = &m->channels[i];

        if (k->used && k->id && k->key == key && (!c || k->order > c->order))
            c = k;
    }
    return c;
}

static int model_attach(int ring, struct uring_ipc_attach *a)
{
    struct channel *c;
    struct sub *s = NULL;
    int fd;

    if (!a->flags || a->flags & ~3U || any(a->reserved, 3))
        return -EINVAL;
    if (m->quirks.going) {
        m->quirks.going--;
        return -EINVAL;
    }
    c = a->key ? by_key(a->key) : a->channel_id ? by_id(a->channel_id) : NULL;
    if (c && c->linger && --c->linger == 0)
        destroy(c);
    if (!c || !c->id)
        return -ENOENT;
    if (!permitted(c, a->flags))
        return -EACCES;
    for (int i = 0; i < SUBS && !s; i++)
        if (!m->subs[i].id)
            s = &m->subs[i];
    fd = s ? file_of(c) : -ENOMEM;
    if (fd < 0)
        return -ENOMEM;
    if (m->quirks.next_sub)
        m->next_sub = m->quirks.next_sub - 1;
    m->quirks.next_sub = 0;
    m->receivers += (a->flags & URING_IPC_SUB_RECV) != 0;
    *s = (struct sub){
        .id = ++m->next_sub, .ring = ring, .channel = index_of(c), .fd = fd, .flags = a->flags};
    a->local_id_out = s->id;
    a->channel_fd = fd;
    a->mmap_offset_out = 0;
    a->region_size = (uint32_t)ringmap_size(c->entries, c->max_msg);
    return 0;
}

static struct sub *own_sub(int ring, uint32_t id)
{
    for (int i = 0; i < SUBS; i++)
        if (id && m->subs[i].id == id && m->subs[i].ring == ring)
            return &m->subs[i];
    return NULL;
}

static int model_detach(int ring, uint32_t id)
{
    struct sub *s = own_sub(ring, id);
    struct channel *c;

    if (!s)
        return -ENOENT;
    c = &m->channels[s->channel];
    s->id = 0;
    if (!c->id && !attached(s->channel))
        c->used = false;
    return 0;
}

static int model_destroy(int ring, uint32_t id)
{
    struct ring *r = &m->rings[ring];
    struct channel *c = id ? by_id(id) : NULL;

    if (!c)
        return -ENOENT;
    destroy(c);
    if (r->n_destroyed < REMEMBERED)
        r->destroyed[r->n_destroyed++] = id;
    return 0;
}

static int model_probe(struct io_uring_probe *p, unsigned int nr)
{
    p->last_op = m->quirks.absent ? URING_IPC_OP_SEND - 1 : URING_IPC_OP_RECV;
    for (unsigned int i = 0; i < nr && i <= p->last_op; i++)
        p->ops[i].flags = IO_URING_OP_SUPPORTED;
    return 0;
}

static int dispatch(int ring, unsigned int opcode, void *arg, unsigned int nr)
{
    bool with_arg = opcode == URING_IPC_REGISTER_CREATE || opcode == URING_IPC_REGISTER_ATTACH;

    if (opcode == IORING_REGISTER_PROBE)
        return model_probe(arg, nr);
    if (m->quirks.absent || (with_arg ? !arg || nr != 1 : arg != NULL))
        return -EINVAL;
    switch (opcode) {
    case URING_IPC_REGISTER_CREATE:
        return model_create(ring, arg);
    case URING_IPC_REGISTER_ATTACH:
        return model_attach(ring, arg);
    case URING_IPC_REGISTER_DETACH:
        return model_detach(ring, nr);
    case URING_IPC_REGISTER_DESTROY:
        return model_destroy(ring, nr);
    default:
        return -EINVAL;
    }
}

static int model_register(int fd, unsigned int opcode, void *arg, unsigned int nr)
{
    int r = -EBADF, ring;

    lock();
    reap();
    ring = ring_of(fd);
    if (ring >= 0)
        r = dispatch(ring, opcode, arg, nr);
    unlock();
    return r;
}

/* ---- sending and receiving ------------------------------------------------------------------- */

static uint32_t slowest(const struct channel *c)
{
    uint32_t most = 0;

    for (int i = 0; i < SUBS; i++) {
        const struct sub *s = &m->subs[i];

        if (s->id && s->channel == index_of(c) && s->flags & URING_IPC_SUB_RECV)
            most = MAX(most, c->tail - s->head);
    }
    return c->tail - most;
}

/* Through the subscriber's descriptor: who made the channel may have gone. */
static unsigned char *map_channel(const struct channel *c, const struct sub *s)
{
    _cleanup_(closep) int fd = s ? dup(s->fd) : file_of(c);
    void *p = MAP_FAILED;

    if (fd >= 0)
        p = mmap(NULL, ringmap_size(c->entries, c->max_msg), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                 0);
    return p == MAP_FAILED ? NULL : p;
}

static void unmap_channel(const struct channel *c, unsigned char *base)
{
    munmap(base, ringmap_size(c->entries, c->max_msg));
}

static void set_consumer(unsigned char *base, uint32_t head)
{
    __atomic_store_n(&((struct uring_ipc_ring *)(void *)base)->consumer_head, head,
                     __ATOMIC_RELEASE);
}

static struct uring_ipc_desc *desc_of(const struct channel *c, unsigned char *base, uint32_t p)
{
    return (void *)(base + ringmap_desc_offset(c->entries, p));
}

static unsigned char *slot_of(const struct channel *c, unsigned char *base, uint32_t p)
{
    return base + uring_ipc_data_offset(c->entries) + (size_t)(p & (c->entries - 1)) * c->max_msg;
}

static bool is_full(const struct channel *c, unsigned char *base)
{
    if (c->flags & URING_IPC_F_BROADCAST) {
        if (c->tail - slowest(c) < c->entries)
            return false;
        set_consumer(base, slowest(c));
        return true;
    }
    return c->tail - c->head >= c->entries;
}

static void publish(struct channel *c, unsigned char *base, const struct io_uring_sqe *sqe)
{
    uint32_t p = c->tail++;
    struct uring_ipc_desc *d = desc_of(c, base, p);

    __atomic_store_n(&((struct uring_ipc_ring *)(void *)base)->producer_tail, c->tail,
                     __ATOMIC_RELEASE);
    d->offset = (uint64_t)(p & (c->entries - 1)) * c->max_msg;
    d->len = sqe->len;
    d->msg_id = p + 2;
    d->sender_data = sqe->user_data;
    memcpy(slot_of(c, base, p), (const void *)(uintptr_t)sqe->addr, sqe->len);
    __atomic_store_n(&d->seq, p + 1, __ATOMIC_RELEASE);
}

static bool is_receiver(const struct channel *c, uint32_t id)
{
    for (int i = 0; i < SUBS; i++)
        if (m->subs[i].id == id && m->subs[i].channel == index_of(c) &&
            m->subs[i].flags & URING_IPC_SUB_RECV)
            return true;
    return false;
}

static int model_send(int ring, const struct io_uring_sqe *sqe)
{
    struct sub *s = own_sub(ring, (uint32_t)sqe->fd);
    struct channel *c = s ? &m->channels[s->channel] : by_id((uint32_t)sqe->fd);
    unsigned char *base;
    int r = (int)sqe->len;

    if (!c)
        return -ENOENT;
    if (s ? !(s->flags & URING_IPC_SUB_SEND) : !permitted(c, URING_IPC_SUB_SEND))
        return -EACCES;
    if (sqe->len > c->max_msg)
        return -EMSGSIZE;
    base = map_channel(c, s);
    if (!base)
        return -ENOMEM;
    if (is_full(c, base)) {
        r = -ENOBUFS;
    } else {
        publish(c, base, sqe);
        if (sqe->file_index && !is_receiver(c, sqe->file_index))
            r = -ENOENT; /* all the same */
    }
    unmap_channel(c, base);
    return r;
}

static void advance(struct channel *c, struct sub *s, unsigned char *base)
{
    if (c->flags & URING_IPC_F_MULTICAST) {
        set_consumer(base, ++c->head);
        return;
    }
    s->head++;
    if (!(c->flags & URING_IPC_F_BROADCAST))
        set_consumer(base, c->head = s->head);
    else if (s->head % LAZY == 0)
        set_consumer(base, slowest(c));
}

static int model_recv(int ring, const struct io_uring_sqe *sqe)
{
    struct sub *s = own_sub(ring, (uint32_t)sqe->fd);
    unsigned char *base;
    struct channel *c;
    uint32_t p;
    int r = -EAGAIN;

    if (!s)
        return -ENOENT;
    if (!(s->flags & URING_IPC_SUB_RECV))
        return -EACCES;
    c = &m->channels[s->channel];
    base = map_channel(c, s);
    if (!base)
        return -ENOMEM;
    p = c->flags & URING_IPC_F_MULTICAST ? c->head : s->head;
    if (desc_of(c, base, p)->seq == p + 1) {
        r = (int)MIN(desc_of(c, base, p)->len, sqe->len);
        memcpy((void *)(uintptr_t)sqe->addr, slot_of(c, base, p), (size_t)r);
        advance(c, s, base);
    }
    unmap_channel(c, base);
    return r;
}

static int model_run(int fd, const struct io_uring_sqe *sqe)
{
    int r = -EINVAL, ring;

    lock();
    reap();
    m->last = *sqe;
    m->submitted++;
    ring = ring_of(fd);
    if (ring >= 0 && !sqe->ioprio && !sqe->rw_flags && !sqe->buf_index && !sqe->personality)
        r = sqe->opcode == URING_IPC_OP_SEND   ? model_send(ring, sqe)
            : sqe->opcode == URING_IPC_OP_RECV ? model_recv(ring, sqe)
                                               : -EINVAL;
    unlock();
    return r;
}

/* ---- installing ------------------------------------------------------------------------------ */

void umodel_install(void)
{
    pthread_mutexattr_t attr;

    if (!m) {
        m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (m == MAP_FAILED)
            abort();
        pthread_mutexattr_init(&attr);
        pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
        pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
        pthread_mutex_init(&m->lock, &attr);
        m->next_sub = 100;
        real = uringk_calls;
    }
    uringk_calls = (struct uringk_calls){
        .setup = model_setup,
        .registers = model_register,
        .run = model_run,
        .gone = model_gone,
        .fd_link = FD_LINK,
    };
}

void umodel_remove(void)
{
    if (real.setup)
        uringk_calls = real;
}

struct umodel_quirks *umodel_quirks(void)
{
    return &m->quirks;
}

const struct io_uring_sqe *umodel_last(void)
{
    return &m->last;
}

uint64_t umodel_submitted(void)
{
    return m->submitted;
}

uint64_t umodel_receivers(void)
{
    return m->receivers;
}

uint64_t umodel_created(void)
{
    return m->order;
}
