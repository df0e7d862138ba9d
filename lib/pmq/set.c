/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A listing while it grows. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "pmq_set.h"

int set_builder_init(struct set_builder *b)
{
    *b = (struct set_builder){.n_slots = 256};
    b->set = calloc(1, sizeof(*b->set));
    b->slots = calloc(b->n_slots, sizeof(*b->slots));
    return b->set && b->slots ? 0 : -ENOMEM;
}

void set_builder_done(struct set_builder *b)
{
    pmq_set_free(b->set);
    free(b->slots);
}

/* Inode numbers are a plain count: spread them. */
static size_t slot_of(const struct set_builder *b, uint64_t dev, uint64_t ino)
{
    return (size_t)(((ino ^ dev << 40) * UINT64_C(0x9e3779b97f4a7c15)) >> 20) & (b->n_slots - 1);
}

struct pmq_info *set_find(const struct set_builder *b, uint64_t dev, uint64_t ino)
{
    for (size_t i = slot_of(b, dev, ino); b->slots[i]; i = (i + 1) & (b->n_slots - 1)) {
        struct pmq_info *q = &b->set->v[b->slots[i] - 1];

        if (q->attr.dev == dev && q->attr.ino == ino)
            return q;
    }
    return NULL;
}

static void index_queue(struct set_builder *b, size_t at)
{
    const struct pmq_attr *a = &b->set->v[at].attr;
    size_t i = slot_of(b, a->dev, a->ino);

    while (b->slots[i])
        i = (i + 1) & (b->n_slots - 1);
    b->slots[i] = at + 1;
}

static int grow(struct set_builder *b)
{
    size_t cap = b->cap ? b->cap * 2 : 64;
    struct pmq_info *v = reallocarray(b->set->v, cap, sizeof(*v));
    size_t *slots;

    if (!v)
        return -ENOMEM;
    b->set->v = v;
    b->cap = cap;
    if (b->n_slots > 2 * cap)
        return 0;
    slots = calloc(4 * cap, sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    free(b->slots);
    b->slots = slots;
    b->n_slots = 4 * cap;
    for (size_t i = 0; i < b->set->n; i++)
        index_queue(b, i);
    return 0;
}

int set_add(struct set_builder *b, const struct pmq_info *info)
{
    int r = b->set->n == b->cap ? grow(b) : 0;

    if (r < 0)
        return r;
    b->set->v[b->set->n] = *info;
    index_queue(b, b->set->n++);
    return 0;
}

/* Room for one more in an array whose capacity is the next power of two. */
static int room(void **v, size_t n, size_t size)
{
    void *p;

    if (n & (n - 1))
        return 0;
    p = reallocarray(*v, n ? n * 2 : 1, size);
    if (!p)
        return -ENOMEM;
    *v = p;
    return 0;
}

int set_add_holder(struct pmq_info *q, const struct pmq_holder *h)
{
    void *v = q->holders;
    int r = room(&v, q->n_holders, sizeof(*h));

    q->holders = v;
    if (r == 0)
        q->holders[q->n_holders++] = *h;
    return r;
}

int set_add_waiter(struct pmq_info *q, const struct pmq_waiter *w)
{
    void *v = q->waiters;
    int r = room(&v, q->n_waiters, sizeof(*w));

    q->waiters = v;
    if (r == 0)
        q->waiters[q->n_waiters++] = *w;
    return r;
}

int set_add_path(struct pmq_set *set, const char *path, const char **ret)
{
    char **v = reallocarray(set->paths, set->n_paths + 1, sizeof(*v));
    char *copy = strdup(path);

    if (v)
        set->paths = v;
    if (!v || !copy) {
        free(copy);
        return -ENOMEM;
    }
    *ret = v[set->n_paths++] = copy;
    return 0;
}

void set_note(struct pmq_set *set, const char *fmt, ...)
{
    size_t used = strlen(set->note);
    va_list ap;

    if (used)
        used += (size_t)snprintf(set->note + used, sizeof(set->note) - used, "; ");
    if (used >= sizeof(set->note))
        return;
    va_start(ap, fmt);
    vsnprintf(set->note + used, sizeof(set->note) - used, fmt, ap);
    va_end(ap);
}

static void info_done(struct pmq_info *q)
{
    free(q->holders);
    free(q->waiters);
}

bool pmq_info_ref(const struct pmq_info *q, struct pmq_ref *out)
{
    struct pmq_ref ref = {.kind = PMQ_REF_NAME};

    if (q->attr.name[0] && !q->attr.unlinked) {
        if (q->ns_pid == PMQ_NS_NO_PROCESS) {
            ref.kind = PMQ_REF_NS_NAME;
            snprintf(ref.path, sizeof(ref.path), "%s", q->ns_path);
        } else if (q->ns_pid) {
            ref.kind = PMQ_REF_PID_NAME;
            ref.pid = q->ns_pid;
        }
        memcpy(ref.name, q->attr.name, sizeof(ref.name));
        *out = ref;
        return true;
    }
    for (size_t i = 0; i < q->n_holders; i++) {
        if (!q->holders[i].tid)
            continue;
        ref.kind = PMQ_REF_PID_FD;
        ref.pid = q->holders[i].tid;
        ref.fd = q->holders[i].fd;
        *out = ref;
        return true;
    }
    return false;
}

static bool held_by(const struct pmq_info *q, pid_t pid)
{
    for (size_t i = 0; i < q->n_holders; i++)
        if (q->holders[i].pid == pid)
            return true;
    return false;
}

static int by_name(const void *a, const void *b)
{
    const struct pmq_info *x = a, *y = b;
    int r = (x->ns_pid != 0) - (y->ns_pid != 0);

    if (!r)
        r = (x->ipc_ns > y->ipc_ns) - (x->ipc_ns < y->ipc_ns);
    if (!r)
        r = strcmp(x->attr.name, y->attr.name);
    return r ? r : (x->attr.ino > y->attr.ino) - (x->attr.ino < y->attr.ino);
}

void set_finish(struct set_builder *b, pid_t pid)
{
    struct pmq_set *s = b->set;
    size_t kept = 0;

    for (size_t i = 0; i < s->n; i++) {
        if (pid && !held_by(&s->v[i], pid))
            info_done(&s->v[i]);
        else
            s->v[kept++] = s->v[i];
    }
    s->n = kept;
    if (s->n)
        array_sort(s->v, s->n, sizeof(*s->v), by_name);
}

void pmq_set_free(struct pmq_set *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++)
        info_done(&s->v[i]);
    for (size_t i = 0; i < s->n_paths; i++)
        free(s->paths[i]);
    free(s->paths);
    free(s->v);
    free(s);
}

void pmq_set_freep(struct pmq_set **s)
{
    pmq_set_free(*s);
}
