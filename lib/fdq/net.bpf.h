/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel's structures of unix sockets, their buffers, and pipes, as far as the programs of this
 * directory read them; and the conversion of a struct page to the address of its bytes.
 */
#pragma once

#include "files.bpf.h"
#include "pids.bpf.h"

#define MODE_FIFO    0010000
#define SOCKFS       0x534F434B /* SOCKFS_MAGIC of include/uapi/linux/magic.h */
#define FAMILY_UNIX  1
#define STATE_LISTEN 10 /* TCP_LISTEN, a value that unix sockets use too */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct sk_buff {
    struct sk_buff *next;
    struct sock *sk;
    char cb[48];
    unsigned int len, data_len;
    unsigned int end; /* sk_buff_data_t: an offset on 64-bit machines */
    unsigned char *head, *data;
};

struct sk_buff_head {
    struct sk_buff *next, *prev;
    unsigned int qlen;
    struct spinlock lock;
};

struct skb_shared_info {
    unsigned char nr_frags;
    struct {
        unsigned long page;
    } frags[1]; /* skb_frag_t */
};

struct scm_fp_list {
    short count;
    struct file *fp[1];
};

struct unix_skb_parms {
    struct pid *pid;
    kuid_t uid;
    kgid_t gid;
    struct scm_fp_list *fp;
    unsigned int consumed;
};

struct sock_common {
    unsigned short skc_family;
    volatile unsigned char skc_state;
};

struct sock {
    struct sock_common __sk_common;
    struct sk_buff_head sk_receive_queue;
    unsigned short sk_type;
    struct pid *sk_peer_pid;
    struct socket *sk_socket;
};

struct unix_address {
    int len;
    struct {
        unsigned short sun_family;
    } name[1]; /* struct sockaddr_un */
};

struct unix_sock {
    struct unix_address *addr;
    struct sock *peer;
    struct sk_buff *oob_skb; /* 5.15 */
};

struct socket {
    short type;
    struct sock *sk;
};

struct socket_alloc {
    struct socket socket;
    struct inode vfs_inode;
};

struct mutex {
    struct {
        long counter;
    } owner; /* atomic_long_t */
};

struct page {
    unsigned long flags;
};

struct pipe_buffer {
    struct page *page;
    unsigned int offset, len;
    unsigned int flags;
};

struct pipe_inode_info {
    struct mutex mutex;
    unsigned int head, tail;
    unsigned int ring_size, max_usage;
    struct pipe_buffer *bufs;
};

struct inode___pipe {
    struct pipe_inode_info *i_pipe;
};

#pragma clang attribute pop

/* The address of page P's bytes is P / sizeof(struct page) * page size + page_base. 0: not known.
 */
uint64_t page_base;
uint64_t page_factor; /* page size / sizeof(struct page) */

static __always_inline uint64_t page_address(uint64_t page)
{
    return page * page_factor + page_base;
}

/* The number by which the user knows a process; 0 for a process that the user cannot see. */
static __always_inline uint32_t known_pid(struct pid *pid)
{
    return in_kernel((uint64_t)pid) ? pid_for_user(pid) : 0;
}

/* A part of a buffer that lies in pages: struct skb_frag_t has had this shape since 5.4. */
struct fragment {
    uint64_t page; /* the lowest bit marks memory of a device */
    uint32_t length;
    uint32_t offset;
};

/*
 * Calls a global function 32 times, or until it returns another value than 0. A global function is
 * verified only once. The calls are not unrolled, because the verifier would follow each of them
 * when it adds up the stack.
 */
#define REPEAT(name, one)                                                                       \
    __noinline int name(void)                                                                   \
    {                                                                                           \
        _Pragma("clang loop unroll(disable)") for (int i = 0; i < 32; i++) if (one()) return 1; \
        return 0;                                                                               \
    }
