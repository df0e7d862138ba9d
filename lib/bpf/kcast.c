// SPDX-License-Identifier: LGPL-2.1-or-later
/* Puts the number of bpf_rdonly_cast() into programs, between libbpf's last change and the load. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "kbtf.h"
#include "kcast.h"

static int put_casts(struct bpf_program *prog, struct bpf_prog_load_opts *opts, long function)
{
    size_t n = bpf_program__insn_cnt(prog);
    _cleanup_(freep) struct bpf_insn *insns = calloc(n, sizeof(*insns));

    if (!insns)
        return -ENOMEM;
    memcpy(insns, bpf_program__insns(prog), n * sizeof(*insns));
    for (size_t i = 0; i < n; i++)
        if (insns[i].code == (BPF_JMP | BPF_CALL) && !insns[i].src_reg &&
            insns[i].imm == KCAST_CALL) {
            insns[i].src_reg = BPF_PSEUDO_KFUNC_CALL;
            insns[i].imm = (int)function;
        }
    /* What libbpf's own handler of the section does. */
    opts->prog_flags |= BPF_F_SLEEPABLE;
    return bpf_program__set_insns(prog, insns, n);
}

/* Once for the process: objects keep pointing at what was registered. */
static int register_casts(uint32_t function)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static bool registered;
    int r = 0;

    pthread_mutex_lock(&lock);
    if (!registered) {
        LIBBPF_OPTS(libbpf_prog_handler_opts, o, .cookie = (long)function,
                    .prog_prepare_load_fn = put_casts);

        r = libbpf_register_prog_handler("syscall", BPF_PROG_TYPE_SYSCALL, 0, &o);
        registered = r >= 0;
    }
    pthread_mutex_unlock(&lock);
    return r < 0 ? r : 0;
}

int kcast_prepare(const char *const *structs, uint32_t *ids, size_t n)
{
    _cleanup_(kbtf_closep) struct kbtf *btf = NULL;
    _cleanup_(freep) uint32_t *found = calloc(n + 1, sizeof(*found));
    uint32_t function;
    int r;

    if (!found)
        return -ENOMEM;
    r = kbtf_open(KBTF_PATH, &btf);
    if (r < 0)
        return r;
    function = kbtf_func_id(btf, "bpf_rdonly_cast");
    if (!function)
        return -EOPNOTSUPP;
    for (size_t i = 0; i < n; i++) {
        found[i] = kbtf_struct_id(btf, structs[i]);
        if (!found[i])
            return -EOPNOTSUPP;
    }
    r = register_casts(function);
    if (r == 0)
        memcpy(ids, found, n * sizeof(*ids));
    return r;
}
