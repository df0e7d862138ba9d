/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A model of the three proposed kernels, for machines whose kernel has none: it answers the peek
 * calls of lib/pmq as the proposals' own code does, quirks included, for real queues whose traffic
 * went through model_send() and model_receive().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pmq.h"

/**
 * struct model_quirks - how the modelled kernel behaves; all zero is one without any of the calls
 * @syscall, @fcntl, @ioctl: it has the call
 * @syscall_answer: errno of system call 548 for a bad descriptor, when another call has the number;
 *   0: it is mq_timedreceive2
 * @ioctl_denied: the caller lacks CAP_CHECKPOINT_RESTORE
 * @bulk_cap: bytes of the kernel's own buffer for the ioctl: 8192 and 65536 are known
 * @bulk_bare: a message for whose header alone there is room is begun without a byte of it
 * @changed_every: each n-th peek finds that the queue changed (EAGAIN); 0: none
 * @corrupt: which lie the ioctl tells, 0 for none: 1 … MODEL_LIES
 * @between: called before each peek, e.g. to change the queue
 * @calls: peeks so far
 */
struct model_quirks {
    bool syscall;
    bool fcntl;
    bool ioctl;
    int syscall_answer;
    bool ioctl_denied;
    size_t bulk_cap;
    bool bulk_bare;
    unsigned int changed_every;
    int corrupt;
    void (*between)(unsigned int call);
    unsigned int calls;
};

enum { MODEL_LIES = 9 };

extern struct model_quirks model;

/* Lets lib/pmq call the model, or the machine's own kernel again. */
void model_install(void);
void model_remove(void);

/* mq_send() and mq_receive(), which the model learns of. They return what those return. */
int model_send(int fd, const void *data, size_t n, unsigned int priority);
long model_receive(int fd, void *data, size_t n, unsigned int *priority);

/* Forgets all queues. */
void model_reset(void);

/* Messages in it, by the model. */
size_t model_depth(int fd);

/**
 * struct model_check - what model_compare() needs and finds
 * @fd: the queue
 * @heads: payloads must be absent
 * @n: messages visited
 * @wrong: how many were not what the model says
 * @next: the model's own
 */
struct model_check {
    int fd;
    bool heads;
    size_t n;
    size_t wrong;
    const void *next;
};

/* A msgq_visit_fn: compares each message with the model's of the same index. */
int model_compare(const struct msgq_message *m, void *ctx);
