/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Chooses the bus that a verb works on: a device, or a descriptor of some process. */
#pragma once

#include <sys/types.h>

#include "bus_client.h"
#include "cli.h"

/**
 * struct bus_pick - a chosen bus
 * @dev: where peers come from
 * @single: of b1_probe()
 * @embedded: the bus in this process, if it is one
 */
struct bus_pick {
    struct b1_device dev;
    bool single;
    struct b1_embedded *embedded;
};

void bus_pick_done(struct bus_pick *b);

/* The device at @path; NULL: /dev/bus1 if there is one, else a bus in this process, with a note. */
int bus_pick_open(struct cli_ctx *ctx, const char *path, struct bus_pick *b, struct err *e);

/* The peer that is open as @fd, in process @pid or (0) in this one, inherited. */
int bus_pick_adopt(pid_t pid, uint32_t fd, struct bus_pick *b, struct b1_client **ret,
                   struct err *e);

#define BUS_FD_NONE UINT32_MAX

/* The limits of a kernel with the RFC's code that its users must know. */
#define BUS_RFC_NOTE                                                                              \
    "this kernel's bus1 is the RFC's: arrays are garbled, so one destination, handle and id at "  \
    "a time; HANDLE_RELEASE comes for each handle released, and receiving it destroys the node: " \
    "later messages to it vanish although SEND succeeds; a released node's waiting messages are " \
    "dropped"
