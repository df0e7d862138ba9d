/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The reader of dump files. The first byte chooses the flags, the rest is the file. Whatever can be
 * sealed must then be whole: read again, checked to the payload, with as many records.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "cleanup.h"
#include "dump.h"
#include "fuzz.h"

static int file_of(const uint8_t *data, size_t size)
{
    int fd = memfd_create("dump", MFD_CLOEXEC);

    MUST(fd >= 0);
    MUST(write(fd, data, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

static void members(struct dump_record *rec)
{
    struct err e = ERR_INIT;
    struct dump_payload p;
    uint64_t u, array[4];
    uint32_t mode;
    int64_t i;
    size_t n;
    bool b;
    char s[16];

    if (dump_get_u64(rec, "maxmsg", 100, &u, &e) == 0)
        MUST(u <= 100);
    dump_get_i64(rec, "pid", &i, &e);
    dump_get_bool(rec, "exact", &b, &e);
    dump_get_hex64(rec, "key", &u, &e);
    if (dump_get_mode(rec, "mode", &mode, &e) == 0)
        MUST(mode <= 07777);
    dump_get_time(rec, "time", &u, &e);
    if (dump_get_str(rec, "queue", s, sizeof(s), &e) == 0)
        MUST(strlen(s) < sizeof(s));
    if (dump_get_u64_array(rec, "handles", array, 4, &n, &e) == 0)
        MUST(n <= 4);
    if (dump_get_payload(rec, &p, &e) == 0) {
        uint8_t sum = 0;

        MUST(p.captured <= p.length);
        for (size_t k = 0; k < p.captured; k++)
            sum = (uint8_t)(sum + ((const uint8_t *)p.data)[k]);
        (void)sum;
    }
}

/* Return: what ended the reading; @records of them came before. */
static int read_all(int fd, unsigned int flags, uint64_t *records)
{
    _cleanup_(dump_reader_freep) struct dump_reader *r = NULL;
    struct dump_record *rec;
    struct err e = ERR_INIT;
    struct dump_totals totals;
    int ret = dump_reader_open_fd(fd, flags, &r, &e);

    *records = 0;
    if (ret < 0)
        return ret;
    while ((ret = dump_reader_next(r, &rec, &e)) > 0) {
        MUST(rec->type[0] && rec->index == *records);
        members(rec);
        ++*records;
    }
    dump_reader_totals(r, &totals);
    if (ret == 0)
        MUST(totals.records == *records);
    if (flags & DUMP_REWIND && dump_reader_rewind(r, &e) == 0 && *records)
        MUST(dump_reader_next(r, &rec, &e) == 1);
    return ret;
}

static void seal(int fd)
{
    _cleanup_(dump_reader_freep) struct dump_reader *r = NULL;
    _cleanup_(freep) char *text = NULL;
    FILE *out;
    struct err e = ERR_INIT;
    uint64_t records;
    size_t n;
    int ret;

    if (dump_reader_open_fd(fd, DUMP_LOOSE, &r, &e) < 0)
        return;
    out = open_memstream(&text, &n);
    MUST(out);
    ret = dump_seal(r, out, &e);
    MUST(fclose(out) == 0);
    if (ret == 0)
        MUST(read_all(file_of((uint8_t *)text, n), DUMP_REWIND, &records) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t records;
    unsigned int flags;

    if (size == 0)
        return 0;
    flags = data[0] & (DUMP_REWIND | DUMP_PARTIAL | DUMP_LOOSE | DUMP_DEEP);
    read_all(file_of(data + 1, size - 1), flags, &records);
    seal(file_of(data + 1, size - 1));
    return 0;
}
