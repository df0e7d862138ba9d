/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The two capabilities that BPF needs, by name, and CAP_SYS_ADMIN, which contains them. */
#pragma once

#include <stdint.h>

#include "errinfo.h"

/* Return: 0, or -EPERM with which capability is missing and how to grant it. */
int caps_check_bpf(struct err *e);

/* Makes permitted BPF capabilities effective. Return: those that were not before (privileges.h). */
uint64_t caps_raise_bpf(void);

/* Makes these ineffective. They stay permitted. */
void caps_lower_bpf(uint64_t caps);

/* The capabilities to keep for loading more later: the two, or what contains them. */
uint64_t caps_bpf(void);
