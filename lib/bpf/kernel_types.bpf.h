/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel's structures as far as programs of this tree read them. Only names and kinds of fields
 * count: the offsets come from the running kernel's BTF at load time (CO-RE). No structure here is
 * empty: clang 19 and 21 crash on bpf_core_field_exists() of a member whose type has none.
 */
#pragma once

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct list_head {
    struct list_head *next, *prev;
};

struct hlist_node {
    struct hlist_node *next, **pprev;
};

struct rb_node {
    unsigned long __rb_parent_color;
    struct rb_node *rb_right;
    struct rb_node *rb_left;
};

struct rb_root {
    struct rb_node *rb_node;
};

struct ns_common {
    unsigned int inum;
};

struct pid_namespace {
    struct ns_common ns;
};

struct upid {
    int nr;
    struct pid_namespace *ns;
};

struct pid {
    unsigned int level;
    struct upid numbers[1];
};

typedef struct {
    unsigned int val;
} kuid_t;

typedef struct {
    unsigned int val;
} kgid_t;

struct qstr {
    const unsigned char *name;
};

struct dentry {
    struct qstr d_name;
};

struct path {
    struct dentry *dentry;
};

struct super_block {
    unsigned int s_dev;
    unsigned long s_magic;
};

struct inode {
    unsigned short i_mode;
    kuid_t i_uid;
    kgid_t i_gid;
    struct super_block *i_sb;
    unsigned long i_ino;
};

struct file {
    unsigned int f_flags;
    struct path f_path;
    struct inode *f_inode;
};

struct fdtable {
    unsigned int max_fds;
    struct file **fd;
    unsigned long *open_fds;
};

struct files_struct {
    struct fdtable *fdt;
};

struct vfsmount {
    struct super_block *mnt_sb;
};

struct ipc_namespace {
    struct vfsmount *mq_mnt;
    unsigned int mq_queues_count;
};

struct nsproxy {
    struct ipc_namespace *ipc_ns;
};

struct sched_info {
    unsigned long long last_arrival;
};

struct signal_struct {
    struct list_head thread_head;
};

struct ucounts;

struct cred {
    struct ucounts *ucounts;
};

struct task_struct {
    int pid;
    int tgid;
    struct list_head tasks;
    struct list_head thread_node;
    struct signal_struct *signal;
    unsigned long long start_time;
    unsigned long nvcsw;
    struct task_struct *group_leader;
    struct pid *thread_pid;
    struct files_struct *files;
    struct nsproxy *nsproxy;
    struct cred *cred;
    struct sched_info sched_info;
    char comm[16];
};

/* POSIX message queues: include/uapi/linux/mqueue.h, include/linux/msg.h, ipc/mqueue.c */

struct mq_attr {
    long mq_flags;
    long mq_maxmsg;
    long mq_msgsize;
    long mq_curmsgs;
};

struct msg_msgseg;

struct msg_msg {
    struct list_head m_list;
    long m_type;
    size_t m_ts;
    struct msg_msgseg *next;
};

struct posix_msg_tree_node {
    struct rb_node rb_node;
    struct list_head msg_list;
};

struct ext_wait_queue {
    struct task_struct *task;
    struct list_head list;
};

struct sigevent {
    int sigev_signo;
    int sigev_notify;
};

enum rlimit_type { UCOUNT_RLIMIT_MSGQUEUE };
enum ucount_type { UCOUNT_RLIMIT_MSGQUEUE___old }; /* Linux 5.14 to 5.18 */

struct ucounts {
    kuid_t uid;
    struct {
        long counter;
    } rlimit[1], ucount[1]; /* atomic_long_t */
};

struct user_struct {
    kuid_t uid;
    unsigned long mq_bytes;
};

struct spinlock {
    unsigned int first_word;
};

struct mqueue_inode_info {
    struct spinlock lock;
    struct inode vfs_inode;
    struct rb_root msg_tree;
    struct mq_attr attr;
    struct sigevent notify;
    struct pid *notify_owner;
    struct ucounts *ucounts;
    struct ext_wait_queue e_wait_q[2];
    unsigned long qsize;
};

struct mqueue_inode_info___old {
    struct user_struct *user;
};

#pragma clang attribute pop

#define MQUEUE_MAGIC 0x19800202 /* ipc/mqueue.c */

/* The offset of a field in the running kernel. */
#define KOFFSET(type, field) \
    ((uint64_t)(uintptr_t)__builtin_preserve_access_index(&((struct type *)0)->field))

/* Reads kernel memory; what cannot be read is left as it was. */
#define KREAD(dst, addr) bpf_probe_read_kernel(&(dst), sizeof(dst), (const void *)(addr))

/*
 * The bits that are set in every address of the kernel's memory. What a walk without a lock takes
 * for a pointer may be anything, and some kernels print a warning when an address that no memory
 * can have is read: programs that walk call kernel_half_init() first, and in_kernel() before they
 * read.
 */
static uint64_t kernel_half;

static __always_inline void kernel_half_init(void)
{
#if defined(__TARGET_ARCH_x86)
    /* Addresses of 48 bits begin at 0xffff8…; where they have 57 bits, a task lies below that. */
    kernel_half = (int64_t)bpf_get_current_task() >> 47 == -1 ? ~0ULL << 47 : ~0ULL << 56;
#else
    kernel_half = 1ULL << 63;
#endif
}

static __always_inline bool in_kernel(uint64_t address)
{
    return (address & kernel_half) == kernel_half;
}
