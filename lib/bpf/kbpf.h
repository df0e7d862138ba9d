/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What every user of BPF in this tree needs: whether it can work here, loading a skeleton fast, and
 * the reasons of a failure in words.
 *
 * A domain keeps its kernel side in lib/DOMAIN/NAME.bpf.c, names it in its CMakeLists.txt with
 * ipcbox_bpf(DOMAIN NAME), and includes the generated "NAME.skel.h":
 *
 *     _cleanup_(kbpf_done) struct kbpf k = KBPF_INIT;
 *     int r = kbpf_begin(&k, KBPF_SYSCALL, e);           // privilege, kernel, BTF: or why not
 *     if (r < 0)
 *         return r;
 *     LIBBPF_OPTS(bpf_object_open_opts, o, .btf_custom_path = kbpf_btf_path(&k));
 *     struct NAME_bpf *s = NAME_bpf__open_opts(&o);
 *     // sizes of maps, read-only data, which programs to load
 *     r = kbpf_load(&k, s ? s->skeleton : NULL, e);
 *
 * The sources use ordinary CO-RE with their own short declarations of kernel structures (only the
 * fields they read, preserve_access_index): kbpf_load() takes the names of all types in the object,
 * finds them in the kernel's BTF in one pass and gives libbpf a BTF of these alone. Whatever goes
 * wrong with that, libbpf gets the whole BTF instead. Own structures in the object do no harm.
 * Those that its variables hold are not looked for: no variable may hold a structure of the kernel.
 *
 * A monitor of system calls (tp_btf/sys_enter, tp_btf/sys_exit) needs KBPF_TRACEPOINT; filter on
 * the system call's number first and leave: every call on the machine runs it. Restrict it to the
 * caller's own processes unless kbpf_is_root().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "errinfo.h"

/* Kinds of programs; each is probed on its own, since a kernel may have one and refuse another. */
enum kbpf_kind {
    KBPF_SYSCALL,    /* run on demand (5.10); all we read comes through it */
    KBPF_TRACEPOINT, /* tp_btf (5.5), or raw tracepoints where the kernel has no BTF of its own */
    KBPF_TRAMPOLINE, /* fentry, fexit (5.5; arm64: 6.0) */
};

/**
 * kbpf_probe() - whether programs of a kind can be used here and now
 * @kind: which
 * @e: why not, and what would help
 *
 * Return: 0; -EPERM when a capability is missing, -EOPNOTSUPP when the kernel or this build lacks
 * it.
 */
int kbpf_probe(enum kbpf_kind kind, struct err *e);

/*
 * Whether the kernel is older than Linux 5.14: programs of SEC("syscall") then run as raw
 * tracepoints do, without preemption, and there is no bpf_get_current_task_btf() nor storage of
 * tasks to be relied on.
 */
bool kbpf_is_old(void);

/* Whether the kernel has a BTF of its own: without, no program attaches by BTF (tp_btf, fentry). */
bool kbpf_has_btf(void);

/* Whether the user is root of the machine, who may see everything; not one who runs a set-user-ID
 * program. */
bool kbpf_is_root(void);

/* The capabilities (privileges.h) that loading takes, of those that the process has. */
uint64_t kbpf_privileges(void);

/* Those that using what is loaded takes: none from Linux 5.19 on. */
uint64_t kbpf_privileges_loaded(void);

/**
 * struct kbpf - a load in progress
 * @btf_fd: the file behind kbpf_btf_path()
 * @btf_path: its name
 * @log: what libbpf said
 * @raised: capabilities that are effective only for the load
 */
struct kbpf {
    int btf_fd;
    char btf_path[32];
    struct buf log;
    uint64_t raised;
};

#define KBPF_INIT     \
    {                 \
        .btf_fd = -1, \
    }

struct bpf_object;
struct bpf_object_skeleton;
struct bpf_program;

/**
 * kbpf_begin() - get ready to open a skeleton
 * @k: KBPF_INIT
 * @kind: what the object's programs need; as kbpf_probe()
 * @e: why not
 *
 * Until kbpf_done() the process's BPF capabilities are effective and libbpf's messages go to @k.
 */
int kbpf_begin(struct kbpf *k, enum kbpf_kind kind, struct err *e);

/* For bpf_object_open_opts.btf_custom_path. */
const char *kbpf_btf_path(const struct kbpf *k);

/**
 * kbpf_load() - load what the skeleton's open function returned
 * @k: as kbpf_begin() left it
 * @s: the skeleton, or NULL when opening it failed, with the reason in errno
 * @e: why not
 */
int kbpf_load(struct kbpf *k, struct bpf_object_skeleton *s, struct err *e);

/*
 * The reason of a later step, e.g. attaching, in words. Return: @r, or -EOPNOTSUPP where the kernel
 * lacks something that the programs use.
 */
int kbpf_explain(const struct kbpf *k, int r, const char *doing, struct err *e);

/*
 * How often the kernel did not run a program because it was running on that processor already: from
 * Linux 6.13 on another thread may come by meanwhile. Nothing else counts what such a program did
 * not see.
 */
uint64_t kbpf_misses(const struct bpf_program *prog);

/*
 * Ends the load: what it raised is lowered again. A process that is not root lays all its BPF
 * capabilities aside until the next kbpf_begin(): what it does with queues and files it does as the
 * user it is.
 */
void kbpf_done(struct kbpf *k);
