/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* System calls as the programs at their beginning and end see them: number and arguments. */
#pragma once

#include "kernel_types.bpf.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
#if defined(__TARGET_ARCH_x86)
struct pt_regs {
    unsigned long r8, r10, bx, cx, dx, si, di, orig_ax;
};
struct thread_info {
    uint32_t status;
};
struct task_struct___info {
    struct thread_info thread_info;
};
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
    uint64_t regs[31];
    uint64_t orig_x0;
    int32_t syscallno;
};
struct thread_info {
    unsigned long flags;
};
struct task_struct___info {
    struct thread_info thread_info;
};
#endif
#pragma clang attribute pop

/*
 * How a field of the registers is read. A program that is also attached without BTF (raw_tp), where
 * their address has no type, defines it before it includes this.
 */
#ifndef REG
#define REG(r, f) ((r)->f)
#endif

#if defined(__TARGET_ARCH_x86)
enum {
    NR_X32 = 0x40000000,
    COMPAT = 2, /* TS_COMPAT */
};
#define REGS_NR(r)      ((long)(REG(r, orig_ax) & ~(unsigned long)NR_X32))
#define REGS_ARG1(r)    REG(r, di)
#define REGS_ARG2(r)    REG(r, si)
#define REGS_ARG3(r)    REG(r, dx)
#define REGS_ARG4(r)    REG(r, r10)
#define REGS_ARG5(r)    REG(r, r8)
#define REGS_ARG1_32(r) REG(r, bx)
#define REGS_ARG2_32(r) REG(r, cx)
#define REGS_ARG3_32(r) REG(r, dx)
#define REGS_ARG4_32(r) REG(r, si)
#define REGS_ARG5_32(r) REG(r, di)
#define NR_NATIVE(id)   ((id) & ~(long)NR_X32)
#elif defined(__TARGET_ARCH_arm64)
enum {
    COMPAT = 1 << 22, /* TIF_32BIT */
};
#define REGS_NR(r)      ((long)REG(r, syscallno))
#define REGS_ARG1(r)    REG(r, orig_x0)
#define REGS_ARG2(r)    REG(r, regs[1])
#define REGS_ARG3(r)    REG(r, regs[2])
#define REGS_ARG4(r)    REG(r, regs[3])
#define REGS_ARG5(r)    REG(r, regs[4])
#define REGS_ARG1_32(r) REG(r, orig_x0)
#define REGS_ARG2_32(r) REG(r, regs[1])
#define REGS_ARG3_32(r) REG(r, regs[2])
#define REGS_ARG4_32(r) REG(r, regs[3])
#define REGS_ARG5_32(r) REG(r, regs[4])
#define NR_NATIVE(id)   (id)
#endif

#if defined(__TARGET_ARCH_x86)
#define TASK_COMPAT thread_info.status
#else
#define TASK_COMPAT thread_info.flags
#endif

/* Without a helper: every system call of the machine comes by here. */
static __always_inline bool is_compat(void)
{
    struct task_struct___info *task = (void *)bpf_get_current_task_btf();

    return task->TASK_COMPAT & COMPAT;
}

/* The same where the running task has no type. */
static __always_inline bool is_compat_untyped(void)
{
    struct task_struct___info *task = (void *)bpf_get_current_task();

    return BPF_CORE_READ(task, TASK_COMPAT) & COMPAT;
}
