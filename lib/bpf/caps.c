// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * By capget(2) and capset(2) themselves: three bits do not need a library. Only the effective set
 * is changed, and only of this thread, which is the one that loads.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "caps.h"
#include "fileio.h"

#ifndef CAP_PERFMON
#define CAP_PERFMON 38 /* Linux 5.8 */
#define CAP_BPF     39
#endif

#define BIT(c) (UINT64_C(1) << (c))

struct cap_sets {
    uint64_t effective;
    uint64_t permitted;
    uint64_t inheritable;
};

static int caps_get(struct cap_sets *s)
{
    struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct d[2];

    if (syscall(SYS_capget, &h, d) < 0)
        return -errno;
    s->effective = d[0].effective | (uint64_t)d[1].effective << 32;
    s->permitted = d[0].permitted | (uint64_t)d[1].permitted << 32;
    s->inheritable = d[0].inheritable | (uint64_t)d[1].inheritable << 32;
    return 0;
}

static int caps_set(const struct cap_sets *s)
{
    struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct d[2];

    for (int i = 0; i < 2; i++)
        d[i] = (struct __user_cap_data_struct){
            .effective = (uint32_t)(s->effective >> 32 * i),
            .permitted = (uint32_t)(s->permitted >> 32 * i),
            .inheritable = (uint32_t)(s->inheritable >> 32 * i),
        };
    return syscall(SYS_capset, &h, d) < 0 ? -errno : 0;
}

static uint64_t bpf_bits(uint64_t set)
{
    return set & (BIT(CAP_BPF) | BIT(CAP_PERFMON) | BIT(CAP_SYS_ADMIN));
}

bool caps_raise_bpf(void)
{
    struct cap_sets s;

    if (caps_get(&s) < 0 || !(bpf_bits(s.permitted) & ~s.effective))
        return false;
    s.effective |= bpf_bits(s.permitted);
    return caps_set(&s) == 0;
}

void caps_lower_bpf(void)
{
    struct cap_sets s;

    if (caps_get(&s) < 0)
        return;
    s.effective &= ~bpf_bits(s.effective);
    caps_set(&s);
}

/* BPF asks for capabilities in the first user namespace; those of another do not count. */
static bool in_first_userns(void)
{
    _cleanup_(buf_done)
    struct buf b = BUF_INIT;
    unsigned int inside, outside, count;

    if (file_read(AT_FDCWD, "/proc/self/uid_map", 4096, &b) < 0)
        return true;
    return sscanf(buf_str(&b), "%u %u %u", &inside, &outside, &count) == 3 && !inside && !outside &&
           count == UINT32_MAX;
}

int caps_check_bpf(struct err *e)
{
    struct cap_sets s = {0};
    char self[128], remedy[sizeof(e->remedy)];
    const char *missing;
    ssize_t n;

    if (!in_first_userns())
        return err_set(e, -EPERM, "run it outside the container or user namespace",
                       "BPF cannot be used inside a user namespace");
    caps_get(&s);
    if (s.permitted & BIT(CAP_SYS_ADMIN) || !(~s.permitted & (BIT(CAP_BPF) | BIT(CAP_PERFMON))))
        return 0;
    if (s.permitted & BIT(CAP_BPF))
        missing = "CAP_PERFMON";
    else if (s.permitted & BIT(CAP_PERFMON))
        missing = "CAP_BPF";
    else
        missing = "CAP_BPF and CAP_PERFMON";
    n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n < 0 || n == (ssize_t)sizeof(self) - 1)
        n = snprintf(self, sizeof(self), "PROGRAM");
    self[n] = '\0';
    snprintf(remedy, sizeof(remedy), "run as root, or: setcap cap_bpf,cap_perfmon+ep %s", self);
    return err_set(e, -EPERM, remedy, "BPF needs %s", missing);
}
