/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The channels that the supervisor keeps: which subscriber gets which message, and when a channel
 * is full. */
#include "uring_chan.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "cleanup.h"
#include "mapping.h"

enum {
    HEAD_STEP = 16, /* consumer.head of a broadcast channel is updated after so many messages */
};

/* While a slot is written its seq is so far behind that no reader takes the slot for complete. */
#define WRITING (UINT32_C(1) << 30)

static bool is_broadcast(const struct uchan *c)
{
    return c->flags & URING_IPC_F_BROADCAST;
}

static bool is_multicast(const struct uchan *c)
{
    return c->flags & URING_IPC_F_MULTICAST;
}

/* ---- the mapping ---- */

static void put_word(const struct uchan *c, size_t offset, uint64_t value)
{
    __atomic_store_n((uint32_t *)(void *)(c->base + offset), (uint32_t)value, __ATOMIC_RELEASE);
}

static struct uring_ipc_desc *slot_desc(const struct uchan *c, uint64_t position)
{
    return (void *)(c->base + ringmap_desc_offset(c->entries, (uint32_t)position));
}

static size_t slot_offset(const struct uchan *c, uint64_t position)
{
    return (size_t)(position & (c->entries - 1)) * c->max_msg;
}

static unsigned char *slot_data(const struct uchan *c, uint64_t position)
{
    return c->base + uring_ipc_data_offset(c->entries) + slot_offset(c, position);
}

static void set_head(struct uchan *c, uint64_t head)
{
    c->head = head;
    put_word(c, offsetof(struct uring_ipc_ring, consumer_head), head);
}

/* The tail moves before the slot is written; a reader in between sees by seq that it is not
 * complete. */
static void publish(struct uchan *c, const void *data, uint32_t len, uint64_t user_data,
                    uint32_t target)
{
    uint64_t position = c->tail++;
    struct uring_ipc_desc *d = slot_desc(c, position);
    uint32_t seq = (uint32_t)position + 1;

    put_word(c, offsetof(struct uring_ipc_ring, producer_tail), c->tail);
    __atomic_store_n(&d->seq, seq - WRITING, __ATOMIC_RELAXED);
    ringmap_fence(__ATOMIC_RELEASE);
    if (len)
        memcpy(slot_data(c, position), data, len);
    d->offset = slot_offset(c, position);
    d->len = len;
    d->msg_id = (uint32_t)position + URING_IPC_FIRST_MSG_ID;
    d->sender_data = user_data;
    c->targets[position & (c->entries - 1)] = target;
    __atomic_store_n(&d->seq, seq, __ATOMIC_RELEASE);
}

/*
 * Makes the channel's file. The supervisor's mapping is the only one that can ever write to it:
 * afterwards the file is sealed, and opened again read-only.
 */
static int make_file(struct uchan *c)
{
    _cleanup_(closep) int fd = memfd_create(UCHAN_FILE_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct stat st;
    char path[32];
    void *p;

    if (fd < 0 || ftruncate(fd, (off_t)c->size) < 0 || fstat(fd, &st) < 0)
        return -errno;
    c->dev = st.st_dev;
    c->ino = st.st_ino;
    p = mmap(NULL, c->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (p == MAP_FAILED)
        return -errno;
    c->base = p;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    c->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (c->fd < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0)
        return -errno;
    put_word(c, offsetof(struct uring_ipc_ring, ring_mask), c->entries - 1);
    put_word(c, offsetof(struct uring_ipc_ring, ring_entries), c->entries);
    put_word(c, offsetof(struct uring_ipc_ring, max_msg_size), c->max_msg);
    return 0;
}

/* With the lock: what holds whenever nobody is changing the channel. */
static void check(const struct uchan *c)
{
    assert(c->head <= c->tail);
    assert(is_broadcast(c) || c->tail - c->head <= c->entries);
    for (const struct usub *s = c->subs; s; s = s->next)
        assert(s->head <= c->tail && s->chan == c);
}

/* ---- the list ---- */

void uchans_init(struct uchans *set)
{
    *set = (struct uchans){0};
    pthread_mutex_init(&set->lock, NULL);
}

static void uchan_free(struct uchan *c)
{
    assert(!c->subs && !c->sends);
    if (c->base)
        munmap(c->base, c->size);
    closep(&c->fd);
    pthread_mutex_destroy(&c->lock);
    pthread_mutex_destroy(&c->turn);
    free(c->targets);
    free(c);
}

void uchans_done(struct uchans *set)
{
    assert(!set->newest); /* all rings have ended, and with them the channels */
    pthread_mutex_destroy(&set->lock);
}

bool uchan_conf_valid(const struct uring_ipc_create *conf)
{
    const uint32_t delivery = URING_IPC_F_BROADCAST | URING_IPC_F_MULTICAST;

    return !(conf->flags & ~(delivery | URING_IPC_F_PRIVATE)) &&
           (conf->flags & delivery) != delivery && !conf->reserved[0] && !conf->reserved[1] &&
           !conf->reserved[2] && ringmap_size(conf->ring_entries, conf->max_msg_size) != 0;
}

/* An id that no channel and no subscriber has had before. */
static uint32_t new_id(struct uchans *set)
{
    if (++set->last_id == 0)
        set->last_id = 1;
    return set->last_id;
}

int uchan_new(struct uchans *set, const struct uring_ipc_create *conf, uid_t uid, gid_t gid,
              const void *owner, struct uchan **ret)
{
    struct uchan *c = calloc(1, sizeof(*c));
    int r;

    if (!c)
        return -ENOMEM;
    *c = (struct uchan){
        .refs = 2, /* the list's and the caller's */
        .key = conf->key,
        .flags = conf->flags,
        .entries = conf->ring_entries,
        .max_msg = conf->max_msg_size,
        .mode = conf->mode & URING_IPC_MODE_MASK,
        .uid = uid,
        .gid = gid,
        .owner = owner,
        .listed = true,
        .fd = -1,
        .size = ringmap_size(conf->ring_entries, conf->max_msg_size),
        .targets = calloc(conf->ring_entries, sizeof(uint32_t)),
    };
    pthread_mutex_init(&c->lock, NULL);
    pthread_mutex_init(&c->turn, NULL);
    r = c->targets ? make_file(c) : -ENOMEM;
    if (r < 0) {
        uchan_free(c);
        return r;
    }
    pthread_mutex_lock(&set->lock);
    c->id = new_id(set);
    c->next = set->newest;
    set->newest = c;
    pthread_mutex_unlock(&set->lock);
    *ret = c;
    return 0;
}

struct uchan *uchan_find(struct uchans *set, uint32_t id, uint64_t key)
{
    struct uchan *c;

    pthread_mutex_lock(&set->lock);
    c = set->newest;
    while (c && (!c->listed || (key ? c->key != key : c->id != id)))
        c = c->next;
    if (c)
        c->refs++;
    pthread_mutex_unlock(&set->lock);
    return c;
}

void uchan_ref(struct uchans *set, struct uchan *c)
{
    pthread_mutex_lock(&set->lock);
    c->refs++;
    pthread_mutex_unlock(&set->lock);
}

void uchan_unref(struct uchans *set, struct uchan *c)
{
    struct uchan **at = &set->newest;
    bool last;

    pthread_mutex_lock(&set->lock);
    assert(c->refs > 0);
    last = --c->refs == 0;
    if (last) {
        while (*at != c)
            at = &(*at)->next;
        *at = c->next;
    }
    pthread_mutex_unlock(&set->lock);
    if (last)
        uchan_free(c);
}

bool uchan_unlist(struct uchans *set, struct uchan *c)
{
    bool was;

    pthread_mutex_lock(&set->lock);
    was = c->listed;
    c->listed = false;
    pthread_mutex_unlock(&set->lock);
    if (was)
        uchan_unref(set, c);
    return was;
}

void uchan_unlist_owned(struct uchans *set, const void *owner)
{
    struct uchan *c;

    do {
        pthread_mutex_lock(&set->lock);
        c = set->newest;
        while (c && !(c->listed && c->owner == owner))
            c = c->next;
        if (c)
            c->refs++;
        pthread_mutex_unlock(&set->lock);
        if (c) {
            (void)uchan_unlist(set, c);
            uchan_unref(set, c);
        }
    } while (c);
}

/* ---- subscribers ---- */

struct usub *usub_new(struct uchans *set, struct uchan *c, uint32_t flags)
{
    struct usub *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    pthread_mutex_lock(&set->lock);
    s->id = new_id(set);
    c->refs++;
    pthread_mutex_unlock(&set->lock);
    s->flags = flags;
    s->chan = c;
    pthread_mutex_lock(&c->lock);
    s->head = c->tail > c->entries ? c->tail - c->entries : 0;
    s->next = c->subs;
    c->subs = s;
    pthread_mutex_unlock(&c->lock);
    return s;
}

void usub_free(struct uchans *set, struct usub *s)
{
    struct uchan *c = s->chan;
    struct usub **at = &c->subs;

    pthread_mutex_lock(&c->lock);
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    pthread_mutex_unlock(&c->lock);
    uchan_unref(set, c);
    free(s);
}

static bool is_receiver(const struct uchan *c, uint32_t id)
{
    const struct usub *s = c->subs;

    while (s && s->id != id)
        s = s->next;
    return s && s->flags & URING_IPC_SUB_RECV;
}

/* ---- sending ---- */

/* Whether the message is not for this subscriber. */
static bool for_another(const struct uchan *c, uint64_t position, const struct usub *s)
{
    uint32_t target = c->targets[position & (c->entries - 1)];

    return target && target != s->id;
}

/* Moves a subscriber past messages that were overwritten or are for another subscriber. */
static void pass_over(const struct uchan *c, struct usub *s)
{
    if (c->tail - s->head > c->entries)
        s->head = c->tail - c->entries;
    while (s->head != c->tail && for_another(c, s->head, s))
        s->head++;
}

/* The head of the slowest receiver of a broadcast channel. Return: false when there is none. */
static bool slowest(const struct uchan *c, uint64_t *head)
{
    bool any = false;

    for (struct usub *s = c->subs; s; s = s->next) {
        if (!(s->flags & URING_IPC_SUB_RECV))
            continue;
        pass_over(c, s);
        if (!any || s->head < *head)
            *head = s->head;
        any = true;
    }
    return any;
}

static bool has_room(struct uchan *c)
{
    uint64_t head;

    if (c->tail - c->head < c->entries)
        return true;
    if (!is_broadcast(c))
        return false;
    if (!slowest(c, &head))
        return true;
    set_head(c, head);
    return c->tail - head < c->entries;
}

int uchan_sendable(struct uchan *c, uint32_t target)
{
    int r = 0;

    pthread_mutex_lock(&c->lock);
    if (!has_room(c))
        r = -ENOBUFS;
    else if (target && !is_receiver(c, target))
        r = -ENOENT;
    pthread_mutex_unlock(&c->lock);
    return r;
}

int64_t uchan_send(struct uchan *c, const void *data, uint32_t len, uint64_t user_data,
                   uint32_t target)
{
    int64_t r = len;

    pthread_mutex_lock(&c->lock);
    if (!has_room(c)) {
        r = -ENOBUFS;
    } else if (!data) {
        publish(c, NULL, 0, user_data, 0);
        r = -EFAULT;
    } else if (target && !is_receiver(c, target)) {
        r = -ENOENT;
    } else {
        publish(c, data, len, user_data, target);
    }
    check(c);
    pthread_mutex_unlock(&c->lock);
    return r;
}

/* ---- receiving ---- */

/* The position that a receiver of a multicast channel would take. Return: whether there is one. */
static bool multicast_next(struct uchan *c, const struct usub *s)
{
    while (c->head != c->tail && for_another(c, c->head, s)) {
        if (is_receiver(c, c->targets[c->head & (c->entries - 1)]))
            return false; /* that receiver has to take it first */
        set_head(c, c->head + 1);
    }
    return c->head != c->tail;
}

/* Copies what comes next. Return: its length (cut at @cap) with @position, or -EAGAIN. */
static int64_t look(struct usub *s, uint32_t cap, struct buf *out, uint64_t *position)
{
    struct uchan *c = s->chan;
    int64_t r = -EAGAIN;

    pthread_mutex_lock(&c->lock);
    if (is_multicast(c)) {
        if (multicast_next(c, s))
            r = 0;
        *position = c->head;
    } else {
        pass_over(c, s);
        if (s->head != c->tail)
            r = 0;
        *position = s->head;
    }
    if (r == 0) {
        r = MIN(slot_desc(c, *position)->len, cap);
        buf_add(out, slot_data(c, *position), (size_t)r);
    }
    pthread_mutex_unlock(&c->lock);
    return buf_error(out) < 0 ? -ENOMEM : r;
}

static void consume(struct usub *s, uint64_t position)
{
    struct uchan *c = s->chan;
    uint64_t head;

    pthread_mutex_lock(&c->lock);
    if (is_multicast(c)) {
        set_head(c, position + 1);
    } else {
        s->head = position + 1;
        if (!is_broadcast(c))
            set_head(c, s->head);
        else if (s->head % HEAD_STEP == 0 && slowest(c, &head))
            set_head(c, head);
    }
    check(c);
    pthread_mutex_unlock(&c->lock);
}

int64_t usub_recv(struct usub *s, uint32_t cap, uchan_give_fn give, void *ctx)
{
    _cleanup_(buf_done) struct buf copy = BUF_INIT;
    struct uchan *c = s->chan;
    uint64_t position;
    int64_t r;
    int given;

    if (is_multicast(c))
        pthread_mutex_lock(&c->turn);
    r = look(s, cap, &copy, &position);
    if (r >= 0) {
        /* Without the lock, for a write to the receiver's memory may take long. */
        given = give(ctx, buf_str(&copy), (size_t)r);
        if (given < 0)
            r = given;
        else
            consume(s, position);
    }
    if (is_multicast(c))
        pthread_mutex_unlock(&c->turn);
    return r;
}

bool uchans_any(struct uchans *set)
{
    bool any;

    pthread_mutex_lock(&set->lock);
    any = set->newest != NULL;
    pthread_mutex_unlock(&set->lock);
    return any;
}

bool uchan_has_file(struct uchans *set, dev_t dev, ino_t ino, size_t *size)
{
    struct uchan *c;

    pthread_mutex_lock(&set->lock);
    c = set->newest;
    while (c && (c->dev != dev || c->ino != ino))
        c = c->next;
    if (c)
        *size = c->listed ? c->size : 0;
    pthread_mutex_unlock(&set->lock);
    return c != NULL;
}
