/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The program that finds the address of pages, for each object whose programs read them. */
#pragma once

#include "calibrate_abi.h"
#include "net.bpf.h"

struct calibration calibration;

/*
 * Not static: the compiler could split a static one into parts without a type that the kernel
 * accepts.
 */
struct {
    uint64_t page;
    uint64_t low; /* bits of the address below a GiB */
    uint64_t at;  /* the GiB to try next */
    uint64_t end;
} attempt;

/* Checks one GiB: are the words that this process wrote into its pipe at that address? */
__noinline int try_gigabyte(void)
{
    const uint64_t gigabyte = 1ULL << 30;
    uint64_t words[2] = {}, address = attempt.at + attempt.low;

    if (attempt.at >= attempt.end)
        return 1;
    attempt.at += gigabyte;
    if (!in_kernel(address) || KREAD(words, address) || words[0] != calibration.words[0] ||
        words[1] != calibration.words[1])
        return 0;
    page_base = address - attempt.page * page_factor;
    return 1;
}

REPEAT(try_32, try_gigabyte)
REPEAT(try_1k, try_32)
REPEAT(try_32k, try_1k)

/*
 * Finds page_base. All of it is known except the number of whole GiB, which the page in our own
 * pipe shows. The direct mapping begins no further from the structure of this task than the size of
 * the memory.
 */
SEC("syscall")
int calibrate(void *ctx)
{
    struct file *file = file_by_fd((void *)bpf_get_current_task(), calibration.fd);
    struct inode *inode = file ? BPF_CORE_READ(file, f_inode) : NULL;
    uint64_t here = bpf_get_current_task() >> 30 << 30;
    uint64_t span = (uint64_t)calibration.gigabytes << 30;
    struct pipe_inode_info *pipe;

    kernel_half_init();
    pids_init();
    page_factor = calibration.page_size / bpf_core_type_size(struct page);
    if (!inode || (BPF_CORE_READ(inode, i_mode) & MODE_TYPE) != MODE_FIFO)
        return 0;
    pipe = BPF_CORE_READ((struct inode___pipe *)inode, i_pipe);
    attempt.page = (uint64_t)BPF_CORE_READ(pipe, bufs, page);
    attempt.low = attempt.page * page_factor & ((1ULL << 30) - 1);
    attempt.at = here - span;
    attempt.end = here + span;
    try_32k();
    return 0;
}
