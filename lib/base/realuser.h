/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Privilege that the program was given (file capabilities, set-user-ID) serves to load BPF, not to
 * show its user what that user may not see. Code that decides what a user may open runs between
 * realuser_enter() and realuser_leave(). For root both do nothing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * struct realuser - the state of the calling thread before realuser_enter()
 * @active: privilege has been suspended
 * @euid, @egid: effective ids, which are also those for the file system
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
 * realuser_enter() - continue with only the rights of the real user
 * @saved: set to the state to return to
 *
 * Changes the effective capabilities and effective ids of the calling thread; a child that is
 * forked in between inherits these. Neither function preserves errno.
 *
 * Return: 0 or -errno, with nothing changed.
 */
int realuser_enter(struct realuser *saved);

/* Restores the state; does nothing if nothing was suspended. */
void realuser_leave(struct realuser *saved);
