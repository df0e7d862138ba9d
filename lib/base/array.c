/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Arrays that grow by doubling, so that adding n elements copies fewer than 2n. */
#include "array.h"

#include <stdlib.h>
#include <string.h>

void *array_more(void *array, size_t *n, size_t *room, size_t size)
{
    void **v = array;

    if (*n == *room) {
        size_t larger = *room ? 2 * *room : 16;
        void *p = reallocarray(*v, larger, size);

        if (!p)
            return NULL;
        *v = p;
        *room = larger;
    }
    return memset((char *)*v + size * (*n)++, 0, size);
}
