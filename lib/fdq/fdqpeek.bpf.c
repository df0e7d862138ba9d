// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Walks the receive queue of a unix socket, or the ring of a pipe, twice without its lock; the
 * caller compares both results.
 *
 * The walk is a state machine with a step for each buffer, part of a buffer, or passed descriptor.
 * Its state is a global variable: verifiers before the end of 2023 track a caller's stack too
 * precisely and delete branches.
 */
#include "calibrate.bpf.h"
#include "peek_abi.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct fdpeek_request req;

/* Set before loading: the verifier needs a constant to bound what is written into the map. */
const volatile uint64_t map_mask = 0; /* bytes of both halves - 1; a power of two - 1 */

/*
 * The only value of the map has both halves and, after them, room for one chunk; sized before
 * loading.
 */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __uint(key_size, 4);
    __uint(value_size, 8);
} records SEC(".maps");

enum walk_state { WALK_BUFFER, WALK_PASSED, WALK_COPY, WALK_FRAGMENT, WALK_RING };

static struct {
    enum walk_state state;
    uint64_t base; /* offset of this collection in the map */
    /* A socket's queue. */
    uint64_t head;
    uint64_t buffer;
    uint64_t oob;
    uint64_t shared; /* struct skb_shared_info of the buffer */
    uint32_t fragments, fragment;
    uint64_t skip; /* bytes of the buffer that were read before and still have to be skipped */
    uint64_t passed;
    uint32_t n_passed, next_passed;
    /* A pipe's ring. */
    uint64_t bufs;
    uint32_t ring_mask, ring_at, ring_end;
    /* What is being copied. */
    uint64_t from, left;
    struct fdpeek_collection got;
} walk;

/* A struct sk_buff, read in one call, because calls cost more than bytes. */
static char skb[512];

/* A struct pipe_buffer, read in one call too. */
static char slot[64];

#define SLOT(type, field) (*(type *)(void *)(slot + KOFFSET(pipe_buffer, field)))

#define SKB(type, field) (*(type *)(void *)(skb + KOFFSET(sk_buff, field)))
#define CB(type, field) \
    (*(type *)(void *)(skb + KOFFSET(sk_buff, cb) + KOFFSET(unix_skb_parms, field)))

#define STOP(why)              \
    ({                         \
        walk.got.status = why; \
        1;                     \
    })

/* Address in the map at @offset, where there is room for one chunk. */
static __always_inline char *map_at(uint64_t offset)
{
    uint32_t zero = 0;
    char *map = bpf_map_lookup_elem(&records, &zero);

    if (!map)
        return NULL;
    asm volatile("" : "+r"(offset));
    return map + (offset & map_mask);
}

/*
 * Adds the record of a message of @length bytes with @n_fds descriptors; NULL when it does not fit.
 */
static __always_inline struct fdpeek_record *add_record(uint64_t address, uint64_t length,
                                                        uint32_t n_fds)
{
    uint64_t need = sizeof(struct fdpeek_record) + n_fds * sizeof(struct fdpeek_passed) +
                    (req.heads ? 0 : (length + 7) & ~7ULL);
    struct fdpeek_record *record;

    if (need > req.room || walk.got.bytes > req.room - need) {
        walk.got.status = FDPEEK_FULL;
        return NULL;
    }
    record = (void *)map_at(walk.base + walk.got.bytes);
    if (!record)
        return NULL;
    __builtin_memset(record, 0, sizeof(*record));
    record->address = address;
    record->length = length;
    record->n_fds = n_fds;
    walk.got.bytes += sizeof(*record);
    walk.got.messages++;
    walk.got.payload += length;
    return record;
}

static __always_inline int step_copy(void)
{
    uint64_t n = walk.left < FDPEEK_CHUNK - 8 ? walk.left : FDPEEK_CHUNK - 8;
    char *to = map_at(walk.base + walk.got.bytes);

    if (!walk.left) {
        walk.state = walk.bufs ? WALK_RING : WALK_FRAGMENT;
        return 0;
    }
    if (!to || !in_kernel(walk.from))
        return STOP(FDPEEK_MOVED);
    asm volatile("" : "+r"(n));
    n &= FDPEEK_CHUNK - 1;
    if (bpf_probe_read_kernel(to, n, (const void *)walk.from))
        return STOP(FDPEEK_MOVED);
    walk.got.bytes += n;
    walk.from += n;
    walk.left -= n;
    if (!walk.left)
        walk.state = walk.bufs ? WALK_RING : WALK_FRAGMENT;
    return 0;
}

/* Adds zeros after a message's payload up to the next multiple of 8. */
static __always_inline int pad(void)
{
    uint64_t over = walk.got.bytes & 7;
    char *to = map_at(walk.base + (walk.got.bytes & ~7ULL));

    if (!over)
        return 0;
    if (!to)
        return STOP(FDPEEK_MOVED);
    *(uint64_t *)to &= (1ULL << 8 * over) - 1;
    walk.got.bytes += 8 - over;
    return 0;
}

static __always_inline int step_fragment(void)
{
    struct fragment f = {};
    uint64_t skip;

    if (walk.fragment >= walk.fragments || req.heads) {
        walk.state = WALK_BUFFER;
        return pad();
    }
    KREAD(f, walk.shared + KOFFSET(skb_shared_info, frags) + walk.fragment * sizeof(f));
    walk.fragment++;
    if (f.page & 1)
        return STOP(FDPEEK_DEVICE);
    if (!page_base)
        return STOP(FDPEEK_PAGES);
    if (!in_kernel(f.page) || f.length > 64 << 20)
        return STOP(FDPEEK_MOVED);
    skip = walk.skip < f.length ? walk.skip : f.length;
    walk.skip -= skip;
    walk.from = page_address(f.page) + f.offset + skip;
    walk.left = f.length - skip;
    walk.state = WALK_COPY;
    return 0;
}

static __always_inline int step_passed(void)
{
    struct fdpeek_passed *to;
    struct file *file = NULL;
    struct inode *inode;

    if (walk.next_passed >= walk.n_passed) {
        walk.state = WALK_COPY;
        return 0;
    }
    to = (void *)map_at(walk.base + walk.got.bytes);
    KREAD(file, walk.passed + KOFFSET(scm_fp_list, fp) + walk.next_passed++ * sizeof(file));
    if (!to || !in_kernel((uint64_t)file))
        return STOP(FDPEEK_MOVED);
    __builtin_memset(to, 0, sizeof(*to));
    inode = BPF_CORE_READ(file, f_inode);
    if (!in_kernel((uint64_t)inode))
        return STOP(FDPEEK_MOVED);
    to->inode = BPF_CORE_READ(inode, i_ino);
    to->mode = BPF_CORE_READ(inode, i_mode);
    to->magic = BPF_CORE_READ(inode, i_sb, s_magic);
    bpf_probe_read_kernel_str(to->name, sizeof(to->name),
                              BPF_CORE_READ(file, f_path.dentry, d_name.name));
    walk.got.bytes += sizeof(*to);
    return 0;
}

/* Records the sender, from the buffer or, for a listener, from the connection. */
static __always_inline void add_sender(struct fdpeek_record *record, struct pid *pid)
{
    record->pid = known_pid(pid);
    record->uid = CB(uint32_t, uid);
    record->gid = CB(uint32_t, gid);
    if (record->pid)
        record->flags |= FDPEEK_CREDS;
}

/* Returns how many descriptors the message has, and remembers their list. */
static __always_inline uint32_t passed_with(void)
{
    struct scm_fp_list *list = CB(struct scm_fp_list *, fp);

    walk.next_passed = 0;
    walk.n_passed = 0;
    walk.passed = (uint64_t)list;
    if (in_kernel(walk.passed))
        walk.n_passed = (uint16_t)BPF_CORE_READ(list, count);
    return walk.n_passed;
}

static __always_inline int step_buffer(void)
{
    uint64_t address = walk.buffer, size = bpf_core_type_size(struct sk_buff);
    uint32_t len, linear, skip, here, fds;
    struct skb_shared_info *shared;
    struct fdpeek_record *record;

    if (address == walk.head)
        return STOP(FDPEEK_DONE);
    if (!in_kernel(address) ||
        bpf_probe_read_kernel(skb, size < sizeof(skb) ? size : sizeof(skb), (const void *)address))
        return STOP(FDPEEK_MOVED);
    len = SKB(uint32_t, len);
    skip = CB(uint32_t, consumed);
    fds = passed_with();
    if (len > 64 << 20 || SKB(uint32_t, data_len) > len || skip > len || fds > 253)
        return STOP(FDPEEK_MOVED);
    record = add_record(address, len - skip, fds);
    if (!record)
        return 1;
    add_sender(record, CB(struct pid *, pid));
    if (address == walk.oob)
        record->flags |= FDPEEK_OOB;
    walk.buffer = SKB(uint64_t, next);
    shared = (void *)(SKB(uint64_t, head) + SKB(uint32_t, end));
    walk.shared = (uint64_t)shared;
    walk.fragment = walk.fragments = 0;
    linear = len - SKB(uint32_t, data_len);
    if (linear < len && in_kernel(walk.shared))
        walk.fragments = BPF_CORE_READ(shared, nr_frags);
    here = skip < linear ? skip : linear;
    walk.skip = skip - here;
    walk.from = SKB(uint64_t, data) + here;
    walk.left = req.heads ? 0 : linear - here;
    walk.state = fds ? WALK_PASSED : WALK_COPY;
    return fds ? 0 : step_copy();
}

static __always_inline int step_ring(void)
{
    uint64_t size = bpf_core_type_size(struct pipe_buffer), page;
    uint64_t at = walk.bufs + (uint64_t)(walk.ring_at & walk.ring_mask) * size;
    struct fdpeek_record *record;
    uint32_t len;

    if (pad())
        return 1;
    if (walk.ring_at == walk.ring_end)
        return STOP(FDPEEK_DONE);
    if (bpf_probe_read_kernel(slot, size < sizeof(slot) ? size : sizeof(slot), (const void *)at))
        return STOP(FDPEEK_MOVED);
    page = SLOT(uint64_t, page);
    len = SLOT(uint32_t, len);
    if (!in_kernel(page) || len > 1 << 30)
        return STOP(FDPEEK_MOVED);
    record = add_record(page, len, 0);
    if (!record)
        return 1;
    if (SLOT(uint32_t, flags) & 8) /* PIPE_BUF_FLAG_PACKET */
        record->flags |= FDPEEK_PACKET;
    walk.ring_at++;
    walk.from = page_address(page) + SLOT(uint32_t, offset);
    walk.left = req.heads ? 0 : len;
    walk.state = WALK_COPY;
    return step_copy();
}

__noinline int step(void)
{
    switch (walk.state) {
    case WALK_BUFFER:
        return step_buffer();
    case WALK_PASSED:
        return step_passed();
    case WALK_COPY:
        return step_copy();
    case WALK_FRAGMENT:
        return step_fragment();
    case WALK_RING:
        return step_ring();
    }
    return STOP(FDPEEK_MOVED);
}

REPEAT(steps_32, step)
REPEAT(steps_1k, steps_32)
REPEAT(steps_32k, steps_1k)
REPEAT(steps_1m, steps_32k)

/* Makes one collection, beginning at walk.head or walk.bufs, in the map from @base on. */
__noinline int collect(uint64_t base)
{
    uint32_t begin = walk.ring_at;

    walk.base = base;
    walk.buffer = 0;
    walk.left = 0;
    walk.fragments = walk.fragment = 0;
    __builtin_memset(&walk.got, 0, sizeof(walk.got));
    walk.got.status = FDPEEK_MOVED;
    walk.state = WALK_RING;
    if (!walk.bufs) {
        walk.state = WALK_BUFFER;
        KREAD(walk.buffer, walk.head);
    }
    steps_1m();
    walk.ring_at = begin;
    return 0;
}

/* Keeps a processor from reading what comes after this before what comes before it. */
static __always_inline void fence(void)
{
    bpf_ktime_get_ns();
}

static __always_inline void collect_twice(void)
{
    collect(0);
    req.got[0] = walk.got;
    if (walk.got.status != FDPEEK_DONE && walk.got.status != FDPEEK_FULL)
        return;
    fence();
    collect((map_mask + 1) / 2);
    req.got[1] = walk.got;
    fence();
}

static __always_inline uint32_t lock_word(struct sock *sk)
{
    uint32_t word = 1;

    KREAD(word, (uint64_t)sk + KOFFSET(sock, sk_receive_queue.lock));
    return word;
}

/* Position in a listener's queue of connections. */
struct {
    uint64_t head;
    uint64_t at;
    uint32_t left; /* connections still to be skipped */
} child;

__noinline int next_child(void)
{
    struct sk_buff *at = (void *)child.at;

    if (!child.left || child.at == child.head || !in_kernel(child.at))
        return 1;
    child.left--;
    child.at = (uint64_t)BPF_CORE_READ(at, next);
    return 0;
}

REPEAT(next_32, next_child)
REPEAT(next_1k, next_32)
REPEAT(next_32k, next_1k)

/* Finds the connection that the listener will accept as its @nth. */
__noinline uint64_t child_of(uint64_t sk, uint32_t nth)
{
    struct sk_buff *buffer;

    child.head = sk + KOFFSET(sock, sk_receive_queue);
    child.at = 0;
    KREAD(child.at, child.head);
    child.left = nth - 1;
    next_32k();
    if (child.left || child.at == child.head || !in_kernel(child.at))
        return 0;
    buffer = (void *)child.at;
    return (uint64_t)BPF_CORE_READ(buffer, sk);
}

static __always_inline void peek_socket(struct socket *socket)
{
    struct sock *own = BPF_CORE_READ(socket, sk), *sk = own;
    struct unix_sock *u;
    uint32_t n;

    if (!in_kernel((uint64_t)own) || BPF_CORE_READ(own, __sk_common.skc_family) != FAMILY_UNIX)
        return;
    req.type = BPF_CORE_READ(socket, type);
    if (BPF_CORE_READ(own, __sk_common.skc_state) == STATE_LISTEN) {
        req.children = BPF_CORE_READ(own, sk_receive_queue.qlen);
        req.status = FDPEEK_NO_CHILD;
        if (!req.child)
            return;
        sk = (void *)child_of((uint64_t)own, req.child);
        if (!in_kernel((uint64_t)sk))
            return;
    }
    req.status = FDPEEK_BUSY;
    u = (void *)sk;
    if (lock_word(sk))
        return;
    walk.bufs = 0;
    walk.oob = bpf_core_field_exists(u->oob_skb) ? (uint64_t)BPF_CORE_READ(u, oob_skb) : 0;
    walk.head = (uint64_t)sk + KOFFSET(sock, sk_receive_queue);
    n = BPF_CORE_READ(sk, sk_receive_queue.qlen);
    collect_twice();
    if (lock_word(sk) || BPF_CORE_READ(sk, sk_receive_queue.qlen) != n ||
        (req.got[0].status == FDPEEK_DONE && req.got[0].messages != n) ||
        BPF_CORE_READ(socket, sk) != own ||
        (req.child && child_of((uint64_t)own, req.child) != (uint64_t)sk))
        return;
    req.status = req.got[0].status;
}

static __always_inline bool pipe_busy(struct pipe_inode_info *pipe)
{
    uint64_t owner = 0;

    KREAD(owner, (uint64_t)pipe + KOFFSET(pipe_inode_info, mutex) + KOFFSET(mutex, owner));
    return owner & ~7ULL; /* the lowest bits are flags */
}

static __always_inline void peek_pipe(struct pipe_inode_info *pipe)
{
    uint32_t head = BPF_CORE_READ(pipe, head), tail = BPF_CORE_READ(pipe, tail);

    req.ring = BPF_CORE_READ(pipe, max_usage);
    walk.ring_mask = BPF_CORE_READ(pipe, ring_size) - 1;
    walk.bufs = (uint64_t)BPF_CORE_READ(pipe, bufs);
    walk.ring_at = tail;
    walk.ring_end = head;
    req.status = FDPEEK_BUSY;
    if (pipe_busy(pipe) || !in_kernel(walk.bufs) || head - tail > walk.ring_mask + 1)
        return;
    collect_twice();
    if (!pipe_busy(pipe) && BPF_CORE_READ(pipe, head) == head &&
        BPF_CORE_READ(pipe, tail) == tail && (uint64_t)BPF_CORE_READ(pipe, bufs) == walk.bufs)
        req.status = req.got[0].status;
}

static __always_inline void init(void)
{
    kernel_half_init();
    pids_init();
    req.got[0].status = req.got[1].status = FDPEEK_NOT_ASKED;
    req.status = FDPEEK_NO_QUEUE;
    req.children = req.ring = 0;
    req.type = 0;
}

/* The descriptor was opened with O_PATH, so only its inode leads to the socket. */
SEC("syscall")
int peek(void *ctx)
{
    struct file *file = file_by_fd((void *)bpf_get_current_task(), req.fd);
    struct inode *inode = file ? BPF_CORE_READ(file, f_inode) : NULL;

    init();
    if (!in_kernel((uint64_t)inode))
        return 0;
    req.inode = BPF_CORE_READ(inode, i_ino);
    req.mode = BPF_CORE_READ(inode, i_mode);
    if ((req.mode & MODE_TYPE) == MODE_FIFO) {
        struct pipe_inode_info *pipe = BPF_CORE_READ((struct inode___pipe *)inode, i_pipe);

        if (!page_base)
            req.status = FDPEEK_PAGES;
        else if (in_kernel((uint64_t)pipe))
            peek_pipe(pipe);
    } else if (BPF_CORE_READ(inode, i_sb, s_magic) == SOCKFS) {
        struct socket_alloc *alloc = (void *)((uint64_t)inode - KOFFSET(socket_alloc, vfs_inode));

        peek_socket((void *)((uint64_t)alloc + KOFFSET(socket_alloc, socket)));
    }
    return 0;
}
