/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reading kernel memory without a call. From Linux 6.2 on bpf_rdonly_cast() makes a typed pointer
 * of an address; what is read through it is a load, which gives 0 where there is no memory. A
 * program (cast.bpf.h) has a call of KCAST_CALL in its place: libbpf finds kernel functions only
 * with the whole of the kernel's BTF, which takes longer than all the rest.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define KCAST_CALL 0x6b636173 /* no helper has that number */

/**
 * kcast_prepare() - let SEC("syscall") programs that are opened from now on cast
 * @structs: names of the structures that they cast to
 * @ids: the numbers of these in the running kernel's BTF; written only on success
 * @n: how many
 *
 * A program that is opened without this, or where this fails, must have no live KCAST_CALL: make it
 * depend on a number in read-only data.
 *
 * Return: 0; -EOPNOTSUPP where the kernel lacks the function or a structure; or what reading its
 * BTF said.
 */
int kcast_prepare(const char *const *structs, uint32_t *ids, size_t n);
