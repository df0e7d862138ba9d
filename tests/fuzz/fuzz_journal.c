/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What was left behind by a drain that was killed, and by a restore: files in a folder that others
 * may have written to. The first byte chooses which.
 */
#include <sys/random.h>

#include "fuzz.h"

#include "../../lib/pmq/journal.c"
#undef prefix
#include "../../lib/pmq/restoring.c"

static char dir[] = "/dev/shm/ipcbox-fuzz.XXXXXX";
static char path[64];

static void clean(void)
{
    unlink(path);
    (void)rmdir(dir);
}

static void place(void)
{
    if (path[0])
        return;
    MUST(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/restore-1", dir);
    atexit(clean);
}

static void put(const uint8_t *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    MUST(fd >= 0 && write(fd, data, size) == (ssize_t)size && close(fd) == 0);
}

static void drained(bool write)
{
    struct journal j;
    int r = journal_open(path, write, &j);
    uint64_t n = 0, bytes = 0;

    MUST(r == 0 || r == -ENODATA || r == -EBADMSG);
    if (r < 0)
        return;
    for (size_t at = JOURNAL_HEAD; at < j.end; n++) {
        const struct journal_record *rec = journal_at(&j, at);

        MUST(rec->commit && rec->priority < PMQ_PRIO_MAX);
        MUST(at + journal_space(rec->commit - 1) <= j.size);
        bytes += rec->commit - 1;
        at += journal_space(rec->commit - 1);
    }
    MUST(n == j.n && bytes == j.bytes && j.n_sent <= j.n && j.bytes_sent <= j.bytes);
    MUST(journal_guess_length(&j) <= journal_head(&j)->msgsize);
    (void)journal_this_boot(journal_head(&j));
    if (write && journal_has_room(&j)) {
        size_t length = (size_t)journal_head(&j)->msgsize;

        journal_touch(&j);
        journal_at(&j, j.end)->priority = 1;
        journal_commit(&j, length);
        MUST(j.n == n + 1 && j.end + JOURNAL_RECORD <= j.size);
    }
    journal_close(&j);
}

static void restored(void)
{
    struct pmq_unfinished_set s = {0};
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r;

    MUST(fd >= 0);
    r = read_journal(&s, fd, "restore-1", false);
    MUST(r <= 1);
    for (size_t i = 0; i < s.n; i++)
        MUST(s.v[i].name && s.v[i].journal == 0);
    close(fd);
    pmq_unfinished_done(&s);
}

/* A journal counts only when it is of this boot, which no committed input can know. */
static void restored_now(const uint8_t *data, size_t size)
{
    char boot[40];
    char *text = malloc(size + 100);
    int n;

    MUST(text && journal_boot_id(boot) == 0);
    n = snprintf(text, 100, "restore 1 %s 4026531839\n", boot);
    memcpy(text + n, data, size);
    put((uint8_t *)text, (size_t)n + size);
    free(text);
    restored();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    place();
    switch (data[0] % 4) {
    case 0:
    case 1:
        put(data + 1, size - 1);
        drained(data[0] % 4);
        break;
    case 2:
        put(data + 1, size - 1);
        restored();
        break;
    default:
        restored_now(data + 1, size - 1);
    }
    return 0;
}
