/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A new end record for a dump that was edited. */
#include <errno.h>
#include <stdlib.h>

#include "dump_reader.h"

static int put(FILE *stream, const void *data, size_t n)
{
    errno = 0;
    if (fwrite(data, 1, n, stream) == n)
        return 0;
    return errno ? -errno : -EIO;
}

/* The reader's line with its newline, which is still behind it. */
static int copy_line(const struct dump_reader *r, FILE *stream)
{
    return put(stream, r->text, r->len + 1);
}

int dump_seal(struct dump_reader *r, FILE *stream, struct err *e)
{
    _cleanup_(buf_done) struct buf end = BUF_INIT;
    struct dump_record *rec;
    int k = copy_line(r, stream);

    if (k < 0)
        return k;
    while ((k = dump_reader_next(r, &rec, e)) > 0) {
        struct dump_payload payload;

        k = copy_line(r, stream);
        /* Decoding overwrites the line, so it comes after. */
        if (k == 0 && (dump_has(rec, "data_base64") || dump_has(rec, "text")))
            k = dump_get_payload(rec, &payload, e);
        if (k < 0)
            return k;
    }
    if (k < 0)
        return k;
    dump_tally_end_line(&r->tally, &end);
    if (buf_error(&end))
        return buf_error(&end);
    k = put(stream, end.data, end.len);
    if (k == 0 && fflush(stream) != 0)
        k = -errno;
    return k;
}
