/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Receiving all of a queue into a journal and sending it again: the steps. */
#pragma once

#include "journal.h"

/**
 * drain_others() - whether anybody else has a queue open
 * @proc: a /proc (proc_open())
 * @a: the queue
 * @e: who has, or why that is not known
 *
 * Return: 0 when nobody has; -EBUSY; -EPERM when it cannot be known.
 */
int drain_others(int proc, const struct pmq_attr *a, struct err *e);

/* Whether a queue may be drained without harm to others. Return: 0, or why not, as above. */
int drain_allowed(const struct pmq_attr *a, struct err *e);

/* Receives into the journal until the queue is empty or the room is used up. */
int drain_receive(struct journal *j, int queue);

/*
 * Sends what has not been sent. Return: 0 with the journal removed; -EAGAIN when the queue is full,
 * or what mq_send() said: what is left stays in the journal.
 */
int drain_send(struct journal *j, int queue, struct err *e);
