/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How full queues are, where sock_diag(7) does not tell. */
#pragma once

#include "fdq.h"

/* Fills in what can be known of each queue. Return: 0 or -ENOMEM. */
int fdq_fill(struct fdq_set *s);
