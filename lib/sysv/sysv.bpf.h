/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From an id to its struct msg_queue, in the IPC namespace of the running task. An id is
 * `sequence << 15 | index`, or with the boot option ipcmni_extend `<< 24`; the index leads through
 * an xarray to the queue, which knows its whole id.
 */
#pragma once

#include "kernel_types.bpf.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct xarray {
    void *xa_head;
};
struct idr {
    struct xarray idr_rt;
};
struct xa_node {
    unsigned char shift;
    void *slots[64];
};
struct ipc_ids {
    struct idr ipcs_idr;
};
struct ipc_namespace___sysv {
    struct ipc_ids ids[3];
    struct ns_common ns;
};
struct kern_ipc_perm {
    struct spinlock lock;
    bool deleted;
    int id;
    int key;
    kuid_t uid, cuid;
    kgid_t gid, cgid;
    unsigned short mode;
};
struct msg_queue {
    struct kern_ipc_perm q_perm;
    unsigned long q_cbytes, q_qnum, q_qbytes;
    struct pid *q_lspid, *q_lrpid;
    struct list_head q_messages, q_receivers, q_senders;
};
struct msg_receiver {
    struct list_head r_list;
    struct task_struct *r_tsk;
    int r_mode;
    long r_msgtype, r_maxsize;
    struct msg_msg *r_msg;
};
struct msg_sender {
    struct list_head list;
    struct task_struct *tsk;
    size_t msgsz;
};
#pragma clang attribute pop

#define IPC_MSG_IDS 1

/* The entry at an index of an xarray: a walk of its height. NULL: there is none, or it moves. */
static __always_inline void *xa_at(uint64_t xa, uint32_t index)
{
    uint32_t slots = bpf_core_field_size(((struct xa_node *)0)->slots) /
                     8; /* 64, small kernels 16 */
    uint64_t entry = 0, node;
    unsigned char shift = 0;

    KREAD(entry, xa + KOFFSET(xarray, xa_head));
    if ((entry & 3) != 2)
        return index ? NULL : (void *)entry; /* a tree of one entry has no node */
    for (int i = 0; i < 8; i++) {
        if ((entry & 3) != 2)
            return (void *)entry;
        if (entry < 4096)
            return NULL; /* a mark for those who must try again */
        node = entry - 2;
        shift = BPF_CORE_READ((struct xa_node *)node, shift);
        if (shift > 31 || (!i && (uint64_t)index >> shift >= slots))
            return NULL;
        entry = 0;
        KREAD(entry, node + KOFFSET(xa_node, slots) + 8 * ((index >> shift) & (slots - 1)));
        if (!shift)
            return (entry & 3) ? NULL : (void *)entry;
    }
    return NULL;
}

static __always_inline struct ipc_namespace___sysv *sysv_ns(void)
{
    struct task_struct *task = (void *)bpf_get_current_task();

    return (void *)BPF_CORE_READ(task, nsproxy, ipc_ns);
}

static __always_inline struct msg_queue *sysv_at(struct ipc_namespace___sysv *ns, uint32_t index)
{
    uint64_t ids = (uint64_t)ns + KOFFSET(ipc_namespace___sysv, ids) +
                   IPC_MSG_IDS * (uint64_t)bpf_core_type_size(struct ipc_ids);

    return xa_at(ids + KOFFSET(ipc_ids, ipcs_idr.idr_rt), index);
}

static __always_inline struct msg_queue *sysv_by_id(struct ipc_namespace___sysv *ns, int id)
{
    struct msg_queue *q;

    if (!ns || id < 0)
        return NULL;
    q = sysv_at(ns, id & 0x7fff);
    if (!q || BPF_CORE_READ(q, q_perm.id) != id)
        q = sysv_at(ns, id & 0xffffff);
    if (!q || BPF_CORE_READ(q, q_perm.id) != id || BPF_CORE_READ(q, q_perm.deleted))
        return NULL;
    return q;
}

static __always_inline bool sysv_locked(struct msg_queue *q)
{
    int word = 1;

    KREAD(word, &q->q_perm.lock);
    return word;
}
