/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From a descriptor of the running process to the queue's structures. */
#pragma once

#include "files.bpf.h"

/* The queue behind an inode, or NULL if the inode is none of a queue. */
static __always_inline struct mqueue_inode_info *queue_by_inode(struct inode *inode)
{
    if (!inode || BPF_CORE_READ(inode, i_sb, s_magic) != MQUEUE_MAGIC ||
        (BPF_CORE_READ(inode, i_mode) & MODE_TYPE) != MODE_REGULAR)
        return NULL;
    return (void *)((uint64_t)inode - KOFFSET(mqueue_inode_info, vfs_inode));
}

static __always_inline struct mqueue_inode_info *queue_by_fd(unsigned int fd)
{
    struct file *file = file_by_fd((void *)bpf_get_current_task(), fd);

    return file ? queue_by_inode(BPF_CORE_READ(file, f_inode)) : NULL;
}
