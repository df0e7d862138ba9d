/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A listing while it grows: queues are found again by their identity, at once. */
#pragma once

#include "pmq.h"

/**
 * struct set_builder - a listing and its index
 * @set: what is being built
 * @slots: hash table of positions in it plus one; 0 is empty
 * @n_slots: a power of two, more than twice the queues
 */
struct set_builder {
    struct pmq_set *set;
    size_t cap;
    size_t *slots;
    size_t n_slots;
};

int set_builder_init(struct set_builder *b);
void set_builder_done(struct set_builder *b);

/* The queue with this identity, or NULL. Valid until the next one is added. */
struct pmq_info *set_find(const struct set_builder *b, uint64_t dev, uint64_t ino);

/* Adds a queue that is not there yet; its arrays are handed over. Return: 0 or -ENOMEM. */
int set_add(struct set_builder *b, const struct pmq_info *info);

int set_add_holder(struct pmq_info *q, const struct pmq_holder *h);
int set_add_waiter(struct pmq_info *q, const struct pmq_waiter *w);

/* Keeps a copy of a path for the ns_path of queues. Return: 0 or -ENOMEM. */
int set_add_path(struct pmq_set *set, const char *path, const char **ret);

/* Appends a sentence to the note. */
void set_note(struct pmq_set *set, const char *fmt, ...) _printf_(2, 3);

/* Keeps only queues that @pid holds; 0 keeps all. Sorts; the index is of no use afterwards. */
void set_finish(struct set_builder *b, pid_t pid);
