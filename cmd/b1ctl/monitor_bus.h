/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The served buses' own view, beside the calls: which message went from which peer to which. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cli.h"

struct monitor_bus;

/**
 * monitor_bus_new() - listen to the buses that there are, and to those that will be
 * @ctx: where it is shown
 * @dev: only the bus with this device number; 0: all
 * @some: only messages from or to peers of monitor_bus_peer()
 * @ret: release with monitor_bus_free()
 *
 * A bus of another user does not tell; that is no error.
 */
int monitor_bus_new(struct cli_ctx *ctx, uint64_t dev, bool some, struct monitor_bus **ret);
void monitor_bus_free(struct monitor_bus *b);

/* Readable when monitor_bus_read() should be called. */
int monitor_bus_fd(const struct monitor_bus *b);
/* POLLPRI, once a change, when monitor_bus_look() should be called: there may be another bus. */
int monitor_bus_mounts_fd(const struct monitor_bus *b);
int monitor_bus_look(struct monitor_bus *b);
/* Takes in what has happened. Return: 0 or -ENOMEM. */
int monitor_bus_read(struct monitor_bus *b);

/* With @some: a peer that counts. Return: 0 or -ENOMEM. */
int monitor_bus_peer(struct monitor_bus *b, uint64_t dev, uint64_t ino);

/* Shows what was taken in and happened before @time. Return: how many were shown or lost. */
uint64_t monitor_bus_show(struct monitor_bus *b, uint64_t time);

/* Messages that servers could not keep for us. */
uint64_t monitor_bus_lost(const struct monitor_bus *b);
