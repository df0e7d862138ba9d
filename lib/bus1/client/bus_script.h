/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A small language for bus1: peers, nodes and handles have names that the user chooses. A command
 * ends at a newline or a semicolon; b1_script_commands lists them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bus_client.h"
#include "errinfo.h"

/* A message that was received, with the names of its ids. Borrowed. */
struct b1_script_message {
    const char *peer;
    uint64_t type;
    /* name of the node, or for NODE_RELEASE of the handle; NULL when it has none */
    const char *target;
    const char *handles; /* names of the handles that it carried, joined by commas; NULL for none */
    const struct b1_received *m;
};

/* A name in use: @peer is the peer's name, @name that of its node or handle; NULL for the peer
 * itself. */
struct b1_script_name {
    const char *peer;
    const char *name;
    bool is_node;
    uint64_t id;
};

/* A command of the language, for help and completion. */
struct b1_script_command {
    const char *name;
    const char *args;
    const char *help;
};

/* The table ends at an entry without a name. */
extern const struct b1_script_command b1_script_commands[];

struct b1_script;

/**
 * b1_script_new() - an interpreter without any names
 * @dev: the device that peers are opened on; must outlive the interpreter
 * @single: the result of b1_probe()
 * @message: called for each message that is received
 * @name: called for each name in use, by the command "names"
 * @ctx: first argument of both
 */
int b1_script_new(const struct b1_device *dev, bool single,
                  void (*message)(void *ctx, const struct b1_script_message *m),
                  void (*name)(void *ctx, const struct b1_script_name *n), void *ctx,
                  struct b1_script **ret);
/* Closes all peers. NULL is allowed. */
void b1_script_free(struct b1_script *s);

/**
 * b1_script_run() - run commands
 * @s: the interpreter
 * @text: commands, ended by newlines or semicolons
 * @line: counts lines; on failure the line that failed
 * @e: the reason of a failure
 *
 * Return: 0, or the negative errno of the first command that failed; later ones are not run.
 */
int b1_script_run(struct b1_script *s, const char *text, unsigned int *line, struct err *e);

/* Visits every name that is in use. */
void b1_script_names(const struct b1_script *s,
                     void (*visit)(void *ctx, const struct b1_script_name *n), void *ctx);
