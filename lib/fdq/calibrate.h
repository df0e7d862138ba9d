/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a BPF program finds the bytes of a struct page without the kernel's symbols: this process
 * writes random bytes into a pipe of its own, and the program looks where, at whole GiB apart, they
 * are. The match proves itself.
 */
#pragma once

#include <stdint.h>

#include "calibrate_abi.h"
#include "errinfo.h"

struct bpf_program;

/**
 * calibrate_pages() - let the programs of an object find pages
 * @program: its "calibrate"
 * @c, @page_base: variables of the object. @page_base is 0 until it is found
 * @e: why not
 *
 * Return: 0; -EOPNOTSUPP.
 */
int calibrate_pages(const struct bpf_program *program, struct calibration *c,
                    const uint64_t *page_base, struct err *e);

/* Text of /proc/zoneinfo. Return: the highest page frame, 0 when there is none in it. */
uint64_t calibrate_highest_frame(const char *zoneinfo);
