/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Functions for _cleanup_(): each gets the address of the variable whose scope ends. */
#pragma once

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "macros.h"

/* Frees a pointer from malloc(). */
static inline void freep(void *p)
{
    free(*(void **)p);
}

/* Closes a file descriptor, unless it is negative. errno is preserved. */
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
