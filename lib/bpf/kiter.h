/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * BPF iterators (Linux 5.8): programs that the kernel runs for every task, or for every open file,
 * while a descriptor is read. They take no trampoline and no lock of ours: the kernel holds what it
 * passes to them.
 *
 * Their section is "kiter/NAME", NAME being the iterator: "kiter/task_file". Under libbpf's own
 * section names the whole of the kernel's BTF would be parsed to find what they belong to.
 */
#pragma once

#include <stddef.h>

#include "errinfo.h"
#include "kbpf.h"

struct bpf_program;

/* Before the skeleton is opened, after kbpf_begin(). Return: 0 or -errno, with the reason. */
int kiter_begin(struct kbpf *k, struct err *e);

/* A record that a program wrote, borrowed. Anything but 0 ends the walk and is returned. */
typedef int (*kiter_fn)(const void *record, void *ctx);

/**
 * kiter_run() - run a loaded iterator from its beginning to its end
 * @size: bytes of each record that it writes
 * @visit: gets them
 *
 * Return: 0, what @visit returned, or -errno with the reason in @e.
 */
int kiter_run(const struct bpf_program *prog, size_t size, kiter_fn visit, void *ctx,
              struct err *e);
