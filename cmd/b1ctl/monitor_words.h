/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The events of monitor in words. */
#pragma once

#include "buf.h"
#include "monitor_show.h"

/* The @i-th element of a caller's memory, or false. */
bool monitor_element(const struct b1_memory *m, size_t i, void *to, size_t size);
bool monitor_message_of(const struct b1_memory *m, struct bus1_message *msg);

/* The arguments of a call and its results; may begin with a blank. */
void monitor_words(const struct b1_monitor_event *ev, struct buf *b);
void monitor_words_of_message(const struct b1_delivery *m, struct buf *b);
