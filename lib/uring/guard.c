/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared mappings of files that others may cut short. */
#include "guard.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>

/* A process has few channels open at a time; tests have many. */
enum { GUARD_MAX = 512 };

/* A fixed table: the signal handler can neither take a lock nor follow a list that changes. */
struct guard {
    bool used;
    bool broken;
    bool writable;
    uintptr_t base; /* 0: not for the handler */
    size_t size;
};

static struct guard guards[GUARD_MAX];
bool guard_ever_broken;
static struct sigaction guard_previous;
static pthread_once_t guard_once = PTHREAD_ONCE_INIT;

static struct guard *guard_find(uintptr_t addr)
{
    for (size_t i = 0; i < GUARD_MAX; i++) {
        uintptr_t base = __atomic_load_n(&guards[i].base, __ATOMIC_ACQUIRE);

        if (base && addr >= base && addr - base < guards[i].size)
            return &guards[i];
    }
    return NULL;
}

static void guard_on_sigbus(int sig, siginfo_t *info, void *context)
{
    int saved = errno;
    struct guard *g = guard_find((uintptr_t)info->si_addr);

    if (g) {
        int prot = PROT_READ | (g->writable ? PROT_WRITE : 0);

        __atomic_store_n(&g->broken, true, __ATOMIC_RELEASE);
        __atomic_store_n(&guard_ever_broken, true, __ATOMIC_RELEASE);
        if (mmap(guard_base(g), g->size, prot, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0) !=
            MAP_FAILED) {
            errno = saved;
            return;
        }
    }
    if (guard_previous.sa_flags & SA_SIGINFO)
        guard_previous.sa_sigaction(sig, info, context);
    else if (guard_previous.sa_handler != SIG_DFL && guard_previous.sa_handler != SIG_IGN)
        guard_previous.sa_handler(sig);
    else
        sigaction(SIGBUS, &guard_previous, NULL); /* the access is tried again, and meets it */
    errno = saved;
}

static void guard_install(void)
{
    struct sigaction sa = {.sa_sigaction = guard_on_sigbus, .sa_flags = SA_SIGINFO};

    sigemptyset(&sa.sa_mask);
    sigaction(SIGBUS, &sa, &guard_previous);
}

int guard_map(struct guard **ret, int fd, size_t size, bool writable)
{
    struct guard *g = NULL;
    void *base;

    pthread_once(&guard_once, guard_install);
    for (size_t i = 0; i < GUARD_MAX && !g; i++) {
        bool unused = false;

        if (__atomic_compare_exchange_n(&guards[i].used, &unused, true, false, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
            g = &guards[i];
    }
    if (!g)
        return -EMFILE;
    base = mmap(NULL, size, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) {
        int r = -errno;

        __atomic_store_n(&g->used, false, __ATOMIC_RELEASE);
        return r;
    }
    g->size = size;
    g->writable = writable;
    __atomic_store_n(&g->broken, false, __ATOMIC_RELAXED);
    __atomic_store_n(&g->base, (uintptr_t)base, __ATOMIC_RELEASE);
    *ret = g;
    return 0;
}

void *guard_base(const struct guard *g)
{
    return (void *)g->base;
}

bool guard_broken(const struct guard *g)
{
    return __atomic_load_n(&g->broken, __ATOMIC_ACQUIRE);
}

void guard_unmap(struct guard *g)
{
    void *base;

    if (!g)
        return;
    base = guard_base(g);
    assert(g->used && base);
    __atomic_store_n(&g->base, (uintptr_t)0, __ATOMIC_RELEASE);
    munmap(base, g->size);
    __atomic_store_n(&g->used, false, __ATOMIC_RELEASE);
}
