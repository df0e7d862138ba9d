// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Finds every descriptor of a queue, in every process of the machine: the list of processes, the
 * threads of each, and each descriptor table that one of them uses. Nothing is locked. A list that
 * changes where the walk stands is noticed, and the walk given up: the user tries again.
 */
#include "files.bpf.h"
#include "holders_abi.h"
#include "pids.bpf.h"
#include "repeat.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct holders_answer answer;

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, HOLDERS_MAX);
    __uint(key_size, 4);
    __uint(value_size, sizeof(struct holders_entry));
} entries SEC(".maps");

enum state { AT_PROCESS, AT_THREAD, AT_TABLE, NEXT_THREAD };

static struct {
    uint32_t state;
    uint32_t fd;
    uint32_t max_fds;
    uint32_t started;
    uint64_t first;   /* member "tasks" of the process where the walk began */
    uint64_t process; /* of the present one */
    uint64_t start;   /* when that was started: another time is another process */
    uint64_t threads; /* head of its threads */
    uint64_t thread;  /* member "thread_node" of the present one */
    uint64_t table;   /* its files_struct */
    uint64_t leading; /* that of the first thread */
    uint64_t fdt;
    uint64_t files;
    uint64_t open;
} walk;

#define LEADER ((struct task_struct *)(walk.process - KOFFSET(task_struct, tasks)))
#define THREAD ((struct task_struct *)(walk.thread - KOFFSET(task_struct, thread_node)))

static __always_inline int stop(uint32_t status)
{
    answer.status = status;
    return 1;
}

/* Reads a word of kernel memory. */
static __always_inline bool get(uint64_t address, uint64_t *out)
{
    return in_kernel(address) && !bpf_probe_read_kernel(out, sizeof(*out), (const void *)address);
}

/* The next element of a list, if the list is whole there: its link back is the present one. */
static __always_inline bool next_of(uint64_t at, uint64_t *next)
{
    uint64_t back = 0;

    return get(at + KOFFSET(list_head, next), next) &&
           get(*next + KOFFSET(list_head, prev), &back) && back == at;
}

static __always_inline int begin_process(void)
{
    uint64_t signal = 0;

    if (walk.process == walk.first && walk.started)
        return stop(HOLDERS_DONE);
    walk.started = 1;
    walk.leading = walk.table = 0;
    if (!get((uint64_t)LEADER + KOFFSET(task_struct, start_time), &walk.start) ||
        !get((uint64_t)LEADER + KOFFSET(task_struct, signal), &signal))
        return stop(HOLDERS_MOVED);
    walk.threads = signal + KOFFSET(signal_struct, thread_head);
    walk.thread = walk.threads;
    walk.state = NEXT_THREAD;
    return 0;
}

static __always_inline int next_process(void)
{
    uint64_t next = 0, start = 0;

    if (!next_of(walk.process, &next) ||
        !get((uint64_t)LEADER + KOFFSET(task_struct, start_time), &start) || start != walk.start)
        return stop(HOLDERS_MOVED);
    walk.process = next;
    walk.state = AT_PROCESS;
    return 0;
}

static __always_inline int next_thread(void)
{
    uint64_t next = 0;

    if (!next_of(walk.thread, &next))
        return stop(HOLDERS_MOVED);
    if (next == walk.threads)
        return next_process();
    walk.thread = next;
    walk.state = AT_THREAD;
    return 0;
}

/* Most threads share the table of the first. */
static __always_inline int begin_table(void)
{
    uint64_t table = 0;

    walk.state = NEXT_THREAD;
    if (!get((uint64_t)THREAD + KOFFSET(task_struct, files), &table))
        return stop(HOLDERS_MOVED);
    if (!table || table == walk.leading || table == walk.table)
        return 0;
    walk.leading = walk.leading ?: table;
    walk.table = table;
    walk.fd = 0;
    if (!get(table + KOFFSET(files_struct, fdt), &walk.fdt) ||
        !get(walk.fdt + KOFFSET(fdtable, fd), &walk.files) ||
        !get(walk.fdt + KOFFSET(fdtable, open_fds), &walk.open) || !in_kernel(walk.fdt) ||
        bpf_probe_read_kernel(&walk.max_fds, sizeof(walk.max_fds),
                              (const void *)(walk.fdt + KOFFSET(fdtable, max_fds))))
        return stop(HOLDERS_MOVED);
    walk.state = AT_TABLE;
    return 0;
}

static __always_inline int add(uint64_t file, uint64_t inode, uint64_t sb)
{
    struct task_struct *thread = THREAD, *leader = LEADER;
    uint32_t n = answer.n;
    struct holders_entry *e = bpf_map_lookup_elem(&entries, &n);

    if (!e)
        return stop(HOLDERS_FULL);
    e->table = walk.table;
    KREAD(e->ino, inode + KOFFSET(inode, i_ino));
    KREAD(e->dev, sb + KOFFSET(super_block, s_dev));
    KREAD(e->flags, file + KOFFSET(file, f_flags));
    e->pid = pid_for_user(BPF_CORE_READ(leader, thread_pid));
    e->tid = pid_for_user(BPF_CORE_READ(thread, thread_pid));
    e->fd = (int32_t)walk.fd - 1;
    bpf_probe_read_kernel(e->comm, sizeof(e->comm), &leader->comm);
    answer.n = n + 1;
    return 0;
}

static __always_inline int next_file(void)
{
    uint64_t file = 0, inode = 0, sb = 0, magic = 0, word = 0, fdt = 0;
    uint16_t mode = 0;

    if (walk.fd >= walk.max_fds) {
        walk.state = NEXT_THREAD;
        /* A table that grew meanwhile has been copied. */
        return get(walk.table + KOFFSET(files_struct, fdt), &fdt) && fdt == walk.fdt
                   ? 0
                   : stop(HOLDERS_MOVED);
    }
    if (!(walk.fd & 63) && get(walk.open + walk.fd / 8, &word) && !word) {
        walk.fd += 64;
        return 0;
    }
    if (!get(walk.files + 8ULL * walk.fd++, &file))
        return stop(HOLDERS_MOVED);
    /* What is closed meanwhile can be anything: it is not in the table any more. */
    if (!get(file + KOFFSET(file, f_inode), &inode) || !get(inode + KOFFSET(inode, i_sb), &sb) ||
        !get(sb + KOFFSET(super_block, s_magic), &magic) || magic != MQUEUE_MAGIC)
        return 0;
    KREAD(mode, inode + KOFFSET(inode, i_mode));
    return (mode & MODE_TYPE) == MODE_REGULAR ? add(file, inode, sb) : 0;
}

__noinline int turn(void)
{
    switch (walk.state) {
    case AT_PROCESS:
        return begin_process();
    case AT_THREAD:
        return begin_table();
    case AT_TABLE:
        return next_file();
    }
    return next_thread();
}

REPEAT_1M(turn_1m, turn)

SEC("syscall")
int holders(void *ctx)
{
    struct task_struct *own = (void *)bpf_get_current_task();

    kernel_half_init();
    pids_init();
    __builtin_memset(&walk, 0, sizeof(walk));
    walk.first = (uint64_t)BPF_CORE_READ(own, group_leader) + KOFFSET(task_struct, tasks);
    walk.process = walk.first;
    answer.status = HOLDERS_MOVED;
    answer.n = 0;
    for (int i = 0; i < 64; i++)
        if (turn_1m())
            break;
    return 0;
}
