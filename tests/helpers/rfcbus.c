/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A served bus that misbehaves as the RFC's kernel code does, to test clients: rfcbus FILE makes
 * FILE and serves until SIGTERM.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "bus_defects.h"
#include "bus_serve.h"

static void note(void *ctx, const char *text)
{
    (void)ctx;
    fprintf(stderr, "rfcbus: %s\n", text);
}

int main(int argc, char **argv)
{
    struct b1_serve_config cfg = {
        .path = argc > 1 ? argv[1] : "",
        .limits = B1_LIMITS_DEFAULT,
        .defects = B1_DEFECT_ALL,
        .all_users = geteuid() == 0,
        .note = note,
    };
    struct err e = ERR_INIT;
    struct b1_serve *s;
    sigset_t set;
    int r, stop;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return 1;
    stop = signalfd(-1, &set, SFD_CLOEXEC);
    r = stop < 0 ? -1 : b1_serve_open(&cfg, &s, &e);
    if (r < 0) {
        note(NULL, err_text(&e, r));
        return 1;
    }
    r = b1_serve_run(s, stop);
    b1_serve_close(s);
    return r < 0;
}
