/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Arrays that grow by doubling, and sorting. */
#pragma once

#include <stddef.h>
#include <stdlib.h>

/**
 * array_more() - make room for one more element
 * @array: address of the pointer to the elements, which may move
 * @n: number of elements in use; incremented
 * @room: number of elements allocated
 * @size: bytes of an element
 *
 * Return: the new element, all zero, or NULL when memory is out: then nothing has changed.
 */
void *array_more(void *array, size_t *n, size_t *room, size_t size);

/* ARRAY_MORE() calls array_more() for a pointer variable @v whose count and room are @n and @room.
 */
#define ARRAY_MORE(v, n, room) array_more(&(v), &(n), &(room), sizeof(*(v)))

/**
 * array_sort() - qsort() that also takes an array without elements
 * @v: the elements; may be NULL where @n is 0, which qsort() itself does not allow
 * @n: number of elements
 * @size: bytes of an element
 * @compare: as for qsort()
 */
static inline void array_sort(void *v, size_t n, size_t size,
                              int (*compare)(const void *, const void *))
{
    if (n > 1)
        qsort(v, n, size, compare);
}
