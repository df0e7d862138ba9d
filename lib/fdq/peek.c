/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Chooses the backend that reads a queue, and turns its records into messages. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "cleanup.h"

static const struct fdq_ops *const all_ops[] = {&fdq_bpf_ops, &fdq_recv_ops, &fdq_tee_ops};

const char *const fdq_backends[] = {"bpf", "recv", "tee", NULL};

/* A backend, which is opened when it is first needed. */
struct way {
    bool tried;
    int error;
    struct err why;
    void *state;
};

struct fdq_peeker {
    struct fdq_peek_opts opts;
    struct way ways[ARRAY_SIZE(all_ops)];
    struct fdq_passed *fds; /* the descriptors in one message */
    size_t fds_room;
    struct fdq_catch found; /* result of the last fdq_peek() */
};

static const struct fdq_ops *ops_named(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(all_ops); i++)
        if (!strcmp(all_ops[i]->name, name))
            return all_ops[i];
    return NULL;
}

int fdq_backend_probe(const char *name, struct err *e)
{
    const struct fdq_ops *ops = ops_named(name);

    return ops ? ops->probe(e) : -EINVAL;
}

int fdq_backend_check(const char *name, struct err *e)
{
    const struct fdq_ops *ops = ops_named(name);

    return ops && ops->check ? ops->check(e) : fdq_backend_probe(name, e);
}

int fdq_peeker_new(const struct fdq_peek_opts *opts, struct fdq_peeker **ret, struct err *e)
{
    struct fdq_peeker *p;

    if (opts->backend && !ops_named(opts->backend))
        return err_set(e, -EINVAL, NULL, "there is no backend of that name, only bpf, recv, tee");
    p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    p->opts = *opts;
    *ret = p;
    return 0;
}

void fdq_peeker_free(struct fdq_peeker *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(all_ops); i++)
        if (p->ways[i].state)
            all_ops[i]->close(p->ways[i].state);
    free(p->fds);
    free(p);
}

void fdq_peeker_freep(struct fdq_peeker **p)
{
    fdq_peeker_free(*p);
}

/* ---- records ---- */

void fdq_add_record(struct buf *records, const void *data, size_t n, uint32_t flags)
{
    const struct fdpeek_record record = {.length = n, .flags = flags};

    buf_add(records, &record, sizeof(record));
    buf_add(records, data, n);
    buf_add_repeat(records, '\0', -n & 7);
}

/* Copies the description of the descriptors in a message. Return: the copy, or NULL. */
static const struct fdq_passed *passed_of(struct fdq_peeker *p, const char *from, size_t n)
{
    if (n > p->fds_room) {
        struct fdq_passed *more = reallocarray(p->fds, n, sizeof(*more));

        if (!more)
            return NULL;
        p->fds = more;
        p->fds_room = n;
    }
    for (size_t i = 0; i < n; i++) {
        struct fdpeek_passed one;

        memcpy(&one, from + i * sizeof(one), sizeof(one));
        p->fds[i] = (struct fdq_passed){.inode = one.inode, .mode = one.mode};
        memcpy(p->fds[i].name, one.name, sizeof(one.name));
        p->fds[i].name[sizeof(one.name) - 1] = '\0';
    }
    return p->fds;
}

/* Parses the record at @at. Return: offset of the next one; 0 when this one is incomplete. */
static uint64_t read_record(const struct fdq_catch *c, uint64_t at, bool heads,
                            struct fdpeek_record *record)
{
    uint64_t left = c->bytes - at, need = sizeof(*record), payload;

    if (left < need)
        return 0;
    memcpy(record, c->records + at, sizeof(*record));
    payload = heads ? 0 : record->length;
    if (record->n_fds > 253 || payload > left)
        return 0;
    need += record->n_fds * sizeof(struct fdpeek_passed) + ((payload + 7) & ~UINT64_C(7));
    return need > left ? 0 : at + need;
}

/* Checks that all records are complete and that their number is right; adds up their bytes. */
static bool adds_up(const struct fdq_catch *c, bool heads, uint64_t *bytes)
{
    struct fdpeek_record record;
    uint64_t at = 0;

    *bytes = 0;
    for (uint64_t i = 0; i < c->messages; i++) {
        at = read_record(c, at, heads, &record);
        if (!at)
            return false;
        *bytes += record.length;
    }
    return at == c->bytes;
}

int fdq_peek_visit(struct fdq_peeker *p, fdq_message_fn visit, void *ctx)
{
    const struct fdq_catch *c = &p->found;
    struct fdpeek_record record;
    uint64_t at = 0, next;
    int r = 0;

    for (uint64_t i = 0; i < c->messages && r == 0; i++, at = next) {
        struct fdq_message m = {.index = i};
        size_t passed = 0;

        next = read_record(c, at, p->opts.heads, &record);
        if (!next)
            return -EBADMSG;
        at += sizeof(record);
        passed = record.n_fds * sizeof(struct fdpeek_passed);
        m.length = record.length;
        m.oob = record.flags & FDPEEK_OOB;
        m.pid = (pid_t)record.pid;
        m.uid = record.uid;
        m.gid = record.gid;
        m.n_fds = record.n_fds;
        m.fds = record.n_fds ? passed_of(p, c->records + at, record.n_fds) : NULL;
        if (record.n_fds && !m.fds)
            return -ENOMEM;
        m.data = p->opts.heads ? NULL : c->records + at + passed;
        r = visit(&m, ctx);
    }
    return r;
}

/* ---- choosing ---- */

static int way_open(struct fdq_peeker *p, size_t i)
{
    struct way *w = &p->ways[i];

    if (!w->tried) {
        w->tried = true;
        w->error = all_ops[i]->probe(&w->why);
        if (w->error == 0)
            w->error = all_ops[i]->open(&p->opts, &w->state);
    }
    return w->error;
}

static int look(struct fdq_peeker *p, size_t i, const struct fdq_queue *q,
                struct fdq_peek_info *info, struct err *e)
{
    struct fdq_catch *c = &p->found;
    const struct fdq_ops *ops = all_ops[i];
    uint64_t bytes;
    int r;

    *info = (struct fdq_peek_info){
        .backend = ops->name,
        .depth = FDQ_UNKNOWN,
        .capacity = q->capacity,
        .tries = 1,
    };
    r = ops->look(p->ways[i].state, q, c, info, e);
    if (r < 0)
        return r;
    if (!adds_up(c, p->opts.heads, &bytes))
        return err_set(e, -EIO, "report it with the kernel's version; another backend may work",
                       "what was read is not this queue: its messages do not add up");
    info->bytes = bytes;
    return 0;
}

/* Tries one backend. Return: 0, or the reason of its failure. */
static int try_way(struct fdq_peeker *p, size_t i, const struct fdq_queue *q,
                   struct fdq_peek_info *info, struct err *e)
{
    int r;

    if (!all_ops[i]->serves(q))
        return err_set(e, -EOPNOTSUPP, NULL, "%s is not for a %s%s", all_ops[i]->name,
                       q->listening ? "listening " : "", fdq_kind_name(q->kind));
    r = way_open(p, i);
    if (r == 0)
        return look(p, i, q, info, e);
    if (e)
        *e = p->ways[i].why;
    return r;
}

int fdq_peek(struct fdq_peeker *p, const struct fdq_queue *q, struct fdq_peek_info *info,
             struct err *e)
{
    struct err first = ERR_INIT;
    int best = 0;

    p->found = (struct fdq_catch){0};
    for (size_t i = 0; i < ARRAY_SIZE(all_ops); i++) {
        struct err why = ERR_INIT;
        int r;

        if (p->opts.backend && strcmp(p->opts.backend, all_ops[i]->name))
            continue;
        r = try_way(p, i, q, info, &why);
        if (r == 0)
            return 0;
        /* The reason of the preferred backend is the most helpful one. */
        if (!best) {
            best = r;
            first = why;
        }
        if (r == -EAGAIN || r == -ESRCH || r == -EFBIG)
            break;
    }
    if (e)
        *e = first;
    return best;
}
