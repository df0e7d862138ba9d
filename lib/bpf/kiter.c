// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Iterators without libbpf's search for them: until a program is loaded libbpf takes it for one of
 * another type, for which it needs no BTF of the kernel; at that moment it gets its own type, and
 * the number of what it belongs to.
 */
#include "kiter.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "kbtf.h"

#define SECTION "kiter/"

enum { CHUNK = 64 << 10 };

static int become_iterator(struct bpf_program *prog, struct bpf_prog_load_opts *opts,
                           long cookie _unused_)
{
    _cleanup_(kbtf_closep) struct kbtf *btf = NULL;
    char name[64];
    int r = kbtf_open(KBTF_PATH, &btf);

    if (r < 0)
        return r;
    snprintf(name, sizeof(name), "bpf_iter_%s",
             bpf_program__section_name(prog) + strlen(SECTION));
    opts->attach_btf_id = kbtf_func_id(btf, name);
    opts->expected_attach_type = BPF_TRACE_ITER;
    return opts->attach_btf_id ? bpf_program__set_type(prog, BPF_PROG_TYPE_TRACING) : -ESRCH;
}

int kiter_begin(struct kbpf *k, struct err *e)
{
    LIBBPF_OPTS(libbpf_prog_handler_opts, opts, .prog_prepare_load_fn = become_iterator);
    static bool registered;
    int r;

    if (!kbpf_has_btf())
        return err_set(e, -EOPNOTSUPP, "use a kernel built with CONFIG_DEBUG_INFO_BTF",
                       "this kernel has no BTF of its own, which iterators need");
    if (registered)
        return 0;
    r = libbpf_register_prog_handler(SECTION, BPF_PROG_TYPE_RAW_TRACEPOINT, 0, &opts);
    if (r < 0)
        return kbpf_explain(k, r, "cannot prepare the BPF iterators", e);
    registered = true;
    return 0;
}

/* Hands on the whole records; what is left of one goes to the front. */
static int hand_on(char *data, size_t *have, size_t size, kiter_fn visit, void *ctx)
{
    size_t at = 0;
    int r = 0;

    for (; r == 0 && *have - at >= size; at += size)
        r = visit(data + at, ctx);
    memmove(data, data + at, *have - at);
    *have -= at;
    return r;
}

static int read_all(int fd, size_t size, kiter_fn visit, void *ctx)
{
    _cleanup_(freep) char *data = malloc(CHUNK);
    size_t have = 0;

    if (!data)
        return -ENOMEM;
    for (;;) {
        ssize_t n = read(fd, data + have, CHUNK - have);
        int r;

        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n <= 0)
            return n < 0 ? -errno : 0;
        have += (size_t)n;
        r = hand_on(data, &have, size, visit, ctx);
        if (r != 0)
            return r;
    }
}

int kiter_run(const struct bpf_program *prog, size_t size, kiter_fn visit, void *ctx,
              struct err *e)
{
    _cleanup_(closep) int link = bpf_link_create(bpf_program__fd(prog), 0, BPF_TRACE_ITER, NULL);
    _cleanup_(closep) int fd = link < 0 ? link : bpf_iter_create(link);
    int r = fd < 0 ? fd : read_all(fd, size, visit, ctx);

    return r < 0 && r != -ENOMEM
               ? err_set(e, r, NULL, "cannot run a BPF iterator: %s", err_text(NULL, r))
               : r;
}
