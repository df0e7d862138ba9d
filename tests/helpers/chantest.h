/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A place of its own for the channels of a test. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Makes a directory in /dev/shm that all users may use. */
static inline void chantest_dir(char out[64])
{
    snprintf(out, 64, "/dev/shm/ipcbox-test.XXXXXX");
    if (!mkdtemp(out) || chmod(out, 01777) < 0) {
        perror(out);
        exit(1);
    }
}

/* Removes it; that everything in it has gone is part of the test. */
static inline void chantest_dir_done(const char *dir)
{
    char sub[96], own[16];

    snprintf(own, sizeof(own), "-%u", geteuid());
    snprintf(sub, sizeof(sub), "%s/ipcbox%s", dir, geteuid() ? own : "");
    if ((rmdir(sub) < 0 && access(sub, F_OK) == 0) || rmdir(dir) < 0) {
        perror(dir);
        exit(1);
    }
}

/* How often a storm or a random test goes round: more with IPCBOX_TEST_LONG=1. */
static inline unsigned long chantest_rounds(unsigned long quick, unsigned long full)
{
    const char *s = getenv("IPCBOX_TEST_LONG");

    return s && *s && *s != '0' ? full : quick;
}
