/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The events of a bus, as the bus itself sees them: in one total order. The engine reports them,
 * the server writes them as lines of text, a dump stores them, and a replay repeats them.
 *
 * A recording begins with what exists already (PEER, NODE, HANDLE, WAITING; then BEGIN).
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
    B1_EVENT_TRANSFER, /* making one node or handle */
    B1_EVENT_RELEASE,
    B1_EVENT_SEND,
    B1_EVENT_MESSAGE, /* a message of the SEND, RELEASE or CLOSE before it joined a queue */
    B1_EVENT_RECV,
    B1_EVENT_LOST,
    B1_EVENT_KINDS,
};

/* Why an event that was observed from outside cannot be replayed. */
enum b1_unseen {
    B1_UNSEEN_NOTHING,
    /* a node or handle is older than the recording, or comes from a call that was not seen */
    B1_UNSEEN_ID,
    B1_UNSEEN_MEMORY, /* not all of the caller's memory could be read */
    B1_UNSEEN_END,    /* the call had no end: whether it took effect is not known */
    B1_UNSEENS,
};

/**
 * struct b1_event - an event; members that its kind does not have are 0 or NULL
 * @time: ns since 1970
 * @peer: serial number of the peer that it concerns; for MESSAGE the receiver
 * @other: HANDLE: the owner of the node, 0 when the node is released; TRANSFER: the peer that gets
 *   the handle; MESSAGE and WAITING: the peer that caused the message
 * @ino, @pid, @uid: for PEER and OPEN
 * @message_type: BUS1_MESSAGE_TYPE_*
 * @id: the node or handle; for TRANSFER the handle that is copied, or the new node
 * @node: HANDLE: id of the node that it refers to
 * @handle: TRANSFER: the new handle, in @other
 * @create: TRANSFER: a node was made
 * @waiting: HANDLE: it is still in a waiting message
 * @account: as in struct b1_view
 * @count: LOST: number of lost events
 * @ids: RELEASE: all released ids; SEND: the destinations
 * @handles: SEND: the sender's handles that it carries; WAITING, MESSAGE and RECV: the ids of these
 *   at the receiver
 * @data: SEND and WAITING; also RECV, when the bus was observed from outside; NULL when the data
 *   was left out
 * @length: length of the data; MESSAGE and RECV have only this
 * @private: the engine's peer; for an OPEN observed from outside its struct b1_monitor_file
 * @outside: derived from the calls, not reported by the bus: the order is approximate, there is no
 *   MESSAGE, OPEN is where a peer was first seen, and CLOSE where its file was found to be gone
 * @unseen: for such events: why it cannot be replayed
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
 * struct b1_event_field - a number of an event, for writing and parsing
 * @key: its name
 * @offset: offset of the u64
 * @kinds: the kinds that have it: bits of enum b1_event_kind
 */
struct b1_event_field {
    const char *key;
    size_t offset;
    unsigned int kinds;
};

/* The table ends at an entry without a key. @time is not in it. */
extern const struct b1_event_field b1_event_fields[];

/* "peer", "node", …, by enum b1_event_kind. */
extern const char *const b1_event_names[B1_EVENT_KINDS];

/* Tell whether events of a kind have the lists and the data. */
bool b1_event_has_ids(enum b1_event_kind kind);
bool b1_event_has_handles(enum b1_event_kind kind);
bool b1_event_has_data(enum b1_event_kind kind);

/* The reasons in words, by enum b1_unseen; NULL for none. */
extern const char *const b1_unseen_words[B1_UNSEENS];

/* Writes an event as a line of text; the data only with @data. */
void b1_event_write(struct buf *out, const struct b1_event *ev, bool data);

/* Memory for the lists of an event that is parsed. Initialise it with zeros. */
struct b1_event_lists {
    uint64_t *ids;
    size_t ids_cap;
    uint64_t *handles;
    size_t handles_cap;
};

void b1_event_lists_done(struct b1_event_lists *l);

/**
 * b1_event_parse() - parse a line without its newline
 * @line: overwritten; the event's data lies in it
 *
 * Return: 0; 1 for an unknown kind; -EBADMSG; -ENOMEM.
 */
int b1_event_parse(char *line, struct b1_event_lists *lists, struct b1_event *ev);
