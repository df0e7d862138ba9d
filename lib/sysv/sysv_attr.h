/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside lib/sysv: the kernel's answer as ours. */
#pragma once

#include <sys/msg.h>

#include "sysv.h"

void sysv_attr_from(int id, const struct msqid_ds *ds, struct sysv_attr *out);
