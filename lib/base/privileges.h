/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The calling thread's capabilities, by capget(2) and capset(2) themselves: reading and writing
 * three sets of bits does not need a library.
 */
#pragma once

#include <linux/capability.h>
#include <stdbool.h>
#include <stdint.h>

#ifndef CAP_PERFMON
#define CAP_PERFMON 38 /* Linux 5.8 */
#define CAP_BPF     39
#endif

/* The bit of a capability in a set. */
#define PRIVILEGE(c) (UINT64_C(1) << (c))

/* What looking into other users' processes in /proc and opening any queue for reading takes. */
#define PRIVILEGES_LOOK (PRIVILEGE(CAP_DAC_READ_SEARCH) | PRIVILEGE(CAP_SYS_PTRACE))

/**
 * struct privileges - capability sets
 * @effective: what the kernel looks at
 * @permitted: what can be made effective
 * @inheritable: what a program with file capabilities can be handed
 */
struct privileges {
    uint64_t effective;
    uint64_t permitted;
    uint64_t inheritable;
};

/* Return: 0 or -errno. */
int privileges_get(struct privileges *out);
int privileges_set(const struct privileges *p);

/**
 * privileges_keep() - give up for ever what is not needed any more
 * @now: what stays effective, as far as it is
 * @later: what stays permitted besides, to be made effective when it is needed
 *
 * For a thread that goes on for long, once it has what it took privilege to get. Threads that it
 * starts later, and children, have no more.
 *
 * Return: 0 or -errno, with nothing changed.
 */
int privileges_keep(uint64_t now, uint64_t later);

/* Whether root here can have all of these capabilities: a container's bounding set may lack some.
 */
bool privileges_can_have(uint64_t caps);

/* Whether they count for what belongs to the whole machine: not inside a user namespace. */
bool privileges_of_machine(void);
