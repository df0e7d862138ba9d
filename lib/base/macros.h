/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The macros that every file may use. */
#pragma once

#include <stddef.h>

#define _cleanup_(f)   __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _unused_       __attribute__((unused))
#define _noreturn_     __attribute__((noreturn))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define MIN(a, b)                          \
    ({                                     \
        __typeof__(a) min_a_ = (a);        \
        __typeof__(b) min_b_ = (b);        \
        min_a_ < min_b_ ? min_a_ : min_b_; \
    })

#define MAX(a, b)                          \
    ({                                     \
        __typeof__(a) max_a_ = (a);        \
        __typeof__(b) max_b_ = (b);        \
        max_a_ > max_b_ ? max_a_ : max_b_; \
    })

/* The structure of TYPE whose member MEMBER is at PTR. */
#define container_of(ptr, type, member)                                     \
    ({                                                                      \
        __typeof__(((type *)0)->member) *container_of_p_ = (ptr);           \
        (type *)(void *)((char *)container_of_p_ - offsetof(type, member)); \
    })

/* Moves a pointer out of a variable: returns its value and sets the variable to NULL. */
#define TAKE_PTR(p)                  \
    ({                               \
        __typeof__(p) take_p_ = (p); \
        (p) = NULL;                  \
        take_p_;                     \
    })

/* The same for a file descriptor. */
#define TAKE_FD(fd)          \
    ({                       \
        int take_fd_ = (fd); \
        (fd) = -1;           \
        take_fd_;            \
    })
