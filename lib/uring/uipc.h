/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Channels, whoever provides them: the kernel that has io_uring IPC channels, or the embedded
 * engine.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine.h"

/**
 * struct uipc_ref - which channel
 * @id: a number, or 0
 * @key: used when @id is 0
 * @pid, @fd: a process's descriptor of a kernel channel, used when @pid is not 0
 * @name: what @key was made from; "" when it was given as a number
 */
struct uipc_ref {
    uint32_t id;
    uint64_t key;
    pid_t pid;
    int fd;
    char name[CHAN_NAME_MAX + 1];
};

/**
 * uipc_ref_parse() - a channel from the command line
 * @text: decimal: an id; "0x…": a key; "pid:PID:FD"; anything else: a name, whose key is taken
 *
 * Return: 0 or -EINVAL with a reason.
 */
int uipc_ref_parse(const char *text, struct uipc_ref *ref, struct err *e);

#define UIPC_DELIVERY_UNKNOWN (-1)

/**
 * struct uipc_info - a channel
 * @backend: the provider's name
 * @id: 0 when not known
 * @delivery: enum chan_delivery or UIPC_DELIVERY_UNKNOWN
 * @known: owner, permission, key, name and creation are known
 * @pid, @fd: a process that has a kernel channel open, and its descriptor; @pid is 0 when unknown
 * @error: 0, or -errno: why one cannot look into it. Then entries and what follows in @c are unset
 * @c: the rest; kernel channels have no lost messages
 */
struct uipc_info {
    const char *backend;
    uint32_t id;
    int delivery;
    bool known;
    pid_t pid;
    int fd;
    int error;
    struct chan_info c;
};

struct uipc;
struct uipc_keep;
typedef int (*uipc_info_fn)(const struct uipc_info *info, void *ctx);
typedef int (*uipc_peer_fn)(const struct chan_peer *peer, void *ctx);

/*
 * A provider. Functions are those of the uipc_… below. What list and peers leave in @hidden is how
 * many processes the caller may not look at: any of them could have a channel open.
 */
struct uipc_ops {
    const char *name;
    int (*probe)(struct err *e);
    int (*create)(const char *dir, const struct chan_conf *conf, struct uipc_keep **keep,
                  uint32_t *id, struct err *e);
    int (*check)(struct uipc_keep *keep, struct err *e);
    int (*destroy)(const char *dir, const struct uipc_ref *ref, bool force, struct err *e);
    int (*list)(const char *dir, uipc_info_fn visit, void *ctx, uint64_t *hidden, struct err *e);
    int (*open)(const char *dir, const struct uipc_ref *ref, unsigned int access, struct uipc **ret,
                struct err *e);
    int (*send)(struct uipc *u, const void *data, size_t len, uint64_t user_data, uint32_t target,
                uint64_t timeout_ns, struct err *e);
    int (*recv)(struct uipc *u, void *buf, size_t cap, struct chan_got *got, uint64_t timeout_ns,
                struct err *e);
    void (*hold)(struct uipc *u);   /* NULL: what is received is gone */
    void (*commit)(struct uipc *u); /* NULL with it */
    void (*patient)(struct uipc *u); /* NULL: nobody can see it */
    int (*look)(struct uipc *u, struct ringmap *map, uint64_t *from, uint64_t *to);
    int (*info)(struct uipc *u, struct uipc_info *info);
    int (*peers)(struct uipc *u, uipc_peer_fn visit, void *ctx, uint64_t *hidden);
    uint32_t (*sub_id)(struct uipc *u);
    void (*close)(struct uipc *u);
    void (*release)(struct uipc_keep *keep, bool destroy);
};

/* The start of every open channel. @published: the last send failed after the message was sent. */
struct uipc {
    const struct uipc_ops *ops;
    bool published;
};

/* The start of an object that keeps a channel alive. */
struct uipc_keep {
    const struct uipc_ops *ops;
};

extern const struct uipc_ops uipc_embedded_ops;
extern const struct uipc_ops uipc_kernel_ops;

/**
 * struct uipc_providers - the providers to ask for a channel
 * @first: the user's choice; without one the kernel if it has channels, else the embedded engine
 * @second: asked when @first has no such channel: the engine behind a kernel that nobody chose, for
 *   embedded channels may exist on any kernel; or NULL
 * @why: why the kernel is not used although nobody chose otherwise, or blank
 */
struct uipc_providers {
    const struct uipc_ops *first;
    const struct uipc_ops *second;
    struct err why;
};

/**
 * uipc_select() - choose the providers
 * @name: the user's choice, or NULL
 * @ret: the providers
 * @e: why the choice cannot be used
 *
 * Return: 0; -EINVAL for an unknown name; -EOPNOTSUPP when the chosen one cannot be used.
 */
int uipc_select(const char *name, struct uipc_providers *ret, struct err *e);

/* uipc_open() with the first provider that has such a channel. */
int uipc_find(const struct uipc_providers *p, const char *dir, const struct uipc_ref *ref,
              unsigned int access, struct uipc **ret, struct err *e);

/* Ends a channel of the first provider that has it. @force: also a kernel channel of strangers. */
int uipc_destroy(const struct uipc_providers *p, const char *dir, const struct uipc_ref *ref,
                 bool force, struct err *e);

/**
 * uipc_create() - make a channel
 * @keep: what must stay until the channel is to end: a kernel channel ends with its creator.
 *   uipc_keep_release() destroys the channel, uipc_keep_leave() leaves an embedded one be
 */
static inline int uipc_create(const struct uipc_ops *ops, const char *dir,
                              const struct chan_conf *conf, struct uipc_keep **keep, uint32_t *id,
                              struct err *e)
{
    return ops->create(dir, conf, keep, id, e);
}

static inline void uipc_keep_release(struct uipc_keep *keep)
{
    if (keep)
        keep->ops->release(keep, true);
}

static inline void uipc_keep_leave(struct uipc_keep *keep)
{
    if (keep)
        keep->ops->release(keep, false);
}

/* Whether it still exists. Return: 0; -EIDRM with a reason when it was ended from elsewhere. */
static inline int uipc_keep_check(struct uipc_keep *keep, struct err *e)
{
    return keep->ops->check(keep, e);
}

/*
 * As chan_open(). To a kernel channel opened with CHAN_LOOK a sender is attached for a moment at
 * most. @e on success: what the user should know about it, if anything.
 */
static inline int uipc_open(const struct uipc_ops *ops, const char *dir, const struct uipc_ref *ref,
                            unsigned int access, struct uipc **ret, struct err *e)
{
    return ops->open(dir, ref, access, ret, e);
}

static inline void uipc_close(struct uipc *u)
{
    if (u)
        u->ops->close(u);
}

static inline void uipc_closep(struct uipc **u)
{
    uipc_close(*u);
}

/*
 * As chan_send(); kernel: -ENOENT with a target may mean that the message has been published all
 * the same: then @u->published is set.
 */
static inline int uipc_send(struct uipc *u, const void *data, size_t len, uint64_t user_data,
                            uint32_t target, uint64_t timeout_ns, struct err *e)
{
    return u->ops->send(u, data, len, user_data, target, timeout_ns, e);
}

/*
 * As chan_recv(); kernel: -ESTALE when this receiver was overtaken and will get nothing more; the
 * position is UINT64_MAX when it is not known.
 */
static inline int uipc_recv(struct uipc *u, void *buf, size_t cap, struct chan_got *got,
                            uint64_t timeout_ns, struct err *e)
{
    return u->ops->recv(u, buf, cap, got, timeout_ns, e);
}

/* As chan_hold() and chan_commit(); a kernel channel has let go when uipc_recv() returns. */
static inline void uipc_hold(struct uipc *u)
{
    if (u->ops->hold)
        u->ops->hold(u);
}

/* As chan_patient(). */
static inline void uipc_patient(struct uipc *u)
{
    if (u->ops->patient)
        u->ops->patient(u);
}

static inline void uipc_commit(struct uipc *u)
{
    if (u->ops->commit)
        u->ops->commit(u);
}

/* As chan_look(), with 64-bit positions only where the provider has them. */
static inline int uipc_look(struct uipc *u, struct ringmap *map, uint64_t *from, uint64_t *to)
{
    return u->ops->look(u, map, from, to);
}

static inline int uipc_get_info(struct uipc *u, struct uipc_info *info)
{
    return u->ops->info(u, info);
}

static inline int uipc_visit_peers(struct uipc *u, uipc_peer_fn visit, void *ctx, uint64_t *hidden)
{
    return u->ops->peers(u, visit, ctx, hidden);
}

static inline uint32_t uipc_sub_id(struct uipc *u)
{
    return u->ops->sub_id(u);
}
