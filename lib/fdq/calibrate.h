/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a BPF program finds the bytes of a struct page without the kernel's symbols: this process
 * writes random bytes into a pipe of its own, and the program searches for them at addresses that
 * differ by whole GiB. A match of random bytes proves the address.
 */
#pragma once

#include <stdint.h>

#include "calibrate_abi.h"
#include "errinfo.h"

struct bpf_program;

/**
 * calibrate_pages() - enable the programs of an object to find the bytes of pages
 * @program: its program "calibrate"
 * @c, @page_base: variables of the object. @page_base is 0 until it is found
 * @e: the reason of a failure
 *
 * Return: 0; -EOPNOTSUPP.
 */
int calibrate_pages(const struct bpf_program *program, struct calibration *c,
                    const uint64_t *page_base, struct err *e);

/* Parses /proc/zoneinfo. Return: the highest page frame, 0 when it contains none. */
uint64_t calibrate_highest_frame(const char *zoneinfo);
