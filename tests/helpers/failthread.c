/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A library to be preloaded: with FAIL_THREAD=N the Nth pthread_create() of a process fails. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg)
{
    static int made;
    int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    const char *nth = getenv("FAIL_THREAD");

    *(void **)&next = dlsym(RTLD_NEXT, "pthread_create");
    if (nth && __atomic_add_fetch(&made, 1, __ATOMIC_SEQ_CST) == atoi(nth))
        return EAGAIN;
    return next(thread, attr, start, arg);
}
