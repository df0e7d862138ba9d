/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "calibrate.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "buf.h"
#include "cleanup.h"
#include "fileio.h"

uint64_t calibrate_highest_frame(const char *zoneinfo)
{
    uint64_t highest = 0, spanned = 0;

    for (const char *line = zoneinfo; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        line += strspn(line, " ");
        if (!strncmp(line, "spanned ", 8))
            spanned = strtoull(line + 8, NULL, 10);
        if (!strncmp(line, "start_pfn:", 10) && spanned) {
            uint64_t end = strtoull(line + 10, NULL, 10) + spanned;

            highest = MAX(highest, end);
        }
    }
    return highest;
}

/* If the machine does not report its memory: up to 16 TiB, which takes 2 ms. */
static uint32_t gigabytes_of_memory(uint64_t page_size)
{
    _cleanup_(buf_done) struct buf zones = BUF_INIT;
    uint64_t frames = 0;

    if (file_read(AT_FDCWD, "/proc/zoneinfo", 16 << 20, &zones) == 0)
        frames = calibrate_highest_frame(buf_str(&zones));
    return frames ? (uint32_t)MIN(frames * page_size >> 30, (uint64_t)16382) + 2 : 16384;
}

int calibrate_pages(const struct bpf_program *program, struct calibration *c,
                    const uint64_t *page_base, struct err *e)
{
    LIBBPF_OPTS(bpf_test_run_opts, once);
    _cleanup_(closep) int from = -1, to = -1;
    int pair[2], r;

    c->page_size = (uint64_t)sysconf(_SC_PAGESIZE);
    c->gigabytes = gigabytes_of_memory(c->page_size);
    if (getrandom(c->words, sizeof(c->words), 0) != sizeof(c->words))
        return err_set(e, -EIO, NULL, "there are no random bytes");
    if (pipe2(pair, O_CLOEXEC) < 0)
        return err_set(e, -errno, NULL, "cannot make a pipe: %s", err_text(NULL, -errno));
    from = pair[0];
    to = pair[1];
    c->fd = (uint32_t)from;
    r = file_write_all(to, c->words, sizeof(c->words));
    if (r == 0)
        r = bpf_prog_test_run_opts(bpf_program__fd(program), &once);
    if (r < 0)
        return err_set(e, r, NULL, "cannot run the BPF program: %s", err_text(NULL, r));
    if (!*(const volatile uint64_t *)page_base)
        return err_set(e, -EOPNOTSUPP, NULL,
                       "where this kernel keeps the bytes of its pages could not be found out");
    return 0;
}
