/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reasons and remedies of errors. */
#include "errinfo.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *e, int code, const char *remedy, const char *fmt, ...)
{
    va_list ap;

    if (!e)
        return code;
    e->code = code;
    va_start(ap, fmt);
    vsnprintf(e->why, sizeof(e->why), fmt, ap);
    va_end(ap);
    snprintf(e->remedy, sizeof(e->remedy), "%s", remedy ? remedy : "");
    return code;
}

const char *err_text(const struct err *e, int code)
{
    const char *text;

    if (e && e->why[0])
        return e->why;
    text = strerrordesc_np(-code);
    return text ? text : "unknown error";
}
