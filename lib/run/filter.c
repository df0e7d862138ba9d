/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which system calls are trapped. Everything else is allowed in a few instructions; calls through
 * another architecture's entry are trapped whole, so that they can be refused in words.
 */
#include <errno.h>
#include <linux/audit.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "bus1_abi.h"
#include "emul_uring.h"
#include "mqpeek_abi.h"

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#define X32_BIT     0x40000000u
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#else
#error "the filter knows x86-64 and arm64"
#endif

enum {
    AT_NR = offsetof(struct seccomp_data, nr),
    AT_ARCH = offsetof(struct seccomp_data, arch),
};

/* The low half of an argument: little endian on both architectures. */
static unsigned int at_arg(unsigned int n)
{
    return (unsigned int)offsetof(struct seccomp_data, args) + 8 * n;
}

struct program {
    struct sock_filter *code;
    size_t n;
};

static void add(struct program *p, unsigned int code, unsigned int jt, unsigned int jf,
                unsigned int k)
{
    if (p->n < FILTER_MAX)
        p->code[p->n++] = (struct sock_filter){
            .code = (uint16_t)code, .jt = (uint8_t)jt, .jf = (uint8_t)jf, .k = k};
}

static void load(struct program *p, unsigned int at)
{
    add(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, at);
}

static void decide(struct program *p, unsigned int action)
{
    add(p, BPF_RET | BPF_K, 0, 0, action);
}

/* Trap system call @nr, whatever its arguments. */
static void trap(struct program *p, unsigned int nr)
{
    add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, nr);
    decide(p, SECCOMP_RET_USER_NOTIF);
}

/* Trap system call @nr when its argument @arg is @value. */
static void trap_arg(struct program *p, unsigned int nr, unsigned int arg, unsigned int value)
{
    add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 4, nr);
    load(p, at_arg(arg));
    add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, value);
    decide(p, SECCOMP_RET_USER_NOTIF);
    load(p, AT_NR);
}

/* Trap io_uring_enter() that submits anything. */
static void trap_enter(struct program *p)
{
    add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 4, SYS_io_uring_enter);
    load(p, at_arg(1));
    add(p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 0);
    decide(p, SECCOMP_RET_USER_NOTIF);
    load(p, AT_NR);
}

/* Trap mmap() of files. The dynamic loader's are let pass: it alone sets MAP_DENYWRITE, a flag
 * without effect. */
static void trap_file_mmap(struct program *p)
{
    add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 4, SYS_mmap);
    load(p, at_arg(3));
    add(p, BPF_JMP | BPF_JSET | BPF_K, 1, 0, MAP_ANONYMOUS | MAP_DENYWRITE);
    decide(p, SECCOMP_RET_USER_NOTIF);
    load(p, AT_NR);
}

static void trap_uring(struct program *p)
{
    static const unsigned int registers[] = {
        IORING_REGISTER_PROBE,     IORING_REGISTER_RING_FDS,   RING_REGISTER_RESIZE,
        RING_REGISTER_QUERY,       URING_IPC_REGISTER_CREATE,  URING_IPC_REGISTER_ATTACH,
        URING_IPC_REGISTER_DETACH, URING_IPC_REGISTER_DESTROY,
    };

    trap_enter(p);
    trap_file_mmap(p);
    trap(p, SYS_io_uring_setup);
#ifdef SYS_readlink
    trap(p, SYS_readlink);
#endif
    trap(p, SYS_readlinkat);
    for (size_t i = 0; i < ARRAY_SIZE(registers); i++)
        trap_arg(p, SYS_io_uring_register, 1, registers[i]);
}

/* Trap ioctl() with the commands of one type. */
static void trap_ioctl_type(struct program *p, unsigned int type)
{
    add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 5, SYS_ioctl);
    load(p, at_arg(1));
    add(p, BPF_ALU | BPF_AND | BPF_K, 0, 0, _IOC_TYPEMASK << _IOC_TYPESHIFT);
    add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, type << _IOC_TYPESHIFT);
    decide(p, SECCOMP_RET_USER_NOTIF);
    load(p, AT_NR);
}

size_t filter_build(const struct run_opts *opts, struct sock_filter code[FILTER_MAX])
{
    struct program p = {.code = code};

    load(&p, AT_ARCH);
    add(&p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, NATIVE_ARCH);
    decide(&p, SECCOMP_RET_USER_NOTIF);
    load(&p, AT_NR);
#ifdef X32_BIT
    /* A tracer that takes a call away puts -1 there, which is no call of x32. */
    add(&p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, UINT32_MAX);
    decide(&p, SECCOMP_RET_ALLOW);
    add(&p, BPF_JMP | BPF_JSET | BPF_K, 0, 1, X32_BIT);
    decide(&p, SECCOMP_RET_USER_NOTIF);
#endif
    if (opts->parts & RUN_MQ_SYSCALL)
        trap(&p, (unsigned int)opts->mq_syscall);
    if (opts->parts & RUN_MQ_FCNTL)
        trap_arg(&p, SYS_fcntl, 1, XLAT_F_MQ_PEEK);
    if (opts->parts & RUN_MQ_IOCTL)
        trap_arg(&p, SYS_ioctl, 1, XLAT_MQ_IOC_BULK_PEEK);
    if (opts->parts & RUN_URING)
        trap_uring(&p);
    if (opts->parts & RUN_BUS1) {
#ifdef SYS_open
        trap(&p, SYS_open);
#endif
        trap(&p, SYS_openat);
        trap(&p, SYS_openat2);
        if (!opts->bus)
            trap_ioctl_type(&p, BUS1_IOCTL_MAGIC);
    }
    decide(&p, SECCOMP_RET_ALLOW);
    return p.n;
}

bool filter_foreign(const struct seccomp_data *data)
{
#ifdef X32_BIT
    if ((unsigned int)data->nr & X32_BIT)
        return true;
#endif
    return data->arch != NATIVE_ARCH;
}
