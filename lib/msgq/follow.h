/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The user's half of following: loads a domain's programs, attaches them, and reads what they
 * recorded. A domain supplies struct msgq_follow_ops and a kernel side built on follow.bpf.h.
 */
#pragma once

#include "follow_abi.h"
#include "kclock.h"
#include "klinks.h"
#include "kring.h"
#include "msgq_follow.h"

struct bpf_map;
struct bpf_object_open_opts;
struct bpf_object_skeleton;
struct kbpf;
struct msgq_target;

enum { FOLLOW_LABEL = FOLLOW_NAME + 32 };

/**
 * struct msgq_follow_programs - a skeleton of the domain, as far as following needs it
 * @skel: the domain's own
 * @skeleton: of libbpf
 * @queues, @ring, @numbers, @begun_calls, @scratches: the maps of follow.bpf.h
 * @config: read-only data, to be set before loading
 * @attach: the programs to be attached, in this order: those that catch the end of a call come
 *   last. Ended by NULL
 * @last: the program that sees a call when all others did not
 */
struct msgq_follow_programs {
    void *skel;
    struct bpf_object_skeleton *skeleton;
    struct bpf_map *queues, *ring, *numbers, *begun_calls, *scratches;
    struct follow_config *config;
    struct bpf_program *attach[KLINKS_MAX + 1];
    const struct bpf_program *last;
};

/**
 * struct msgq_follow_ops - the domain's part
 * @open: open the skeleton; all of @ret is filled in but @attach and @last. Return: 0 or -errno
 * @choose: fill in @attach and @last, and the domain's own part of the configuration, as which the
 *   rest is set already. Return: 0 or -errno
 * @shared: where the loaded programs keep struct follow_shared
 * @set_up: run once after loading; proves that the programs read the memory of this kernel
 * @label: what to call a queue that was announced
 * @sysv: its queues are those of System V
 * @close: destroy the skeleton; NULL is fine
 */
struct msgq_follow_ops {
    int (*open)(const struct bpf_object_open_opts *opts, struct msgq_follow_programs *ret);
    int (*choose)(struct msgq_follow *f, bool fexit);
    struct follow_shared *(*shared)(void *skel);
    int (*set_up)(struct msgq_follow *f, const struct kbpf *k, struct err *e);
    void (*label)(const struct follow_announce *a, char out[static FOLLOW_LABEL]);
    void (*close)(void *skel);
    bool sysv;
};

struct msgq_follow {
    const struct msgq_follow_ops *ops;
    struct msgq_follow_opts opts;
    const char *backend;
    struct err reason;
    struct msgq_follow_programs programs;
    struct follow_shared *shared;
    struct klinks links;
    struct kring *ring;
    struct msgq_target *targets;
    size_t n_targets;
    uint64_t begun, ended; /* CLOCK_MONOTONIC */
    uint64_t missed; /* calls for which the last program was not run, as of the last reading */
    struct msgq_follow_totals totals;
    struct msgq_follow *joined; /* that writes into this one's ring */
    /* While reading. */
    struct kclock clock;
    msgq_event_fn visit;
    void *ctx;
    int stopped; /* what visit returned, or -errno */
};

/* What a domain's own function of that name calls. */
int msgq_follow_new(const struct msgq_follow_ops *ops, const struct msgq_follow_opts *opts,
                    struct msgq_follow **ret, struct err *e);
int msgq_follow_add(struct msgq_follow *f, const struct follow_key *key, const char *label,
                    void *cookie, struct err *e);
