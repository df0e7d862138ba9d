/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * System V queues that are being restored, or were when the restore was killed: a file of lines in
 * the state directory, locked while its restore runs. It outlives a kill, not a reboot, as queues
 * do.
 */
#pragma once

#include "msgdump.h"
#include "sysvdump.h"

struct sysvjournal;

/**
 * sysvjournal_new() - before the first queue is made
 * @p: what is to be made
 * @posix: the same dump's POSIX queues, which come in between
 * @ret: the journal
 * @e: why it cannot be kept
 */
int sysvjournal_new(const struct sysvdump_plan *p, const struct msgdump_plan *posix,
                    struct sysvjournal **ret, struct err *e);

/* All of them are full: what follows are the POSIX queues, and then only owners, modes and limits.
 */
int sysvjournal_filled(struct sysvjournal *j);

/* Removes it: everything is done, or undone. NULL is fine. */
void sysvjournal_end(struct sysvjournal *j);

/**
 * sysvjournal_recover() - finish or undo what a kill has left, after msgdump_recover()
 *
 * What was full is finished, if the POSIX queues of the same restore are there; all else is
 * removed.
 */
int sysvjournal_recover(void (*tell)(void *ctx, const struct msgdump_recovered *what), void *ctx,
                        struct err *e);
