/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Arrays that grow by doubling. */
#pragma once

#include <stddef.h>

/**
 * array_more() - room for one more element
 * @array: address of the pointer to the elements, which may move
 * @n: how many are in use; one more afterwards
 * @room: how many are allocated
 * @size: bytes of an element
 *
 * Return: the new element, all zero, or NULL when memory is out; nothing has changed then.
 */
void *array_more(void *array, size_t *n, size_t *room, size_t size);

/* The same for a pointer @v whose count and room are @n and @room. */
#define ARRAY_MORE(v, n, room) array_more(&(v), &(n), &(room), sizeof(*(v)))
