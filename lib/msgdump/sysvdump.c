/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records of System V queues: writes them, and reads them with every check. */
#include "sysvdump.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sysvdump_walk.h"

/* ---- saving ---- */

struct save {
    struct dump_writer *w;
    int id;
};

static int save_message(const struct msgq_message *m, void *ctx)
{
    struct save *s = ctx;

    dump_begin(s->w, "sysv_message");
    dump_put_u64(s->w, "id", (uint64_t)s->id);
    dump_put_i64(s->w, "mtype", m->type);
    dump_put_payload(s->w, m->data, m->length, m->length);
    dump_end(s->w);
    return dump_writer_error(s->w) != 0;
}

static void put_queue(struct dump_writer *w, const struct sysv_attr *a,
                      const struct msgq_snapshot_info *info)
{
    dump_begin(w, "sysv_queue");
    dump_put_u64(w, "id", (uint64_t)a->id);
    dump_put_hex64(w, "key", a->key);
    dump_put_mode(w, "mode", a->mode);
    dump_put_u64(w, "uid", a->uid);
    dump_put_u64(w, "gid", a->gid);
    dump_put_u64(w, "cuid", a->cuid);
    dump_put_u64(w, "cgid", a->cgid);
    dump_put_u64(w, "limit", a->limit);
    dump_put_bool(w, "consistent", info->consistency != MSGQ_TORN);
    dump_put_str(w, "consistency", msgq_consistency_name(info->consistency));
    dump_put_time(w, "time", info->taken);
    dump_end(w);
}

int sysvdump_save(struct dump_writer *w, struct msgq_peeker *p, const struct sysv_queue *q,
                  struct msgq_snapshot_info *info, struct err *e)
{
    _cleanup_(msgq_snapshot_freep) struct msgq_snapshot *s = NULL;
    struct save save = {.w = w, .id = q->id};
    struct sysv_attr attr;
    int r = sysv_stat(q->id, &attr, e);

    if (r == 0)
        r = sysv_peek(p, q, &s, e);
    if (r < 0)
        return r;
    put_queue(w, &attr, msgq_snapshot_info(s));
    r = msgq_snapshot_visit(s, save_message, &save, e);
    *info = *msgq_snapshot_info(s);
    return r < 0 ? r : 0;
}

/* ---- walking ---- */

static int get_u32(const struct dump_record *rec, const char *key, uint32_t *out, struct err *e)
{
    uint64_t v;
    int r = dump_get_u64(rec, key, UINT32_MAX - 1, &v, e);

    if (r == 0)
        *out = (uint32_t)v;
    return r;
}

static int get_id(const struct dump_record *rec, int *out, struct err *e)
{
    uint64_t v;
    int r = dump_get_u64(rec, "id", INT32_MAX, &v, e);

    if (r == 0)
        *out = (int)v;
    return r;
}

static int get_queue(const struct dump_record *rec, struct sysvdump_item *item, struct err *e)
{
    struct sysv_attr *a = &item->attr;
    bool consistent = true;
    uint64_t key = 0;
    int r;

    *item = (struct sysvdump_item){.line = rec->line};
    r = get_id(rec, &a->id, e);
    if (r == 0)
        r = dump_get_hex64(rec, "key", &key, e);
    if (r == 0 && key > UINT32_MAX)
        return dump_bad(rec, e, "\"key\" has more than 32 bits");
    if (r == 0)
        r = dump_get_mode(rec, "mode", &a->mode, e);
    if (r == 0)
        r = get_u32(rec, "uid", &a->uid, e);
    if (r == 0)
        r = get_u32(rec, "gid", &a->gid, e);
    if (r == 0)
        r = get_u32(rec, "cuid", &a->cuid, e);
    if (r == 0)
        r = get_u32(rec, "cgid", &a->cgid, e);
    if (r == 0)
        r = dump_get_u64(rec, "limit", INT64_MAX, &a->limit, e);
    if (r == 0 && dump_has(rec, "consistent"))
        r = dump_get_bool(rec, "consistent", &consistent, e);
    a->key = (uint32_t)key;
    item->torn = !consistent;
    return r;
}

static int get_message(const struct sysvdump_item *item, struct dump_record *rec,
                       struct msgq_message *m, struct err *e)
{
    struct dump_payload payload;
    int id, r;

    if (!item)
        return dump_bad(rec, e, "a message before the first System V queue");
    r = get_id(rec, &id, e);
    if (r == 0 && id != item->attr.id)
        return dump_bad(rec, e, "a message of sysv:%d among those of sysv:%d", id, item->attr.id);
    *m = (struct msgq_message){.index = item->attr.depth};
    if (r == 0)
        r = dump_get_i64(rec, "mtype", &m->type, e);
    if (r == 0 && m->type < 1)
        return dump_bad(rec, e, "\"mtype\" is below 1");
    if (r == 0)
        r = dump_get_payload(rec, &payload, e);
    if (r < 0)
        return r;
    if (payload.captured != payload.length || payload.length > INT32_MAX)
        return dump_bad(rec, e, "the message is cut, or longer than any can be");
    m->data = payload.data;
    m->length = payload.captured;
    return 0;
}

int sysvdump_take(struct sysvdump_state *s, struct dump_record *rec,
                  const struct sysvdump_visitor *v, void *ctx, struct err *e)
{
    struct msgq_message m;
    int r = 0;

    if (!strcmp(rec->type, "sysv_queue")) {
        r = get_queue(rec, &s->item, e);
        s->open = r == 0;
        if (r == 0 && v->queue)
            r = v->queue(ctx, &s->item, e);
    } else if (!strcmp(rec->type, "sysv_message")) {
        r = get_message(s->open ? &s->item : NULL, rec, &m, e);
        if (r == 0 && v->message)
            r = v->message(ctx, &m, e);
        s->item.attr.depth += s->open;
        s->item.attr.bytes += r == 0 ? m.length : 0;
    } else if (!strcmp(rec->type, "queue")) {
        s->open = false;
    }
    return r == -ENOENT ? -EBADMSG : r;
}

int sysvdump_walk(struct dump_reader *r, const struct sysvdump_visitor *v, void *ctx, struct err *e)
{
    struct sysvdump_state state = {.open = false};
    struct dump_record *rec;
    int k;

    while ((k = dump_reader_next(r, &rec, e)) > 0) {
        k = sysvdump_take(&state, rec, v, ctx, e);
        if (k < 0)
            return k;
    }
    return k;
}
