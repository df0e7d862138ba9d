/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which io_uring a descriptor of the program is of, where the ring's memory lies, and when it ends.
 *
 * The kernel does io_uring_setup(), so that the supervisor sees the descriptor only when it is used
 * later. The supervisor has a descriptor of each ring, and kcmp() tells whether a program's
 * descriptor is of the same ring, also after fork() and dup() and when a number is used again.
 * Since the supervisor's descriptor would keep the ring alive, it looks from time to time whether
 * any program still has it, and closes its own when none has.
 */
#include <assert.h>
#include <errno.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "emul_uring.h"
#include "fileio.h"
#include "proc.h"
#include "uring_user_addr.h"

#define RING_LINK "anon_inode:[io_uring]"

/* The flags that decide about the layout of a ring. */
#define LAYOUT_FLAGS                                                                       \
    (IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SQE128 | IORING_SETUP_CQE32 | \
     (uint32_t)RING_SETUP_NO_SQARRAY | (uint32_t)RING_SETUP_CQE_MIXED)

/* ---- descriptors ---- */

static bool same_file(const struct ring_place *at, const struct ring *r)
{
    return syscall(SYS_kcmp, at->tid, r->holder, KCMP_FILE, at->fd, r->fd) == 0;
}

/* The number that the caller's next descriptor gets, unless another thread is faster. */
static int next_fd(const struct call *c)
{
    char path[48], link[8];
    int fd = -1;

    do
        snprintf(path, sizeof(path), "/proc/%d/fd/%d", c->tid, ++fd);
    while (readlink(path, link, sizeof(link)) >= 0);
    return fd;
}

int ring_is(const struct call *c, int fd)
{
    char path[48], link[64];
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/%d/fd/%d", c->tid, fd);
    n = readlink(path, link, sizeof(link));
    if (n < 0)
        return errno == ENOENT ? -EBADF : -errno;
    return n == (ssize_t)strlen(RING_LINK) && !memcmp(link, RING_LINK, (size_t)n);
}

/* ---- setting up ---- */

int ring_expect(struct uring_emulator *u, const struct call *c, const struct pending *p)
{
    struct pending own = *p;

    own.process = call_process(c);
    if (own.process < 0)
        return own.process;
    own.fd = next_fd(c);
    pthread_mutex_lock(&u->lock);
    u->n_pending += !u->pending[u->next_pending % PENDING].process;
    u->pending[u->next_pending++ % PENDING] = own;
    pthread_mutex_unlock(&u->lock);
    return 0;
}

/* Sets up a ring of the same kind, to learn the offsets. */
static int layout_of(const struct pending *p, struct io_uring_params *out)
{
    int fd;

    *out = (struct io_uring_params){.flags = p->p.flags & LAYOUT_FLAGS,
                                    .cq_entries = p->p.cq_entries};
    fd = (int)syscall(SYS_io_uring_setup, p->entries, out);
    if (fd < 0)
        return -errno;
    close(fd);
    return 0;
}

/* How many entries a ring has, as its memory says. Return: false when it cannot be mapped. */
static bool ring_sizes(const struct uring_emulator *u, int fd, uint32_t *sq, uint32_t *cq)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *head = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, IORING_OFF_SQ_RING);

    if (head == MAP_FAILED)
        return false;
    *sq = *(uint32_t *)(void *)(head + u->plain.sq_off.ring_entries);
    *cq = *(uint32_t *)(void *)(head + u->plain.cq_off.ring_entries);
    munmap(head, page);
    return true;
}

/*
 * Finds the setup that a ring came from, and its layout. A setup may have failed and have been
 * tried again, so that several may fit: the newest is taken, if possible one of this process and
 * number.
 */
static int take_pending(struct uring_emulator *u, pid_t process, int their_fd, int fd,
                        struct pending *out, struct io_uring_params *layout)
{
    uint32_t sq = 0, cq = 0;
    bool mapped = ring_sizes(u, fd, &sq, &cq);
    struct pending *best = NULL;
    int best_score = -1;

    for (unsigned int i = 1; i <= PENDING; i++) {
        struct pending *p = &u->pending[(u->next_pending - i) % PENDING];
        int score = (p->process == process) + 2 * (p->process == process && p->fd == their_fd);
        struct io_uring_params l;

        if (!p->process || !(p->p.flags & RING_SETUP_NO_MMAP) != mapped || score <= best_score)
            continue;
        if (layout_of(p, &l) < 0 || (mapped && (l.sq_entries != sq || l.cq_entries != cq)))
            continue;
        best = p;
        best_score = score;
        *layout = l;
    }
    if (!best)
        return -ENOENT;
    *out = *best;
    for (size_t i = 0; i < PENDING; i++)
        if (u->pending[i].process == out->process && u->pending[i].fd == out->fd) {
            u->pending[i].process = 0;
            u->n_pending--;
        }
    return 0;
}

static int map_ring(struct ring *r, const struct io_uring_params *l)
{
    size_t cqe = sizeof(struct io_uring_cqe) << (r->flags & IORING_SETUP_CQE32 ? 1 : 0);
    size_t sqe = sizeof(struct io_uring_sqe) << (r->flags & IORING_SETUP_SQE128 ? 1 : 0);
    void *p;

    r->map_size = l->cq_off.cqes + l->cq_entries * cqe;
    if (!(r->flags & RING_SETUP_NO_SQARRAY))
        r->map_size = MAX(r->map_size, l->sq_off.array + l->sq_entries * sizeof(uint32_t));
    r->sqes_size = l->sq_entries * sqe;
    p = mmap(NULL, r->map_size, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, IORING_OFF_SQ_RING);
    if (p == MAP_FAILED)
        return -errno;
    r->map = p;
    p = mmap(NULL, r->sqes_size, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, IORING_OFF_SQES);
    if (p == MAP_FAILED)
        return -errno;
    r->sqes = p;
    return 0;
}

/* A program that asked for a polling thread enters the kernel when it sees this flag. */
static void want_wakeup(const struct ring *r, const struct call *c)
{
    uint32_t flags;

    if (r->map) {
        __atomic_fetch_or((uint32_t *)(void *)(r->map + r->off.flags), IORING_SQ_NEED_WAKEUP,
                          __ATOMIC_SEQ_CST);
    } else if (call_read(c, r->their_map + r->off.flags, &flags, sizeof(flags)) == 0) {
        flags |= IORING_SQ_NEED_WAKEUP;
        (void)call_write(c, r->their_map + r->off.flags, &flags, sizeof(flags));
    }
}

static void ring_free(struct ring *r)
{
    assert(!r->subs);
    if (r->map)
        munmap(r->map, r->map_size);
    if (r->sqes)
        munmap(r->sqes, r->sqes_size);
    closep(&r->fd);
    pthread_mutex_destroy(&r->lock);
    free(r->replaced);
    free(r->batch);
    free(r);
}

/* Called with the emulator's lock. Return: NULL when the ring cannot be followed. */
static struct ring *ring_new(struct uring_emulator *u, const struct call *c, int their_fd)
{
    struct io_uring_params layout;
    struct pending setup;
    struct ring *r;
    pid_t process;

    if (ring_is(c, their_fd) <= 0)
        return NULL;
    process = call_process(c);
    r = calloc(1, sizeof(*r));
    if (!r || process < 0) {
        free(r);
        return NULL;
    }
    pthread_mutex_init(&r->lock, NULL);
    r->refs = 1; /* the list's */
    r->holder = getpid();
    r->fd = call_getfd(c, their_fd);
    if (r->fd < 0 || take_pending(u, process, their_fd, r->fd, &setup, &layout) < 0) {
        ring_free(r);
        return NULL;
    }
    r->flags = setup.p.flags;
    r->sq_entries = layout.sq_entries;
    r->off = layout.sq_off;
    if (r->flags & RING_SETUP_NO_MMAP) {
        r->their_map = URING_USER_ADDR(setup.p.cq_off);
        r->their_sqes = URING_USER_ADDR(setup.p.sq_off);
    } else if (map_ring(r, &layout) < 0) {
        ring_free(r);
        return NULL;
    }
    if (setup.stripped)
        want_wakeup(r, c);
    r->next = u->rings;
    u->rings = r;
    event_raise(u->wake);
    return r;
}

/* ---- finding ---- */

static struct hint *hint_of(struct uring_emulator *u, pid_t tid, int fd)
{
    return &u->hints[((uint32_t)tid * 31 + (uint32_t)fd) % HINTS];
}

static void note_place(struct ring *r, const struct ring_place *at)
{
    for (size_t i = 0; i < ARRAY_SIZE(r->seen); i++)
        if (r->seen[i].tid == at->tid && r->seen[i].fd == at->fd)
            return;
    memmove(&r->seen[1], &r->seen[0], sizeof(r->seen) - sizeof(r->seen[0]));
    r->seen[0] = *at;
}

struct ring *ring_find(struct uring_emulator *u, const struct call *c, int fd)
{
    struct ring_place at = {.tid = c->tid, .fd = fd};
    struct hint *hint;
    struct ring *r;

    pthread_mutex_lock(&u->lock);
    hint = hint_of(u, c->tid, fd);
    r = hint->at.tid == c->tid && hint->at.fd == fd ? hint->ring : NULL;
    if (!r || !same_file(&at, r)) {
        for (r = u->rings; r && !same_file(&at, r); r = r->next)
            ;
        if (!r)
            r = ring_new(u, c, fd);
        if (r) {
            note_place(r, &at);
            *hint = (struct hint){.at = at, .ring = r};
        }
    }
    if (r)
        r->refs++;
    pthread_mutex_unlock(&u->lock);
    return r;
}

void ring_unref(struct uring_emulator *u, struct ring *r)
{
    bool last;

    pthread_mutex_lock(&u->lock);
    assert(r->refs > 0);
    last = --r->refs == 0;
    pthread_mutex_unlock(&u->lock);
    if (last)
        ring_free(r);
}

/* ---- the end ---- */

/* Ends a ring. Called with its lock and the list's reference, and releases both. */
static void ring_end(struct uring_emulator *u, struct ring *r)
{
    struct ring **at = &u->rings;

    pthread_mutex_lock(&u->lock);
    while (*at && *at != r)
        at = &(*at)->next;
    if (*at)
        *at = r->next;
    for (size_t i = 0; i < HINTS; i++)
        if (u->hints[i].ring == r)
            u->hints[i] = (struct hint){0};
    pthread_mutex_unlock(&u->lock);
    deferred_forget(u, r);
    uchan_unlist_owned(&u->chans, r);
    while (r->subs) {
        struct usub *s = r->subs;

        r->subs = s->owned;
        deferred_recv_free(s);
        usub_free(&u->chans, s);
    }
    pthread_mutex_unlock(&r->lock);
    ring_unref(u, r);
}

/* A search through all processes for rings that are no longer where they were seen. */
struct search {
    struct uring_emulator *u;
    struct ring *lost[64];
    size_t n;
};

static int search_fd(const struct proc_fd *f, void *ctx)
{
    struct search *s = ctx;
    struct ring_place at = {.tid = f->pid, .fd = f->fd};

    if (strcmp(f->link, RING_LINK) != 0)
        return 0;
    for (size_t i = 0; i < s->n; i++)
        if (s->lost[i] && same_file(&at, s->lost[i])) {
            pthread_mutex_lock(&s->u->lock);
            note_place(s->lost[i], &at);
            s->lost[i]->missed = 0;
            pthread_mutex_unlock(&s->u->lock);
            ring_unref(s->u, TAKE_PTR(s->lost[i]));
        }
    return 0;
}

static int search_pid(pid_t pid, void *ctx)
{
    struct search *s = ctx;

    if (pid != getpid())
        (void)proc_visit_fds(s->u->proc, pid, search_fd, s);
    return 0;
}

static bool where_it_was(const struct ring *r)
{
    for (size_t i = 0; i < ARRAY_SIZE(r->seen); i++)
        if (r->seen[i].tid && same_file(&r->seen[i], r))
            return true;
    return false;
}

bool rings_any(struct uring_emulator *u)
{
    bool any;

    pthread_mutex_lock(&u->lock);
    any = u->rings != NULL;
    pthread_mutex_unlock(&u->lock);
    return any;
}

bool rings_pending(struct uring_emulator *u)
{
    bool any;

    pthread_mutex_lock(&u->lock);
    any = u->n_pending > 0;
    pthread_mutex_unlock(&u->lock);
    return any;
}

bool rings_alive(struct uring_emulator *u, const void *ring)
{
    struct ring *r;
    bool alive;

    pthread_mutex_lock(&u->lock);
    for (r = u->rings; r && r != ring; r = r->next)
        ;
    alive = r && where_it_was(r);
    pthread_mutex_unlock(&u->lock);
    return alive;
}

/* One look at all processes may miss a ring that is passed on by fork() meanwhile; two do not. */
enum { ROUNDS = 2 };

/* No process was found to have the ring. Return: whether another look is needed. */
static bool miss(struct uring_emulator *u, struct ring *r)
{
    bool gone, again;

    pthread_mutex_lock(&u->lock);
    gone = ++r->missed == ROUNDS && pthread_mutex_trylock(&r->lock) == 0;
    if (r->missed == ROUNDS && !gone)
        r->missed = 0; /* a submission is being looked at: it exists after all */
    again = r->missed && r->missed < ROUNDS;
    pthread_mutex_unlock(&u->lock);
    if (gone)
        ring_end(u, r);
    return again;
}

static bool reap_round(struct uring_emulator *u)
{
    struct search s = {.u = u};
    bool again = false;

    pthread_mutex_lock(&u->lock);
    for (struct ring *r = u->rings; r && s.n < ARRAY_SIZE(s.lost); r = r->next)
        if (!where_it_was(r)) {
            r->refs++;
            s.lost[s.n++] = r;
        }
    pthread_mutex_unlock(&u->lock);
    if (s.n)
        (void)proc_visit_pids(u->proc, search_pid, &s);
    for (size_t i = 0; i < s.n; i++)
        if (s.lost[i]) {
            again |= miss(u, s.lost[i]);
            ring_unref(u, s.lost[i]);
        }
    return again;
}

void rings_reap(struct uring_emulator *u, bool now)
{
    while (reap_round(u) && now)
        ;
}

void rings_free(struct uring_emulator *u)
{
    while (u->rings) {
        pthread_mutex_lock(&u->rings->lock);
        ring_end(u, u->rings);
    }
}
