/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sends a message the way a 32-bit program does, through int 0x80, from a process that is none:
 *
 *     mqsend32 /queue PRIORITY TEXT     prints "pid N"
 *
 * Exit status 77 where the kernel has no such entry.
 */
#include <mqueue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__x86_64__)
#include "send32.h"

static void absent(int sig)
{
    (void)sig;
    _exit(77);
}

int main(int argc, char **argv)
{
    mqd_t q = argc == 4 ? mq_open(argv[1], O_WRONLY) : -1;
    char *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT,
                     -1, 0);

    if (q < 0 || low == MAP_FAILED || strlen(argv[3]) >= 4096)
        return 2;
    signal(SIGSEGV, absent);
    strcpy(low, argv[3]);
    printf("pid %d\n", (int)getpid());
    return send_32(q, low, (long)strlen(low), atol(argv[2])) < 0;
}
#else
int main(void)
{
    return 77;
}
#endif
