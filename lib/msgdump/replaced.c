/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Replaces a queue: saves it to a file, which is read back to check it, unlinks the queue, and
 * inspects it once more, because a process may have sent to it in between.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "cleanup.h"
#include "fileio.h"
#include "plan_internal.h"
#include "statedir.h"
#include "timefmt.h"

uint32_t msgdump_digest(uint32_t crc, const struct msgq_message *m)
{
    const uint64_t head[] = {m->priority, m->length};

    crc = (uint32_t)crc32_z(crc, (const unsigned char *)head, sizeof(head));
    return m->length ? (uint32_t)crc32_z(crc, m->data, m->length) : crc;
}

static int digest_dumped(void *ctx, const struct msgdump_queue *q, const struct msgq_message *m,
                         struct err *e)
{
    uint32_t *crc = ctx;

    (void)q;
    (void)e;
    *crc = msgdump_digest(*crc, m);
    return 0;
}

static int digest_peeked(const struct msgq_message *m, void *ctx)
{
    uint32_t *crc = ctx;

    *crc = msgdump_digest(*crc, m);
    return 0;
}

static int save_to(const char *path, const char *tool, struct msgq_peeker *peeker,
                   const struct pmq_queue *q, uint32_t *crc, struct err *e)
{
    static const struct msgdump_visitor visitor = {.message = digest_dumped};
    _cleanup_(dump_reader_freep) struct dump_reader *reader = NULL;
    _cleanup_(dump_writer_freep) struct dump_writer *w = NULL;
    _cleanup_(file_out_closep) struct file_out *out = NULL;
    struct msgq_snapshot_info info;
    int r = file_out_open(path, 0600, &out);

    if (r == 0)
        r = dump_writer_new(file_out_stream(out), MSGDUMP_KIND, tool, msgq_peeker_backend(peeker),
                            &w);
    if (r == 0)
        r = msgdump_save_queue(w, peeker, q, 0, &info, e);
    if (r == 0)
        r = dump_writer_finish(w);
    if (r == 0)
        r = file_out_commit(out);
    if (r == 0)
        r = dump_reader_open(path, 0, &reader, e);
    *crc = 0;
    return r == 0 ? msgdump_walk(reader, &visitor, crc, e) : r;
}

static int digest_now(struct msgq_peeker *peeker, const struct pmq_queue *q, uint32_t *crc,
                      struct err *e)
{
    _cleanup_(msgq_snapshot_freep) struct msgq_snapshot *s = NULL;
    int r = pmq_peek(peeker, q, &s, e);

    *crc = 0;
    return r == 0 ? msgq_snapshot_visit(s, digest_peeked, crc, e) : r;
}

/*
 * Finds the queue that has the name now, and makes a peeker for it; @opts must outlive the peeker.
 */
static int look(const struct msgdump_plan *p, const char *name, struct msgq_peek_opts *opts,
                struct pmq_queue **q, struct msgq_peeker **peeker, struct err *e)
{
    struct pmq_ref ref;
    int r = pmq_ref_parse(name, &ref, e);

    if (r == 0)
        r = pmq_queue_open(&ref, PMQ_OPEN_READ, q, e);
    *opts = *p->opts->peek;
    opts->sample = *q;
    return r == 0 ? pmq_peeker_new(opts, peeker, e) : r;
}

int msgdump_is_equal(const struct msgdump_plan *p, const struct msgdump_item *item, struct err *e)
{
    _cleanup_(pmq_queue_closep) struct pmq_queue *q = NULL;
    _cleanup_(msgq_peeker_freep) struct msgq_peeker *peeker = NULL;
    const struct msgdump_queue *want = &item->queue;
    struct msgq_peek_opts opts;
    struct pmq_attr a;
    uint32_t crc;
    int r = look(p, item->name, &opts, &q, &peeker, e);

    if (r == 0)
        r = pmq_queue_attr_basic(q, &a);
    if (r < 0)
        return r;
    if (a.maxmsg != want->maxmsg || a.msgsize != want->msgsize || a.mode != want->mode ||
        a.uid != want->uid || a.gid != want->gid || a.curmsgs != item->messages)
        return 0;
    r = digest_now(peeker, q, &crc, e);
    return r < 0 ? r : crc == item->digest;
}

/*
 * Chooses a file name that tells the user what it is; a queue's name may contain any byte but a
 * slash.
 */
static int choose_path(const char *name, char **ret, struct err *e)
{
    char dir[PATH_MAX], plain[64];
    size_t n = 0;
    int r = statedir_path(dir, sizeof(dir), e);

    if (r < 0)
        return r;
    for (const char *p = name + 1; *p && n < sizeof(plain) - 1; p++)
        plain[n++] = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                             (*p >= '0' && *p <= '9') || *p == '-' || *p == '_'
                         ? *p
                         : '_';
    plain[n] = '\0';
    if (asprintf(ret, "%s/replaced-%s-%" PRIu64 ".dump", dir, plain, timefmt_now(CLOCK_REALTIME)) <
        0) {
        *ret = NULL;
        return -ENOMEM;
    }
    return 0;
}

static int unlink_checked(struct msgdump_plan *p, struct msgdump_item *item,
                          struct msgq_peeker *peeker, const struct pmq_queue *q, uint32_t saved,
                          struct err *e)
{
    struct pmq_attr old;
    uint32_t now;
    int r = pmq_queue_attr_basic(q, &old);

    if (r == 0)
        r = pmq_restoring_replaces(p->journal, item->name, item->saved, old.dev, old.ino);
    if (r < 0)
        return r;
    if (mq_unlink(item->name) < 0)
        return err_set(e, -errno, NULL, "%s cannot be replaced: %s", item->name,
                       strerrordesc_np(errno));
    item->unlinked_old = true;
    r = digest_now(peeker, q, &now, e);
    if (r == 0 && now != saved)
        r = save_to(item->saved, p->opts->tool, peeker, q, &now, e);
    return r;
}

int msgdump_replace(struct msgdump_plan *p, struct msgdump_item *item, struct err *e)
{
    _cleanup_(pmq_queue_closep) struct pmq_queue *q = NULL;
    _cleanup_(msgq_peeker_freep) struct msgq_peeker *peeker = NULL;
    struct msgq_peek_opts opts;
    struct err why = ERR_INIT;
    uint32_t crc = 0;
    int r = look(p, item->name, &opts, &q, &peeker, &why);

    if (r == 0)
        r = choose_path(item->name, &item->saved, &why);
    if (r == 0)
        r = save_to(item->saved, p->opts->tool, peeker, q, &crc, &why);
    if (r < 0)
        return err_set(e, r, why.remedy, "%s cannot be saved before it is replaced: %s", item->name,
                       err_text(&why, r));
    return unlink_checked(p, item, peeker, q, crc, e);
}

int msgdump_put_back(const char *path, struct err *e)
{
    const struct msgdump_opts opts = {.puts_back = path};
    _cleanup_(dump_reader_freep) struct dump_reader *reader = NULL;
    _cleanup_(msgdump_plan_freep) struct msgdump_plan *plan = NULL;
    int r = dump_reader_open(path, DUMP_REWIND, &reader, e);

    if (r == 0)
        r = msgdump_plan_new(reader, &opts, &plan, e);
    if (r == 0)
        r = msgdump_plan_run(plan, e);
    return r;
}
