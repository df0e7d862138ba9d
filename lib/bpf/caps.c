// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Only the effective set is changed, and only of this thread, which is the one that loads.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "caps.h"
#include "privileges.h"

static const uint64_t all = PRIVILEGE(CAP_BPF) | PRIVILEGE(CAP_PERFMON) | PRIVILEGE(CAP_SYS_ADMIN);

uint64_t caps_raise_bpf(void)
{
    struct privileges p;
    uint64_t more;

    if (privileges_get(&p) < 0)
        return 0;
    more = p.permitted & all & ~p.effective;
    p.effective |= more;
    return more && privileges_set(&p) == 0 ? more : 0;
}

void caps_lower_bpf(uint64_t caps)
{
    struct privileges p;

    if (privileges_get(&p) < 0 || !(p.effective & caps & all))
        return;
    p.effective &= ~(caps & all);
    privileges_set(&p);
}

uint64_t caps_bpf(void)
{
    const uint64_t both = PRIVILEGE(CAP_BPF) | PRIVILEGE(CAP_PERFMON);
    struct privileges p;

    if (privileges_get(&p) < 0 || !(~p.permitted & both))
        return both;
    return PRIVILEGE(CAP_SYS_ADMIN);
}

int caps_check_bpf(struct err *e)
{
    struct privileges s = {0};
    char self[128], remedy[sizeof(((struct err *)0)->remedy)];
    const char *missing;
    ssize_t n;

    /* libbpf reads the kernel's types through a descriptor's path there. */
    if (access("/proc/self/fd", F_OK) < 0)
        return err_set(e, -EOPNOTSUPP, "mount -t proc proc /proc", "BPF needs /proc");
    if (!privileges_of_machine())
        return err_set(e, -EPERM, "look from the host, e.g. mqpeek pid:PID:/name",
                       "BPF cannot be used inside a user namespace");
    privileges_get(&s);
    if (s.permitted & PRIVILEGE(CAP_SYS_ADMIN) ||
        !(~s.permitted & (PRIVILEGE(CAP_BPF) | PRIVILEGE(CAP_PERFMON))))
        return 0;
    if (s.permitted & PRIVILEGE(CAP_BPF))
        missing = "CAP_PERFMON";
    else if (s.permitted & PRIVILEGE(CAP_PERFMON))
        missing = "CAP_BPF";
    else
        missing = "CAP_BPF and CAP_PERFMON";
    if (!privileges_can_have(PRIVILEGE(CAP_BPF) | PRIVILEGE(CAP_PERFMON)))
        return err_set(e, -EPERM,
                       "start the container with --cap-add BPF --cap-add PERFMON, or look from the "
                       "host, e.g. mqpeek pid:PID:/name",
                       "BPF needs %s", missing);
    n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n < 0 || n == (ssize_t)sizeof(self) - 1)
        n = snprintf(self, sizeof(self), "PROGRAM");
    self[n] = '\0';
    snprintf(remedy, sizeof(remedy), "run as root, or: setcap cap_bpf,cap_perfmon+ep %s", self);
    return err_set(e, -EPERM, remedy, "BPF needs %s", missing);
}
