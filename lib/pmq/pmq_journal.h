/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the drain backend has taken out of a queue and not yet put back. It lies in a journal, one
 * file a queue, from before the first message is received until the last is sent again: in
 * /var/lib/ipcbox for root, else in $XDG_STATE_HOME/ipcbox (~/.local/state/ipcbox).
 */
#pragma once

#include "pmq.h"

enum { PMQ_JOURNAL_PATH = 4096 };

/**
 * struct pmq_journal_info - a journal that was found
 * @path: the file
 * @busy: whoever writes it is at work: nothing was interrupted
 * @dev, @ino: the queue's identity
 * @this_boot: it was made since the machine started: the queue may still be there
 * @readable: the caller may read it; else what follows is not known
 * @label: the queue, as it was named then
 * @pid: process that drained
 * @started: when, ns since 1970
 * @held: messages that are in the journal and not in the queue
 */
struct pmq_journal_info {
    char path[PMQ_JOURNAL_PATH];
    bool busy;
    uint64_t dev;
    uint64_t ino;
    bool this_boot;
    bool readable;
    char label[PMQ_REF_SIZE];
    pid_t pid;
    uint64_t started;
    uint64_t held;
};

/* Whether a queue has a journal, root's or the caller's. Return: 1, 0 or -errno. */
int pmq_journal_pending(const struct pmq_attr *attr, struct pmq_journal_info *out);

typedef int (*pmq_journal_fn)(const struct pmq_journal_info *j, void *ctx);

/**
 * pmq_journal_list() - visit the caller's own journals
 * @of_root: root's, too, as far as they can be told from their names
 *
 * Return: 0, what @visit returned, or -errno.
 */
int pmq_journal_list(bool of_root, pmq_journal_fn visit, void *ctx, struct err *e);

/**
 * struct pmq_recovered - what a recovery did
 * @sent: messages put back
 * @uncertain: others used the queue meanwhile: one message may be there twice, the order may differ
 * @guessed: the length of one message had to be found from its bytes: it may lack trailing ones
 * @journal: where what could not be put back still lies; "" when nothing is left
 */
struct pmq_recovered {
    uint64_t sent;
    bool uncertain;
    bool guessed;
    char journal[PMQ_JOURNAL_PATH];
};

/**
 * pmq_recover() - finish what an interrupted drain began
 * @q: the queue
 * @path: its journal
 * @force: although others have the queue open or that cannot be known, or it is another queue than
 *   the one it came from
 * @out: what was done; also after an error
 * @e: why not all of it
 *
 * It may be interrupted itself, at any point, and begun again.
 *
 * Return: 0; -EBUSY (somebody else has it open, or is at it), -EAGAIN (the queue is full), …
 */
int pmq_recover(const struct pmq_queue *q, const char *path, bool force, struct pmq_recovered *out,
                struct err *e);
