/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading a ring buffer whose writer wakes its reader at most every so often: what it wrote after
 * that wake-up is found by a timer, so that a user need only wait for one descriptor.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "errinfo.h"

struct kring;

/* A record, borrowed. A value other than 0 ends the reading behind it. */
typedef int (*kring_fn)(void *ctx, void *data, size_t size);

/**
 * kring_new() - open a ring buffer for reading
 * @map_fd: the map
 * @latency_ns: how often its writer wakes at most
 * @visit, @ctx: gets the records
 * @ret: release with kring_free()
 */
int kring_new(int map_fd, uint64_t latency_ns, kring_fn visit, void *ctx, struct kring **ret);
void kring_free(struct kring *k);

/* Readable when kring_read() should be called. */
int kring_fd(const struct kring *k);

/**
 * kring_read() - visit what has come, without waiting; when it is much, some of it: the descriptor
 * is readable again at once
 *
 * Return: 0 when all that had come was read, 1 when more may be there, or -errno.
 */
int kring_read(struct kring *k, struct err *e);

/* A size that the kernel takes for the map: a power of two of pages; @want of 0: 16 MiB. */
uint32_t kring_size(uint64_t want);
