/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A recording of a bus (bus_event.h), done again: its peers, nodes and handles are made anew and
 * its messages sent, with the ids that the new bus gives. What is received is compared with what
 * was recorded.
 *
 * In a recording from outside (b1_event.outside) messages of sends that overlapped may come in
 * another order, and what was not seen whole is left out; both are counted.
 */
#pragma once

#include "bus_client.h"
#include "bus_event.h"
#include "errinfo.h"

/**
 * struct b1_replayed - a message that was received again; borrowed
 * @peer: who received it, as recorded
 * @type: BUS1_MESSAGE_TYPE_*
 * @id: the node or handle, as recorded
 * @handles, @n_handles: what came along, as recorded; BUS1_INVALID where that does not tell
 * @data, @len: its content
 * @waited: it was still waiting at the end of the recording
 */
struct b1_replayed {
    uint64_t peer;
    uint64_t type;
    uint64_t id;
    const uint64_t *handles;
    size_t n_handles;
    const void *data;
    size_t len;
    bool waited;
};

struct b1_replay;

/**
 * b1_replay_new() - an empty world
 * @dev: where peers come from; must outlive it
 * @single: of b1_probe()
 * @message: told of what is received
 * @ctx: its first argument
 */
int b1_replay_new(const struct b1_device *dev, bool single,
                  void (*message)(void *ctx, const struct b1_replayed *m), void *ctx,
                  struct b1_replay **ret);
/* Closes all peers. NULL is fine. */
void b1_replay_free(struct b1_replay *r);

/**
 * b1_replay_event() - do what was recorded
 *
 * Return: 0; 1 for an event of a recording from outside that could not be done as it was recorded,
 * which need not end the replay, with a reason; -EPROTO when something else came of it than was
 * recorded; -EBADMSG for a recording that contradicts itself; or what the bus said.
 */
int b1_replay_event(struct b1_replay *r, const struct b1_event *ev, struct err *e);

/* Receives what was still waiting at the end. Return: as above. */
int b1_replay_end(struct b1_replay *r, struct err *e);

/**
 * struct b1_replay_account - the account of a recording from outside
 * @unseen: events that could not be replayed, or not wholly, as the recording says
 * @failed: events of which something else came than was recorded; the replay goes on all the same
 * @refused: SENDs and RELEASEs of something that is gone. The RFC's code lets these succeed
 *   without any effect; a RECV tells if anybody misses the message
 * @reordered: messages that were received before their turn
 */
struct b1_replay_account {
    uint64_t unseen;
    uint64_t failed;
    uint64_t refused;
    uint64_t reordered;
};

void b1_replay_account(const struct b1_replay *r, struct b1_replay_account *out);
