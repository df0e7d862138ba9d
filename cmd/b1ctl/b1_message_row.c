/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A message as shell, recv and peek show it. */
#include "b1_message_row.h"

#include "bus1_abi.h"

#define ROW struct b1_message_row

const struct out_col b1_message_cols[] = {
    OUT_STR(ROW, peer, "peer", "who received it, by its name in the shell"),
    OUT_STR(ROW, type, "type", "message, node-release or handle-release"),
    OUT_STR(ROW, target, "target", "the node it came to; of a node-release the handle", .width = 8),
    OUT_U64(ROW, id, "id", "of the target"),
    OUT_U64(ROW, account, "account", "user that is charged for it; null: the bus does not say"),
    OUT_SIZE(ROW, length, "length", "bytes"),
    OUT_STR(ROW, handles, "handles", "that came along, joined by commas", .width = 10),
    OUT_BYTES(ROW, content, "content",
              "text if it is text, else <hex>; in JSON data_base64 and text", .flags = OUT_WIDE),
    OUT_END,
};

const char *b1_message_type(uint64_t type)
{
    switch (type) {
    case BUS1_MESSAGE_TYPE_USER:
        return "message";
    case BUS1_MESSAGE_TYPE_NODE_RELEASE:
        return "node-release";
    case BUS1_MESSAGE_TYPE_HANDLE_RELEASE:
        return "handle-release";
    default:
        return "unknown";
    }
}
