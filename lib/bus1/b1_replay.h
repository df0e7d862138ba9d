/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A recording of a bus (b1_event.h), done again: its peers, nodes and handles are made anew and its
 * messages sent, with the ids that the new bus gives. What is received is compared with what was
 * recorded.
 */
#pragma once

#include "b1_client.h"
#include "b1_event.h"
#include "errinfo.h"

/**
 * struct b1_replayed - a message that was received again; borrowed
 * @peer: who received it, as recorded
 * @type: BUS1_MESSAGE_TYPE_*
 * @id: the node or handle, as recorded
 * @handles, @n_handles: what came along, as recorded
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
 * Return: 0; -EPROTO when something else came of it than was recorded; -EBADMSG for a recording
 * that contradicts itself; or what the bus said.
 */
int b1_replay_event(struct b1_replay *r, const struct b1_event *ev, struct err *e);

/* Receives what was still waiting at the end. Return: as above. */
int b1_replay_end(struct b1_replay *r, struct err *e);
