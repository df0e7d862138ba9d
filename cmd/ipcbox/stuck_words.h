/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Words for threads, their waits, and what to do about them. Hostile bytes are still in them. */
#pragma once

#include "buf.h"
#include "wait.h"

/* The headline of a finding, without its kind. */
void stuck_add_headline(struct buf *b, const struct wait_finding *f);

/* One command that a reader may try next; @at counts from 0. Return: false when there are no more.
 */
bool stuck_add_advice(struct buf *b, const struct wait_finding *f, size_t at);
