/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parts of reading a struct msgdump_tree. */
#pragma once

#include "msgdump_criu.h"

/* Tells whether a process is in another namespace of that kind than the caller. */
bool msgdump_other_namespace(int proc, pid_t pid, const char *kind);

/* Fills in the mounts of a tree. Return: 0 or -errno with a reason. */
int msgdump_tree_mounts(int proc, struct msgdump_tree *t, struct err *e);
