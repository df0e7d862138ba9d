/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside lib/mqio: the two kinds behind one face. */
#pragma once

#include "mqio.h"

struct mqio_ops {
    void (*close)(struct mqio *io);
    int (*fd)(const struct mqio *io);
    uint64_t (*max_length)(const struct mqio *io);
    int (*send)(struct mqio *io, const struct mqio_message *m, bool wait, struct err *e);
    int (*recv)(struct mqio *io, const struct mqio_want *want, struct mqio_message *m, bool wait,
                struct err *e);
    int (*state)(struct mqio *io, struct mqio_state *out, struct err *e);
};

/* The first member of what each kind keeps. */
struct mqio {
    const struct mqio_ops *ops;
};

int mqio_open_posix(const struct pmq_ref *ref, enum mqio_use use, struct mqio **ret, struct err *e);
int mqio_open_sysv(const struct sysv_ref *ref, enum mqio_use use, struct mqio **ret, struct err *e);

/* Before anything is done. Return: 0 or -errno with a reason. */
int mqio_as_real_user(struct err *e);
