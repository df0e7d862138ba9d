/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The handle of a kernel channel, for the kernel_….c files only. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "guard.h"
#include "kernel_record.h"
#include "macros.h"
#include "uipc.h"
#include "uringk.h"

/**
 * struct kernel - an open kernel channel
 * @dir: where the processes that keep channels leave their records, or NULL
 * @ring: our io_uring, when we are or were attached; the subscription ends with it
 * @fd: a descriptor of the channel; @file: its mapping
 * @by: the id or key that we attached by
 * @sub: our subscription, or 0
 * @delivery: enum chan_delivery or UIPC_DELIVERY_UNKNOWN
 * @position: messages received, which is the position of the next one except in a multicast channel
 * @counts: whether it is certain that @position is the position of the next message
 * @suspect: since when (ns) a message waits that we do not get, or 0; @suspect_head: its position
 * @pause: how long (ns) we slept last while nothing came
 * @looked: when (ns) we last checked that the channel still exists
 * @record: what the process that keeps it says; the magic is 0 when there is none
 * @pid, @their_fd: the process and descriptor that @fd was taken from, when we did not attach
 */
struct kernel {
    struct uipc base;
    char *dir;
    struct uringk *ring;
    int fd;
    struct guard *file;
    struct ringmap map;
    struct uipc_ref by;
    uint32_t sub;
    int delivery;
    uint32_t position;
    bool counts;
    uint64_t suspect;
    uint32_t suspect_head;
    uint64_t pause;
    uint64_t looked;
    struct kernel_record record;
    pid_t pid;
    int their_fd;
};

static inline struct kernel *kernel_of(struct uipc *u)
{
    return container_of(u, struct kernel, base);
}

static inline int kernel_delivery(const struct kernel_record *record)
{
    return record->magic ? (int)record->delivery : UIPC_DELIVERY_UNKNOWN;
}

/* Whether two descriptors of ours are of one open file, as all of one channel are. Return: 1, 0, or
 * -errno when that cannot be told. */
int kernel_same_file(int a, int b);

/* The record of a channel by id or key: of several the newest. */
bool kernel_find_record(const char *dir, const struct uipc_ref *ref, struct kernel_record *out);

/* The record of the channel that a descriptor of ours is of. */
bool kernel_record_of(const char *dir, int fd, struct kernel_record *out);

/* Copies a process's descriptor of a channel. Return: a descriptor of ours, or -errno. */
int kernel_take_fd(pid_t pid, int fd, struct err *e);

/* Maps @k->fd, whose size nobody has told. Return: 0; -EIDRM when the channel was destroyed. */
int kernel_map(struct kernel *k, struct err *e);

/* Whether the channel of a descriptor of ours is known to have been destroyed. */
bool kernel_destroyed(int fd);

/* Attaches @ring to a channel. Return: 0 with @a filled in, or what the kernel said. */
int kernel_attach(struct uringk *ring, const struct uipc_ref *ref, uint32_t flags,
                  struct uring_ipc_attach *a);

/*
 * A descriptor of a channel, by way of a sender's attachment that lasts only for a moment and holds
 * up nobody. Return: a descriptor; -ENOENT; -EACCES when its mode does not let us send.
 */
int kernel_borrow(struct uringk *ring, const struct uipc_ref *ref);

/*
 * Whether a channel can still be attached to; a sender's attachment holds up nobody. @fd: a
 * descriptor of it, or -1. Return: 1; 0 when it is gone; -EEXIST when another has its id or key;
 * -errno when that cannot be told.
 */
int kernel_exists(struct uringk *ring, const struct uipc_ref *ref, int fd);

struct uipc_info kernel_info_of(const struct kernel_record *record, const struct ringmap *map);

/* As struct uipc_ops says of list and peers. */
int kernel_list(const char *dir, uipc_info_fn visit, void *ctx, uint64_t *hidden, struct err *e);
int kernel_visit_peers(int fd, uipc_peer_fn visit, void *ctx, uint64_t *hidden);

int kernel_create(const char *dir, const struct chan_conf *conf, struct uipc_keep **keep,
                  uint32_t *id, struct err *e);
int kernel_check(struct uipc_keep *keep, struct err *e);
void kernel_release(struct uipc_keep *keep, bool destroy);
int kernel_destroy(const char *dir, const struct uipc_ref *ref, bool force, struct err *e);

/* Whether the channel has ended, which is checked only now and then: else false. */
bool kernel_seems_ended(struct kernel *k);

int kernel_send(struct uipc *u, const void *data, size_t len, uint64_t user_data, uint32_t target,
                uint64_t timeout_ns, struct err *e);
int kernel_recv(struct uipc *u, void *buf, size_t cap, struct chan_got *got, uint64_t timeout_ns,
                struct err *e);
