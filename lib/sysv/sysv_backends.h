/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The backends that can peek at a System V queue. */
#pragma once

#include "msgq_backend.h"
#include "sysv.h"

extern const struct msgq_ops sysv_bpf_ops;
extern const struct msgq_ops sysv_copy_ops;

/* Those of this build in order of preference, ended by NULL. */
extern const struct msgq_ops *const sysv_backends[];
