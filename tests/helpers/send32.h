/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mq_timedsend() as a 32-bit program calls it, from a 64-bit one: x86-64 only. */
#pragma once

/* The text must lie below 4 GiB. A kernel without that entry answers with SIGSEGV. */
static inline long send_32(int q, const char *text, long length, long priority)
{
    long ret;

    __asm__ volatile("push %%rbp; xor %%ebp, %%ebp; int $0x80; pop %%rbp"
                     : "=a"(ret)
                     : "a"(279L), "b"((long)q), "c"(text), "d"(length), "S"(priority), "D"(0L)
                     : "memory", "r8", "r9", "r10", "r11");
    return ret;
}
