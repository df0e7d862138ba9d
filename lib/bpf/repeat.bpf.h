/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A loop of up to 1,048,576 turns: nested loops around a global function, which the verifier checks
 * once. bpf_loop() exists only from Linux 5.17 on.
 */
#pragma once

/*
 * The loops are kept from being unrolled: the verifier goes down every call that it sees when it
 * adds up the stack, which takes it a second for 32 calls at each of four levels.
 */
#define REPEAT_32(name, one)                                                                    \
    __noinline int name(void)                                                                   \
    {                                                                                           \
        _Pragma("clang loop unroll(disable)") for (int i = 0; i < 32; i++) if (one()) return 1; \
        return 0;                                                                               \
    }

/* NAME() calls TURN(), an int (void), until that returns what is not 0, or 1,048,576 times. */
#define REPEAT_1M(name, turn)        \
    REPEAT_32(name##_32, turn)       \
    REPEAT_32(name##_1k, name##_32)  \
    REPEAT_32(name##_32k, name##_1k) \
    REPEAT_32(name, name##_32k)
