/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reasons and remedies of errors. Functions return 0 or a negative errno; where a number does not
 * tell the user what is wrong, the function also fills in a struct err with the reason, and with
 * what the user can do about it.
 */
#pragma once

#include "macros.h"

/**
 * struct err - why something failed
 * @code: a negative errno, or 0 when nothing has been set
 * @why: the reason, without a full stop; "" when the errno is sufficient
 * @remedy: what the user can do, e.g. "run as root"; "" when nothing is known to help
 *
 * Start with ERR_INIT (all zero). The texts are cut at their size, never allocated.
 */
struct err {
    int code;
    char why[640];
    char remedy[256];
};

#define ERR_INIT \
    {            \
        0        \
    }

/**
 * err_set() - set the reason
 * @e: the structure, or NULL when the caller does not need the reason
 * @code: negative errno
 * @remedy: what the user can do, or NULL
 * @fmt: the reason
 *
 * Return: @code, so that a function can end with `return err_set(e, -EPERM, "run as root", …)`.
 */
int err_set(struct err *e, int code, const char *remedy, const char *fmt, ...) _printf_(4, 5);

/**
 * err_text() - get the reason as a string
 * @e: may be NULL
 * @code: negative errno, used when @e has no reason
 *
 * Return: @e's reason, or the C library's words for @code. Valid until @e changes.
 */
const char *err_text(const struct err *e, int code);
