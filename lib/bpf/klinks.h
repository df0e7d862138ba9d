/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* BPF programs that belong together, attached in their order and detached in the opposite one. */
#pragma once

#include <stdint.h>

struct bpf_link;
struct bpf_program;

enum { KLINKS_MAX = 8 };

/**
 * struct klinks - what is attached; all zero: nothing
 * @program: those that are attached, or were last
 * @link: of libbpf
 * @fd: of each link, for klinks_cut()
 * @n: how many
 */
struct klinks {
    const struct bpf_program *program[KLINKS_MAX];
    struct bpf_link *link[KLINKS_MAX];
    volatile int fd[KLINKS_MAX];
    volatile int n;
};

/* Attaches @programs, at most KLINKS_MAX and a NULL, all or none. Return: 0 or -errno. */
int klinks_attach(struct klinks *l, struct bpf_program *const *programs);

void klinks_detach(struct klinks *l);

/* How often the kernel did not run one of the programs (kbpf_misses()), also after they were
 * detached. */
uint64_t klinks_misses(const struct klinks *l);

/*
 * Detaches without returning what else the links hold: klinks_detach() still has to be called.
 * @other: any descriptor that is open. For signal handlers.
 */
void klinks_cut(const struct klinks *l, int other);
