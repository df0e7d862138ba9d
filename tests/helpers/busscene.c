/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Two clients of a served bus, each with a handle to a node of the other:
 *
 *   busscene BUS waits     each waits for a message of the other
 *   busscene BUS rests     the second only sleeps
 *
 * It prints their process numbers. All end when standard input does.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "bus_client.h"

static pid_t client(struct b1_client *own, struct b1_client *other, bool waits)
{
    struct pollfd p = {.fd = b1_client_fd(own), .events = POLLIN};
    pid_t pid = fork();

    if (pid)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(b1_client_fd(other));
    close(0);
    for (;;)
        if (waits)
            poll(&p, 1, -1);
        else
            pause();
}

int main(int argc, char **argv)
{
    struct b1_device dev;
    struct b1_client *a, *b;
    uint64_t node, handle;
    bool single;
    pid_t first, second;
    char c;

    if (argc < 3)
        return 2;
    b1_device_file(&dev, argv[1]);
    if (b1_probe(&dev, &single) < 0 || b1_client_open(&dev, single, &a) < 0 ||
        b1_client_open(&dev, single, &b) < 0 || b1_client_node(a, b, &node, &handle) < 0 ||
        b1_client_node(b, a, &node, &handle) < 0) {
        fprintf(stderr, "busscene: cannot make the peers\n");
        return 1;
    }
    first = client(a, b, true);
    second = client(b, a, !strcmp(argv[2], "waits"));
    b1_client_close(a);
    b1_client_close(b);
    printf("%d %d\n", (int)first, (int)second);
    fflush(stdout);
    while (read(0, &c, 1) > 0)
        ;
    kill(first, SIGKILL);
    kill(second, SIGKILL);
    return 0;
}
