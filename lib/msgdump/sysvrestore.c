/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Creates System V queues with the ids that they had. The wished id is written to
 * kernel.msg_next_id, and the next msgget() in the IPC namespace takes it. If that call fails, the
 * wish stays, and the next queue of any process would get the id. Therefore it is checked first
 * whether the call can fail.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <unistd.h>

#include "cleanup.h"
#include "fileio.h"
#include "privileges.h"
#include "sysvdump_walk.h"

/* a limit, because a dump may be hostile and its queues are kept in memory */
enum { ITEMS_MAX = 32768 };

static const char next_id_path[] = "/proc/sys/kernel/msg_next_id";

/* ---- planning ---- */

static int add_item(void *ctx, const struct sysvdump_item *item, struct err *e)
{
    struct sysvdump_plan *p = ctx;
    struct sysvdump_item *v;

    if (p->n == ITEMS_MAX)
        return err_set(e, -E2BIG, NULL, "line %" PRIu64 ": more than %d System V queues",
                       item->line, ITEMS_MAX);
    for (size_t i = 0; i < p->n; i++)
        if (p->v[i].attr.id == item->attr.id ||
            (item->attr.key && p->v[i].attr.key == item->attr.key))
            return err_set(e, -EBADMSG, NULL,
                           "lines %" PRIu64 " and %" PRIu64 " have the same id or key",
                           p->v[i].line, item->line);
    v = reallocarray(p->v, p->n + 1, sizeof(*v));
    if (!v)
        return -ENOMEM;
    p->v = v;
    p->v[p->n++] = *item;
    return 0;
}

static int add_message(void *ctx, const struct msgq_message *m, struct err *e)
{
    struct sysvdump_plan *p = ctx;
    struct sysvdump_item *item = &p->v[p->n - 1];
    struct sysv_limits l;

    sysv_limits_read(&l);
    if (m->length > l.msgmax)
        return err_set(e, -ENOSPC, "raise kernel.msgmax",
                       "a message of sysv:%d has %zu bytes, msgmax is %" PRIu64, item->attr.id,
                       m->length, l.msgmax);
    item->attr.depth++;
    item->attr.bytes += m->length;
    return 0;
}

static int choose(struct sysvdump_plan *p, char *const *only, size_t n_only, bool all,
                  struct err *e)
{
    char name[SYSV_REF_SIZE];

    for (size_t i = 0; i < p->n; i++)
        p->v[i].wanted = all;
    for (size_t k = 0; k < n_only; k++) {
        bool found = false;

        for (size_t i = 0; i < p->n; i++) {
            sysv_ref_format(&(struct sysv_ref){.id = p->v[i].attr.id}, name);
            if (strcmp(name, only[k]) != 0)
                continue;
            found = p->v[i].wanted = true;
        }
        if (!found)
            return err_set(e, -ENOENT, NULL, "%s is not in the dump", only[k]);
    }
    return 0;
}

/*
 * The size limit that the queue needs while it is being filled: its own limit may be smaller than
 * its content.
 */
static uint64_t limit_of(const struct sysv_attr *a)
{
    uint64_t need = MAX(a->bytes, a->depth);

    return MAX(a->limit, need);
}

static int check_one(const struct sysvdump_item *item, const struct sysv_set *set,
                     const struct sysv_limits *l, struct err *e)
{
    const struct sysv_attr *a = &item->attr;
    struct privileges p;

    for (size_t i = 0; i < set->n; i++) {
        const struct sysv_attr *b = &set->v[i].attr;

        if (b->id == a->id || (a->key && b->key == a->key))
            return err_set(e, -EEXIST, "remove it: mqctl rm", "sysv:%d exists already%s", b->id,
                           b->id == a->id ? "" : ", with the same key");
    }
    if (limit_of(a) > l->msgmnb &&
        (privileges_get(&p) < 0 || !(p.effective & PRIVILEGE(CAP_SYS_RESOURCE))))
        return err_set(e, -EPERM, "raise kernel.msgmnb, or run with CAP_SYS_RESOURCE",
                       "sysv:%d needs a limit of %" PRIu64 " bytes, msgmnb is %" PRIu64, a->id,
                       limit_of(a), l->msgmnb);
    return 0;
}

static int check(const struct sysvdump_plan *p, struct err *e)
{
    _cleanup_(sysv_set_freep) struct sysv_set *set = NULL;
    struct sysv_limits l;
    uint64_t wanted = 0;
    int r = 0;

    for (size_t i = 0; i < p->n; i++)
        wanted += p->v[i].wanted;
    if (wanted == 0)
        return 0;
    sysv_limits_read(&l);
    r = sysv_list(false, &set, e);
    for (size_t i = 0; i < p->n && r == 0; i++)
        if (p->v[i].wanted)
            r = check_one(&p->v[i], set, &l, e);
    if (r == 0 && set->n + wanted > l.msgmni)
        r = err_set(e, -ENOSPC, "raise kernel.msgmni",
                    "there are %zu queues, %" PRIu64 " more would be above msgmni: %" PRIu64,
                    set->n, wanted, l.msgmni);
    if (r == 0 && access(next_id_path, W_OK) < 0)
        r = err_set(e, -EPERM, "run as root, or with CAP_CHECKPOINT_RESTORE",
                    "not permitted to choose the id of a System V queue");
    return r;
}

int sysvdump_plan_new(struct dump_reader *r, char *const *only, size_t n_only, bool all,
                      struct sysvdump_plan **ret, struct err *e)
{
    static const struct sysvdump_visitor visitor = {.queue = add_item, .message = add_message};
    _cleanup_(sysvdump_plan_freep) struct sysvdump_plan *p = calloc(1, sizeof(*p));
    struct dump_totals totals;
    int k = p ? sysvdump_walk(r, &visitor, p, e) : -ENOMEM;

    if (k < 0)
        return k;
    dump_reader_totals(r, &totals);
    p->crc = totals.crc;
    k = choose(p, only, n_only, all, e);
    if (k == 0)
        k = check(p, e);
    if (k == 0)
        k = dump_reader_rewind(r, e);
    if (k == 0)
        *ret = TAKE_PTR(p);
    return k;
}

/* ---- making ---- */

static int wish(int id)
{
    _cleanup_(closep) int fd = open(next_id_path, O_WRONLY | O_CLOEXEC);
    char text[16];

    snprintf(text, sizeof(text), "%d", id);
    return fd < 0 ? -errno : file_write_all(fd, text, strlen(text));
}

/*
 * Creates a queue with its creator's ids, because the caller of msgget() becomes the creator; then
 * returns to the ids of before.
 */
static int get_as(const struct sysv_attr *a)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    key_t key = a->key ? (key_t)a->key : IPC_PRIVATE;
    int id;

    if (setegid(a->cgid) < 0 || seteuid(a->cuid) < 0) {
        id = -errno;
    } else {
        id = msgget(key, IPC_CREAT | IPC_EXCL); /* mode 0000 */
        id = id < 0 ? -errno : id;
    }
    if (seteuid(uid) < 0 || setegid(gid) < 0)
        abort(); /* these ids were in use a moment ago */
    return id;
}

static int set(const struct sysv_attr *a, uint32_t mode, uint64_t limit)
{
    struct msqid_ds ds = {.msg_qbytes = limit};

    ds.msg_perm.uid = a->uid;
    ds.msg_perm.gid = a->gid;
    ds.msg_perm.mode = (__typeof__(ds.msg_perm.mode))mode;
    return msgctl(a->id, IPC_SET, &ds) < 0 ? -errno : 0;
}

static int make(struct sysvdump_item *item, struct err *e)
{
    const struct sysv_attr *a = &item->attr;
    int id, r = wish(a->id);

    if (r < 0)
        return err_set(e, r, NULL, "cannot choose the id of sysv:%d: %s", a->id, err_text(NULL, r));
    id = get_as(a);
    if (id < 0) {
        /* Create a queue to use up the wish, and remove that queue. */
        r = msgget(IPC_PRIVATE, IPC_CREAT);
        if (r >= 0)
            (void)msgctl(r, IPC_RMID, NULL);
        return err_set(e, id, NULL, "sysv:%d cannot be made: %s", a->id, err_text(NULL, id));
    }
    if (id != a->id) {
        (void)msgctl(id, IPC_RMID, NULL);
        return err_set(e, -EEXIST, "try again when nobody makes queues",
                       "sysv:%d: its place has just been taken", a->id);
    }
    item->made = true;
    r = set(a, 0, limit_of(a));
    return r < 0 ? err_set(e, r, NULL, "sysv:%d cannot get its limit: %s", a->id, err_text(NULL, r))
                 : 0;
}

struct filling {
    struct sysvdump_plan *plan;
    size_t next;
    struct msgbuf *buf;
    size_t room;
};

static int begin_item(void *ctx, const struct sysvdump_item *item, struct err *e)
{
    struct filling *f = ctx;

    if (f->next == f->plan->n || f->plan->v[f->next].line != item->line)
        return err_set(e, -EBADMSG, NULL, "the file has changed while it was read");
    f->next++;
    return f->plan->v[f->next - 1].wanted ? make(&f->plan->v[f->next - 1], e) : 0;
}

static int fill_item(void *ctx, const struct msgq_message *m, struct err *e)
{
    struct filling *f = ctx;
    const struct sysvdump_item *item = &f->plan->v[f->next - 1];

    if (!item->wanted)
        return 0;
    if (!f->buf || m->length > f->room) {
        struct msgbuf *buf = realloc(f->buf, sizeof(*buf) + m->length);

        if (!buf)
            return -ENOMEM;
        f->buf = buf;
        f->room = m->length;
    }
    f->buf->mtype = (long)m->type;
    if (m->length)
        memcpy(f->buf->mtext, m->data, m->length);
    if (msgsnd(item->attr.id, f->buf, m->length, IPC_NOWAIT) < 0)
        return err_set(e, -errno, NULL, "sysv:%d: message %" PRIu64 " cannot be sent: %s",
                       item->attr.id, m->index, err_text(NULL, -errno));
    return 0;
}

/*
 * Checks that nobody else has used it meanwhile; mode 0000 keeps all but privileged processes out.
 */
static int check_filled(const struct sysvdump_plan *p, struct err *e)
{
    struct sysv_attr now;
    int r = 0;

    for (size_t i = 0; i < p->n && r == 0; i++) {
        const struct sysv_attr *a = &p->v[i].attr;

        if (!p->v[i].wanted)
            continue;
        r = sysv_stat(a->id, &now, e);
        if (r == 0 && (now.depth != a->depth || now.bytes != a->bytes))
            r = err_set(e, -EBUSY, NULL, "sysv:%d: somebody else has used it while it was filled",
                        a->id);
    }
    return r;
}

int sysvdump_make(struct sysvdump_plan *p, struct dump_reader *r, struct err *e)
{
    static const struct sysvdump_visitor visitor = {.queue = begin_item, .message = fill_item};
    struct filling f = {.plan = p};
    struct dump_totals totals;
    int k = dump_reader_rewind(r, e);

    if (k == 0)
        k = sysvdump_walk(r, &visitor, &f, e);
    free(f.buf);
    dump_reader_totals(r, &totals);
    if (k == 0 && (totals.crc != p->crc || f.next != p->n))
        k = err_set(e, -EBADMSG, NULL, "the file has changed while it was read");
    return k < 0 ? k : check_filled(p, e);
}

int sysvdump_publish(struct sysvdump_plan *p, struct err *e)
{
    int r = 0;

    for (size_t i = 0; i < p->n && r == 0; i++)
        if (p->v[i].made)
            r = set(&p->v[i].attr, p->v[i].attr.mode, p->v[i].attr.limit);
    if (r < 0)
        return err_set(e, r, NULL, "a System V queue cannot get its mode: %s", err_text(NULL, r));
    for (size_t i = 0; i < p->n; i++)
        p->v[i].made = false;
    return 0;
}

void sysvdump_undo(struct sysvdump_plan *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->v[i].made)
            (void)msgctl(p->v[i].attr.id, IPC_RMID, NULL);
}

void sysvdump_plan_free(struct sysvdump_plan *p)
{
    if (!p)
        return;
    free(p->v);
    free(p);
}

void sysvdump_plan_freep(struct sysvdump_plan **p)
{
    sysvdump_plan_free(*p);
}
