/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads, writes and gives up capabilities. */
#include "privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "fileio.h"

int privileges_get(struct privileges *out)
{
    struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct d[2];

    if (syscall(SYS_capget, &h, d) < 0)
        return -errno;
    out->effective = d[0].effective | (uint64_t)d[1].effective << 32;
    out->permitted = d[0].permitted | (uint64_t)d[1].permitted << 32;
    out->inheritable = d[0].inheritable | (uint64_t)d[1].inheritable << 32;
    return 0;
}

int privileges_set(const struct privileges *p)
{
    struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct d[2];

    for (int i = 0; i < 2; i++)
        d[i] = (struct __user_cap_data_struct){
            .effective = (uint32_t)(p->effective >> 32 * i),
            .permitted = (uint32_t)(p->permitted >> 32 * i),
            .inheritable = (uint32_t)(p->inheritable >> 32 * i),
        };
    return syscall(SYS_capset, &h, d) < 0 ? -errno : 0;
}

int privileges_keep(uint64_t now, uint64_t later)
{
    struct privileges p;
    int r = privileges_get(&p);

    if (r < 0)
        return r;
    p.effective &= now;
    p.permitted &= now | later;
    p.inheritable = 0; /* this also clears the ambient set */
    return privileges_set(&p);
}

bool privileges_can_have(uint64_t caps)
{
    for (int c = 0; c < 64; c++)
        if (caps & PRIVILEGE(c) && prctl(PR_CAPBSET_READ, c, 0, 0, 0) != 1)
            return false;
    return true;
}

bool privileges_of_machine(void)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;
    unsigned int inside, outside, count;

    if (file_read(AT_FDCWD, "/proc/self/uid_map", 4096, &b) < 0)
        return true;
    return sscanf(buf_str(&b), "%u %u %u", &inside, &outside, &count) == 3 && !inside && !outside &&
           count == UINT32_MAX;
}
