/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading a dump: one line at a time, checked as a line, and at the end against the end record. */
#include "dump_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "fileio.h"

enum { READ_CHUNK = 256 << 10 };

int dump_bad_line(uint64_t line, struct err *e, const char *fmt, ...)
{
    char why[300];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    return err_set(e, -EBADMSG, NULL, "line %" PRIu64 ": %s", line, why);
}

/* ---- lines ---- */

static int fill(struct dump_reader *r, struct err *e)
{
    size_t room;
    ssize_t n;

    if (r->start) {
        memmove(r->data, r->data + r->start, r->stop - r->start);
        r->stop -= r->start;
        r->start = 0;
    }
    if (r->cap - r->stop < READ_CHUNK && r->cap < DUMP_LINE_MAX + READ_CHUNK) {
        size_t cap = MIN(MAX(r->cap * 2, (size_t)2 * READ_CHUNK),
                         (size_t)DUMP_LINE_MAX + READ_CHUNK);
        char *data = realloc(r->data, cap);

        if (!data)
            return -ENOMEM;
        r->data = data;
        r->cap = cap;
    }
    room = MIN(r->cap - r->stop, (size_t)READ_CHUNK);
    if (!room)
        return dump_bad_line(r->line + 1, e, "longer than %d bytes", DUMP_LINE_MAX);
    do
        n = read(r->fd, r->data + r->stop, room);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    r->eof = n == 0;
    r->stop += (size_t)n;
    return 0;
}

/* The next line, without its newline. Return: 1; 0 at the end of the file; -errno. */
static int next_line(struct dump_reader *r, struct err *e)
{
    size_t seen = 0;

    for (;;) {
        size_t have = r->stop - r->start;
        char *nl = have > seen ? memchr(r->data + r->start + seen, '\n', have - seen) : NULL;
        int k;

        if (nl) {
            r->text = r->data + r->start;
            r->len = (size_t)(nl - r->text);
            r->start += r->len + 1;
            r->line++;
            r->bytes += r->len + 1;
            if (r->len > DUMP_LINE_MAX)
                return dump_bad_line(r->line, e, "longer than %d bytes", DUMP_LINE_MAX);
            return 1;
        }
        if (r->eof) {
            if (!have)
                return 0;
            r->torn = true;
            return 0;
        }
        seen = have;
        k = fill(r, e);
        if (k < 0)
            return k;
    }
}

static const struct json_member *find(const struct dump_reader *r, const char *key)
{
    return dump_member(&r->rec, key);
}

/* Indexes the line's members and finds its type. */
static int scan_line(struct dump_reader *r, const char **type, size_t *n_type, struct err *e)
{
    const struct json_member *m;
    const char *why = NULL;
    ssize_t n;

    n = json_scan_object(r->text, r->len, r->rec.members, DUMP_MEMBERS_MAX, &why);
    if (n < 0) {
        r->rec.n = 0;
        return dump_bad_line(r->line, e, "not one JSON object a line: %s", why);
    }
    r->rec.n = (size_t)n;
    r->rec.decoded = false;
    m = find(r, "type");
    if (!m || m->type != JSON_STRING || m->escaped)
        return dump_bad_line(r->line, e, "no \"type\": not a record of a dump");
    *type = m->text;
    *n_type = m->len;
    return 0;
}

static bool word_is(const char *s, size_t n, const char *word)
{
    return n == strlen(word) && memcmp(s, word, n) == 0;
}

/* ---- header ---- */

static int missing_end(struct dump_reader *r, struct err *e);

static void get_text(const struct dump_record *rec, const char *key, char *out, size_t size)
{
    char text[256];

    out[0] = '\0';
    if (dump_get_str(rec, key, text, sizeof(text), NULL) == 0)
        snprintf(out, size, "%.*s", (int)size - 1, text);
}

static int check_header(struct dump_reader *r, struct dump_header *h, struct err *e)
{
    const struct dump_record *rec = &r->rec.pub;
    char format[32];
    int k;

    k = dump_get_str(rec, "format", format, sizeof(format), NULL);
    if (k < 0 || strcmp(format, "ipcbox-dump") != 0)
        return dump_bad_line(r->line, e, "no header of an ipcbox dump");
    k = dump_get_u64(rec, "version", UINT64_MAX, &h->version, e);
    if (k < 0)
        return k;
    if (h->version < DUMP_VERSION || h->version > DUMP_VERSION_SYSV)
        return err_set(e, -EPROTONOSUPPORT, "read it with a newer ipcbox",
                       "line %" PRIu64 ": the dump has format version %" PRIu64
                       ", this program reads version %d",
                       r->line, h->version, DUMP_VERSION_SYSV);
    get_text(rec, "kind", h->kind, sizeof(h->kind));
    if (!h->kind[0])
        return dump_bad_line(r->line, e, "the header does not say which kind of dump this is");
    get_text(rec, "tool", h->tool, sizeof(h->tool));
    get_text(rec, "kernel", h->kernel, sizeof(h->kernel));
    get_text(rec, "host", h->host, sizeof(h->host));
    get_text(rec, "backend", h->backend, sizeof(h->backend));
    if (dump_get_time(rec, "time", &h->time, NULL) < 0)
        h->time = 0;
    return 0;
}

static void begin_record(struct dump_reader *r)
{
    r->rec.pub.line = r->line;
    r->rec.pub.index = r->tally.records;
}

static int read_header(struct dump_reader *r, struct err *e)
{
    const char *type;
    struct err scanned = ERR_INIT;
    size_t n;
    int k = next_line(r, e);

    if (k < 0)
        return k;
    if (k == 0 && !r->torn)
        return err_set(e, -ENODATA, NULL, "it is empty");
    if (k == 0)
        return dump_bad_line(1, e, "no header of an ipcbox dump");
    r->tally.crc = dump_crc(0, r->text, r->len + 1);
    k = scan_line(r, &type, &n, &scanned);
    if (k < 0 && r->len && r->text[0] == '{' && r->flags & DUMP_LOOSE)
        return err_set(e, k, "jq -c keeps one object a line", "%s", scanned.why);
    if (k < 0 || !word_is(type, n, "header"))
        return dump_bad_line(r->line, e, "no header of an ipcbox dump");
    begin_record(r);
    return check_header(r, &r->header, e);
}

/* ---- records ---- */

static int check_counts(struct dump_reader *r, struct err *e)
{
    _cleanup_(buf_done) struct buf want = BUF_INIT;
    const struct json_member *m = find(r, "counts");

    dump_tally_counts(&r->tally, &want);
    if (buf_error(&want))
        return buf_error(&want);
    if (!m || m->len != want.len || memcmp(m->text, want.data, want.len) != 0)
        return dump_bad_line(r->line, e, "the end record should count %s", want.data);
    return 0;
}

static int check_end(struct dump_reader *r, struct err *e)
{
    uint64_t records = 0;
    char crc[16], want[16];
    int k;

    begin_record(r);
    k = dump_get_u64(&r->rec.pub, "records", UINT64_MAX, &records, e);
    if (k == 0)
        k = dump_get_str(&r->rec.pub, "crc32", crc, sizeof(crc), e);
    if (k < 0)
        return k == -ENOENT ? -EBADMSG : k;
    snprintf(want, sizeof(want), "0x%08" PRIx32, r->tally.crc);
    /* Dumps of earlier releases have the digits alone. */
    if (strcmp(crc, want) != 0 && strcmp(crc, want + 2) != 0)
        return err_set(e, -EBADMSG, "if it was edited: mqdump seal makes it whole again",
                       "line %" PRIu64 ": the checksum of the lines before is %s, not %s: the "
                       "dump is damaged or was edited",
                       r->line, want, crc);
    if (records != r->tally.records)
        return dump_bad_line(r->line, e, "the end record counts %" PRIu64 " records, not %" PRIu64,
                             records, r->tally.records);
    k = check_counts(r, e);
    if (k < 0)
        return k;
    k = next_line(r, e);
    if (k < 0)
        return k;
    if (k > 0 || r->torn)
        return dump_bad_line(r->line + !k, e, "something behind the end record");
    return 0;
}

static int missing_end(struct dump_reader *r, struct err *e)
{
    r->truncated = true;
    if (r->flags & DUMP_PARTIAL || (r->flags & DUMP_LOOSE && !r->torn))
        return 0;
    if (r->flags & DUMP_LOOSE)
        return err_set(e, -ENODATA, "--partial drops it",
                       "line %" PRIu64 ": the last line has no newline", r->line + 1);
    return err_set(e, -ENODATA,
                   r->torn ? "mqdump seal --partial takes the lines that are whole"
                           : "mqdump seal takes what is there",
                   "line %" PRIu64 ": the dump ends without an end record: %s", r->line + r->torn,
                   r->torn ? "it was cut within a line" : "it was cut off");
}

/* A header or end record inside an edited dump. Return: 1 to go on with the next line, or -errno.
 */
static int skip_seam(struct dump_reader *r, bool header, struct err *e)
{
    struct dump_header h;
    int k;

    if (!header)
        return 1;
    begin_record(r);
    k = check_header(r, &h, e);
    if (k < 0)
        return k;
    if (strcmp(h.kind, r->header.kind) != 0)
        return dump_bad_line(r->line, e, "a dump of another kind begins here");
    return 1;
}

static int take_record(struct dump_reader *r, const char *type, size_t n, struct err *e)
{
    size_t index;
    int k = dump_tally_type(&r->tally, type, n, &index);

    if (k == -E2BIG)
        return dump_bad_line(r->line, e, "more than %d types of records", DUMP_TYPES_MAX);
    if (k < 0)
        return dump_bad_line(r->line, e, "a malformed \"type\"");
    begin_record(r);
    memcpy(r->rec.pub.type, type, n);
    r->rec.pub.type[n] = '\0';
    dump_tally_add(&r->tally, index);
    if (r->flags & DUMP_DEEP && dump_member(&r->rec, "data_base64")) {
        struct dump_payload payload;

        k = dump_get_payload(&r->rec.pub, &payload, e);
        if (k < 0)
            return k;
    }
    return 1;
}

static int next_record(struct dump_reader *r, struct err *e)
{
    for (;;) {
        const char *type;
        bool header, end;
        size_t n;
        int k = next_line(r, e);

        if (k == 0)
            return missing_end(r, e);
        if (k > 0)
            k = scan_line(r, &type, &n, e);
        if (k < 0)
            return k;
        header = word_is(type, n, "header");
        end = word_is(type, n, "end");
        if (r->flags & DUMP_LOOSE && (header || end)) {
            k = skip_seam(r, header, e);
            if (k < 0)
                return k;
            continue;
        }
        if (header)
            return dump_bad_line(r->line, e, "a second header");
        if (end)
            return check_end(r, e);
        r->tally.crc = dump_crc(r->tally.crc, r->text, r->len + 1);
        return take_record(r, type, n, e);
    }
}

int dump_reader_next(struct dump_reader *r, struct dump_record **rec, struct err *e)
{
    int k;

    if (r->done)
        return err_set(e, -EINVAL, NULL, "read past its end");
    k = next_record(r, e);
    if (k <= 0) {
        r->done = true;
        return k;
    }
    *rec = &r->rec.pub;
    if (r->watch)
        r->watch(r->watch_ctx, r->tally.records, r->bytes);
    return k;
}

void dump_reader_watch(struct dump_reader *r, dump_watch_fn watch, void *ctx)
{
    r->watch = watch;
    r->watch_ctx = ctx;
}

/* ---- opening ---- */

/* A copy without a name, for what can be read only once. */
static int spool(int from, struct err *e)
{
    _cleanup_(closep) int fd = file_spool_open(e);
    char block[65536];

    if (fd < 0)
        return fd;
    for (;;) {
        ssize_t n = read(from, block, sizeof(block));
        int k;

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        k = file_write_all(fd, block, (size_t)n);
        if (k < 0)
            return err_set(e, k, "set TMPDIR to a directory with more room",
                           "cannot keep the input in %s: %s", file_spool_dir(),
                           strerrordesc_np(-k));
    }
    if (lseek(fd, 0, SEEK_SET) < 0)
        return -errno;
    return TAKE_FD(fd);
}

static int prepare(struct dump_reader *r, struct err *e)
{
    struct stat st;
    int fd;

    if (fstat(r->fd, &st) < 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    if (S_ISREG(st.st_mode) && lseek(r->fd, 0, SEEK_CUR) >= 0) {
        r->origin = lseek(r->fd, 0, SEEK_CUR);
        return read_header(r, e);
    }
    if (r->flags & DUMP_REWIND) {
        fd = spool(r->fd, e);
        if (fd < 0)
            return fd;
        close(r->fd);
        r->fd = fd;
    }
    return read_header(r, e);
}

int dump_reader_open_fd(int fd, unsigned int flags, struct dump_reader **ret, struct err *e)
{
    _cleanup_(dump_reader_freep) struct dump_reader *r = calloc(1, sizeof(*r));
    int k;

    if (!r) {
        close(fd);
        return -ENOMEM;
    }
    r->fd = fd;
    r->flags = flags;
    r->rec.reader = r;
    k = prepare(r, e);
    if (k < 0)
        return k;
    *ret = TAKE_PTR(r);
    return 0;
}

int dump_reader_open(const char *path, unsigned int flags, struct dump_reader **ret, struct err *e)
{
    int fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                                    : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    if (fd < 0)
        return -errno;
    return dump_reader_open_fd(fd, flags, ret, e);
}

int dump_reader_rewind(struct dump_reader *r, struct err *e)
{
    if (lseek(r->fd, r->origin, SEEK_SET) < 0)
        return -errno;
    r->start = r->stop = 0;
    r->eof = r->torn = r->truncated = r->done = false;
    r->line = r->bytes = 0;
    r->tally = (struct dump_tally){0};
    return read_header(r, e);
}

void dump_reader_free(struct dump_reader *r)
{
    if (!r)
        return;
    if (r->fd >= 0)
        close(r->fd);
    free(r->data);
    free(r);
}

void dump_reader_freep(struct dump_reader **r)
{
    dump_reader_free(*r);
}

const struct dump_header *dump_reader_header(const struct dump_reader *r)
{
    return &r->header;
}

void dump_reader_totals(const struct dump_reader *r, struct dump_totals *out)
{
    *out = (struct dump_totals){
        .records = r->tally.records,
        .lines = r->line,
        .bytes = r->bytes,
        .crc = r->tally.crc,
        .truncated = r->truncated,
    };
}

const char *dump_reader_count(const struct dump_reader *r, size_t i, uint64_t *n)
{
    if (i >= r->tally.n_types)
        return NULL;
    *n = r->tally.types[i].n;
    return r->tally.types[i].name;
}
