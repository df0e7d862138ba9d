/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The journal of a drain: a file, mapped and shared, into which the kernel itself copies each
 * message, so that a process killed at any point has lost nothing. Its state is in the records
 * alone; each step is one store.
 *
 *     the kernel has filled priority and payload   (the message is out of the queue)
 *     the next record is made blank
 *     commit = length + 1                          (the length is known)
 *     sent = 1                                     (the message is back in the queue)
 *
 * A kill between the first and the third leaves a record with a priority and no length. The length
 * is what the queue's total is short of. Should others have used the queue since, it is found from
 * the bytes: whatever the kernel did not overwrite still holds the pattern that fills the file.
 */
#pragma once

#include "pmq.h"

enum {
    JOURNAL_VERSION = 1,
    JOURNAL_HEAD = 4096,
    JOURNAL_RECORD = 16,
    JOURNAL_NO_PRIORITY = UINT32_MAX,
};

enum journal_phase { JOURNAL_RECEIVING, JOURNAL_SENDING };

/**
 * struct journal_head - the first page; native byte order, the queue never leaves the machine
 * @magic: "ipcboxdj", written last: without it nothing was ever taken
 * @depth, @bytes: of queue and journal together, before the next message is received
 * @base_depth, @base_bytes: of the queue without what was sent back
 * @seed: of the pattern
 */
struct journal_head {
    char magic[8];
    uint32_t version;
    uint32_t phase;
    char boot[40];
    uint64_t dev;
    uint64_t ino;
    uint64_t msgsize;
    uint64_t started;
    uint64_t depth;
    uint64_t bytes;
    uint64_t base_depth;
    uint64_t base_bytes;
    uint64_t seed;
    uint32_t pid;
    char label[PMQ_REF_SIZE + 4];
};

struct journal_record {
    uint32_t priority;
    uint32_t commit;
    uint32_t sent;
    uint32_t reserved;
};

_Static_assert(sizeof(struct journal_head) <= JOURNAL_HEAD, "the head is one page");
_Static_assert(sizeof(struct journal_record) == JOURNAL_RECORD, "as in the file");

/**
 * struct journal - an open one
 * @fd: the file, locked as long as it is open
 * @path: its name; "" once removed
 * @map, @size: all of it
 * @end: where the first uncommitted record is
 * @n, @bytes: committed messages and their payload
 * @n_sent, @bytes_sent: those of them that were sent back
 */
struct journal {
    int fd;
    char path[4096];
    char *map;
    size_t size;
    size_t end;
    uint64_t n;
    uint64_t bytes;
    uint64_t n_sent;
    uint64_t bytes_sent;
};

static inline struct journal_head *journal_head(const struct journal *j)
{
    return (struct journal_head *)(void *)j->map;
}

static inline struct journal_record *journal_at(const struct journal *j, size_t at)
{
    return (struct journal_record *)(void *)(j->map + at);
}

/* Bytes that a record with @length bytes of payload takes. */
static inline size_t journal_space(size_t length)
{
    return JOURNAL_RECORD + ((length + JOURNAL_RECORD - 1) & ~(size_t)(JOURNAL_RECORD - 1));
}

/* Where journals of the caller are, and of root. Return: 0, or -errno where there is none. */
int journal_dir(bool of_root, char *out, size_t n);

/* The file of a queue in a directory. */
int journal_path(const char *dir, uint64_t dev, uint64_t ino, char *out, size_t n);

/* What the name of such a file tells; false for any other name. */
bool journal_parse_name(const char *name, uint64_t *dev, uint64_t *ino, bool *this_boot);

/* What the kernel calls this boot. Return: 0 or -errno. */
int journal_boot_id(char out[40]);

/* Whether the machine has been up since. */
bool journal_this_boot(const struct journal_head *h);

/**
 * journal_create() - begin one, with room for what the queue holds
 * @q, @a: the queue
 * @j: the journal
 * @e: why not
 *
 * All its room is allocated and in memory when this returns. Return: 0; -EBUSY when there is one
 * already, -ENOSPC, …
 */
int journal_create(const struct pmq_queue *q, const struct pmq_attr *a, struct journal *j,
                   struct err *e);

/**
 * journal_open() - take up one that was left
 * @path: the file
 * @write: to go on with it; else to look
 * @j: the journal, every record checked
 *
 * Return: 0; -EBUSY when its writer is at work; -ENODATA when nothing was ever taken; -EBADMSG when
 * it is damaged; …
 */
int journal_open(const char *path, bool write, struct journal *j);

/* Makes room for @messages more of @bytes in all. */
int journal_reserve(struct journal *j, uint64_t messages, uint64_t bytes);

/* Makes the pages of the record at the end present and writable: the kernel must not fail there. */
void journal_touch(struct journal *j);

/* Whether another message fits. */
bool journal_has_room(const struct journal *j);

/* The message at the end is complete: its length becomes known. */
void journal_commit(struct journal *j, size_t length);

/*
 * The length of the message at the end as its bytes tell. The kill may have come when the next
 * record was already blank.
 */
size_t journal_guess_length(const struct journal *j);
/* Whether the bytes agree with a length that is known from elsewhere. */
bool journal_can_be_length(const struct journal *j, uint64_t length);

/* Nothing is left in it. The mapping stays until journal_close(). */
void journal_remove(struct journal *j);
void journal_close(struct journal *j);
