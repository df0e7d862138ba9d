/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sending to kernel channels and receiving from them. Nothing in the interface blocks and nothing
 * wakes: waiting is watching the mapping.
 */
#include <errno.h>
#include <unistd.h>

#include "cleanup.h"
#include "kernel_channel.h"
#include "timefmt.h"

/* When a message has waited so long that we cannot receive and nobody else takes, we are stuck. */
#define PATIENCE (200 * NSEC_PER_MSEC)

/* How often a waiting receiver or sender checks that the channel still exists. */
#define LOOK_EVERY (500 * NSEC_PER_MSEC)

/* The same for a receiver that may be holding up senders without knowing it. */
#define DOUBT_EVERY (20 * NSEC_PER_MSEC)

/* ---- the end of a channel -------------------------------------------------------------------- */

/* Whether the channel has ended. Processes that are attached to it do not notice. */
static bool has_ended(const struct kernel *k)
{
    _cleanup_(closep) int fd = -1;
    int r;

    if (kernel_destroyed(k->fd))
        return true;
    if (k->record.magic)
        return !kernel_record_alive(k->dir, &k->record);
    if (k->ring) {
        r = kernel_exists(k->ring, &k->by, k->fd);
        return r == 0 || (r == -EEXIST && k->by.id);
    }
    fd = kernel_take_fd(k->pid, k->their_fd, NULL);
    return fd == -ESRCH || fd == -EBADF || (fd >= 0 && kernel_same_file(fd, k->fd) == 0);
}

/* The same, but checked only now and then. */
bool kernel_seems_ended(struct kernel *k)
{
    uint64_t now = timefmt_now(CLOCK_MONOTONIC);

    if (now - k->looked < LOOK_EVERY)
        return false;
    k->looked = now;
    return has_ended(k);
}

/* ---- sending and receiving ------------------------------------------------------------------- */

/* How much (ns) is left of a timeout that began at @start. */
static uint64_t time_left(uint64_t start, uint64_t timeout)
{
    uint64_t spent;

    if (timeout == CHAN_FOREVER)
        return timeout;
    spent = timefmt_now(CLOCK_MONOTONIC) - start;
    return spent < timeout ? timeout - spent : 0;
}

/* Explains a failed send. With a target -ENOENT has two meanings, which the tail tells apart. */
static int send_failed(struct kernel *k, uint32_t target, uint32_t tail, int r, struct err *e)
{
    bool moved = ringmap_tail(&k->map) != tail;

    k->base.published = r == -EFAULT || (r == -ENOENT && target && moved);
    if (r == -ENOENT && target && !moved)
        return err_set(e, r, NULL,
                       "there is no receiver %u, or the channel is gone; nothing was sent", target);
    return uringk_explain(r == -ENOENT && k->base.published ? URINGK_SEND_TARGET : URINGK_SEND, r,
                          e);
}

int kernel_send(struct uipc *u, const void *data, size_t len, uint64_t user_data, uint32_t target,
                uint64_t timeout_ns, struct err *e)
{
    struct kernel *k = kernel_of(u);
    uint64_t start = timeout_ns ? timefmt_now(CLOCK_MONOTONIC) : 0;
    uint64_t pause = 0;
    struct io_uring_sqe sqe;

    k->base.published = false;
    if (!k->sub)
        return -EACCES;
    if (len > k->map.max_msg)
        return uringk_explain(URINGK_SEND, -EMSGSIZE, e);
    uringk_encode_send(&sqe, k->sub, data, (uint32_t)len, target, user_data);
    for (;;) {
        uint32_t tail = ringmap_tail(&k->map);
        int r = uringk_run(k->ring, &sqe);
        uint64_t left;

        if (r >= 0)
            return 0;
        if (r != -ENOBUFS)
            return send_failed(k, target, tail, r, e);
        if (kernel_seems_ended(k))
            return err_set(e, -EIDRM, NULL, "the channel has been destroyed");
        left = time_left(start, timeout_ns);
        if (!left && timeout_ns)
            return err_set(e, -ETIMEDOUT, NULL, "the channel stayed full until the time was over");
        if (!left)
            return uringk_explain(URINGK_SEND, r, e);
        r = ringmap_pause(&pause, left);
        if (r < 0)
            return r;
    }
}

/* What the mapping said just before a receive. @waiting: there is a message that nobody consumed.
 */
struct state_before {
    uint32_t tail;
    uint32_t consumer;
    bool waiting;
    struct ringmap_msg msg; /* the one that we probably get; its length is UINT32_MAX: none */
};

static struct state_before look_before(const struct kernel *k)
{
    struct state_before b = {.tail = ringmap_tail(&k->map), .consumer = ringmap_consumer(&k->map)};
    uint32_t ours = k->delivery == CHAN_MULTICAST ? b.consumer : k->position;

    b.waiting = b.consumer != b.tail && ringmap_state(&k->map, b.consumer) == RINGMAP_READY;
    if (ringmap_read(&k->map, ours, NULL, 0, &b.msg) < 0)
        b.msg = (struct ringmap_msg){.position = ours, .len = UINT32_MAX};
    return b;
}

/*
 * Whether we will never get anything any more. That is so when the ring has come round since our
 * position. Where it is not certain that we have a position of our own, it is so only when a
 * message stays in the channel although we try to receive it.
 */
static bool is_stuck(struct kernel *k, const struct state_before *before)
{
    uint64_t now;

    if (k->delivery == CHAN_MULTICAST ||
        !uringk_overtaken(before->tail, k->position, k->map.entries))
        return false;
    if (k->delivery != UIPC_DELIVERY_UNKNOWN || k->counts)
        return true;
    /* Senders wait for us, who have not read the first message: it is a broadcast channel. */
    if (uringk_overtaken(before->tail, ringmap_consumer(&k->map), k->map.entries))
        return true;
    now = timefmt_now(CLOCK_MONOTONIC);
    if (!before->waiting || ringmap_consumer(&k->map) != before->consumer) {
        k->suspect = 0;
    } else if (!k->suspect || k->suspect_head != before->consumer) {
        k->suspect = now;
        k->suspect_head = before->consumer;
    }
    return k->suspect && now - k->suspect >= PATIENCE;
}

/* Fills in what is known of a message of @len bytes that has just been received. */
static void describe(struct kernel *k, const struct state_before *before, uint32_t len,
                     struct chan_got *got)
{
    uint32_t moved = ringmap_consumer(&k->map) - before->consumer;
    bool alone = moved == 1; /* no other receiver took a message meanwhile */
    bool sure;

    /* Only in a multicast channel each receive moves the common position at once. */
    if (k->delivery == CHAN_UNICAST || k->delivery == CHAN_BROADCAST || moved == 0)
        k->counts = k->delivery != CHAN_MULTICAST;
    sure = k->counts || (alone && before->msg.position == before->consumer);
    *got = (struct chan_got){.position = sure ? before->msg.position : UINT64_MAX};
    if (sure && before->msg.len == len)
        got->msg = before->msg;
    got->msg.len = len;
    k->position++;
    k->suspect = 0;
    k->pause = 0;
}

/* Nothing came: waits for more. Return: 0 to look again, or -errno. */
static int wait_for_more(struct kernel *k, const struct state_before *before, uint64_t left)
{
    bool moving = ringmap_tail(&k->map) != before->tail ||
                  (before->tail && ringmap_state(&k->map, before->tail - 1) == RINGMAP_UNPUBLISHED);
    bool doubt = k->delivery == UIPC_DELIVERY_UNKNOWN && !k->counts &&
                 uringk_overtaken(before->tail, k->position, k->map.entries);
    uint64_t most = doubt ? DOUBT_EVERY : LOOK_EVERY;
    int r;

    if (moving || k->suspect)
        return ringmap_pause(&k->pause, left);
    r = ringmap_wait(&k->map, before->tail, MIN(left, most), &k->pause);
    return r == -ETIMEDOUT ? 0 : r;
}

int kernel_recv(struct uipc *u, void *buf, size_t cap, struct chan_got *got, uint64_t timeout_ns,
                struct err *e)
{
    struct kernel *k = kernel_of(u);
    uint64_t start = timeout_ns ? timefmt_now(CLOCK_MONOTONIC) : 0;
    struct io_uring_sqe sqe;
    bool ended = false;

    if (!k->sub)
        return -EACCES;
    if (cap < k->map.max_msg)
        return uringk_explain(URINGK_RECV, -EMSGSIZE, e);
    uringk_encode_recv(&sqe, k->sub, buf, (uint32_t)MIN(cap, (size_t)UINT32_MAX));
    for (;;) {
        struct state_before before = look_before(k);
        int r = uringk_run(k->ring, &sqe);
        uint64_t left;

        if (r >= 0) {
            describe(k, &before, (uint32_t)r, got);
            return 0;
        }
        if (r != -EAGAIN)
            return uringk_explain(URINGK_RECV, r, e);
        if (is_stuck(k, &before))
            return uringk_explain(URINGK_RECV, -ESTALE, e);
        if (ended)
            return err_set(e, -EIDRM, NULL, "the channel has been destroyed");
        ended = kernel_seems_ended(k); /* then one more try: a message may have come meanwhile */
        if (ended)
            continue;
        if (!timeout_ns)
            return -EAGAIN;
        left = time_left(start, timeout_ns);
        r = left ? wait_for_more(k, &before, left) : -ETIMEDOUT;
        if (r < 0)
            return r;
    }
}
