/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For the files that find out what a call waits for: the thread that is being explained. */
#pragma once

#include "graph.h"

struct look {
    struct graph *g;
    struct thread *t;
    struct process *p;
};

/* Takes the thread to be live. The first reason that is given stays. */
void look_live(const struct look *l, const char *why);

/* Reads the thread's memory. Return: false when not all of it can be read. */
bool look_memory(const struct look *l, uint64_t address, void *to, size_t n);

/* Adds an alternative: one more event that can end the wait. Return: false when memory is out. */
bool look_add(const struct look *l, enum wait_object_kind kind, uint64_t dev, uint64_t inode,
              int fd);
struct alternative *look_latest(const struct look *l);

/* Adds a process that could end the latest alternative. */
void look_add_waker(const struct look *l, size_t process);

/* Tells whether process numbers mean the same to the thread as to us. */
bool look_same_numbers(const struct look *l);

/* channel_waits.c: explains a futex of an embedded channel. Return: whether it is one. */
bool look_channel(const struct look *l);

/* bus_waits.c: explains the polling of a file of a served bus. Return: whether it is one. */
bool look_bus(const struct look *l, const struct descriptor *d);
void graph_buses_done(struct graph *g);
