/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Release functions for _cleanup_(): each takes the address of the variable that goes out of scope.
 */
#pragma once

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "macros.h"

/* The variable is a pointer from malloc(). */
static inline void freep(void *p)
{
    free(*(void **)p);
}

/* The variable is a file descriptor, or negative for none. errno is kept. */
void closep(const int *fd);

static inline void fclosep(FILE **f)
{
    if (*f)
        fclose(*f);
}

static inline void closedirp(DIR **d)
{
    if (*d)
        closedir(*d);
}
