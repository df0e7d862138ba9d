/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the IPC namespace allows: /proc/sys/kernel, which shows the reader's own. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "buf.h"
#include "fileio.h"
#include "macros.h"
#include "parse.h"
#include "sysv.h"

static uint64_t read_one(const char *name)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;
    char path[64];
    uint64_t v;

    snprintf(path, sizeof(path), "/proc/sys/kernel/%s", name);
    if (file_read(AT_FDCWD, path, 64, &b) < 0 || b.len == 0)
        return UINT64_MAX;
    b.data[strcspn(b.data, "\n")] = '\0';
    return parse_u64(b.data, &v) == 0 ? v : UINT64_MAX;
}

void sysv_limits_read(struct sysv_limits *out)
{
    *out = (struct sysv_limits){
        .msgmni = read_one("msgmni"),
        .msgmax = read_one("msgmax"),
        .msgmnb = read_one("msgmnb"),
    };
}
