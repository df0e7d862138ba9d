/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Makes one system call the way a 32-bit program does: getpid() through int 0x80. Exit status 77
 * where the kernel has no such entry.
 */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static void absent(int sig)
{
    (void)sig;
    _exit(77);
}

int main(void)
{
#if defined(__x86_64__)
    long r = 20; /* getpid() of i386 */

    signal(SIGSEGV, absent);
    __asm__ volatile("int $0x80" : "+a"(r) : : "memory");
    printf("%ld\n", r);
    return 0;
#else
    absent(0);
    return 77;
#endif
}
