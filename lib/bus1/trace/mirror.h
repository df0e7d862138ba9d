/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What can be known of a bus from the calls on it: which ids a peer has, to which nodes its handles
 * lead, and what was sent to a node and not received yet.
 *
 * What nobody saw being made is foreign: it is there, but leads nowhere.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct b1_mirror_peer;

/* A message that was sent. */
struct b1_mirror_message {
    struct b1_mirror_message *next;
    uint64_t hash;
    uint64_t len;
    bool unseen; /* what it carries leads nowhere */
    size_t n_carried;
    struct b1_mirror_node *carried[];
};

/**
 * struct b1_mirror_node - a node
 * @owner: NULL when that has closed, or for a foreign one
 * @handles: that lead to it, also in messages
 * @gone: it was released
 * @told: nothing more will be told of its handles
 * @sent: to it, oldest first
 */
struct b1_mirror_node {
    size_t refs;
    struct b1_mirror_peer *owner;
    uint64_t id;
    size_t handles;
    bool foreign;
    bool gone;
    bool told;
    struct b1_mirror_message *sent;
    struct b1_mirror_message **last;
};

/**
 * struct b1_mirror_slot - a node or handle of a peer
 * @released: a handle; kept for a while, since the release of its node may have to be told still
 * @too_early: released when the node was not known to be gone
 * @told: of a handle: its node's release was received
 */
struct b1_mirror_slot {
    uint64_t id;
    struct b1_mirror_node *node;
    bool is_handle;
    bool released;
    bool too_early;
    bool told;
};

/**
 * struct b1_mirror_peer - a peer
 * @dev, @ino, @file: what it is told by
 * @serial: our number for it
 * @max_id: the largest that a TRANSFER gave, which ended at @max_end
 * @slots: by id
 */
struct b1_mirror_peer {
    struct b1_mirror_peer *next;
    uint64_t dev, ino, file;
    uint64_t serial;
    uint64_t max_id;
    uint64_t max_end;
    struct b1_mirror_slot *slots;
    size_t n_slots;
    size_t n_released;
    size_t cap;
};

enum { B1_MIRROR_BUCKETS = 1024 };

struct b1_mirror {
    struct b1_mirror_peer *peers[B1_MIRROR_BUCKETS];
    uint64_t last_serial;
};

void b1_mirror_done(struct b1_mirror *m);

struct b1_mirror_peer *b1_mirror_peer_find(struct b1_mirror *m, uint64_t dev, uint64_t ino,
                                           uint64_t file);
/* NULL: no memory. */
struct b1_mirror_peer *b1_mirror_peer_new(struct b1_mirror *m, uint64_t dev, uint64_t ino,
                                          uint64_t file);
/* All that it has goes with it. */
void b1_mirror_peer_close(struct b1_mirror *m, struct b1_mirror_peer *p);

/* NULL for an id that is not known. Valid until a slot comes or goes. */
struct b1_mirror_slot *b1_mirror_slot_find(const struct b1_mirror_peer *p, uint64_t id);

/* A new node of @p, or with NULL a foreign one; it belongs to the slots that are added. */
struct b1_mirror_node *b1_mirror_node_new(struct b1_mirror_peer *p, uint64_t id);
void b1_mirror_node_unref(struct b1_mirror_node *n);

/* A handle that comes with a message (@moved) was counted before. Return: 0 or -ENOMEM. */
int b1_mirror_add_node(struct b1_mirror_peer *p, uint64_t id, struct b1_mirror_node *n);
int b1_mirror_add_handle(struct b1_mirror_peer *p, uint64_t id, struct b1_mirror_node *n,
                         bool moved);

/* A node or handle. Unknown ids are nothing. */
void b1_mirror_release(struct b1_mirror_peer *p, uint64_t id);

/* A message joins a node's queue: it counts the handles that it carries. Return: 0 or -ENOMEM. */
int b1_mirror_send(struct b1_mirror_node *n, uint64_t hash, uint64_t len, bool unseen,
                   struct b1_mirror_node *const *carried, size_t n_carried);

/* The oldest that can be the one that was received, or NULL. */
struct b1_mirror_message **b1_mirror_match(struct b1_mirror_node *n, uint64_t hash, uint64_t len,
                                           size_t n_carried);

/* Takes it off. With @moved what it carries is now the receiver's, else it is gone. */
void b1_mirror_message_drop(struct b1_mirror_node *n, struct b1_mirror_message **at, bool moved);

/* The release of a node was told to @p, who has or had the handle @id; or of all its handles to the
 * owner of the node @id. */
void b1_mirror_told(struct b1_mirror_peer *p, uint64_t id);

uint64_t b1_mirror_hash(const void *data, size_t len);
