/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Privilege that the program was given (file capabilities, set-user-ID) is for loading BPF, not for
 * looking at what its user may not see. Whatever decides what a user may open runs between
 * realuser_enter() and realuser_leave(). For root both do nothing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * struct realuser - what the calling thread had before
 * @active: something was laid down
 * @euid, @egid: effective ids, and with them those of the file system
 * @effective: capabilities
 */
struct realuser {
    bool active;
    uid_t euid;
    gid_t egid;
    uint64_t effective;
};

#define REALUSER_INIT \
    {                 \
        0             \
    }

/**
 * realuser_enter() - go on with the rights of the real user only
 * @saved: what to go back to
 *
 * Concerns the calling thread: its effective capabilities and effective ids; a child that is
 * forked inside starts so. errno is kept by neither function.
 *
 * Return: 0 or -errno, with nothing changed.
 */
int realuser_enter(struct realuser *saved);

/* Goes back; harmless when nothing was entered. */
void realuser_leave(struct realuser *saved);
