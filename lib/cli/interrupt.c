/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Being told to end: what was begun is finished. */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "cli_internal.h"
#include "cli_stream.h"

static int wake_fd = -1;
static volatile sig_atomic_t interrupted;
static uint64_t first_ns; /* when: written and read by the handler alone */
static void (*volatile at_interrupt)(void *ctx);
static void *volatile at_interrupt_ctx;

/* A later signal ends the process at once. timeout(1) and a shell's Ctrl-C may send the first one
 * twice. */
#define TWICE_NS (300 * 1000 * 1000)

static uint64_t now_ns(void)
{
    struct timespec t = {0};

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* The default action takes place when the handler returns. */
static void again(int sig)
{
    if (now_ns() - first_ns < TWICE_NS)
        return;
    signal(sig, SIG_DFL);
    raise(sig);
}

static void on_signal(int sig)
{
    const uint64_t one = 1;
    int saved_errno = errno;

    if (interrupted) {
        again(sig);
        return;
    }
    first_ns = now_ns();
    interrupted = sig;
    if (at_interrupt)
        at_interrupt(at_interrupt_ctx);
    if (write(wake_fd, &one, sizeof(one)) < 0)
        _exit(128 + sig);
    errno = saved_errno;
}

int cli_catch_signals(void)
{
    static const int sigs[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct sigaction old;

    wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_fd < 0)
        return -errno;
    sigemptyset(&sa.sa_mask);
    for (size_t i = 0; i < ARRAY_SIZE(sigs); i++)
        sigaddset(&sa.sa_mask, sigs[i]);
    for (size_t i = 0; i < ARRAY_SIZE(sigs); i++)
        if (sigaction(sigs[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(sigs[i], &sa, NULL);
    return wake_fd;
}

bool cli_interrupted(void)
{
    return interrupted;
}

int cli_interrupted_status(void)
{
    return 128 + interrupted;
}

void cli_at_interrupt(void (*fn)(void *ctx), void *ctx)
{
    at_interrupt = NULL; /* never one's function with another's context */
    at_interrupt_ctx = ctx;
    at_interrupt = fn;
}
