// SPDX-License-Identifier: LGPL-2.1-or-later
/* BPF programs that belong together. */
#include "klinks.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "caps.h"
#include "kbpf.h"

static int attach(struct klinks *l, struct bpf_program *const *programs)
{
    for (int i = 0; programs[i]; i++) {
        l->link[i] = bpf_program__attach(programs[i]);
        if (!l->link[i]) {
            int r = -errno;

            klinks_detach(l);
            return r;
        }
        l->program[i] = programs[i];
        l->fd[i] = bpf_link__fd(l->link[i]);
        l->n = i + 1;
    }
    return 0;
}

int klinks_attach(struct klinks *l, struct bpf_program *const *programs)
{
    uint64_t raised = caps_raise_bpf();
    int r = attach(l, programs);

    caps_lower_bpf(raised);
    return r;
}

void klinks_detach(struct klinks *l)
{
    while (l->n > 0) {
        /* From here on klinks_cut() leaves it alone. */
        l->n--;
        bpf_link__destroy(l->link[l->n]);
        l->link[l->n] = NULL;
    }
}

uint64_t klinks_misses(const struct klinks *l)
{
    uint64_t n = 0;

    for (int i = 0; i < KLINKS_MAX && l->program[i]; i++)
        n += kbpf_misses(l->program[i]);
    return n;
}

void klinks_cut(const struct klinks *l, int other)
{
    int saved_errno = errno;

    /* A program stays attached as long as there is a descriptor of its link. The numbers stay
     * taken, for bpf_link__destroy() to close. */
    for (int i = 0; i < l->n; i++)
        (void)dup3(other, l->fd[i], O_CLOEXEC);
    errno = saved_errno;
}
