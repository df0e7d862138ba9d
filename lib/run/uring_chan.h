/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The channels of one run, as the proposed kernel has them. The supervisor alone writes them;
 * programs map them read-only. Nothing here reads or writes a program's own memory.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "uring_ipc_abi.h"

/* What /proc/PID/fd/N of a channel's file links to here. */
#define UCHAN_FILE_NAME "[io_uring_ipc]"
#define UCHAN_FILE_LINK "/memfd:" UCHAN_FILE_NAME " (deleted)"

/* All channels, and the numbers that channels and subscribers share. */
struct uchans {
    pthread_mutex_t lock; /* of the list, of references and of who is listed */
    struct uchan *newest;
    uint32_t last_id;
};

/**
 * struct uchan - a channel
 * @next: the one made before it
 * @refs: one for being listed, subscribers, users
 * @id, @key, @flags, @entries, @max_msg, @mode, @uid, @gid: as created
 * @owner: the ring that made it; the channel ends with it
 * @listed: it can be found
 * @fd: the file, read-only; @dev and @ino tell which
 * @base, @size: the supervisor's mapping, the only one that can be written
 * @lock: protects what follows
 * @tail: messages ever sent
 * @head: the position of the first message that is not consumed: the ABI's consumer.head
 * @subs: all subscribers
 * @targets: for each slot the only subscriber that gets the message, or 0 for all
 * @sends: entries for deferred messages to it (uring_deferred.c); atomic
 * @turn: held while a receiver of a multicast channel takes a message; taken before @lock
 */
struct uchan {
    struct uchan *next;
    unsigned int refs;
    uint32_t id;
    uint64_t key;
    uint32_t flags;
    uint32_t entries;
    uint32_t max_msg;
    uint32_t mode;
    uid_t uid;
    gid_t gid;
    const void *owner;
    bool listed;
    int fd;
    dev_t dev;
    ino_t ino;
    unsigned char *base;
    size_t size;
    pthread_mutex_t lock;
    uint64_t tail;
    uint64_t head;
    struct usub *subs;
    uint32_t *targets;
    unsigned int sends;
    pthread_mutex_t turn;
};

/**
 * struct usub - a subscription; its owner uses it from one thread at a time
 * @next: in the channel
 * @owned: the next of its owner
 * @id: subscriber id
 * @flags: URING_IPC_SUB_*
 * @chan: with a reference
 * @head: the next message it gets (unicast, broadcast)
 * @deferred: sockets for its deferred receives, or NULL
 */
struct usub {
    struct usub *next;
    struct usub *owned;
    uint32_t id;
    uint32_t flags;
    struct uchan *chan;
    uint64_t head;
    struct socket_pair *deferred;
};

void uchans_init(struct uchans *set);
void uchans_done(struct uchans *set);

/* Whether a creation asks for what the ABI allows. */
bool uchan_conf_valid(const struct uring_ipc_create *conf);

/* Makes a channel and lists it. Return: 0 with a reference, or -errno. */
int uchan_new(struct uchans *set, const struct uring_ipc_create *conf, uid_t uid, gid_t gid,
              const void *owner, struct uchan **ret);

/* The listed channel with this id, or (@key != 0) the newest with this key; or NULL. */
struct uchan *uchan_find(struct uchans *set, uint32_t id, uint64_t key);
void uchan_ref(struct uchans *set, struct uchan *c);
void uchan_unref(struct uchans *set, struct uchan *c);

/* Ends a channel: it can no longer be found. Return: whether it could until now. */
bool uchan_unlist(struct uchans *set, struct uchan *c);

/* Ends the channels of an owner. */
void uchan_unlist_owned(struct uchans *set, const void *owner);

/* Whether there is any channel, also one that has ended but still has subscribers. */
bool uchans_any(struct uchans *set);

/* Whether one of the channels has this file. @size: bytes to map, on success: 0 when it has been
 * destroyed. */
bool uchan_has_file(struct uchans *set, dev_t dev, ino_t ino, size_t *size);

/* Subscribes. Return: NULL without memory. */
struct usub *usub_new(struct uchans *set, struct uchan *c, uint32_t flags);
void usub_free(struct uchans *set, struct usub *s);

/* Whether a message could be sent just now. Return: 0; -ENOBUFS; -ENOENT: no such target. */
int uchan_sendable(struct uchan *c, uint32_t target);

/**
 * uchan_send() - send
 * @c: the channel
 * @data: @len bytes, at most max_msg; NULL when the sender's could not be read
 * @user_data: the sender's
 * @target: the only subscriber to get it, or 0 for all
 *
 * Return: @len; -ENOBUFS; -EFAULT (an empty message has been sent); -ENOENT (nothing has).
 */
int64_t uchan_send(struct uchan *c, const void *data, uint32_t len, uint64_t user_data,
                   uint32_t target);

/* Delivers @n bytes. Return: 0 or -errno. */
typedef int (*uchan_give_fn)(void *ctx, const void *data, size_t n);

/**
 * usub_recv() - receive
 * @s: the subscription
 * @cap: a longer message is cut
 * @give: takes the message out; when that fails it stays in the channel
 *
 * Return: bytes given; -EAGAIN; what @give returned.
 */
int64_t usub_recv(struct usub *s, uint32_t cap, uchan_give_fn give, void *ctx);
