/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs a fuzz target over the files of a folder, where libFuzzer is not at hand. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#include "buf.h"
#include "cleanup.h"
#include "fileio.h"
#include "fuzz.h"

enum {
    INPUT_MAX = 16 << 20,
};

int main(int argc, char **argv)
{
    _cleanup_(closedirp) DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
    const struct dirent *d;
    int n = 0;

    if (!dir) {
        fprintf(stderr, "%s: cannot read its inputs: %s\n", argv[0],
                argc == 2 ? strerror(errno) : "name their folder");
        return 1;
    }
    while ((d = readdir(dir))) {
        _cleanup_(buf_done) struct buf b = BUF_INIT;
        _cleanup_(freep) uint8_t *exact = NULL;

        if (d->d_name[0] == '.')
            continue;
        if (file_read(dirfd(dir), d->d_name, INPUT_MAX, &b) < 0) {
            fprintf(stderr, "%s/%s: cannot be read\n", argv[1], d->d_name);
            return 1;
        }
        /* of its exact size, so that a sanitizer sees what reads past it */
        exact = malloc(b.len);
        MUST(exact || !b.len);
        if (b.len)
            memcpy(exact, b.data, b.len);
        fprintf(stderr, "%s\n", d->d_name);
        LLVMFuzzerTestOneInput(exact, b.len);
        n++;
    }
    printf("%d inputs\n", n);
    return n == 0;
}
