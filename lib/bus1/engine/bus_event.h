/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What happens on a bus, as the bus itself sees it: in one total order. The engine tells of it, the
 * server writes it as lines of text, a dump holds it, and a replay does it again.
 *
 * A recording begins with what there is already (PEER, NODE, HANDLE, WAITING; then BEGIN).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

enum b1_event_kind {
    B1_EVENT_PEER,
    B1_EVENT_NODE,
    B1_EVENT_HANDLE,
    B1_EVENT_WAITING, /* a message, in the order of its queue */
    B1_EVENT_BEGIN,
    B1_EVENT_OPEN,
    B1_EVENT_CLOSE,
    B1_EVENT_TRANSFER, /* of one node or handle */
    B1_EVENT_RELEASE,
    B1_EVENT_SEND,
    B1_EVENT_MESSAGE, /* joined a queue: of the SEND, RELEASE or CLOSE before it */
    B1_EVENT_RECV,
    B1_EVENT_LOST,
    B1_EVENT_KINDS,
};

/* Why an event that was seen from outside cannot be done again. */
enum b1_unseen {
    B1_UNSEEN_NOTHING,
    B1_UNSEEN_ID,     /* a node or handle is older than the recording, or of a call not seen */
    B1_UNSEEN_MEMORY, /* not all of the caller's memory could be read */
    B1_UNSEEN_END,    /* the call had no end: whether it took effect is not known */
    B1_UNSEENS,
};

/**
 * struct b1_event - something that happened; what a kind does not have is 0 or NULL
 * @time: ns since 1970
 * @peer: serial number of the peer that it is about; of MESSAGE the receiver
 * @other: HANDLE: who has the node, 0 when that is gone; TRANSFER: who gets the handle; MESSAGE and
 *   WAITING: who caused it
 * @ino, @pid, @uid: of PEER and OPEN
 * @message_type: BUS1_MESSAGE_TYPE_*
 * @id: the node or handle; of TRANSFER what is copied, or the new node
 * @node: HANDLE: the id of what it refers to
 * @handle: TRANSFER: the new handle, in @other
 * @create: TRANSFER: a node was made
 * @waiting: HANDLE: it is still in a message
 * @account: as in struct b1_view
 * @count: LOST: how many events
 * @ids: RELEASE: all of them; SEND: the destinations
 * @handles: SEND: the sender's that go along; WAITING, MESSAGE and RECV: the receiver's
 * @data: SEND and WAITING; also RECV, of a bus that was seen from outside; NULL when it was left
 *   out
 * @length: bytes of it; MESSAGE and RECV have this alone
 * @private: of the engine's peer; of OPEN from outside its struct b1_monitor_file
 * @outside: told by the calls and not by the bus: the order is approximate, there is no MESSAGE,
 *   OPEN is where a peer was first seen, and CLOSE where its file was found to be gone
 * @unseen: of these, why it cannot be done again
 */
struct b1_event {
    enum b1_event_kind kind;
    uint64_t time;
    uint64_t peer;
    uint64_t other;
    uint64_t ino;
    uint64_t pid;
    uint64_t uid;
    uint64_t message_type;
    uint64_t id;
    uint64_t node;
    uint64_t handle;
    uint64_t create;
    uint64_t waiting;
    uint64_t account;
    uint64_t count;
    uint64_t length;
    const uint64_t *ids;
    size_t n_ids;
    const uint64_t *handles;
    size_t n_handles;
    const void *data;
    const void *private;
    bool outside;
    enum b1_unseen unseen;
};

/**
 * struct b1_event_field - a number of an event, for who writes and reads them
 * @key: its name
 * @offset: of the u64
 * @kinds: which have it: bits of enum b1_event_kind
 */
struct b1_event_field {
    const char *key;
    size_t offset;
    unsigned int kinds;
};

/* Ended by an entry without a key. @time is not among them. */
extern const struct b1_event_field b1_event_fields[];

/* "peer", "node", …, by enum b1_event_kind. */
extern const char *const b1_event_names[B1_EVENT_KINDS];

/* Tell whether events of a kind have the lists and the data. */
bool b1_event_has_ids(enum b1_event_kind kind);
bool b1_event_has_handles(enum b1_event_kind kind);
bool b1_event_has_data(enum b1_event_kind kind);

/* In words, by enum b1_unseen; NULL for none. */
extern const char *const b1_unseen_words[B1_UNSEENS];

/* A line of text, without data unless @data. */
void b1_event_write(struct buf *out, const struct b1_event *ev, bool data);

/* Memory for the lists of an event that is read. All zero at first. */
struct b1_event_lists {
    uint64_t *ids;
    size_t ids_cap;
    uint64_t *handles;
    size_t handles_cap;
};

void b1_event_lists_done(struct b1_event_lists *l);

/**
 * b1_event_parse() - a line without its newline
 * @line: overwritten; the event's data lies in it
 *
 * Return: 0; 1 for a kind that is not known; -EBADMSG; -ENOMEM.
 */
int b1_event_parse(char *line, struct b1_event_lists *lists, struct b1_event *ev);
