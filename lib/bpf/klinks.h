/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* BPF programs that belong together, attached in their order and detached in the opposite one. */
#pragma once

struct bpf_link;
struct bpf_program;

enum { KLINKS_MAX = 8 };

/**
 * struct klinks - what is attached; all zero: nothing
 * @link: of libbpf
 * @fd: of each link, for klinks_cut()
 * @n: how many
 */
struct klinks {
    struct bpf_link *link[KLINKS_MAX];
    volatile int fd[KLINKS_MAX];
    volatile int n;
};

/* Attaches @programs, at most KLINKS_MAX and a NULL, all or none. Return: 0 or -errno. */
int klinks_attach(struct klinks *l, struct bpf_program *const *programs);

void klinks_detach(struct klinks *l);

/*
 * Detaches without returning what else the links hold: klinks_detach() still has to be called.
 * @other: any descriptor that is open. For signal handlers.
 */
void klinks_cut(const struct klinks *l, int other);
