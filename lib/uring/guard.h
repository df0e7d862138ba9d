/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shared mappings of files that others may cut short. Touching a page past the end of a file raises
 * SIGBUS, so whoever may write a channel's file could kill everyone who has it mapped. Here the
 * signal's handler puts private zero pages where the mapping was and marks it broken: the access
 * goes on, reads zeros, and the caller finds out with guard_broken().
 *
 * The handler is installed with the first mapping. SIGBUS from elsewhere goes to whoever had it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct guard;

/**
 * guard_map() - map a file, shared, from its beginning
 * @ret: the mapping
 * @fd: the file; not needed afterwards
 * @size: bytes
 * @writable: for writing too
 *
 * Return: 0; -EMFILE when too many are mapped; or what mmap() said.
 */
int guard_map(struct guard **ret, int fd, size_t size, bool writable);

void *guard_base(const struct guard *g);

/* Whether the file was cut short and the content is lost. */
bool guard_broken(const struct guard *g);

extern bool guard_ever_broken;

/* Whether any was since the program began: while not, guard_broken() need not be asked. */
static inline bool guard_any_broken(void)
{
    return __atomic_load_n(&guard_ever_broken, __ATOMIC_ACQUIRE);
}

/* Unmaps. NULL is fine. */
void guard_unmap(struct guard *g);
