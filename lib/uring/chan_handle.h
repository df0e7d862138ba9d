/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The handle of an embedded channel, for the files of the engine only. */
#pragma once

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "chan_layout.h"
#include "engine.h"
#include "guard.h"

/**
 * struct chan - a handle
 * @map, @data, @ext: the data file; @data and @ext may be written only with CHAN_SEND
 * @ctl: the control file
 * @data_file, @ctl_file: the mappings
 * @data_fd, @ctl_fd: the files: their open descriptions own our locks
 * @access, @delivery: as opened and created
 * @uid, @gid, @mode: of the data file
 * @sender: our entry of ext->senders, or -1
 * @sub: our entry of ctl->subs, or -1
 * @sub_id: our subscriber id
 * @head: the next position we want (unicast, broadcast)
 * @run: messages received since we last had to wait
 * @spins: how often to look before sleeping, which is learnt; @spins_most: the limit
 * @waits: how often we had to wait
 * @idle: we slept our time out
 * @hold: our head is published by chan_commit() only
 * @fresh: nothing received yet: what was overwritten meanwhile was not ours
 * @fence: as a sender we are not registered for membarrier(), and do our own fences
 * @min_head: no receiver was behind this, as of @epoch
 */
struct chan {
    struct ringmap map;
    unsigned char *data;
    struct chan_ext *ext;
    struct chan_ctl *ctl;
    struct guard *data_file;
    struct guard *ctl_file;
    int data_fd;
    int ctl_fd;
    unsigned int access;
    enum chan_delivery delivery;
    uid_t uid;
    gid_t gid;
    uint32_t mode;
    int sender;
    int sub;
    uint32_t sub_id;
    uint64_t head;
    uint32_t run;
    int spins;
    int spins_most;
    uint32_t waits;
    bool idle;
    bool hold;
    bool patient; /* its timeouts are not the end of its waiting */
    bool fresh;
    bool fence;
    uint64_t min_head;
    uint32_t epoch;
};

enum { CHAN_FILE_NAME = 32 }; /* bytes of the name of a channel's file or directory */

/* Where the extension begins in the data file. */
static inline size_t chan_ext_offset(uint32_t entries, uint32_t max_msg)
{
    size_t align = URING_IPC_DATA_ALIGN;

    return (ringmap_size(entries, max_msg) + align - 1) / align * align;
}

/* Opens the directory of a user's channels, if it is safe. Return: fd or -errno. */
int chan_dir_open(const char *dir, uid_t uid, bool create, struct err *e);

/**
 * struct chan_dirs - a walk over the directories of all users that have one: one's own comes first,
 *   then root's, then those of others. Unsafe ones are passed over
 * @base, @all, @step: its own
 * @fd, @uid: the directory that the walk is at, and its owner
 */
struct chan_dirs {
    const char *base;
    DIR *all;
    int step;
    int fd;
    uid_t uid;
};

#define CHAN_DIRS_INIT \
    {                  \
        .fd = -1       \
    }

int chan_dirs_open(struct chan_dirs *w, const char *dir);
void chan_dirs_close(struct chan_dirs *w);

/* Goes on. Return: 1 at the next directory, 0 at the end, -errno. */
int chan_dirs_next(struct chan_dirs *w);

/* Opens a directory once more, to read the names in it. Return: 0 or -errno. */
int chan_names_open(DIR **ret, int dirfd);

/* Whether a directory has a channel of this id. */
bool chan_id_in(int dirfd, uint32_t id);

/* Return: 0 with the directory (to be closed) and the id of the channel that is meant; -errno. */
int chan_find(const char *dir, const struct chan_ref *ref, int *dirfd, uint32_t *id, struct err *e);

/* Opens a file of a channel. Return: a descriptor, -EBADMSG when it cannot be one, -errno. */
int chan_open_file(int dirfd, const char *name, int flags, struct stat *st, struct err *e);

/* Opens channel @id of a directory, as chan_open(). */
int chan_open_in(int dirfd, uint32_t id, unsigned int access, struct chan **ret, struct err *e);

/* Whether an open failed for want of descriptors or memory: then nothing is known of the file. */
bool chan_no_resources(int r);

/* Takes the write lock on one byte. Return: whether it is ours now. */
bool chan_lock(int fd, uint32_t byte);
void chan_unlock(int fd, uint32_t byte);

/* Whether another open description holds it. When in doubt, yes: better late than corrupt. */
bool chan_lock_held(int fd, uint32_t byte);

/* Whether the channel has been destroyed. (The word in the control file is only a hint to look.) */
bool chan_unlinked(const struct chan *c);

/* Takes an entry of the table. Return: 0 or -EUSERS. */
int chan_join_senders(struct chan *c);
int chan_join_subs(struct chan *c);
void chan_leave(struct chan *c);

/* Wakes everyone who sleeps on the channel. */
void chan_wake_all(struct chan_ctl *ctl);
