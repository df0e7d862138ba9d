/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How every benchmark prints what it measured, so that tests/bench/run can make one table of all.
 */
#ifndef FIGURE_H
#define FIGURE_H

#include <stdarg.h>
#include <stdio.h>

#include "macros.h"

/**
 * figure() - print one figure: a line "NAME<TAB>VALUE<TAB>GOAL<TAB>DETAIL"
 * @name: what was measured, and against what
 * @value: the ratio, or the number where there is nothing to compare with
 * @goal: "<= 0.1" or ">= 10"; "-" where there is none
 * @fmt: what the value was made from
 */
_printf_(4, 5) static inline void figure(const char *name, double value, const char *goal,
                                         const char *fmt, ...)
{
    va_list ap;

    printf("%s\t%.3g\t%s\t", name, value, goal);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    fflush(stdout);
}

#endif
