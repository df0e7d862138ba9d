/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * msgsnd(), msgrcv() and msgctl() as the programs around system calls see them: those of 64-bit
 * programs, those of 32-bit ones, and those that go through ipc(2), which has one number for all.
 */
#pragma once

#include "syscall.bpf.h"

enum {
    SYSV_COPY = 040000, /* MSG_COPY of msgrcv(): it takes nothing */
    SYSV_RMID = 0,      /* IPC_RMID and IPC_SET of msgctl() */
    SYSV_SET = 1,
};

#if defined(__TARGET_ARCH_x86)
enum {
    NR_MSGSND = 69, /* arch/x86/entry/syscalls/syscall_64.tbl */
    NR_MSGRCV = 70,
    NR_MSGCTL = 71,
    NR_IPC_32 = 117, /* syscall_32.tbl */
    NR_MSGSND_32 = 400,
    NR_MSGRCV_32 = 401,
    NR_MSGCTL_32 = 402,
};
#elif defined(__TARGET_ARCH_arm64)
enum {
    NR_MSGSND = 189, /* include/uapi/asm-generic/unistd.h */
    NR_MSGRCV = 188,
    NR_MSGCTL = 187,
    NR_IPC_32 = -2,     /* the EABI has none */
    NR_MSGSND_32 = 301, /* arch/arm/tools/syscall.tbl */
    NR_MSGRCV_32 = 302,
    NR_MSGCTL_32 = 304,
};
#endif
enum { IPC_CALL_MSGSND = 11, IPC_CALL_MSGRCV = 12, IPC_CALL_MSGCTL = 14 };

enum sysv_call_kind { SYSV_NO_CALL, SYSV_SEND, SYSV_RECEIVE, SYSV_CONTROL };

struct sysv_call {
    enum sysv_call_kind kind;
    uint32_t id;
    uint32_t flags;  /* of msgrcv(); the command of msgctl() */
    uint32_t word;   /* bytes of a long, which precedes the content */
    uint64_t buffer; /* of the type and the content */
    uint64_t size;   /* of a message that is sent */
};

/* Whether a number may be one of these calls: all others need no further look. */
static __always_inline bool sysv_call_maybe(long nr)
{
    return nr == NR_MSGSND || nr == NR_MSGRCV || nr == NR_MSGCTL || nr == NR_IPC_32 ||
           nr == NR_MSGSND_32 || nr == NR_MSGRCV_32 || nr == NR_MSGCTL_32;
}

static __always_inline void sysv_call_64(struct sysv_call *c, struct pt_regs *regs, long nr)
{
    c->kind = nr == NR_MSGSND   ? SYSV_SEND
              : nr == NR_MSGRCV ? SYSV_RECEIVE
              : nr == NR_MSGCTL ? SYSV_CONTROL
                                : SYSV_NO_CALL;
    c->id = REGS_ARG1(regs);
    c->flags = c->kind == SYSV_CONTROL ? REGS_ARG2(regs) : REGS_ARG5(regs);
    c->word = 8;
    c->buffer = REGS_ARG2(regs);
    c->size = REGS_ARG3(regs);
}

static __always_inline void sysv_call_32(struct sysv_call *c, struct pt_regs *regs, long nr)
{
    c->kind = nr == NR_MSGSND_32 ? SYSV_SEND : nr == NR_MSGRCV_32 ? SYSV_RECEIVE : SYSV_CONTROL;
    c->id = REGS_ARG1_32(regs);
    c->flags = c->kind == SYSV_CONTROL ? REGS_ARG2_32(regs) : REGS_ARG5_32(regs);
    c->word = 4;
    c->buffer = (uint32_t)REGS_ARG2_32(regs);
    c->size = (uint32_t)REGS_ARG3_32(regs);
}

/* ipc(call, first, second, third, pointer): its older form of msgrcv() has pointer and type in
 * memory. */
static __always_inline void sysv_call_ipc(struct sysv_call *c, struct pt_regs *regs)
{
    uint32_t what = REGS_ARG1_32(regs), old[2] = {0};

    c->kind = (what & 0xffff) == IPC_CALL_MSGSND   ? SYSV_SEND
              : (what & 0xffff) == IPC_CALL_MSGRCV ? SYSV_RECEIVE
              : (what & 0xffff) == IPC_CALL_MSGCTL ? SYSV_CONTROL
                                                   : SYSV_NO_CALL;
    c->id = REGS_ARG2_32(regs);
    c->flags = REGS_ARG4_32(regs);
    if (c->kind == SYSV_CONTROL)
        c->flags = REGS_ARG3_32(regs) & ~0x100UL; /* IPC_64 */
    c->word = 4;
    c->buffer = (uint32_t)REGS_ARG5_32(regs);
    c->size = (uint32_t)REGS_ARG3_32(regs);
    if (c->kind != SYSV_RECEIVE || what >> 16)
        return;
    if (bpf_probe_read_user(old, sizeof(old), (const void *)c->buffer))
        c->kind = SYSV_NO_CALL;
    c->buffer = old[0];
}

/* @nr: one of sysv_call_maybe(). What changes nothing is told as no call. */
static __always_inline void sysv_call_read(struct sysv_call *c, struct pt_regs *regs, long nr,
                                           bool compat)
{
    if (!compat)
        sysv_call_64(c, regs, nr);
    else if (nr == NR_IPC_32)
        sysv_call_ipc(c, regs);
    else if (nr == NR_MSGSND_32 || nr == NR_MSGRCV_32 || nr == NR_MSGCTL_32)
        sysv_call_32(c, regs, nr);
    if ((c->kind == SYSV_RECEIVE && (c->flags & SYSV_COPY)) ||
        (c->kind == SYSV_CONTROL && c->flags != SYSV_RMID && c->flags != SYSV_SET))
        c->kind = SYSV_NO_CALL;
}
