/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The terminal for a full-screen program: raw keys in, pictures out, and everything as it was
 * before on every way out: close, exit(), a signal that ends or stops the process, a crash. Only
 * SIGKILL cannot be helped.
 *
 * One at a time in a process, used from one thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "errinfo.h"
#include "termkey.h"
#include "termscreen.h"

struct term;

/**
 * term_open() - take the terminal
 * @out_fd: a terminal, e.g. STDOUT_FILENO. Keys come from standard input if that is a terminal too,
 *   else from the controlling terminal
 * @color: colours may be used
 * @ret: the terminal; give it back with term_close()
 * @e: why not
 *
 * Takes over the signals that end or stop the process (those that were ignored stay so): they
 * restore the terminal and then do what they did before. Only a handler of SIGINT, SIGTERM or SIGHUP
 * is called with the terminal as it is, and term_wait_key() returns TERM_KEY_NONE. Ctrl-C, Ctrl-\
 * and Ctrl-Z stay signals. SIGWINCH, SIGTSTP and SIGCONT are blocked but for the time in
 * term_wait_key().
 *
 * Return: 0; -ENOTTY; -EOPNOTSUPP for a terminal that cannot place a cursor (TERM=dumb); -EBUSY;
 * -ENOMEM.
 */
int term_open(int out_fd, bool color, struct term **ret, struct err *e);
void term_close(struct term *t);
void term_closep(struct term **t);

/* Where to draw; owned by the terminal, resized by term_wait_key(). */
struct term_screen *term_get_screen(struct term *t);

/* Whether the user's locale has UTF-8: blocks may be drawn. */
bool term_is_utf8(const struct term *t);

/* Shows what has been drawn. Return: 0, or -errno when the terminal has gone. */
int term_show(struct term *t);

/**
 * term_wait_key() - wait for the user
 * @t: the terminal
 * @timeout_ns: at most so long; 0 only looks
 * @key: the key. TERM_KEY_NONE: time is up; TERM_KEY_REDRAW: the size has changed or the process
 *   was stopped, draw and show everything again
 *
 * Return: 0, or -errno when the terminal has gone.
 */
int term_wait_key(struct term *t, uint64_t timeout_ns, uint32_t *key);
