/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What happens on a served bus, read from its files "traffic" and "record". */
#pragma once

#include "bus_event.h"

struct b1_traffic;

/**
 * b1_traffic_open() - begin to listen
 * @dir: where the bus is mounted
 * @whole: also report what existed before, and the data of the messages
 * @ret: release with b1_traffic_close()
 *
 * Return: 0; -EACCES unless the caller is root or the server's user; -ENOTCONN when the server has
 * died.
 */
int b1_traffic_open(const char *dir, bool whole, struct b1_traffic **ret);
void b1_traffic_close(struct b1_traffic *t);

/* The descriptor is readable when an event can be read; it has POLLERR when the server is gone. */
int b1_traffic_fd(const struct b1_traffic *t);

/* A value other than 0 stops the reading after this event and is returned. */
typedef int (*b1_traffic_fn)(const struct b1_event *ev, void *ctx);

/*
 * Visits the events that have happened, without waiting. Return: 0; -ENOTCONN when the server has
 * ended; …
 */
int b1_traffic_read(struct b1_traffic *t, b1_traffic_fn visit, void *ctx);
