/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parts of mqpeek top: reading (top.c), the full screen (top_screen.c), its two pictures. */
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
 * @watch: the queues over time
 * @kinds: QFOLLOW_…, which queues
 * @counters: count messages; empty when that cannot be, and then @why tells
 * @inspector: tells who is blocked and for how long; NULL when that cannot be
 * @delay: between two pictures or snapshots, ns
 * @by, @reverse: the order
 * @filter: part of the names that are shown
 * @stream: until which end
 * @interval_end: of the snapshot that is next, CLOCK_MONOTONIC
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

/* Whether messages are counted, of all kinds of queues that are shown. */
static inline bool top_counts(const struct top *t)
{
    return t->counters.posix || t->counters.sysv;
}

/**
 * struct top_table - the state of the table
 * @selected_dev, @selected_ino: the queue under the bar
 * @selected: its place; kept when the queue itself has gone
 * @first: the first row that is shown
 * @paused: nothing is read
 * @typing: keys go to the filter
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

/* What the queue is called where people read it: unescaped. */
void top_name(char out[TOP_NAME_SIZE], const struct pmq_watched *q);

/* Draws the table; keeps the selection on its queue. Return: rows of queues that fit. */
size_t top_draw_table(struct top *t, struct top_table *table, struct term *term);

/* The queue under the bar, or NULL. */
const struct pmq_watched *top_selected(struct top *t, const struct top_table *table);

/* The view of one queue. */
struct top_detail;

/* Opens the view of @q. Return: 0 or -ENOMEM. */
int top_detail_new(struct top *t, const struct pmq_watched *q, struct top_detail **ret);
void top_detail_free(struct top_detail *d);

/* Reads the queue again. */
void top_detail_refresh(struct top_detail *d);
void top_detail_draw(struct top_detail *d, struct term *term, bool paused);

/* Moves up (negative) or down by so many lines. */
void top_detail_scroll(struct top_detail *d, long lines);
