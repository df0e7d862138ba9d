/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events of a bus as records of a dump. */
#pragma once

#include "bus_event.h"
#include "dump.h"

#define BUS_DUMP_KIND "bus1"

void bus_dump_put(struct dump_writer *w, const struct b1_event *ev);

/**
 * bus_dump_get() - an event out of a record
 * @rec: borrowed; so is the data
 * @lists: memory
 *
 * Return: 0; 1 for a record of another type; -EBADMSG, -ENOMEM.
 */
int bus_dump_get(struct dump_record *rec, struct b1_event_lists *lists, struct b1_event *ev,
                 struct err *e);
