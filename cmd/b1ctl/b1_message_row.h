/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A message as shell, recv and peek show it: the same keys everywhere. */
#pragma once

#include "bus_client.h"
#include "out.h"

/**
 * struct b1_message_row - a message
 * @peer: who received it, a name; NULL where there are no names
 * @type: "message", "node-release" or "handle-release"
 * @target: name of the node, or of the handle for node-release; NULL where there are no names
 * @id: its id
 * @account: user that sent it; OUT_UNKNOWN_U64 when the bus does not say
 * @handles: names, or ids, of the handles that came along, joined by commas; NULL for none
 */
struct b1_message_row {
    const char *peer;
    const char *type;
    const char *target;
    uint64_t id;
    uint64_t account;
    uint64_t length;
    const char *handles;
    struct out_bytes content;
};

extern const struct out_col b1_message_cols[];

/* "message", "node-release", "handle-release"; "unknown" for anything else. */
const char *b1_message_type(uint64_t type);
