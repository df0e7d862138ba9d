/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Repeats a recording of a bus (bus_event.h): makes its peers, nodes and handles anew and sends its
 * messages, with the ids that the new bus gives. What is received is compared with what was
 * recorded.
 *
 * In a recording made from outside (b1_event.outside), messages of sends that overlapped may come
 * in another order, and events that were not seen completely are skipped; both are counted.
 */
#pragma once

#include "bus_client.h"
#include "bus_event.h"
#include "errinfo.h"

/**
 * struct b1_replayed - a message that was received again; borrowed
 * @peer: the receiver, as recorded
 * @type: BUS1_MESSAGE_TYPE_*
 * @id: the node or handle, as recorded
 * @handles, @n_handles: the handles that it carried, as recorded; BUS1_INVALID where the recording
 *   does not tell
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
 * b1_replay_new() - start a replay
 * @dev: the device that peers are opened on; must outlive the replay
 * @single: the result of b1_probe()
 * @message: called for each message that is received
 * @ctx: its first argument
 */
int b1_replay_new(const struct b1_device *dev, bool single,
                  void (*message)(void *ctx, const struct b1_replayed *m), void *ctx,
                  struct b1_replay **ret);
/* Closes all peers. NULL is allowed. */
void b1_replay_free(struct b1_replay *r);

/**
 * b1_replay_event() - repeat a recorded event
 *
 * Return: 0; 1 for an event of a recording made from outside that could not be repeated as
 * recorded, which need not end the replay, with a reason; -EPROTO when the result differs from the
 * recorded one; -EBADMSG for a recording that contradicts itself; or the error of the bus.
 */
int b1_replay_event(struct b1_replay *r, const struct b1_event *ev, struct err *e);

/* Receives the messages that were still waiting at the end. Return: as above. */
int b1_replay_end(struct b1_replay *r, struct err *e);

/**
 * struct b1_replay_account - the totals of a recording made from outside
 * @unseen: events that, as the recording says, could not be replayed, or only in part
 * @failed: events whose result differed from the recorded one; the replay continues
 * @refused: SENDs and RELEASEs of an object that is released. The RFC's code lets these succeed
 *   without any effect; a RECV shows whether a message is missing
 * @reordered: messages that were received before their turn
 */
struct b1_replay_account {
    uint64_t unseen;
    uint64_t failed;
    uint64_t refused;
    uint64_t reordered;
};

void b1_replay_account(const struct b1_replay *r, struct b1_replay_account *out);
