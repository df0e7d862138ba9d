// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Records messages that are received over unix sockets. A receiver that has finished with a buffer
 * frees it: at that point it is recorded once, with its sender. A buffer that is dropped unread is
 * recorded as such.
 *
 * A record that does not fit is counted, and each record contains that count.
 */
#include "calibrate.bpf.h"
#include "follow_abi.h"
#include "syscall.bpf.h"

#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile struct fdfollow_config config = {0};

/* Read by user space. */
uint64_t lost = 0;

uint64_t last_wake;

/*
 * What is followed: inode numbers of sockets, or FDFOLLOW_PID and a process. Filled by user space.
 */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16384);
    __type(key, uint64_t);
    __type(value, uint32_t);
} wanted SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 4096);
} ring SEC(".maps");

/* Memory in which a record is made, which is too large for the stack. */
struct scratch {
    struct fdfollow_event event;
    char data[2 * FDFOLLOW_CAPTURE];
};

/* Two for each processor, sized by user space: no more than that can be in use at once. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 2);
    __type(key, uint32_t);
    __type(value, struct scratch);
} scratches SEC(".maps");

static __always_inline uint64_t inode_of(struct sock *sk)
{
    struct socket *socket = in_kernel((uint64_t)sk) ? BPF_CORE_READ(sk, sk_socket) : NULL;
    struct socket_alloc *alloc;

    if (!in_kernel((uint64_t)socket))
        return 0;
    alloc = (void *)((uint64_t)socket - KOFFSET(socket_alloc, socket));
    return BPF_CORE_READ(alloc, vfs_inode.i_ino);
}

static __always_inline bool is_wanted_key(uint64_t key)
{
    return bpf_map_lookup_elem(&wanted, &key);
}

static __always_inline bool is_wanted(const struct fdfollow_event *e)
{
    return config.all || is_wanted_key(e->inode) || is_wanted_key(e->peer) ||
           is_wanted_key(FDFOLLOW_PID | (uint64_t)e->pid) ||
           is_wanted_key(FDFOLLOW_PID | (uint64_t)e->sender_pid);
}

/* Records the address of a socket. Return: whether it has one. */
static __always_inline bool add_path(struct fdfollow_event *e, struct sock *sk)
{
    struct unix_address *address;
    int len;

    if (!in_kernel((uint64_t)sk))
        return false;
    address = BPF_CORE_READ((struct unix_sock *)sk, addr);
    if (!in_kernel((uint64_t)address))
        return false;
    len = BPF_CORE_READ(address, len) - (int)sizeof(unsigned short);
    if (len <= 0 || len > FDFOLLOW_PATH)
        return false;
    if (bpf_probe_read_kernel(e->path, sizeof(e->path),
                              (char *)address + KOFFSET(unix_address, name) +
                                  sizeof(unsigned short)))
        return false;
    e->path_len = len;
    return true;
}

/* Copies a part of a buffer that is in pages, after what was copied before. */
__noinline int add_fragment(uint32_t slot, uint64_t at)
{
    struct scratch *s = bpf_map_lookup_elem(&scratches, &slot);
    struct fragment f = {};
    uint32_t n, to;

    if (!s)
        return 1;
    KREAD(f, at);
    to = s->event.captured;
    if (f.page & 1 || !in_kernel(f.page) || !page_base || to >= config.capture)
        return 1;
    n = f.length < config.capture - to ? f.length : config.capture - to;
    asm volatile("" : "+r"(n), "+r"(to));
    n &= FDFOLLOW_CAPTURE - 1;
    to &= FDFOLLOW_CAPTURE - 1;
    if (bpf_probe_read_kernel(s->data + to, n, (const void *)(page_address(f.page) + f.offset)))
        return 1;
    s->event.captured += n;
    return n < f.length;
}

/*
 * Copies the linear bytes, then those in pages: at most 17 parts, or 45 in kernels that are built
 * for more.
 */
static __always_inline void add_bytes(struct scratch *s, uint32_t slot, struct sk_buff *skb)
{
    uint32_t len = BPF_CORE_READ(skb, len), paged = BPF_CORE_READ(skb, data_len);
    uint32_t linear = paged < len ? len - paged : paged == len ? 0 : len, n = linear, parts;
    struct skb_shared_info *shared = (void *)(BPF_CORE_READ(skb, head) + BPF_CORE_READ(skb, end));

    if (n > config.capture)
        n = config.capture;
    asm volatile("" : "+r"(n));
    n &= FDFOLLOW_CAPTURE - 1;
    if (bpf_probe_read_kernel(s->data, n, BPF_CORE_READ(skb, data)))
        return;
    s->event.captured = n;
    if (n < linear || !paged)
        return;
    parts = BPF_CORE_READ(shared, nr_frags);
    _Pragma("clang loop unroll(disable)") for (uint32_t i = 0; i < 45 && i < parts; i++) if (
        add_fragment(slot, (uint64_t)shared + KOFFSET(skb_shared_info, frags) +
                               i * sizeof(struct fragment))) return;
}

/*
 * Records the sender: as noted in the buffer, if the receiver asked for that; else the process that
 * made the other end.
 */
static __always_inline void add_sender(struct fdfollow_event *e, struct sk_buff *skb,
                                       struct sock *receiver)
{
    struct unix_skb_parms *cb = (void *)((uint64_t)skb + KOFFSET(sk_buff, cb));
    struct scm_fp_list *list = BPF_CORE_READ(cb, fp);

    e->sender_pid = known_pid(BPF_CORE_READ(cb, pid));
    if (!e->sender_pid && in_kernel((uint64_t)receiver))
        e->sender_pid = known_pid(BPF_CORE_READ(receiver, sk_peer_pid));
    if (in_kernel((uint64_t)list))
        e->n_fds = (uint16_t)BPF_CORE_READ(list, count);
}

/*
 * A datagram's sender need not be connected. Then the receiver is the socket that the running call
 * has as its first argument, if that socket has the same type.
 */
static __always_inline struct sock *receiver_of_call(uint32_t type)
{
#if defined(__TARGET_ARCH_x86)
    const uint64_t first_argument = KOFFSET(pt_regs, di);
#else
    const uint64_t first_argument = KOFFSET(pt_regs, orig_x0);
#endif
    struct task_struct *task = (void *)bpf_get_current_task_btf();
    struct socket *socket;
    struct inode *inode;
    struct file *file;
    struct sock *sk;
    uint64_t fd = 0;

    if (!config.has_registers)
        return NULL;
    KREAD(fd, bpf_task_pt_regs((void *)task) + first_argument);
    file = file_by_fd((void *)bpf_get_current_task(), fd);
    inode = in_kernel((uint64_t)file) ? BPF_CORE_READ(file, f_inode) : NULL;
    if (!in_kernel((uint64_t)inode) || BPF_CORE_READ(inode, i_sb, s_magic) != SOCKFS)
        return NULL;
    socket = (void *)((uint64_t)inode - KOFFSET(socket_alloc, vfs_inode) +
                      KOFFSET(socket_alloc, socket));
    sk = BPF_CORE_READ(socket, sk);
    return in_kernel((uint64_t)sk) && BPF_CORE_READ(sk, __sk_common.skc_family) == FAMILY_UNIX &&
                   BPF_CORE_READ(sk, sk_type) == type
               ? sk
               : NULL;
}

/* A wake-up costs more than everything else here. */
static __always_inline uint64_t wake_flag(uint64_t now)
{
    if (now - last_wake < FDFOLLOW_LATENCY_NS &&
        bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) < config.ring_wake)
        return BPF_RB_NO_WAKEUP;
    last_wake = now;
    return BPF_RB_FORCE_WAKEUP;
}

static __always_inline int record(struct sk_buff *skb, uint32_t kind)
{
    struct sock *sender = BPF_CORE_READ(skb, sk), *receiver;
    uint32_t slot = 2 * bpf_get_smp_processor_id() + (kind == FDFOLLOW_UNREAD), n;
    struct fdfollow_event *e;
    struct scratch *s;

    if (!in_kernel((uint64_t)sender) ||
        BPF_CORE_READ(sender, __sk_common.skc_family) != FAMILY_UNIX)
        return 0;
    s = bpf_map_lookup_elem(&scratches, &slot);
    if (!s)
        return 0;
    e = &s->event;
    __builtin_memset(e, 0, sizeof(*e));
    e->pid = own_pid();
    e->length = BPF_CORE_READ(skb, len);
    e->type = BPF_CORE_READ(sender, sk_type);
    /* The buffer by which a listener passes a connection to accept(2) has no bytes. */
    if (e->pid == config.own_pid || (!e->length && e->type == 1))
        return 0;
    receiver = BPF_CORE_READ((struct unix_sock *)sender, peer);
    if (!receiver && kind == FDFOLLOW_RECEIVED)
        receiver = receiver_of_call(e->type);
    e->inode = inode_of(receiver);
    e->peer = inode_of(sender);
    add_sender(e, skb, receiver);
    if (!is_wanted(e))
        return 0;
    e->time = bpf_ktime_get_ns();
    e->flow = (uint64_t)sender;
    e->kind = kind;
    e->tid = own_tid();
    bpf_get_current_comm(e->comm, sizeof(e->comm));
    if (!add_path(e, receiver))
        add_path(e, sender);
    add_bytes(s, slot, skb);
    e->lost = lost;
    n = e->captured;
    asm volatile("" : "+r"(n));
    n &= 2 * FDFOLLOW_CAPTURE - 1;
    if (n > FDFOLLOW_CAPTURE)
        n = FDFOLLOW_CAPTURE;
    if (bpf_ringbuf_output(&ring, s, sizeof(*e) + n, wake_flag(e->time)))
        __sync_fetch_and_add(&lost, 1);
    return 0;
}

SEC("?tp_btf/consume_skb")
int BPF_PROG(received, struct sk_buff *skb)
{
    return record(skb, FDFOLLOW_RECEIVED);
}

SEC("?tp_btf/kfree_skb")
int BPF_PROG(unread, struct sk_buff *skb)
{
    return record(skb, FDFOLLOW_UNREAD);
}
