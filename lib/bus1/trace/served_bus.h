/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Looking at served buses from outside: where they are mounted, and what their debug files say. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "buf.h"

/**
 * struct b1_mount - a served bus in this mount namespace
 * @dir: where it is mounted; borrowed
 * @dev: its device number, as stat() of its files returns it
 *
 * The callback returns 0 to go on; anything else ends the walk and is returned.
 */
struct b1_mount {
    const char *dir;
    dev_t dev;
};

int b1_mounts_visit(int (*visit)(void *ctx, const struct b1_mount *m), void *ctx);

/* Finds the peer behind a descriptor of a process: device and inode number of its file. */
int b1_fd_identity(pid_t pid, int fd, dev_t *dev, uint64_t *ino);

enum b1_record_kind {
    B1_RECORD_OTHER,
    B1_RECORD_PEER,
    B1_RECORD_NODE,
    B1_RECORD_HANDLE,
    B1_RECORD_MESSAGE,
    B1_RECORD_USAGE, /* only for callers who may see the whole bus */
};

/**
 * struct b1_record - one line of a debug file; fields that the line does not have are 0 or NULL
 * @data: of a message, decoded; NULL when it was left out
 * @transfers: ids, joined by commas
 */
struct b1_record {
    enum b1_record_kind kind;
    uint64_t serial, ino, pid, uid, messages, bytes;
    uint64_t id, handles, owner, node, waiting;
    uint64_t type, account, from, length;
    const char *transfers;
    const void *data;
};

/**
 * b1_debug_parse() - visit the records of a debug file
 * @text: its content, overwritten
 *
 * Return: 0, what @visit returned when that is not 0, or -EBADMSG.
 */
int b1_debug_parse(char *text, int (*visit)(void *ctx, const struct b1_record *r), void *ctx);

/* Reads "debug", or with @ino the file "peer-INO", of the bus mounted on @dir. */
int b1_debug_read(const char *dir, uint64_t ino, struct buf *out);
