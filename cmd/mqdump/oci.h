/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line of an OCI runtime (runc, crun, …), and what it tells of a container. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "errinfo.h"

/**
 * struct oci_call - a command line of a runtime
 * @argv: the runtime and its arguments, ended by NULL
 * @verb: index of "checkpoint", "restore", …; 0 when there is none
 * @id: the container, the last argument; NULL for none: "checkpoint --help"
 * @image: directory of the images
 * @bundle: directory of the container's configuration
 * @pre_dump: only memory is saved, for a later checkpoint
 */
struct oci_call {
    char **argv;
    size_t verb;
    const char *id;
    const char *image;
    const char *bundle;
    bool pre_dump;
};

/* @argv is borrowed. */
void oci_call_parse(struct oci_call *c, char **argv);

/**
 * oci_find() - the program of a runtime
 * @name: a path, or a name to be looked for in PATH and where the system has its programs
 * @out: the path; this program itself, under whatever name, is passed over
 *
 * Return: 0, -ENOENT, -ENAMETOOLONG.
 */
int oci_find(const char *name, char out[4096]);

/**
 * oci_pid() - ask the runtime for the first process
 * @program: the runtime
 * @bundle: where the container's configuration is, as it says
 *
 * Return: 0 or -errno with a reason.
 */
int oci_pid(const struct oci_call *c, const char *program, pid_t *out, char bundle[4096],
            struct err *e);

/**
 * oci_ipc_path() - the IPC namespace that a container shares with others
 * @bundle: directory of its configuration
 * @out: a file that leads to it; "" when the container has one of its own, or the machine's
 *
 * Return: 0 or -errno with a reason.
 */
int oci_ipc_path(const char *bundle, char out[4096], struct err *e);
