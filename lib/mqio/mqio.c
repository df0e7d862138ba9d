/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Choosing the kind. */
#include "mqio.h"

#include <stdio.h>
#include <stdlib.h>

#include "mqio_ops.h"
#include "realuser.h"

int mqio_ref_parse(const char *text, struct mqio_ref *out, struct err *e)
{
    struct mqio_ref ref = {.is_sysv = sysv_ref_is(text)};
    int r = ref.is_sysv ? sysv_ref_parse(text, &ref.sysv, e) : pmq_ref_parse(text, &ref.posix, e);

    if (r == 0)
        *out = ref;
    return r;
}

void mqio_ref_format(const struct mqio_ref *ref, char out[MQIO_REF_SIZE])
{
    if (ref->is_sysv)
        sysv_ref_format(&ref->sysv, out);
    else
        pmq_ref_format(&ref->posix, out);
}

/*
 * Whatever privileges the program was given to look into queues with, they are not for using them:
 * they are laid down here and never taken up again.
 */
int mqio_as_real_user(struct err *e)
{
    struct realuser never_back;
    int r = realuser_enter(&never_back);

    return r < 0 ? err_set(e, r, NULL, "cannot lay down privileges: %s", err_text(NULL, r)) : 0;
}

int mqio_open(const struct mqio_ref *ref, enum mqio_use use, struct mqio **ret, struct err *e)
{
    int r = mqio_as_real_user(e);

    if (r < 0)
        return r;
    return ref->is_sysv ? mqio_open_sysv(&ref->sysv, use, ret, e)
                        : mqio_open_posix(&ref->posix, use, ret, e);
}

void mqio_close(struct mqio *io)
{
    if (io)
        io->ops->close(io);
}

void mqio_closep(struct mqio **io)
{
    mqio_close(*io);
}

int mqio_fd(const struct mqio *io)
{
    return io->ops->fd(io);
}

uint64_t mqio_max_length(const struct mqio *io)
{
    return io->ops->max_length(io);
}

int mqio_send(struct mqio *io, const struct mqio_message *m, bool wait, struct err *e)
{
    return io->ops->send(io, m, wait, e);
}

int mqio_recv(struct mqio *io, const struct mqio_want *want, struct mqio_message *m, bool wait,
              struct err *e)
{
    static const struct mqio_want any;

    return io->ops->recv(io, want ? want : &any, m, wait, e);
}

int mqio_get_state(struct mqio *io, struct mqio_state *out, struct err *e)
{
    return io->ops->state(io, out, e);
}
