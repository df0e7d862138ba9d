/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The two capabilities that BPF needs, by name, and CAP_SYS_ADMIN, which contains them. */
#pragma once

#include <stdint.h>

#include "errinfo.h"

/* Return: 0, or -EPERM with which capability is missing and how to grant it. */
int caps_check_bpf(struct err *e);

/*
 * Makes permitted BPF capabilities effective. Before Linux 5.19 every call of bpf(2) takes them
 * where kernel.unprivileged_bpf_disabled is set, and attaching does on 5.10 anyway.
 *
 * Return: those that were not effective before (privileges.h), for caps_lower_bpf().
 */
uint64_t caps_raise_bpf(void);

/* Makes these ineffective. They stay permitted. */
void caps_lower_bpf(uint64_t caps);

/* The capabilities to keep for loading more later: the two, or what contains them. */
uint64_t caps_bpf(void);
