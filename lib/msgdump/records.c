/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records of queues and messages: writes them, and reads them with every check. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "msgdump.h"

/* ---- saving ---- */

struct save {
    struct dump_writer *w;
    const char *name;
};

static int save_message(const struct msgq_message *m, void *ctx)
{
    struct save *s = ctx;

    dump_begin(s->w, "message");
    dump_put_str(s->w, "queue", s->name);
    dump_put_u64(s->w, "priority", m->priority);
    dump_put_payload(s->w, m->data, m->length, m->length);
    dump_end(s->w);
    return dump_writer_error(s->w) != 0;
}

static void put_queue(struct dump_writer *w, const struct pmq_attr *a, uint64_t ipc_ns,
                      const struct msgq_snapshot_info *info)
{
    dump_begin(w, "queue");
    dump_put_str(w, "name", a->name);
    dump_put_u64(w, "maxmsg", a->maxmsg);
    dump_put_u64(w, "msgsize", a->msgsize);
    dump_put_mode(w, "mode", a->mode);
    dump_put_u64(w, "uid", a->uid);
    dump_put_u64(w, "gid", a->gid);
    if (a->unlinked)
        dump_put_bool(w, "unlinked", true);
    if (ipc_ns)
        dump_put_u64(w, "ipc_namespace", ipc_ns);
    dump_put_bool(w, "consistent", info->consistency != MSGQ_TORN);
    dump_put_str(w, "consistency", msgq_consistency_name(info->consistency));
    dump_put_time(w, "time", info->taken);
    dump_end(w);
}

int msgdump_save_queue(struct dump_writer *w, struct msgq_peeker *p, const struct pmq_queue *q,
                       uint64_t ipc_ns, struct msgq_snapshot_info *info, struct err *e)
{
    _cleanup_(msgq_snapshot_freep) struct msgq_snapshot *s = NULL;
    struct pmq_attr attr;
    struct save save = {.w = w, .name = attr.name};
    int r = pmq_queue_attr_basic(q, &attr);

    if (r < 0)
        return r;
    if (!attr.name[0])
        return err_set(e, -ENOENT, NULL, "its name cannot be known (is /proc mounted?)");
    r = pmq_peek(p, q, &s, e);
    if (r < 0)
        return r;
    put_queue(w, &attr, ipc_ns, msgq_snapshot_info(s));
    r = msgq_snapshot_visit(s, save_message, &save, e);
    *info = *msgq_snapshot_info(s);
    return r < 0 ? r : 0;
}

/* ---- walking ---- */

struct walk {
    const struct msgdump_visitor *v;
    void *ctx;
    struct msgdump_queue queue;
    bool open;
    uint64_t messages;
    uint64_t bytes;
};

static int get_u32(const struct dump_record *rec, const char *key, uint32_t *out, struct err *e)
{
    uint64_t v;
    int r = dump_get_u64(rec, key, UINT32_MAX - 1, &v, e);

    if (r == 0)
        *out = (uint32_t)v;
    return r;
}

static int get_name(const struct dump_record *rec, const char *key, char name[PMQ_NAME_MAX + 2],
                    struct err *e)
{
    struct err why = ERR_INIT;
    struct pmq_ref ref;
    int r = dump_get_str(rec, key, name, PMQ_NAME_MAX + 2, e);

    if (r < 0)
        return r;
    if (name[0] != '/')
        return dump_bad(rec, e, "\"%s\" is no queue's name: it does not begin with a slash", key);
    r = pmq_ref_parse(name, &ref, &why);
    return r < 0 ? dump_bad(rec, e, "\"%s\": %s", key, err_text(&why, r)) : 0;
}

static int get_queue(const struct dump_record *rec, struct msgdump_queue *q, struct err *e)
{
    bool consistent = true;
    int r;

    *q = (struct msgdump_queue){.line = rec->line};
    r = get_name(rec, "name", q->name, e);
    if (r == 0)
        r = dump_get_u64(rec, "maxmsg", PMQ_HARD_MSGMAX, &q->maxmsg, e);
    if (r == 0)
        r = dump_get_u64(rec, "msgsize", PMQ_HARD_MSGSIZEMAX, &q->msgsize, e);
    if (r == 0)
        r = dump_get_mode(rec, "mode", &q->mode, e);
    if (r == 0)
        r = get_u32(rec, "uid", &q->uid, e);
    if (r == 0)
        r = get_u32(rec, "gid", &q->gid, e);
    if (r == 0 && dump_has(rec, "unlinked"))
        r = dump_get_bool(rec, "unlinked", &q->unlinked, e);
    if (r == 0 && dump_has(rec, "consistent"))
        r = dump_get_bool(rec, "consistent", &consistent, e);
    if (r == 0 && dump_has(rec, "ipc_namespace"))
        r = dump_get_u64(rec, "ipc_namespace", UINT64_MAX, &q->ipc_ns, e);
    else if (r == 0 && dump_has(rec, "ipc_ns")) /* the name in dumps of earlier releases */
        r = dump_get_u64(rec, "ipc_ns", UINT64_MAX, &q->ipc_ns, e);
    if (r < 0)
        return r;
    q->torn = !consistent;
    if (!q->maxmsg || !q->msgsize)
        return dump_bad(rec, e, "\"%s\" is 0", q->maxmsg ? "msgsize" : "maxmsg");
    return 0;
}

static int end_queue(struct walk *w, struct err *e)
{
    if (!w->open)
        return 0;
    w->open = false;
    return w->v->queue_end ? w->v->queue_end(w->ctx, &w->queue, w->messages, w->bytes, e) : 0;
}

static int walk_queue(struct walk *w, const struct dump_record *rec, struct err *e)
{
    struct msgdump_queue next;
    int r = get_queue(rec, &next, e);

    if (r == 0)
        r = end_queue(w, e);
    if (r != 0)
        return r;
    w->queue = next;
    w->messages = w->bytes = 0;
    w->open = true;
    return w->v->queue ? w->v->queue(w->ctx, &w->queue, e) : 0;
}

static int check_message(const struct walk *w, struct dump_record *rec, struct msgq_message *m,
                         struct err *e)
{
    char name[PMQ_NAME_MAX + 2];
    struct dump_payload payload;
    uint64_t priority;
    int r;

    if (!w->open)
        return dump_bad(rec, e, "a message before the first queue");
    r = dump_get_str(rec, "queue", name, sizeof(name), e);
    if (r < 0)
        return r;
    if (strcmp(name, w->queue.name) != 0)
        return dump_bad(rec, e, "a message of %s among those of %s", name, w->queue.name);
    r = dump_get_u64(rec, "priority", PMQ_PRIO_MAX - 1, &priority, e);
    if (r == 0)
        r = dump_get_payload(rec, &payload, e);
    if (r < 0)
        return r;
    if (payload.captured != payload.length)
        return dump_bad(rec, e, "the message is cut: %zu of %" PRIu64 " bytes", payload.captured,
                        payload.length);
    if (payload.length > w->queue.msgsize)
        return dump_bad(rec, e, "the message has %" PRIu64 " bytes, its queue takes %" PRIu64,
                        payload.length, w->queue.msgsize);
    if (w->messages == w->queue.maxmsg)
        return dump_bad(rec, e, "more than %" PRIu64 " messages, which is all that %s takes",
                        w->queue.maxmsg, w->queue.name);
    *m = (struct msgq_message){
        .index = w->messages,
        .priority = (uint32_t)priority,
        .length = payload.captured,
        .data = payload.data,
    };
    return 0;
}

static int walk_record(struct walk *w, struct dump_record *rec, struct err *e)
{
    struct msgq_message m;
    int r;

    if (strcmp(rec->type, "queue") == 0)
        return walk_queue(w, rec, e);
    if (strcmp(rec->type, "message") != 0) {
        r = w->v->other ? end_queue(w, e) : 0;
        return r || !w->v->other ? r : w->v->other(w->ctx, rec, e);
    }
    r = check_message(w, rec, &m, e);
    if (r < 0)
        return r == -ENOENT ? -EBADMSG : r;
    w->messages++;
    w->bytes += m.length;
    return w->v->message ? w->v->message(w->ctx, &w->queue, &m, e) : 0;
}

int msgdump_walk(struct dump_reader *r, const struct msgdump_visitor *v, void *ctx, struct err *e)
{
    const struct dump_header *h = dump_reader_header(r);
    struct walk w = {.v = v, .ctx = ctx};
    struct dump_record *rec;
    int k;

    if (strcmp(h->kind, MSGDUMP_KIND) != 0)
        return err_set(e, -EBADMSG, NULL, "a dump of kind \"%s\", not of queues", h->kind);
    while ((k = dump_reader_next(r, &rec, e)) > 0) {
        k = walk_record(&w, rec, e);
        if (k != 0)
            return k == -ENOENT ? -EBADMSG : k;
    }
    /* In a damaged dump the last queue gets its end too, for callers that show it. */
    if (k < 0)
        (void)end_queue(&w, NULL);
    return k < 0 ? k : end_queue(&w, e);
}
