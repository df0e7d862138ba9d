/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A small language for bus1: peers, nodes and handles by names of the user's choice. A command is a
 * line, or ends at a semicolon; see b1_script_commands.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bus_client.h"
#include "errinfo.h"

/* A message that was received, with the names that its ids have. Borrowed. */
struct b1_script_message {
    const char *peer;
    uint64_t type;
    const char *target;  /* the node, or for NODE_RELEASE the handle; NULL when it has no name */
    const char *handles; /* names of what came along, joined by commas; NULL for none */
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

/* Ended by an entry without a name. */
extern const struct b1_script_command b1_script_commands[];

struct b1_script;

/**
 * b1_script_new() - an empty world
 * @dev: where peers come from; must outlive it
 * @single: of b1_probe()
 * @message: told of what is received
 * @name: told of what has a name, by the command "names"
 * @ctx: first argument of both
 */
int b1_script_new(const struct b1_device *dev, bool single,
                  void (*message)(void *ctx, const struct b1_script_message *m),
                  void (*name)(void *ctx, const struct b1_script_name *n), void *ctx,
                  struct b1_script **ret);
/* Closes all peers. NULL is fine. */
void b1_script_free(struct b1_script *s);

/**
 * b1_script_run() - run commands
 * @s: the world
 * @text: commands, ended by newlines or semicolons
 * @line: counts lines; on failure the one that failed
 * @e: why
 *
 * Return: 0, or the negative errno of the first command that failed; later ones are not run.
 */
int b1_script_run(struct b1_script *s, const char *text, unsigned int *line, struct err *e);

/* Every name that is in use. */
void b1_script_names(const struct b1_script *s,
                     void (*visit)(void *ctx, const struct b1_script_name *n), void *ctx);
