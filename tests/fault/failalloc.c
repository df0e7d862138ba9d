/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Allocations that fail. FAIL_ALLOC=N: the Nth one of the process and its children does, with
 * FAIL_ALLOC_ON also all after it. FAIL_ALLOC_COUNT=FILE: how many there were is written there when
 * the process exits.
 *
 * Two forms. A library to be preloaded sees all allocations, those of other libraries and libc too.
 * Linked into a sanitized program, whose malloc() cannot be replaced, with -Wl,--wrap
 * (FAIL_ALLOC_WRAP) it sees what the program itself allocates, and the sanitizer sees what becomes
 * of it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned long fail_at, count;
static bool fail_on, ready;
static const char *count_file;

/* Of the program under test only: not of those that it starts. */
__attribute__((constructor)) static void begin(void)
{
    char exe[4096] = "";
    const char *at = getenv("FAIL_ALLOC"), *on = getenv("FAIL_ALLOC_ON");

    if (readlink("/proc/self/exe", exe, sizeof(exe) - 1) < 0 || !strstr(exe, "/ipcbox"))
        return;
    fail_at = at ? strtoul(at, NULL, 10) : 0;
    fail_on = on && *on;
    count_file = getenv("FAIL_ALLOC_COUNT");
    ready = true;
}

__attribute__((destructor)) static void end(void)
{
    char text[32];
    int n, fd;

    if (!ready || !count_file)
        return;
    n = snprintf(text, sizeof(text), "%lu\n", __atomic_load_n(&count, __ATOMIC_RELAXED));
    fd = open(count_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0 || write(fd, text, (size_t)n) != n)
        _exit(99);
    close(fd);
}

static _Thread_local bool excused;

static bool fails(void)
{
    unsigned long n;

    if (!ready || excused)
        return false;
    n = __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
    if (!fail_at || (fail_on ? n < fail_at : n != fail_at))
        return false;
    errno = ENOMEM;
    return true;
}

#ifdef FAIL_ALLOC_WRAP
#define OURS(name)   __wrap_##name
#define THEIRS(name) __real_##name
#else
#define OURS(name)   name
#define THEIRS(name) __libc_##name
#endif

void *THEIRS(malloc)(size_t n);
void *THEIRS(calloc)(size_t n, size_t size);
void *THEIRS(realloc)(void *p, size_t n);
#ifdef FAIL_ALLOC_WRAP
void *OURS(malloc)(size_t n);
void *OURS(calloc)(size_t n, size_t size);
void *OURS(realloc)(void *p, size_t n);
void *OURS(reallocarray)(void *p, size_t n, size_t size);
#endif

void *OURS(malloc)(size_t n)
{
    return fails() ? NULL : THEIRS(malloc)(n);
}

void *OURS(calloc)(size_t n, size_t size)
{
    return fails() ? NULL : THEIRS(calloc)(n, size);
}

void *OURS(realloc)(void *p, size_t n)
{
    return n && fails() ? NULL : THEIRS(realloc)(p, n);
}

void *OURS(reallocarray)(void *p, size_t n, size_t size)
{
    size_t all;

    if (__builtin_mul_overflow(n, size, &all)) {
        errno = ENOMEM;
        return NULL;
    }
    return OURS(realloc)(p, all);
}

#ifndef FAIL_ALLOC_WRAP
/* glibc itself aborts when it cannot allocate its database of name services (nss_database_reload).
 */
struct passwd *getpwuid(uid_t uid)
{
    struct passwd *(*real)(uid_t);
    struct passwd *pw;

    excused = true;
    *(void **)&real = dlsym(RTLD_NEXT, "getpwuid");
    pw = real(uid);
    excused = false;
    return pw;
}
#endif

#ifdef FAIL_ALLOC_WRAP
/* What libc allocates for its caller. */
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);
int __wrap_vasprintf(char **out, const char *fmt, va_list ap);
int __wrap_asprintf(char **out, const char *fmt, ...);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
int __real_vasprintf(char **out, const char *fmt, va_list ap);

char *__wrap_strdup(const char *s)
{
    return fails() ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n)
{
    return fails() ? NULL : __real_strndup(s, n);
}

__attribute__((format(printf, 2, 0))) int __wrap_vasprintf(char **out, const char *fmt, va_list ap)
{
    return fails() ? -1 : __real_vasprintf(out, fmt, ap);
}

__attribute__((format(printf, 2, 3))) int __wrap_asprintf(char **out, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = __wrap_vasprintf(out, fmt, ap);
    va_end(ap);
    return n;
}
#endif
