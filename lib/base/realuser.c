/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Suspends privilege, so that the thread acts with only the rights of the real user. */
#include "realuser.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "privileges.h"

static int set_effective(struct privileges *p, uint64_t effective)
{
    p->effective = effective;
    return privileges_set(p);
}

/*
 * Changes the ids of this thread only, unlike the C library's functions. Access to files is checked
 * with the file system ids, which follow the effective ones; access to System V queues with the
 * effective ones.
 */
static int set_ids(uid_t uid, gid_t gid)
{
    if (syscall(SYS_setresgid, -1, gid, -1) < 0 || syscall(SYS_setresuid, -1, uid, -1) < 0)
        return -errno;
    return 0;
}

int realuser_enter(struct realuser *saved)
{
    struct privileges p;
    int r;

    *saved = (struct realuser)REALUSER_INIT;
    if (getuid() == 0)
        return 0;
    r = privileges_get(&p);
    if (r < 0)
        return r;
    saved->effective = p.effective;
    saved->euid = geteuid();
    saved->egid = getegid();
    saved->active = true;
    r = set_ids(getuid(), getgid());
    r = r < 0 ? r : set_effective(&p, 0);
    if (r < 0)
        realuser_leave(saved);
    return r;
}

void realuser_leave(struct realuser *saved)
{
    struct privileges p;

    if (!saved->active)
        return;
    saved->active = false;
    /*
     * Ids first: returning to user 0 adds capabilities by itself. The thread had this state before
     * and it is still permitted, so this cannot be refused.
     */
    if (set_ids(saved->euid, saved->egid) < 0 || privileges_get(&p) < 0 ||
        set_effective(&p, saved->effective) < 0)
        abort();
}
