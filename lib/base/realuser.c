/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Acting with the rights of the real user only. */
#include "realuser.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

struct caps {
    struct __user_cap_header_struct head;
    struct __user_cap_data_struct data[2];
};

static int caps_get(struct caps *c)
{
    *c = (struct caps){.head.version = _LINUX_CAPABILITY_VERSION_3};
    return syscall(SYS_capget, &c->head, c->data) < 0 ? -errno : 0;
}

static int caps_set_effective(struct caps *c, const uint32_t effective[2])
{
    c->data[0].effective = effective[0];
    c->data[1].effective = effective[1];
    return syscall(SYS_capset, &c->head, c->data) < 0 ? -errno : 0;
}

int realuser_enter(struct realuser *saved)
{
    static const uint32_t none[2];
    struct caps c;
    int r;

    *saved = (struct realuser)REALUSER_INIT;
    if (getuid() == 0)
        return 0;
    r = caps_get(&c);
    if (r < 0)
        return r;
    saved->effective[0] = c.data[0].effective;
    saved->effective[1] = c.data[1].effective;
    saved->fsgid = (gid_t)setfsgid(getgid());
    saved->fsuid = (uid_t)setfsuid(getuid());
    saved->active = true;
    r = caps_set_effective(&c, none);
    if (r < 0)
        realuser_leave(saved);
    return r;
}

void realuser_leave(struct realuser *saved)
{
    struct caps c;

    if (!saved->active)
        return;
    saved->active = false;
    /* Ids first: going back to file system id 0 adds capabilities on its own. */
    setfsuid(saved->fsuid);
    setfsgid(saved->fsgid);
    /* They were effective a moment ago and are still permitted: this cannot be refused. */
    if (caps_get(&c) < 0 || caps_set_effective(&c, saved->effective) < 0)
        abort();
}
