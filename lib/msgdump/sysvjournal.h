/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The journal of a restore of System V queues: a file of lines in the state directory, which is
 * locked while the restore runs. Like the queues themselves, it outlives a killed restore but not a
 * reboot.
 */
#pragma once

#include "msgdump.h"
#include "sysvdump.h"

struct sysvjournal;

/**
 * sysvjournal_new() - start a journal, before the first queue is created
 * @p: the queues that will be created
 * @posix: the POSIX queues of the same dump, which are restored before the publishing
 * @ret: the journal
 * @e: why it cannot be written
 */
int sysvjournal_new(const struct sysvdump_plan *p, const struct msgdump_plan *posix,
                    struct sysvjournal **ret, struct err *e);

/*
 * Notes that all System V queues are full. Only the POSIX queues follow, and then owners, modes and
 * limits.
 */
int sysvjournal_filled(struct sysvjournal *j);

/* Removes the journal, when everything is done or undone. NULL is allowed. */
void sysvjournal_end(struct sysvjournal *j);

/**
 * sysvjournal_recover() - finish or undo killed restores; call it after msgdump_recover()
 *
 * A restore whose queues were all full is finished, if the POSIX queues of the same restore exist;
 * otherwise its queues are removed.
 */
int sysvjournal_recover(void (*tell)(void *ctx, const struct msgdump_recovered *what), void *ctx,
                        struct err *e);
