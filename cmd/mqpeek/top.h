/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parts of mqpeek top: reading (top.c), the full screen (top_screen.c), and its two views. */
#pragma once

#include "cli_stream.h"
#include "pmq_watch.h"
#include "qfollow.h"
#include "terminal.h"

enum { TOP_FILTER_MAX = 64, TOP_NAME_SIZE = PMQ_NAME_MAX + 32 };

/**
 * struct top - what all parts share
 * @ctx: the command
 * @peek: how messages are read, for the view of one queue
 * @watch: the queues and their history
 * @kinds: QFOLLOW_…, the kinds of queues that are shown
 * @counters: count the messages; empty when that is not possible: @why says why
 * @inspector: tells which threads are blocked and for how long; NULL when that is not possible
 * @delay: time between two screens or snapshots, ns
 * @by, @reverse: the order of sorting
 * @filter: only queues whose names contain it are shown
 * @stream: the end conditions of the command
 * @interval_end: the end of the snapshot in progress, CLOCK_MONOTONIC
 */
struct top {
    struct cli_ctx *ctx;
    struct msgq_peek_opts peek;
    struct pmq_watch *watch;
    unsigned int kinds;
    struct qfollow counters;
    struct pmq_inspector *inspector;
    struct err why;
    uint64_t delay;
    enum pmq_watch_key by;
    bool reverse;
    char filter[TOP_FILTER_MAX];
    struct cli_stream stream;
    uint64_t interval_end;
};

/* Tells whether the messages of all kinds of queues that are shown are counted. */
static inline bool top_counts(const struct top *t)
{
    return t->counters.posix || t->counters.sysv;
}

/**
 * struct top_table - the state of the table
 * @selected_dev, @selected_ino: the selected queue
 * @selected: its row; kept when the queue itself is gone
 * @first: the first row that is visible
 * @paused: nothing is read
 * @typing: keys are input of the filter
 */
struct top_table {
    uint64_t selected_dev;
    uint64_t selected_ino;
    size_t selected;
    size_t first;
    bool paused;
    bool typing;
};

/* Shows the table on the terminal until the user leaves. Return: 0 or -errno with a reason. */
int top_screen(struct top *t, struct term *term, struct err *e);

/* The name of a queue as it is shown to the user, unescaped. */
void top_name(char out[TOP_NAME_SIZE], const struct pmq_watched *q);

/* Draws the table; keeps the selection on its queue. Return: rows of queues that fit. */
size_t top_draw_table(struct top *t, struct top_table *table, struct term *term);

/* The selected queue, or NULL. */
const struct pmq_watched *top_selected(struct top *t, const struct top_table *table);

/* The view of one queue. */
struct top_detail;

/* Opens the view of @q. Return: 0 or -ENOMEM. */
int top_detail_new(struct top *t, const struct pmq_watched *q, struct top_detail **ret);
void top_detail_free(struct top_detail *d);

/* Reads the queue again. */
void top_detail_refresh(struct top_detail *d);
void top_detail_draw(struct top_detail *d, struct term *term, bool paused);

/* Scrolls up (negative) or down by this many lines. */
void top_detail_scroll(struct top_detail *d, long lines);
