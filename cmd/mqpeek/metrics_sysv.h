/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqpeek metrics of System V queues. */
#pragma once

#include "buf.h"
#include "errinfo.h"

/* Adds the metrics of the caller's IPC namespace. Return: 0 or -errno with a reason. */
int metrics_sysv(struct buf *b, struct err *e);
