/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Decides whether a user who is not root may see what the current process does. */
#pragma once

#include "kernel_types.bpf.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct user_namespace {
    struct user_namespace *parent;
    kuid_t owner;
};

struct kernel_capabilities {
    unsigned int first_word;
};

struct cred___visible {
    kuid_t uid, suid, euid;
    kgid_t gid, sgid, egid;
    struct kernel_capabilities cap_permitted;
    struct user_namespace *user_ns;
};

struct mm_flags {
    unsigned long first_word;
};

struct mm_struct {
    struct mm_flags flags;
};

struct mm_struct___before_6_18 {
    unsigned long flags;
};

struct task_struct___visible {
    const struct cred___visible *real_cred;
    struct mm_struct *mm;
};
#pragma clang attribute pop

#define DUMPABLE 3 /* MMF_DUMPABLE_MASK, include/linux/sched/coredump.h */

static uint64_t user_ns; /* address of the user namespace of the user who asks */

static __always_inline bool flags_are_word(void)
{
    return bpf_core_field_exists(struct mm_struct___before_6_18, flags);
}

/* Tells whether visible() can decide on this kernel. Runs as the user who asks. */
static __always_inline bool visible_init(void)
{
    struct task_struct___visible *task = (void *)bpf_get_current_task();

    user_ns = (uint64_t)BPF_CORE_READ(task, real_cred, user_ns);
    return (bpf_core_field_exists(task->mm->flags) || flags_are_word()) &&
           bpf_core_field_exists(task->real_cred->cap_permitted);
}

/* Tells whether the user owns a user namespace, or one of its ancestors. */
static __always_inline bool owns(struct user_namespace *ns, uint32_t uid)
{
    for (int i = 0; i < 8 && ns; i++) {
        struct user_namespace *parent = BPF_CORE_READ(ns, parent);

        if ((uint64_t)parent == user_ns)
            return BPF_CORE_READ(ns, owner.val) == uid;
        ns = parent;
    }
    return false;
}

/*
 * Applies the rule of ptrace(2) for a user without capabilities: all ids are those of the user, and
 * the process has not gained any privilege.
 */
static __always_inline bool visible(uint32_t uid, uint32_t gid)
{
    struct task_struct___visible *task = (void *)bpf_get_current_task();
    const struct cred___visible *cred = BPF_CORE_READ(task, real_cred);
    struct user_namespace *ns = BPF_CORE_READ(cred, user_ns);
    struct mm_struct *mm = BPF_CORE_READ(task, mm);
    unsigned long flags = 0;
    uint64_t caps = 1;

    if (BPF_CORE_READ(cred, uid.val) != uid || BPF_CORE_READ(cred, euid.val) != uid ||
        BPF_CORE_READ(cred, suid.val) != uid || BPF_CORE_READ(cred, gid.val) != gid ||
        BPF_CORE_READ(cred, egid.val) != gid || BPF_CORE_READ(cred, sgid.val) != gid)
        return false;
    if (flags_are_word())
        KREAD(flags, (uint64_t)mm + KOFFSET(mm_struct___before_6_18, flags));
    else
        KREAD(flags, (uint64_t)mm + KOFFSET(mm_struct, flags));
    if ((flags & DUMPABLE) != 1)
        return false;
    if ((uint64_t)ns != user_ns)
        return owns(ns, uid);
    KREAD(caps, (uint64_t)cred + KOFFSET(cred___visible, cap_permitted));
    return caps == 0;
}
