/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds out what a restore would do, and whether it can. Nothing is changed here. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <mqueue.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "array.h"
#include "plan_internal.h"

/* a limit, because a dump may be hostile and its queues are kept in memory */
enum { ITEMS_MAX = 16384 };

const char *msgdump_action_name(enum msgdump_action a)
{
    static const char *const names[] = {
        [MSGDUMP_CREATE] = "create", [MSGDUMP_REPLACE] = "replace", [MSGDUMP_APPEND] = "append",
        [MSGDUMP_KEEP] = "keep",     [MSGDUMP_SKIP] = "skip",
    };

    return names[a];
}

/* Tells whether the user's @word names the queue: the slash may be missing. */
static bool is_name(const char *word, const char *name)
{
    return strcmp(word, name + (word[0] != '/')) == 0;
}

static bool is_wanted(const struct msgdump_opts *o, const struct msgdump_queue *q)
{
    if (o->ipc_ns && q->ipc_ns != o->ipc_ns)
        return false;
    for (size_t i = 0; i < o->n_only; i++)
        if (is_name(o->only[i], q->name))
            return true;
    return o->n_only == 0;
}

/*
 * Returns the text after the "=" of OLD=NEW when OLD is @name, else NULL. A name may contain a "="
 * itself.
 */
static const char *new_name(const char *rename, const char *name)
{
    size_t n;

    name += rename[0] != '/';
    n = strlen(name);
    return strncmp(rename, name, n) == 0 && rename[n] == '=' ? rename + n + 1 : NULL;
}

static char *renamed(const struct msgdump_opts *o, const char *name)
{
    const char *new = NULL;
    char *full;

    for (size_t i = 0; i < o->n_renames && !new; i++)
        new = new_name(o->renames[i], name);
    if (!new || new[0] == '/')
        return strdup(new ? new : name);
    return asprintf(&full, "/%s", new) < 0 ? NULL : full;
}

/* Chooses the name of a queue: a new name, its own, or a temporary one that no other queue has. */
static char *choose_name(const struct msgdump_opts *o, const struct msgdump_queue *q, size_t index)
{
    char *name;

    if (!o->hide_unlinked || !q->unlinked)
        return renamed(o, q->name);
    return asprintf(&name, "/.ipcbox-unlinked-%d-%zu", (int)getpid(), index) < 0 ? NULL : name;
}

static int add_item(void *ctx, const struct msgdump_queue *q, struct err *e)
{
    struct msgdump_plan *p = ctx;
    struct msgdump_item *items;

    if (p->n == ITEMS_MAX)
        return err_set(e, -E2BIG, NULL, "line %" PRIu64 ": more than %d queues", q->line,
                       ITEMS_MAX);
    if ((p->n & (p->n - 1)) == 0) {
        items = reallocarray(p->items, p->n ? p->n * 2 : 1, sizeof(*items));
        if (!items)
            return -ENOMEM;
        p->items = items;
    }
    p->items[p->n] = (struct msgdump_item){.queue = *q, .fd = -1, .action = MSGDUMP_SKIP};
    if (is_wanted(p->opts, q)) {
        p->items[p->n].action = MSGDUMP_CREATE;
        p->items[p->n].name = choose_name(p->opts, q, p->n);
    } else {
        p->items[p->n].name = strdup(q->name);
    }
    return p->items[p->n++].name ? 0 : -ENOMEM;
}

static int digest_item(void *ctx, const struct msgdump_queue *q, const struct msgq_message *m,
                       struct err *e)
{
    struct msgdump_plan *p = ctx;
    struct msgdump_item *item = &p->items[p->n - 1];

    (void)q;
    (void)e;
    if (p->opts->keep)
        item->digest = msgdump_digest(item->digest, m);
    return 0;
}

static int count_item(void *ctx, const struct msgdump_queue *q, uint64_t messages, uint64_t bytes,
                      struct err *e)
{
    struct msgdump_plan *p = ctx;

    (void)q;
    (void)e;
    p->items[p->n - 1].messages = messages;
    p->items[p->n - 1].bytes = bytes;
    return 0;
}

/* ---- names ---- */

static int check_renames(const struct msgdump_plan *p, struct err *e)
{
    const struct msgdump_opts *o = p->opts;
    int r;

    for (size_t i = 0; i < o->n_renames; i++) {
        struct pmq_ref ref;
        struct err why = ERR_INIT;
        const char *new = NULL;

        for (size_t k = 0; k < p->n && !new; k++)
            new = new_name(o->renames[i], p->items[k].queue.name);
        if (!new)
            return err_set(e, -ENOENT, "write --rename /OLD=/NEW",
                           "--rename %s: the dump has no such queue", o->renames[i]);
        r = pmq_ref_parse(new, &ref, &why);
        if (r < 0 || ref.kind != PMQ_REF_NAME)
            return err_set(e, -EINVAL, "write --rename /OLD=/NEW", "--rename %s: %s", o->renames[i],
                           r < 0 ? err_text(&why, r) : "the new name is none");
    }
    for (size_t i = 0; i < o->n_only; i++) {
        bool found = false;

        for (size_t k = 0; k < p->n && !found; k++)
            found = p->items[k].action != MSGDUMP_SKIP &&
                    is_name(o->only[i], p->items[k].queue.name);
        if (!found)
            return err_set(e, -ENOENT, NULL, "%s is not in the dump", o->only[i]);
    }
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    const struct msgdump_item *const *x = a, *const *y = b;

    return strcmp((*x)->name, (*y)->name);
}

/*
 * Refuses a name that occurs twice: from several namespaces, through a rename, or in merged dumps.
 */
static int check_twice(const struct msgdump_plan *p, struct err *e)
{
    const struct msgdump_item **v = calloc(p->n + 1, sizeof(const struct msgdump_item *));
    size_t n = 0;
    int r = 0;

    if (!v)
        return -ENOMEM;
    for (size_t i = 0; i < p->n; i++)
        if (p->items[i].action != MSGDUMP_SKIP)
            v[n++] = &p->items[i];
    array_sort(v, n, sizeof(*v), compare_names);
    for (size_t i = 1; i < n && r == 0; i++)
        if (strcmp(v[i - 1]->name, v[i]->name) == 0)
            r = err_set(e, -EINVAL, "choose with --namespace, or use --rename",
                        "lines %" PRIu64 " and %" PRIu64 " both restore %s",
                        MIN(v[i - 1]->queue.line, v[i]->queue.line),
                        MAX(v[i - 1]->queue.line, v[i]->queue.line), v[i]->name);
    free(v);
    return r;
}

/* ---- existing queues ---- */

static int check_append(const struct msgdump_item *item, int fd, struct err *e)
{
    struct mq_attr attr;

    if (mq_getattr(fd, &attr) < 0)
        return -errno;
    if (item->queue.msgsize > (uint64_t)attr.mq_msgsize)
        return err_set(e, -EMSGSIZE, NULL,
                       "%s takes messages of %ld bytes, those of the dump may have %" PRIu64,
                       item->name, attr.mq_msgsize, item->queue.msgsize);
    if (item->messages > (uint64_t)(attr.mq_maxmsg - attr.mq_curmsgs))
        return err_set(e, -ENOSPC, NULL, "%s has %ld of %ld messages: %" PRIu64 " more do not fit",
                       item->name, attr.mq_curmsgs, attr.mq_maxmsg, item->messages);
    return 0;
}

/* Return: 1 when the queue is kept or left, 0 when it has to be created, or -errno. */
static int check_keep(struct msgdump_plan *p, struct msgdump_item *item, struct err *e)
{
    int r = msgdump_is_equal(p, item, e);

    if (r == 0 && p->opts->leave && p->opts->leave[item - p->items]) {
        item->action = MSGDUMP_SKIP;
        return 1;
    }
    if (r == 0 && !p->opts->replace)
        return err_set(e, -EEXIST, "--replace saves it and makes it anew",
                       "%s exists, and is not what was saved", item->name);
    if (r <= 0)
        return r;
    item->action = MSGDUMP_KEEP;
    item->fd = mq_open(item->name, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    return item->fd < 0 ? err_set(e, -errno, NULL, "%s: %s", item->name, strerrordesc_np(errno))
                        : 1;
}

static int check_exists(struct msgdump_plan *p, struct msgdump_item *item, struct err *e)
{
    int fd = mq_open(item->name, (p->opts->append ? O_RDWR : O_RDONLY) | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    int r = 0;

    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0 && errno != EACCES)
        return err_set(e, -errno, NULL, "%s: %s", item->name, strerrordesc_np(errno));
    if (fd < 0 && (p->opts->append || p->opts->replace))
        return err_set(e, -EACCES, NULL, "%s exists, and may not be opened", item->name);
    if (p->opts->keep)
        r = check_keep(p, item, e);
    if (r != 0) {
        r = MIN(r, 0);
    } else if (p->opts->append) {
        item->action = MSGDUMP_APPEND;
        r = check_append(item, fd, e);
    } else if (p->opts->replace) {
        item->action = MSGDUMP_REPLACE;
        if (fstat(fd, &st) == 0 && geteuid() != 0 && st.st_uid != geteuid())
            r = err_set(e, -EPERM, NULL, "%s belongs to somebody else: it cannot be replaced",
                        item->name);
    } else {
        r = err_set(e, -EEXIST, "--replace, --append, --rename /OLD=/NEW, or unlink it",
                    "%s exists already", item->name);
    }
    if (fd >= 0)
        mq_close(fd);
    return r;
}

static int check_plan(struct msgdump_plan *p, struct err *e)
{
    int r = check_renames(p, e);

    if (r == 0)
        r = check_twice(p, e);
    for (size_t i = 0; i < p->n && r == 0; i++)
        if (p->items[i].action != MSGDUMP_SKIP)
            r = check_exists(p, &p->items[i], e);
    if (r == 0)
        r = msgdump_check_owners(p, e);
    return r == 0 ? msgdump_check_limits(p, e) : r;
}

int msgdump_plan_new(struct dump_reader *r, const struct msgdump_opts *opts,
                     struct msgdump_plan **ret, struct err *e)
{
    static const struct msgdump_visitor visitor = {
        .queue = add_item, .message = digest_item, .queue_end = count_item};
    _cleanup_(msgdump_plan_freep) struct msgdump_plan *p = calloc(1, sizeof(*p));
    struct dump_totals totals;
    int k;

    if (!p)
        return -ENOMEM;
    p->reader = r;
    p->opts = opts;
    k = msgdump_walk(r, &visitor, p, e);
    if (k < 0)
        return k;
    dump_reader_totals(r, &totals);
    p->crc = totals.crc;
    k = check_plan(p, e);
    if (k < 0)
        return k;
    *ret = TAKE_PTR(p);
    return 0;
}

const struct msgdump_item *msgdump_plan_items(const struct msgdump_plan *p, size_t *n)
{
    *n = p->n;
    return p->items;
}

int msgdump_plan_fd(const struct msgdump_plan *p, size_t item)
{
    return item < p->n ? p->items[item].fd : -1;
}

void msgdump_plan_free(struct msgdump_plan *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n; i++) {
        if (p->items[i].fd >= 0)
            close(p->items[i].fd);
        free(p->items[i].name);
        free(p->items[i].saved);
    }
    free(p->items);
    free(p);
}

void msgdump_plan_freep(struct msgdump_plan **p)
{
    msgdump_plan_free(*p);
}
