/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel's type information (BTF), cut down to the few types a program needs.
 *
 * libbpf reads, parses and searches the whole of /sys/kernel/btf/vmlinux, which takes six times as
 * long as everything else a short-lived tool does. One pass over the same bytes finds the types by
 * name, and their parts, and ends with the last of them; a BTF of these alone (some 20 KiB) serves
 * libbpf as well.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "buf.h"

#define KBTF_PATH "/sys/kernel/btf/vmlinux"

/* Where the BTF of a kernel that has none lies, as RELEASE.btf. */
#define KBTF_DIR "/usr/lib/ipcbox/btf"

/* A BTF in memory, opened for searching. */
struct kbtf;

/**
 * kbtf_open() - map a raw BTF file
 * @path: KBTF_PATH, or a file
 * @ret: release with kbtf_close()
 *
 * Return: 0; -EBADMSG when it is no BTF of this machine's byte order, or a broken one; -ENOMEM; or
 * what open() and read() said.
 */
int kbtf_open(const char *path, struct kbtf **ret);
void kbtf_close(struct kbtf *b);
void kbtf_closep(struct kbtf **b);

/**
 * kbtf_extract() - a small BTF of the named types and all they contain
 * @b: the kernel's
 * @names: structs, unions and enums; one that does not exist is left out
 * @n: how many
 * @sought: so many of them, from the first on, end the search when they have all been found; what
 *          has been met of the others by then comes along
 * @out: the BTF is appended
 *
 * What a type holds by value comes along; pointers all become "void *", which keeps the closure
 * small and which relocations cannot tell apart.
 *
 * Return: 0, -EBADMSG, -ENOMEM; -E2BIG when the closure grows past all reason.
 */
int kbtf_extract(struct kbtf *b, const char *const *names, size_t n, size_t sought,
                 struct buf *out);

/* The type id of a kernel function, for attaching to it; 0 when there is none of that name. */
uint32_t kbtf_func_id(struct kbtf *b, const char *name);

/* The type id of a structure of the kernel; 0 when there is none of that name. */
uint32_t kbtf_struct_id(struct kbtf *b, const char *name);
