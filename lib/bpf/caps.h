/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The two capabilities that BPF needs, by name, and CAP_SYS_ADMIN, which contains them. */
#pragma once

#include <stdbool.h>

#include "errinfo.h"

/* Return: 0, or -EPERM with which capability is missing and how to grant it. */
int caps_check_bpf(struct err *e);

/* Makes permitted BPF capabilities effective. Return: whether any was not before. */
bool caps_raise_bpf(void);

/* Makes them ineffective. They stay permitted. */
void caps_lower_bpf(void);
