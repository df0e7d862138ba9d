/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Process numbers as the process that loaded the program sees them, which may be in a container. */
#pragma once

#include "kernel_types.bpf.h"

/* The pid namespace of the user, set by a program that the user runs. */
static unsigned int user_pid_level;
static unsigned int user_pid_ns;

static __always_inline void upid_at(struct pid *pid, unsigned int level, int *nr, unsigned int *ns)
{
    uint64_t upid = (uint64_t)pid + KOFFSET(pid, numbers) +
                    (uint64_t)level * bpf_core_type_size(struct upid);
    struct pid_namespace *space = NULL;

    KREAD(*nr, upid + KOFFSET(upid, nr));
    KREAD(space, upid + KOFFSET(upid, ns));
    *ns = BPF_CORE_READ(space, ns.inum);
}

static __always_inline void pids_init(void)
{
    struct task_struct *task = (void *)bpf_get_current_task();
    struct pid *pid = BPF_CORE_READ(task, thread_pid);
    int nr = 0;

    user_pid_level = BPF_CORE_READ(pid, level);
    upid_at(pid, user_pid_level, &nr, &user_pid_ns);
}

/* 0 for one that the user cannot see. */
static __always_inline int pid_for_user(struct pid *pid)
{
    unsigned int ns = 0;
    int nr = 0;

    if (!pid || BPF_CORE_READ(pid, level) < user_pid_level)
        return 0;
    upid_at(pid, user_pid_level, &nr, &ns);
    return ns == user_pid_ns ? nr : 0;
}

/* Those of the running task. In the first namespace they are the kernel's own. */
static __always_inline uint32_t own_pid(void)
{
    struct task_struct *task = (void *)bpf_get_current_task();

    if (!user_pid_level)
        return bpf_get_current_pid_tgid() >> 32;
    return pid_for_user(BPF_CORE_READ(task, group_leader, thread_pid));
}

static __always_inline uint32_t own_tid(void)
{
    struct task_struct *task = (void *)bpf_get_current_task();

    if (!user_pid_level)
        return (uint32_t)bpf_get_current_pid_tgid();
    return pid_for_user(BPF_CORE_READ(task, thread_pid));
}
