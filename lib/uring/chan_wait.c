/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How senders and receivers sleep, and how they are woken. */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "chan_words.h"

int chan_sleep(uint32_t *word, uint32_t seen, uint32_t bits, uint64_t ns)
{
    struct timespec ts = timefmt_to_timespec(timefmt_now(CLOCK_MONOTONIC) + ns);

    if (syscall(SYS_futex, word, FUTEX_WAIT_BITSET, seen, &ts, NULL, bits) == 0 || errno == EAGAIN)
        return 0;
    return -errno;
}

long chan_futex_wake(uint32_t *word, uint32_t bits)
{
    __atomic_fetch_add(word, 1U, __ATOMIC_SEQ_CST);
    return syscall(SYS_futex, word, FUTEX_WAKE_BITSET, INT_MAX, NULL, NULL, bits);
}

void chan_fence_senders(struct chan *c)
{
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) < 0)
        STORE_SC(&c->ctl->fences, 1U);
}

void chan_wake_all(struct chan_ctl *ctl)
{
    __atomic_exchange_n(&ctl->rbits, UINT64_C(0), __ATOMIC_SEQ_CST);
    __atomic_exchange_n(&ctl->wbits, UINT64_C(0), __ATOMIC_SEQ_CST);
    chan_futex_wake(&ctl->rgen, FUTEX_BITSET_MATCH_ANY);
    chan_futex_wake(&ctl->wgen, FUTEX_BITSET_MATCH_ANY);
}

void chan_wake_set(uint64_t *bits, uint32_t *word)
{
    if (__atomic_exchange_n(bits, UINT64_C(0), __ATOMIC_SEQ_CST))
        chan_futex_wake(word, FUTEX_BITSET_MATCH_ANY);
}

uint64_t chan_time_left(uint64_t *deadline, uint64_t timeout)
{
    uint64_t now;

    if (timeout == CHAN_FOREVER || timeout == 0)
        return timeout;
    now = timefmt_now(CLOCK_MONOTONIC);
    if (!*deadline)
        *deadline = now + timeout < now ? UINT64_MAX : now + timeout;
    return *deadline > now ? *deadline - now : 0;
}
