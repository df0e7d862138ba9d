/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names of users and groups. A static program reads /etc/passwd and /etc/group itself: the C
 * library would load the modules that /etc/nsswitch.conf names, which are built for another C
 * library and would crash the program.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Writes the user's name, or the number if the user has none, to @out of @size bytes. */
void user_name(uint32_t uid, char *out, size_t size);

/**
 * user_by_name() - look up a user
 * @name: its name; numbers are not accepted
 * @ret: set to its id
 *
 * Return: 0 or -ENOENT.
 */
int user_by_name(const char *name, uint32_t *ret);

/* group_by_name() looks up a group as user_by_name() does a user. */
int group_by_name(const char *name, uint32_t *ret);
