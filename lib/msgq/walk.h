/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The user's half of a BPF backend: runs a domain's program until two collections agree to the
 * byte, reads what is too large in windows, and takes the queue's lock where nothing else helps. A
 * domain supplies struct msgq_walk_ops and a kernel side built on walk.bpf.h.
 */
#pragma once

#include <stddef.h>

#include "msgq_backend.h"
#include "walk_abi.h"

struct bpf_link;
struct bpf_map;
struct bpf_object_open_opts;
struct bpf_object_skeleton;
struct bpf_program;

/**
 * struct msgq_programs - a skeleton of the domain, as far as the walk needs it
 * @skel: the domain's own
 * @skeleton: of libbpf
 * @records: the map
 * @peek: runs on demand, collects twice
 * @arm: names the running thread as the one whose system call makes the walk with the lock held
 * @locked: that walk, at a function that the system call calls there (a trampoline)
 * @contended: the same walk, when the system call had to wait for the lock (tp_btf/contention_end)
 * @config: read-only data, to be set before loading
 * @request: where requests are made; valid once it is loaded
 */
struct msgq_programs {
    void *skel;
    struct bpf_object_skeleton *skeleton;
    struct bpf_map *records;
    struct bpf_program *peek, *arm, *locked, *contended;
    struct walk_config *config;
    struct walk_request *request;
};

/**
 * struct msgq_limits - what the queue of a snapshot can hold, known from system calls
 * @messages: how many
 * @msgsize: bytes of one
 * @type: the largest type or priority
 * @by_type: messages come in descending order of it
 */
struct msgq_limits {
    uint64_t messages;
    uint64_t msgsize;
    uint64_t type;
    bool by_type;
};

/**
 * struct msgq_walk_ops - the domain's part; @domain is its own state
 * @open: open the skeleton; all of @ret is filled in but @ret->request. Return: 0, or -errno of
 * libbpf
 * @request: where the request is, of an open skeleton; again after loading
 * @close: destroy the skeleton
 * @begin: a snapshot of @queue begins: remember what it is, and tell its limits
 * @ask: fill in the domain's fields of @req (which queue)
 * @check: what the program read (facts that system calls tell as well) must be the same. Return: 0,
 * or -EIO, also by msgq_walk_wrong()
 * @touch: a system call that takes the queue's lock, and in which @locked and @contended run. Any
 * thread may call it
 */
struct msgq_walk_ops {
    int (*open)(const struct bpf_object_open_opts *opts, struct msgq_programs *ret);
    struct walk_request *(*request)(void *skel);
    void (*close)(void *skel);
    int (*begin)(void *domain, const void *queue, struct msgq_limits *out, struct err *e);
    void (*ask)(void *domain, struct walk_request *req);
    int (*check)(void *domain, struct walk_request *req, struct err *e);
    int (*touch)(void *domain);
};

struct msgq_walk;

/* @domain is freed by msgq_walk_close(). @opts is borrowed. Return: 0 or -ENOMEM. */
int msgq_walk_open(const struct msgq_walk_ops *ops, void *domain, const struct msgq_peek_opts *opts,
                   struct msgq_walk **ret);

/* For struct msgq_ops, with a struct msgq_walk as state. */
int msgq_walk_probe(const struct msgq_peek_opts *opts, struct err *e);
/* For a domain's own struct msgq_ops.check: loads its program, and forgets it again. */
int msgq_walk_check(const struct msgq_walk_ops *ops, struct err *e);
int msgq_walk_snapshot(void *state, const void *queue, struct msgq_snapshot_info *info,
                       struct err *e);
int msgq_walk_visit(void *state, msgq_visit_fn visit, void *ctx, struct err *e);
void msgq_walk_close(void *state);

/* The error for facts that cannot be right. Return: -EIO. */
int msgq_walk_wrong(struct err *e, const char *what);
