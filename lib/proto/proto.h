/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * D-Bus and Varlink messages, from bytes to values. The bytes may come from anybody: every length
 * is checked before it is used, recursion is bounded, and what breaks a rule of the protocol is no
 * message.
 *
 * D-Bus: the D-Bus Specification 0.43, chapters "Marshaling" and "Message Format". Varlink: a JSON
 * object up to a zero byte (varlink.org, "Service"; systemd's sd-varlink).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "buf.h"

enum {
    PROTO_DBUS_MAX = 1 << 27, /* bytes of a message */
    PROTO_DBUS_DEPTH = 64,    /* containers in each other */
    PROTO_VARLINK_MAX = 64 << 20,
};

/* A text inside a message: borrowed, not ended by NUL; .s is NULL when it is absent. */
struct proto_text {
    const char *s;
    size_t n;
};

enum proto_dbus_type {
    PROTO_DBUS_CALL = 1,
    PROTO_DBUS_RETURN = 2,
    PROTO_DBUS_ERROR = 3,
    PROTO_DBUS_SIGNAL = 4,
};

/**
 * struct proto_dbus - a D-Bus message; its texts lie in the bytes it was made of
 * @type: what it is; @flags: as in the message, 1 means that no reply is expected
 * @serial: the sender's number of it; @reply_serial: that of the call which it answers, 0 for none
 * @unix_fds: how many descriptors come with it
 * @sender … @signature: header fields
 * @body, @body_len: the arguments, checked against @signature
 * @big: big-endian
 */
struct proto_dbus {
    enum proto_dbus_type type;
    uint8_t flags;
    uint32_t serial;
    uint32_t reply_serial;
    uint32_t unix_fds;
    struct proto_text sender;
    struct proto_text destination;
    struct proto_text path;
    struct proto_text interface;
    struct proto_text member;
    struct proto_text error_name;
    struct proto_text signature;
    const uint8_t *body;
    size_t body_len;
    bool big;
};

/* "method_call", "method_return", "error" or "signal". */
const char *proto_dbus_type_name(enum proto_dbus_type type);

/**
 * proto_dbus_size() - how long the message is that begins here
 * @data, @n: bytes
 *
 * Return: its length, also when that is more than @n; 0 when @n is too little to know; -EBADMSG
 * when no message begins here, as far as that can be seen.
 */
ssize_t proto_dbus_size(const void *data, size_t n);

/* Whether what begins here, too short to be a whole message, can become one: its header fields. */
bool proto_dbus_plausible(const void *data, size_t n);

/**
 * proto_dbus_parse() - a message
 * @data, @n: one whole message, of the length that proto_dbus_size() told
 * @out: written on success; borrows from @data
 *
 * Everything in it has been checked: header fields and their types, the body against its signature.
 *
 * Return: 0 or -EBADMSG.
 */
int proto_dbus_parse(const void *data, size_t n, struct proto_dbus *out);

/*
 * Appends a JSON object: type, serial, reply_serial, sender, destination, path, interface, member,
 * error_name, signature, body, unix_fds. In the body, an array that has dictionary entries is an
 * object, its keys as strings, or an array of pairs when a key comes twice; a structure is an
 * array; a variant is the value in it; a number that JSON has not is null.
 */
void proto_dbus_json(const struct proto_dbus *m, struct buf *out);

/* Appends one line for eyes, not escaped: what, from whom, to whom, arguments. */
void proto_dbus_line(const struct proto_dbus *m, struct buf *out);

/**
 * proto_varlink_parse() - a call or a reply
 * @data, @n: the bytes in front of the zero byte; they are modified
 * @json: the object is appended, without white space between its parts
 *
 * Return: 0; -EBADMSG when it is no JSON object with the members of a call or a reply.
 */
int proto_varlink_parse(char *data, size_t n, struct buf *json);

/* ---- streams ---- */

enum proto_kind {
    PROTO_NONE,
    PROTO_DBUS,
    PROTO_VARLINK,
};

/* "dbus", "varlink"; NULL for PROTO_NONE. */
const char *proto_kind_name(enum proto_kind kind);

/* What a stream is taken for: whatever is recognised, or one protocol, or nothing. */
enum proto_want {
    PROTO_WANT_AUTO,
    PROTO_WANT_DBUS,
    PROTO_WANT_VARLINK,
    PROTO_WANT_NONE,
};

/**
 * struct proto_message - a message of a stream, borrowed for the time of a visit
 * @kind: of which protocol
 * @dbus: for D-Bus
 * @json: for Varlink, the object
 * @data, @len: its bytes, for Varlink without the zero byte
 * @skipped: bytes in front of it that belong to no message: the stream was joined in the middle of
 *   one, or some are missing
 */
struct proto_message {
    enum proto_kind kind;
    const struct proto_dbus *dbus;
    const char *json;
    const void *data;
    size_t len;
    uint64_t skipped;
};

typedef int (*proto_message_fn)(const struct proto_message *m, void *ctx);

/**
 * struct proto_stream - one direction of a connection
 * @want: what to look for
 * @kind: what it was recognised as
 * @pending: bytes that are no whole message yet
 * @skipped: bytes passed over since the last message
 *
 * All zero is a new one. Release with proto_stream_done().
 */
struct proto_stream {
    enum proto_want want;
    enum proto_kind kind;
    struct buf pending;
    uint64_t skipped;
};

/**
 * proto_stream_feed() - the next bytes
 * @s: the stream
 * @data, @n: bytes
 * @visit: gets each message that is whole by now. A value other than 0 is returned, after the rest
 *
 * What does not begin as a message is passed over up to where one does.
 *
 * Return: 0, what @visit returned, or -ENOMEM.
 */
int proto_stream_feed(struct proto_stream *s, const void *data, size_t n, proto_message_fn visit,
                      void *ctx);

/* @n bytes are missing here: what was begun cannot be ended. */
void proto_stream_gap(struct proto_stream *s, uint64_t n);

/* Bytes that have come of a message that is not whole. */
size_t proto_stream_pending(const struct proto_stream *s);

void proto_stream_done(struct proto_stream *s);
