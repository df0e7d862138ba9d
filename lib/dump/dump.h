/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The dump format of all applets: JSON Lines that prove to be whole.
 *
 *     {"type":"header","format":"ipcbox-dump","version":1,"kind":"queues","tool":…,"time":…,…}
 *     {"type":"queue","name":"/jobs","maxmsg":10,…}            records, of any types
 *     {"type":"message","queue":"/jobs","priority":5,"length":2,"data_base64":"aGk=","text":"hi"}
 *     {"type":"end","records":2,"counts":{"queue":1,"message":1},"crc32":"0x9ae0daaf"}
 *
 * The CRC-32 is zlib's, over all lines before the end record, newlines included. Unknown members
 * and unknown types of records are ignored; an unknown version is refused.
 *
 * A reader trusts nothing: it holds one line at a time, of a bounded size, and takes only strict
 * JSON. Numbers are read from their text, so that every u64 is exact.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "errinfo.h"
#include "macros.h"

enum {
    DUMP_VERSION = 1,
    DUMP_VERSION_SYSV = 2,    /* with records of System V queues */
    DUMP_LINE_MAX = 32 << 20, /* bytes; a message of 16 MiB in base 64, and its text */
    DUMP_TEXT_MAX = 1 << 20,  /* a longer payload is written without "text" */
    DUMP_DEPTH_MAX = 32,      /* of nested arrays and objects in a record */
    DUMP_MEMBERS_MAX = 64,    /* of a record */
    DUMP_TYPE_MAX = 31,       /* bytes of a record's type */
    DUMP_TYPES_MAX = 32,      /* different types of records in a dump */
};

/* Called after each record with how many there were and their bytes: for who shows progress. */
typedef void (*dump_watch_fn)(void *ctx, uint64_t records, uint64_t bytes);

/* ---- writing ---- */

/**
 * struct dump_writer - a dump on its way to a stream
 *
 * The first error latches: later calls do nothing, dump_writer_finish() returns it.
 */
struct dump_writer;

/**
 * dump_writer_new() - begin a dump, with its header
 * @stream: where to; borrowed, neither flushed nor closed until dump_writer_finish()
 * @kind: what is in it: "queues", "traffic", "bus1", "channel"
 * @tool: who writes it: the applet's name
 * @backend: where the data comes from, or NULL
 * @ret: the writer; release with dump_writer_free()
 *
 * Return: 0 or -errno.
 */
int dump_writer_new(FILE *stream, const char *kind, const char *tool, const char *backend,
                    struct dump_writer **ret);

/* The same with a version of the format that has more types of records. */
int dump_writer_new_version(FILE *stream, uint64_t version, const char *kind, const char *tool,
                            const char *backend, struct dump_writer **ret);

void dump_writer_watch(struct dump_writer *w, dump_watch_fn watch, void *ctx);

/* A record: begin, members, end. @type and @key are the program's own words: [a-z0-9_]+. */
void dump_begin(struct dump_writer *w, const char *type);
void dump_end(struct dump_writer *w);

/*
 * A string of any bytes. One that is no UTF-8 is written with U+FFFD in the place of what is wrong,
 * and exactly as a second member, KEY_base64, which dump_get_str() then takes.
 */
void dump_put_str(struct dump_writer *w, const char *key, const char *value);
/* A number; beyond 2^53 a string, which dump_get_u64() takes as well. */
void dump_put_u64(struct dump_writer *w, const char *key, uint64_t value);
/* The same; one below 0 is always a number. */
void dump_put_i64(struct dump_writer *w, const char *key, int64_t value);
void dump_put_bool(struct dump_writer *w, const char *key, bool value);
/* "0x1f", for what may pass 2^53. */
void dump_put_hex64(struct dump_writer *w, const char *key, uint64_t value);
/* "0640" */
void dump_put_mode(struct dump_writer *w, const char *key, uint32_t mode);
/* Nanoseconds since 1970, as RFC 3339. */
void dump_put_time(struct dump_writer *w, const char *key, uint64_t realtime_ns);
void dump_put_u64_array(struct dump_writer *w, const char *key, const uint64_t *v, size_t n);

/**
 * dump_put_payload() - the members "length", "data_base64" and, when it is UTF-8, "text"
 * @data: bytes
 * @captured: how many there are at @data
 * @length: how many there were; more than @captured for a payload that was cut
 */
void dump_put_payload(struct dump_writer *w, const void *data, size_t captured, uint64_t length);

/* Lets a reader at the other end of the stream see what was written. Return: as below. */
int dump_writer_flush(struct dump_writer *w);

/* The first error so far: 0 or -errno. */
int dump_writer_error(const struct dump_writer *w);

/* Writes the end record and flushes the stream. Return: 0, or the first error. */
int dump_writer_finish(struct dump_writer *w);
void dump_writer_free(struct dump_writer *w);
void dump_writer_freep(struct dump_writer **w);

/* ---- reading ---- */

struct dump_reader;

enum dump_flags {
    DUMP_REWIND = 1 << 0,  /* will be read twice: what is no regular file is copied first to an
                              unlinked temporary file in $TMPDIR or /var/tmp */
    DUMP_PARTIAL = 1 << 1, /* a missing end is no error; a last line without newline is dropped */
    DUMP_LOOSE = 1 << 2,   /* several headers and end records are skipped, none is required: for
                              dump_seal() */
    DUMP_DEEP = 1 << 3,    /* also check each payload */
};

/**
 * struct dump_header - what a dump says of itself; hostile text, cut at its size
 * @version: of the format
 * @time: when it was begun, ns since 1970; 0 if it does not say
 */
struct dump_header {
    uint64_t version;
    uint64_t time;
    char kind[32];
    char tool[64];
    char kernel[96];
    char host[96];
    char backend[32];
};

/**
 * struct dump_record - one record, borrowed until the next one is read
 * @line: its number, from 1
 * @type: its type; "" never
 * @index: its number among the records, from 0
 */
struct dump_record {
    uint64_t line;
    uint64_t index;
    char type[DUMP_TYPE_MAX + 1];
};

/**
 * dump_reader_open() - open a dump and check its header
 * @path: a file, or "-" for standard input
 * @flags: enum dump_flags
 * @ret: the reader
 * @e: why not
 *
 * Return: 0; -EBADMSG (no dump), -EPROTONOSUPPORT (a newer version), -ENODATA (empty), or what
 * opening and reading said.
 */
int dump_reader_open(const char *path, unsigned int flags, struct dump_reader **ret, struct err *e);

/* The same with a descriptor, which the reader closes (also on failure). */
int dump_reader_open_fd(int fd, unsigned int flags, struct dump_reader **ret, struct err *e);
void dump_reader_free(struct dump_reader *r);
void dump_reader_freep(struct dump_reader **r);

const struct dump_header *dump_reader_header(const struct dump_reader *r);

/**
 * dump_reader_next() - read the next record
 * @rec: the record, on success
 * @e: what is wrong, with the number of the line
 *
 * Return: 1; 0 when the end record was reached and agrees with what was read; -EBADMSG (damaged),
 * -ENODATA (truncated), -EIO, … After anything but 1 only dump_reader_rewind() goes on.
 */
int dump_reader_next(struct dump_reader *r, struct dump_record **rec, struct err *e);

/* Of each pass over the dump: the counts begin anew with dump_reader_rewind(). */
void dump_reader_watch(struct dump_reader *r, dump_watch_fn watch, void *ctx);

/* Back to the first record; with DUMP_REWIND. Return: 0 or -errno. */
int dump_reader_rewind(struct dump_reader *r, struct err *e);

/**
 * struct dump_totals - what was read so far
 * @records: all of them
 * @bytes: of all lines
 * @crc: of all lines before the end record
 * @truncated: there was no end record
 */
struct dump_totals {
    uint64_t records;
    uint64_t lines;
    uint64_t bytes;
    uint32_t crc;
    bool truncated;
};

void dump_reader_totals(const struct dump_reader *r, struct dump_totals *out);

/* How many records of the @i-th type there were; NULL past the last type. */
const char *dump_reader_count(const struct dump_reader *r, size_t i, uint64_t *n);

/*
 * Members of a record. All return 0; -ENOENT when the member is missing or null; -EBADMSG when it
 * is something else. Both with a reason that names line and member.
 */
bool dump_has(const struct dump_record *rec, const char *key);
int dump_get_u64(const struct dump_record *rec, const char *key, uint64_t max, uint64_t *out,
                 struct err *e);
int dump_get_i64(const struct dump_record *rec, const char *key, int64_t *out, struct err *e);
int dump_get_bool(const struct dump_record *rec, const char *key, bool *out, struct err *e);
int dump_get_hex64(const struct dump_record *rec, const char *key, uint64_t *out, struct err *e);
int dump_get_mode(const struct dump_record *rec, const char *key, uint32_t *out, struct err *e);
int dump_get_time(const struct dump_record *rec, const char *key, uint64_t *out, struct err *e);
/* A string without U+0000 that fits into @size bytes with its NUL. */
int dump_get_str(const struct dump_record *rec, const char *key, char *out, size_t size,
                 struct err *e);
/* At most @max numbers; @n is how many. */
int dump_get_u64_array(const struct dump_record *rec, const char *key, uint64_t *out, size_t max,
                       size_t *n, struct err *e);

/**
 * struct dump_payload - a payload, borrowed as the record is
 * @data, @captured: the bytes that the dump has
 * @length: how many there were; more than @captured for a payload that was cut
 */
struct dump_payload {
    const void *data;
    size_t captured;
    uint64_t length;
};

/**
 * dump_get_payload() - "data_base64", or "text" where that is all there is
 *
 * Where more than one of "length", "data_base64" and "text" is present they must agree: a dump in
 * which only the text was edited is refused, not misread.
 */
int dump_get_payload(struct dump_record *rec, struct dump_payload *out, struct err *e);

/* A reason that begins with the record's line: for what only the reader's user can check. */
int dump_bad(const struct dump_record *rec, struct err *e, const char *fmt, ...) _printf_(3, 4);

/* ---- lines that stand alone ---- */

struct dump_object;

int dump_object_new(struct dump_object **ret);
void dump_object_free(struct dump_object *o);
void dump_object_freep(struct dump_object **o);

/**
 * dump_object_parse() - read the next of a stream's lines, which need be no dump
 * @o: counts them
 * @text, @n: the line; decoded in place, and borrowed by the record
 * @rec: for dump_get_…; it has no type
 * @e: why not, with the line's number
 *
 * Return: 0; -EBADMSG.
 */
int dump_object_parse(struct dump_object *o, char *text, size_t n, struct dump_record **rec,
                      struct err *e);

/* ---- sealing ---- */

/**
 * dump_seal() - copy an edited dump, with a new end record
 * @r: opened with DUMP_LOOSE
 * @stream: where to
 *
 * Further headers (of dumps that were concatenated) are dropped when they are of the same kind.
 */
int dump_seal(struct dump_reader *r, FILE *stream, struct err *e);
