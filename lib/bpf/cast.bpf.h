/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Typed pointers to any kernel memory, for loads. */
#pragma once

#include "kcast.h"
#include "kernel_types.bpf.h"

/* @type: the structure's number, from kcast_prepare(); where that is 0 the call must be dead. */
static const void *(*const kernel_cast)(uint64_t address, uint32_t type) = (void *)KCAST_CALL;
