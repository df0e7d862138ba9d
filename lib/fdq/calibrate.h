/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a BPF program finds the bytes of a struct page without the kernel's symbols: this process
 * writes random bytes into a pipe of its own, and the program looks where, at whole GiB apart, they
 * are. The match proves itself.
 */
#pragma once

#include <stdint.h>

#include "errinfo.h"

struct calibrate_pipe {
    int fd[2];
};

#define CALIBRATE_INIT \
    {                  \
        {              \
            -1, -1     \
        }              \
    }

/**
 * calibrate_begin() - a pipe that holds random words
 * @c: CALIBRATE_INIT; release with calibrate_done()
 * @words: what it holds
 * @gigabytes: how much memory there can be, as the kernel's zones tell, and some more
 */
int calibrate_begin(struct calibrate_pipe *c, uint64_t words[2], uint32_t *gigabytes,
                    struct err *e);
void calibrate_done(struct calibrate_pipe *c);

/* Return: -EOPNOTSUPP, with the words for it. */
int calibrate_failed(struct err *e);

/* Text of /proc/zoneinfo. Return: the highest page frame, 0 when there is none in it. */
uint64_t calibrate_highest_frame(const char *zoneinfo);
