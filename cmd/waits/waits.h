/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A thread and its wait, in words and in JSON: for the verbs that show who waits for whom. */
#pragma once

#include "buf.h"
#include "out.h"
#include "wait.h"

/* These three add to a text in which hostile bytes are still as they came. */

/* "name[12]", "name[12] thread 34", with the control group where it is another's. */
void waits_add_thread(struct buf *b, const struct wait_thread *t);

/* "sends to mq /jobs (full, 10 of 10)" */
void waits_add_wait(struct buf *b, const struct wait_thread *t);

/* "  <- only cat[12]": who could wake it. */
void waits_add_wakers(struct buf *b, const struct wait_thread *t);

/* All of that in one line of a table's output. @wakers: with who could wake it. */
void waits_line(struct out *out, const char *indent, const struct wait_thread *t, bool wakers);

extern const struct out_col waits_thread_cols[];

/* A list of threads, as JSON. */
void waits_threads_json(struct out *out, const char *key, const struct wait_thread *t, size_t n);
