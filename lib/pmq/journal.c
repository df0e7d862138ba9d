/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The journal of a drain: the file. */
#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "cleanup.h"
#include "fileio.h"
#include "statedir.h"
#include "timefmt.h"

static const char magic[8] = {'i', 'p', 'c', 'b', 'o', 'x', 'd', 'j'};

/* ---- where ---- */

int journal_dir(bool of_root, char *out, size_t n)
{
    if (!of_root || getuid() == 0)
        return statedir_path(out, n, NULL);
    return snprintf(out, n, "/var/lib/ipcbox") < (int)n ? 0 : -ENAMETOOLONG;
}

int journal_boot_id(char out[40])
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;
    int r = file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 128, &b);

    if (r < 0)
        return r;
    snprintf(out, 40, "%.36s", buf_str(&b));
    return 0;
}

int journal_path(const char *dir, uint64_t dev, uint64_t ino, char *out, size_t n)
{
    char boot[40];
    int r = journal_boot_id(boot);
    int len;

    if (r < 0)
        return r;
    len = snprintf(out, n, "%s/drain-%s-%" PRIx64 "-%" PRIx64 ".journal", dir, boot, dev, ino);
    return len < 0 || (size_t)len >= n ? -ENAMETOOLONG : 0;
}

bool journal_parse_name(const char *name, uint64_t *dev, uint64_t *ino, bool *this_boot)
{
    char boot[40], made[40];
    int end = 0;

    if (sscanf(name, "drain-%36[0-9a-f-]-%" SCNx64 "-%" SCNx64 ".journal%n", made, dev, ino,
               &end) != 3 ||
        !end || name[end] || journal_boot_id(boot) < 0)
        return false;
    *this_boot = !strcmp(boot, made);
    return true;
}

bool journal_this_boot(const struct journal_head *h)
{
    char boot[40];

    return journal_boot_id(boot) == 0 && !strncmp(boot, h->boot, sizeof(boot));
}

/* ---- the pattern ---- */

static uint64_t pattern(uint64_t seed, size_t at)
{
    uint64_t z = seed + (at >> 3) * UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static unsigned char pattern_byte(uint64_t seed, size_t at)
{
    return (unsigned char)(pattern(seed, at) >> 8 * (at & 7));
}

/* Both ends are multiples of 8. Writing it also brings every page in. */
static void fill(struct journal *j, size_t from, size_t to)
{
    uint64_t seed = journal_head(j)->seed;

    for (size_t at = from; at < to; at += 8) {
        uint64_t v = pattern(seed, at);

        memcpy(j->map + at, &v, 8);
    }
}

static void make_blank(struct journal *j, size_t at)
{
    *journal_at(j, at) = (struct journal_record){.priority = JOURNAL_NO_PRIORITY};
}

/* ---- the mapping ---- */

static int grow(struct journal *j, size_t size)
{
    char *map;
    int r;

    /* Allocated on the disk now: a write to the mapping must find no full disk. */
    r = posix_fallocate(j->fd, 0, (off_t)size);
    if (r)
        return -r;
    if (j->map)
        map = mremap(j->map, j->size, size, MREMAP_MAYMOVE);
    else
        map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, j->fd, 0);
    if (map == MAP_FAILED)
        return -errno;
    j->map = map;
    j->size = size;
    /* Best effort: without it the pages are touched right before they are needed. */
    (void)mlock(map, size);
    return 0;
}

static size_t page_up(size_t n)
{
    return (n + 4095) & ~(size_t)4095;
}

/* Size with room for so much behind @used, and for the longest message behind that. */
static int size_for(size_t used, uint64_t messages, uint64_t bytes, uint64_t msgsize, size_t *out)
{
    uint64_t size;

    if (messages > PMQ_HARD_MSGMAX || msgsize > PMQ_HARD_MSGSIZEMAX ||
        __builtin_add_overflow(bytes, messages * UINT64_C(2) * JOURNAL_RECORD, &size) ||
        __builtin_add_overflow(size, used + msgsize + UINT64_C(4) * JOURNAL_RECORD, &size) ||
        size > INT64_MAX / 2)
        return -EOVERFLOW;
    *out = page_up((size_t)size);
    return 0;
}

int journal_reserve(struct journal *j, uint64_t messages, uint64_t bytes)
{
    size_t old = j->size, size;
    int r = size_for(j->end, messages, bytes, journal_head(j)->msgsize, &size);

    if (r < 0 || size <= old)
        return r;
    r = grow(j, size);
    if (r == 0)
        fill(j, old, size);
    return r;
}

static int map_new(struct journal *j, const struct pmq_queue *q, const struct pmq_attr *a)
{
    struct journal_head *h;
    size_t size;
    int r = size_for(JOURNAL_HEAD, a->curmsgs, a->bytes, a->msgsize, &size);

    if (r == 0)
        r = grow(j, size);
    if (r < 0)
        return r;
    h = journal_head(j);
    *h = (struct journal_head){
        .version = JOURNAL_VERSION,
        .phase = JOURNAL_RECEIVING,
        .dev = a->dev,
        .ino = a->ino,
        .msgsize = a->msgsize,
        .started = timefmt_now(CLOCK_REALTIME),
        .depth = a->curmsgs,
        .bytes = a->bytes,
        .pid = (uint32_t)getpid(),
    };
    if (getrandom(&h->seed, sizeof(h->seed), 0) != sizeof(h->seed))
        return -errno;
    snprintf(h->label, sizeof(h->label), "%s", pmq_queue_label(q));
    r = journal_boot_id(h->boot);
    if (r < 0)
        return r;
    fill(j, JOURNAL_HEAD, size);
    j->end = JOURNAL_HEAD;
    make_blank(j, j->end);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    memcpy(h->magic, magic, sizeof(magic));
    return 0;
}

/* One that was begun, and nothing ever taken, is in nobody's way. */
static int create_file(const char *path)
{
    const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    struct journal old;
    int fd = open(path, flags, 0600);

    if (fd >= 0 || errno != EEXIST)
        return fd;
    if (journal_open(path, true, &old) == -ENODATA && unlink(path) == 0)
        return open(path, flags, 0600);
    journal_close(&old);
    errno = EEXIST;
    return -1;
}

int journal_create(const struct pmq_queue *q, const struct pmq_attr *a, struct journal *j,
                   struct err *e)
{
    char dir[4096 - 256];
    int r = statedir_path(dir, sizeof(dir), e);
    _cleanup_(closep) int fd = r < 0 ? r : statedir_open(e);

    *j = (struct journal){.fd = -1};
    if (fd < 0)
        return fd;
    r = journal_path(dir, a->dev, a->ino, j->path, sizeof(j->path));
    if (r < 0)
        return r;
    j->fd = create_file(j->path);
    if (j->fd < 0 && errno == EEXIST)
        return err_set(e, -EBUSY, "run: mqpeek recover",
                       "a drain of it is at work or was interrupted (%s)", j->path);
    if (j->fd < 0)
        return err_set(e, -errno, NULL, "cannot make %s: %s", j->path, err_text(NULL, -errno));
    r = flock(j->fd, LOCK_EX | LOCK_NB) < 0 ? -errno : map_new(j, q, a);
    if (r < 0) {
        journal_remove(j);
        journal_close(j);
        return err_set(e, r, NULL, "cannot prepare the journal in %s: %s", dir, err_text(NULL, r));
    }
    return 0;
}

/* ---- taking one up ---- */

/* Walks the records. Every number in the file is taken for a lie until it is shown to fit. */
static int check(struct journal *j)
{
    const struct journal_head *h = journal_head(j);
    size_t at = JOURNAL_HEAD;
    bool sending = h->phase == JOURNAL_SENDING;

    if (memcmp(h->magic, magic, sizeof(magic)) != 0)
        return -ENODATA;
    if (h->version != JOURNAL_VERSION || h->phase > JOURNAL_SENDING ||
        h->msgsize > PMQ_HARD_MSGSIZEMAX || !memchr(h->label, '\0', sizeof(h->label)))
        return -EBADMSG;
    for (;;) {
        const struct journal_record *r = journal_at(j, at);

        if (at + JOURNAL_RECORD > j->size)
            return -EBADMSG;
        if (r->commit == 0)
            break;
        if (r->commit - 1 > h->msgsize || r->priority >= PMQ_PRIO_MAX || r->sent > 1 ||
            journal_space(r->commit - 1) > j->size - at)
            return -EBADMSG;
        /* Messages go back from the first on, once all have been received. */
        if (r->sent && (!sending || j->n_sent != j->n))
            return -EBADMSG;
        j->n++;
        j->bytes += r->commit - 1;
        if (r->sent) {
            j->n_sent++;
            j->bytes_sent += r->commit - 1;
        }
        at += journal_space(r->commit - 1);
    }
    if (journal_at(j, at)->priority != JOURNAL_NO_PRIORITY &&
        journal_at(j, at)->priority >= PMQ_PRIO_MAX)
        return -EBADMSG;
    j->end = at;
    return 0;
}

static int open_file(const char *path, bool write, struct journal *j)
{
    struct stat st;
    int r;

    j->fd = open(path, (write ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (j->fd < 0)
        return -errno;
    if (fstat(j->fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || (st.st_uid != getuid() && st.st_uid != 0))
        return -EPERM;
    if (flock(j->fd, (write ? LOCK_EX : LOCK_SH) | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? -EBUSY : -errno;
    /* Finished between the opening and the locking. */
    if (fstat(j->fd, &st) < 0 || st.st_nlink == 0)
        return -ENOENT;
    if (st.st_size < JOURNAL_HEAD + JOURNAL_RECORD)
        return -ENODATA;
    if (write) {
        r = grow(j, page_up((size_t)st.st_size));
        return r < 0 ? r : check(j);
    }
    j->size = (size_t)st.st_size;
    j->map = mmap(NULL, j->size, PROT_READ, MAP_SHARED, j->fd, 0);
    if (j->map == MAP_FAILED) {
        j->map = NULL;
        return -errno;
    }
    return check(j);
}

int journal_open(const char *path, bool write, struct journal *j)
{
    int r;

    *j = (struct journal){.fd = -1};
    snprintf(j->path, sizeof(j->path), "%s", path);
    r = open_file(path, write, j);
    if (r < 0)
        journal_close(j);
    return r;
}

/* ---- going on ---- */

bool journal_has_room(const struct journal *j)
{
    return j->size - j->end >= journal_space(journal_head(j)->msgsize) + JOURNAL_RECORD;
}

void journal_touch(struct journal *j)
{
    size_t last = MIN(j->end + journal_space(journal_head(j)->msgsize) + JOURNAL_RECORD, j->size);
    volatile char *map = j->map;

    for (size_t at = j->end & ~(size_t)4095; at < last; at += 4096)
        map[at] = map[at];
}

void journal_commit(struct journal *j, size_t length)
{
    struct journal_record *r = journal_at(j, j->end);
    size_t next = j->end + journal_space(length);

    make_blank(j, next);
    __atomic_store_n(&r->commit, (uint32_t)length + 1, __ATOMIC_SEQ_CST);
    j->end = next;
    j->n++;
    j->bytes += length;
}

/* How many of the @n bytes behind the record at the end were written: the rest is still the
 * pattern. */
static size_t written(const struct journal *j, size_t n)
{
    size_t from = j->end + JOURNAL_RECORD;
    uint64_t seed = journal_head(j)->seed;

    while (n && (unsigned char)j->map[from + n - 1] == pattern_byte(seed, from + n - 1))
        n--;
    return n;
}

static size_t longest_payload(const struct journal *j)
{
    return MIN((size_t)journal_head(j)->msgsize, j->size - j->end - JOURNAL_RECORD);
}

/* Whether a record was made blank @n bytes behind the one at the end, of which the second half may
 * be missing. */
static bool is_followed(const struct journal *j, size_t n)
{
    size_t at = j->end + JOURNAL_RECORD + n;
    const struct journal_record *r = journal_at(j, at);
    uint64_t half;

    if (j->size - at < JOURNAL_RECORD || r->priority != JOURNAL_NO_PRIORITY || r->commit)
        return false;
    memcpy(&half, j->map + at + 8, 8);
    return half == 0 || half == pattern(journal_head(j)->seed, at + 8);
}

size_t journal_guess_length(const struct journal *j)
{
    size_t n = written(j, longest_payload(j));
    size_t last = n ? (n - 1) & ~(size_t)(JOURNAL_RECORD - 1) : 0;

    return n && is_followed(j, last) ? written(j, last) : n;
}

bool journal_can_be_length(const struct journal *j, uint64_t length)
{
    size_t n = longest_payload(j), whole = written(j, n), own;

    if (length > n)
        return false;
    /* Trailing bytes that equal the pattern by chance: 8 of them, once in 2^64 messages. */
    if (length >= whole && length - whole <= 8)
        return true;
    own = journal_space((size_t)length) - JOURNAL_RECORD;
    if (whole > own + JOURNAL_RECORD || !is_followed(j, own))
        return false;
    whole = written(j, MIN(own, n));
    return length >= whole && length - whole <= 8;
}

void journal_remove(struct journal *j)
{
    if (j->path[0])
        unlink(j->path);
    j->path[0] = '\0';
}

void journal_close(struct journal *j)
{
    if (j->map)
        munmap(j->map, j->size);
    if (j->fd >= 0)
        close(j->fd);
    j->map = NULL;
    j->fd = -1;
}
