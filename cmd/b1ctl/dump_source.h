/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* b1ctl dump: where events come from. */
#pragma once

#include "bus_dump.h"
#include "cli_stream.h"

struct dump_args {
    const char *file;
    const char *device;
    int backend;
    uint64_t count;
    uint64_t duration;
};

struct dump_source;

struct dumping {
    struct cli_ctx *ctx;
    const struct dump_args *args;
    const struct dump_source *source;
    void *state; /* of the source */
    const char *bus;
    struct dump_writer *w;
    uint64_t messages;
    uint64_t to_come; /* of the last one, to its destinations */
    uint64_t lost;
    struct cli_stream stream;
};

/**
 * struct dump_source - a way to know what happens on a bus
 * @name: as in the dump's header
 * @begin: from here on nothing escapes. Return: an exit status, told
 * @start: called when the dump can be written to. Return: 0 or -errno. May be NULL
 * @period_ns: how long to wait at most between two calls of @read
 * @fd: readable when something has happened
 * @read: writes what has happened with dump_event(). Return: 0 to go on; 1: enough; -ENOTCONN: the
 *   bus has ended; another -errno with a reason
 * @finish: the same for what was held back, at the end
 * @note: what there is to say of the recording. May be NULL, as @finish
 * @end: releases the state
 */
struct dump_source {
    const char *name;
    int (*begin)(struct dumping *d);
    int (*start)(struct dumping *d);
    uint64_t period_ns;
    int (*fd)(const struct dumping *d);
    int (*read)(struct dumping *d, struct err *e);
    int (*finish)(struct dumping *d, struct err *e);
    void (*note)(const struct dumping *d);
    void (*end)(struct dumping *d);
};

/* The events that a served bus tells of, whose directory is @bus; and the calls on any bus, whose
 * file is @bus. */
extern const struct dump_source dump_source_bus;
extern const struct dump_source dump_source_calls;

/* Writes an event, @ctx being the dumping. Return: 1 when there are enough, or nothing more can be
 * written. */
int dump_event(const struct b1_event *ev, void *ctx);
