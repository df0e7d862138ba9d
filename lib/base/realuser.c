/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Acting with the rights of the real user only. */
#include "realuser.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <unistd.h>

#include "privileges.h"

static int set_effective(struct privileges *p, uint64_t effective)
{
    p->effective = effective;
    return privileges_set(p);
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
    saved->fsgid = (gid_t)setfsgid(getgid());
    saved->fsuid = (uid_t)setfsuid(getuid());
    saved->active = true;
    r = set_effective(&p, 0);
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
    /* Ids first: going back to file system id 0 adds capabilities on its own. */
    setfsuid(saved->fsuid);
    setfsgid(saved->fsgid);
    /* They were effective a moment ago and are still permitted: this cannot be refused. */
    if (privileges_get(&p) < 0 || set_effective(&p, saved->effective) < 0)
        abort();
}
