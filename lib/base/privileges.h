/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The calling thread's capabilities, through capget(2) and capset(2): no library is needed to read
 * and write three sets of bits.
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

/*
 * The capabilities for inspecting other users' processes in /proc and for opening any queue for
 * reading.
 */
#define PRIVILEGES_LOOK (PRIVILEGE(CAP_DAC_READ_SEARCH) | PRIVILEGE(CAP_SYS_PTRACE))

/**
 * struct privileges - capability sets
 * @effective: the capabilities that the kernel checks
 * @permitted: those that can be made effective
 * @inheritable: those that a program with file capabilities can inherit
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
 * privileges_keep() - give up privileges for ever
 * @now: capabilities that stay effective, if they are
 * @later: further ones that stay permitted, to be made effective when they are needed
 *
 * For a long-running thread that has done what needed more privilege. Threads and child processes
 * that it starts later do not have more either.
 *
 * Return: 0 or -errno, with nothing changed.
 */
int privileges_keep(uint64_t now, uint64_t later);

/*
 * Tells whether root can have all of these capabilities here: a container's bounding set may lack
 * some.
 */
bool privileges_can_have(uint64_t caps);

/*
 * Tells whether capabilities apply to resources of the whole machine: not inside a user namespace.
 */
bool privileges_of_machine(void);
