// SPDX-License-Identifier: LGPL-2.1-or-later
/* Reading a ring buffer that wakes its reader lazily. */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "caps.h"
#include "cleanup.h"
#include "kring.h"

enum {
    DEFAULT_SIZE = 16 << 20,
    BATCH = 16384,  /* records read before the user gets to do something else */
    IDLE_TICKS = 3, /* of the timer, before it rests until the next wake-up */
};

struct kring {
    struct ring_buffer *ring;
    uint64_t latency;
    kring_fn visit;
    void *ctx;
    int epoll;
    int timer;
    unsigned int idle;
    unsigned int batch;
};

/* Called by libbpf. A negative value ends the reading behind this record. */
static int on_record(void *ctx, void *data, size_t size)
{
    struct kring *k = ctx;

    k->idle = 0;
    return k->visit(k->ctx, data, size) || ++k->batch >= BATCH ? -ECANCELED : 0;
}

static int open_descriptors(struct kring *k, int map_fd)
{
    struct epoll_event ev = {.events = EPOLLIN};
    uint64_t raised = caps_raise_bpf();

    k->ring = ring_buffer__new(map_fd, on_record, k, NULL);
    caps_lower_bpf(raised);
    if (!k->ring)
        return -errno;
    k->epoll = epoll_create1(EPOLL_CLOEXEC);
    k->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (k->epoll < 0 || k->timer < 0 || epoll_ctl(k->epoll, EPOLL_CTL_ADD, k->timer, &ev) < 0 ||
        epoll_ctl(k->epoll, EPOLL_CTL_ADD, ring_buffer__epoll_fd(k->ring), &ev) < 0)
        return -errno;
    return 0;
}

int kring_new(int map_fd, uint64_t latency_ns, kring_fn visit, void *ctx, struct kring **ret)
{
    struct kring *k = calloc(1, sizeof(*k));
    int r;

    if (!k)
        return -ENOMEM;
    *k = (struct kring){
        .latency = latency_ns, .visit = visit, .ctx = ctx, .epoll = -1, .timer = -1};
    r = open_descriptors(k, map_fd);
    if (r < 0) {
        kring_free(k);
        return r;
    }
    *ret = k;
    return 0;
}

void kring_free(struct kring *k)
{
    if (!k)
        return;
    ring_buffer__free(k->ring);
    closep(&k->epoll);
    closep(&k->timer);
    free(k);
}

int kring_fd(const struct kring *k)
{
    return k->epoll;
}

static int rearm(const struct kring *k, bool at_once)
{
    const struct itimerspec in = {.it_value.tv_nsec = at_once ? 1 : (long)k->latency};

    return timerfd_settime(k->timer, 0, &in, NULL) < 0 ? -errno : 0;
}

int kring_read(struct kring *k, struct err *e)
{
    uint64_t ticks;
    bool more;
    int r;

    k->batch = 0;
    if (read(k->timer, &ticks, sizeof(ticks)) < 0 && errno != EAGAIN)
        return -errno;
    r = ring_buffer__consume(k->ring);
    if (r < 0 && r != -ECANCELED)
        return err_set(e, r, NULL, "cannot read the ring buffer: %s", err_text(NULL, r));
    more = r == -ECANCELED;
    r = 0;
    if (more || k->idle++ < IDLE_TICKS)
        r = rearm(k, more);
    return r < 0 ? r : more;
}

uint32_t kring_size(uint64_t want)
{
    uint64_t size = (uint64_t)sysconf(_SC_PAGESIZE);

    want = want ? want : DEFAULT_SIZE;
    while (size < want && size < UINT64_C(1) << 30)
        size *= 2;
    return (uint32_t)size;
}
