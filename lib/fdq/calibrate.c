/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "calibrate.h"

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

int calibrate_begin(struct calibrate_pipe *c, uint64_t words[2], uint32_t *gigabytes, struct err *e)
{
    _cleanup_(buf_done) struct buf zones = BUF_INIT;
    uint64_t frames = 0, page = (uint64_t)sysconf(_SC_PAGESIZE);

    if (file_read(AT_FDCWD, "/proc/zoneinfo", 16 << 20, &zones) == 0)
        frames = calibrate_highest_frame(buf_str(&zones));
    /* Of a machine that does not tell: up to 16 TiB, which takes 2 ms. */
    *gigabytes = frames ? (uint32_t)MIN(frames * page >> 30, (uint64_t)16382) + 2 : 16384;
    if (getrandom(words, 2 * sizeof(*words), 0) != 2 * sizeof(*words))
        return err_set(e, -EIO, NULL, "no random bytes");
    if (pipe2(c->fd, O_CLOEXEC) < 0)
        return err_set(e, -errno, NULL, "cannot make a pipe: %s", err_text(NULL, -errno));
    return file_write_all(c->fd[1], words, 2 * sizeof(*words));
}

void calibrate_done(struct calibrate_pipe *c)
{
    closep(&c->fd[0]);
    closep(&c->fd[1]);
}

int calibrate_failed(struct err *e)
{
    return err_set(e, -EOPNOTSUPP, NULL,
                   "where this kernel keeps the bytes of its pages could not be found out");
}
