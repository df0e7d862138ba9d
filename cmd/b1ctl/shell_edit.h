/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lines from a terminal: with history and completion where the build has libedit. */
#pragma once

#include <stdbool.h>

#include "bus_script.h"

struct shell_edit;

/* @s: whose names are completed. */
int shell_edit_new(const struct b1_script *s, struct shell_edit **ret);
void shell_edit_free(struct shell_edit *e);

/* The next line, valid until the next call. Return: 1; 0 at the end; or -errno. */
int shell_edit_line(struct shell_edit *e, const char **ret);

bool shell_edit_is_quit(const char *line);
bool shell_edit_is_help(const char *line);

/* The commands, on standard error. */
void shell_edit_help(void);
