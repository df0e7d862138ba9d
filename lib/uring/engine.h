/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Embedded channels: what io_uring IPC channels do, between processes, over shared memory, without
 * a daemon and without privilege. A channel is two files in /dev/shm (see chan_layout.h); the mode
 * of the first is its permission: who may read it may receive, who may read and write it may send.
 *
 * A handle is for one thread at a time, and not for use after fork(): open another.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "errinfo.h"
#include "mapping.h"

enum chan_delivery {
    CHAN_UNICAST,   /* each receiver sees each message; without one they wait for the first */
    CHAN_BROADCAST, /* each receiver sees each message; without one the oldest are overwritten */
    CHAN_MULTICAST, /* each message goes to one receiver */
};

enum chan_access {
    CHAN_SEND = 1 << 0,
    CHAN_RECV = 1 << 1, /* subscribes: from now on messages wait for this handle */
    CHAN_LOOK = 0,      /* only looks: chan_look(), chan_get_info() */
};

#define CHAN_FOREVER  UINT64_MAX
#define CHAN_NAME_MAX 63

/**
 * struct chan_conf - a new channel
 * @delivery: how messages reach receivers
 * @entries: slots, a power of two up to 32768
 * @max_msg: bytes of the longest message, up to 1 MiB; the whole ring below 2 GiB
 * @mode: permission bits; the umask does not apply. Bits outside 0666 are ignored
 * @key: to find it by; 0 for none. Need not be unique: the newest is found
 * @name: the text that the key was made from; "" for none
 */
struct chan_conf {
    enum chan_delivery delivery;
    uint32_t entries;
    uint32_t max_msg;
    uint32_t mode;
    uint64_t key;
    const char *name;
};

/* Which channel: the one with @id, or if that is 0 the newest with @key. */
struct chan_ref {
    uint32_t id;
    uint64_t key;
};

/**
 * struct chan_info - a channel
 * @id, @key, @name, @delivery, @entries, @max_msg, @mode: as created
 * @uid, @gid: owner
 * @creator: pid that made it
 * @created_ns: realtime
 * @tail: messages ever claimed
 * @waiting: messages that someone still has to receive; in a broadcast channel without receivers
 *   those that a new one would get
 * @lost: messages whose sender died while it wrote them, as far as senders have found them
 * @senders, @receivers: handles open for it
 * @processes: how many have it open, as far as can be told
 * @destroyed: it can no longer be opened
 */
struct chan_info {
    uint32_t id;
    uint64_t key;
    char name[CHAN_NAME_MAX + 1];
    enum chan_delivery delivery;
    uint32_t entries;
    uint32_t max_msg;
    uint32_t mode;
    uid_t uid;
    gid_t gid;
    uint32_t creator;
    uint64_t created_ns;
    uint64_t tail;
    uint64_t waiting;
    uint64_t lost;
    uint32_t senders;
    uint32_t receivers;
    uint32_t processes;
    bool destroyed;
};

/**
 * struct chan_peer - a handle that someone has open
 * @pid: as its process sees itself (in its own PID namespace)
 * @fd: its descriptor, or -1; of kernel channels only
 * @id: subscriber id of a receiver, 0 of a sender
 * @position: of a receiver: the next message it wants (its own, or in a multicast channel the
 *   common one)
 * @count: messages sent or received
 * @lost: of a receiver: messages it found lost
 */
struct chan_peer {
    uint32_t pid;
    int fd;
    uint32_t id;
    uint64_t position;
    uint64_t count;
    uint64_t lost;
};

/**
 * struct chan_got - a message received
 * @msg: what the slot said
 * @position: its number
 * @lost: messages before it that this handle did not get, because their sender died while it wrote
 *   them, or because they were overwritten
 * @lost_pid: the sender of the last of them, or 0 when not known
 */
struct chan_got {
    struct ringmap_msg msg;
    uint64_t position;
    uint64_t lost;
    uint32_t lost_pid;
};

struct chan;

/**
 * chan_create() - make a channel
 * @dir: the directory that holds channels, or NULL for /dev/shm
 * @conf: what kind
 * @id: its id on success: a number that no channel has that can be seen here
 * @e: why not
 *
 * It lives until chan_destroy(). Its memory is reserved, so that sending never runs out of it.
 *
 * Return: 0; -EINVAL; -ENOSPC; -EACCES when the directory is not safe; what the system said.
 */
int chan_create(const char *dir, const struct chan_conf *conf, uint32_t *id, struct err *e);

/**
 * chan_open() - get a handle
 * @dir: as above
 * @ref: which channel. One's own are looked for first, then root's, then those of others
 * @access: enum chan_access bits
 * @ret: the handle
 * @e: why not
 *
 * A receiver starts at the oldest message that is still there: in a broadcast channel that was not
 * overwritten, else that nobody has received.
 *
 * Return: 0; -ENOENT; -EACCES; -EUSERS when 64 have it open that way; -EBADMSG when the files make
 * no sense.
 */
int chan_open(const char *dir, const struct chan_ref *ref, unsigned int access, struct chan **ret,
              struct err *e);

/* A receiver's messages no longer wait for it. NULL is fine. */
void chan_close(struct chan *c);
void chan_closep(struct chan **c);

/* The subscriber id of a handle opened with CHAN_RECV, else 0. */
uint32_t chan_sub_id(const struct chan *c);

/**
 * chan_send() - send a message
 * @c: opened with CHAN_SEND
 * @data: bytes
 * @len: how many; 0 is fine
 * @user_data: goes with it
 * @target: the subscriber that shall get it, or 0. In a multicast channel the others wait until it
 *   has
 * @timeout_ns: how long to wait while the channel is full: 0, or CHAN_FOREVER
 *
 * Return: 0; -EACCES; -EMSGSIZE; -ENOENT when there is no such target (nothing is sent); -ENOBUFS
 * when it is full and @timeout_ns 0; -ETIMEDOUT; -EINTR; -EIDRM when it has been destroyed; -EIO
 * when its file was cut short.
 */
int chan_send(struct chan *c, const void *data, size_t len, uint64_t user_data, uint32_t target,
              uint64_t timeout_ns);

/**
 * chan_recv() - receive a message
 * @c: opened with CHAN_RECV
 * @buf: where to; max_msg bytes hold any message
 * @cap: its bytes
 * @got: filled on success and, for @lost, also otherwise
 * @timeout_ns: how long to wait for one: 0, or CHAN_FOREVER
 *
 * Return: 0; -EACCES; -EMSGSIZE when the message is longer than @cap (it stays); -EAGAIN when there
 * is none and @timeout_ns 0; -ETIMEDOUT; -EINTR; -EIDRM when the channel has been destroyed and all
 * is received; -EBADMSG for a slot that makes no sense (skipped); -EIO as above.
 */
int chan_recv(struct chan *c, void *buf, size_t cap, struct chan_got *got, uint64_t timeout_ns);

/**
 * chan_hold() - receive without letting go
 * @c: opened with CHAN_RECV
 *
 * From now on what chan_recv() returns stays in the channel until chan_commit(): when the handle is
 * closed or its process dies before, a later receiver of a unicast channel gets it again. The ring
 * fills up meanwhile. In a multicast channel a message is taken at once, and this does nothing.
 */
void chan_hold(struct chan *c);

/*
 * Whoever looks who waits for whom is told that this handle receives again after each timeout: its
 * owner waits for messages and not for a clock.
 */
void chan_patient(struct chan *c);
void chan_commit(struct chan *c);

/**
 * chan_look() - the mapping and where the messages begin and end that someone has yet to receive
 * @c: any handle
 * @map: for the functions of mapping.h; valid while @c is open
 * @from, @to: first position, and the position after the last
 *
 * Return: 0; -EIO when the file was cut short.
 */
int chan_look(struct chan *c, struct ringmap *map, uint64_t *from, uint64_t *to);

int chan_get_info(struct chan *c, struct chan_info *info);

/* Calls back for each handle that is open, senders first. Return: 0, or what @visit returned. */
int chan_visit_peers(struct chan *c, int (*visit)(const struct chan_peer *peer, void *ctx),
                     void *ctx);

/**
 * chan_visit() - all channels that may be seen
 * @dir: as above
 * @visit: called with each; @r is 0, or why it cannot be looked into (then only id, uid, gid and
 *   mode of @info count)
 *
 * Return: 0, what @visit returned when not 0, or -errno.
 */
int chan_visit(const char *dir, int (*visit)(const struct chan_info *info, int r, void *ctx),
               void *ctx);

/**
 * chan_destroy() - end a channel
 *
 * New opens find nothing; receivers get what is there and then -EIDRM, senders -EIDRM at once.
 *
 * Return: 0; -ENOENT; -EPERM when it is someone else's.
 */
int chan_destroy(const char *dir, const struct chan_ref *ref, struct err *e);

/* Whether a channel of this id has not been destroyed; when in doubt, yes. */
bool chan_exists(const char *dir, uint32_t id);

/* The key that stands for a name: FNV-1a of 64 bits, never 0. */
uint64_t chan_key_of_name(const char *name);
