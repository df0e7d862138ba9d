/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Declarations that only the files of the replay share. */
#pragma once

#include "bus1_abi.h"
#include "bus_replay.h"

enum { B1_REPLAY_BUCKETS = 1024 };

struct b1_replay_id {
    uint64_t recorded;
    uint64_t id; /* its id on the new bus */
};

/* The data of a message, which a multicast shares. */
struct b1_replay_blob {
    size_t refs;
    size_t len;
    char data[];
};

struct b1_replay_expected {
    struct b1_replay_expected *next;
    uint64_t type;
    uint64_t id;
    struct b1_replay_blob *blob; /* NULL: no data */
    size_t n_handles;
    uint64_t handles[];
};

/* In a recording of calls: a message that was received before its turn. */
struct b1_replay_early;

struct b1_replay_peer {
    struct b1_replay_peer *next;
    uint64_t serial;
    struct b1_client *client;
    struct b1_replay_id *ids; /* all ids that the peer ever had, sorted by @recorded */
    size_t n_ids;
    size_t ids_cap;
    struct b1_replay_expected *expected;
    struct b1_replay_expected **last;
    struct b1_replay_early *early;
};

struct b1_replay_past;

struct b1_replay {
    struct b1_device dev;
    bool single;
    void (*message)(void *ctx, const struct b1_replayed *m);
    void *ctx;
    struct b1_replay_peer *peers[B1_REPLAY_BUCKETS];
    struct b1_replay_past *past;
    struct b1_replay_blob *sent; /* data of the last SEND */
    bool outside;                /* the recording was made from outside */
    uint64_t unseen;
    uint64_t failed;
    uint64_t refused;
    uint64_t reordered;
};

int b1_replay_peer_open(struct b1_replay *r, uint64_t serial, struct err *e);
struct b1_replay_peer *b1_replay_peer_find(struct b1_replay *r, uint64_t serial);
int b1_replay_id_add(struct b1_replay_peer *p, uint64_t recorded, uint64_t id);
bool b1_replay_id_find(struct b1_replay_peer *p, uint64_t recorded, uint64_t *id);

/*
 * Adds a message that the peer is to receive; takes a reference to @blob for a message of a user.
 */
int b1_replay_expect(struct b1_replay_peer *p, const struct b1_event *ev,
                     struct b1_replay_blob *blob);
int b1_replay_blob_new(const void *data, size_t len, struct b1_replay_blob **ret);

/* Collects the state before the recording until it is complete, then builds it. */
int b1_replay_past_add(struct b1_replay *r, const struct b1_event *ev);
int b1_replay_past_build(struct b1_replay *r, struct err *e);
void b1_replay_past_free(struct b1_replay_past *p);

/*
 * For a recording made from outside: receives a message, receives what is left when a peer ends,
 * and repeats what is possible of an event that was not recorded completely.
 */
int b1_replay_receive_outside(struct b1_replay *r, struct b1_replay_peer *p,
                              const struct b1_event *ev, struct err *e);
int b1_replay_end_outside(struct b1_replay *r, struct b1_replay_peer *p, struct err *e);
int b1_replay_do_unseen(struct b1_replay *r, struct b1_replay_peer *p, const struct b1_event *ev,
                        struct err *e);
void b1_replay_early_drop(struct b1_replay_early **at);
