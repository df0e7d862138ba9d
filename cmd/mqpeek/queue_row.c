/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fills in the row of a queue for list, info and metrics. */
#include "queue_row.h"

#include <stdio.h>
#include <string.h>

#include "pmq_restoring.h"
#include "timefmt.h"
#include "users.h"

const struct out_col queue_row_cols[] = {
    OUT_STR(struct queue_row, label, "queue",
            "its name; in another IPC namespace the operand that leads to it", .heading = "NAME",
            .flags = OUT_TEXT),
    OUT_STR(struct queue_row, name, "name", "queue; null for one whose name is not known",
            .flags = OUT_HIDDEN),
    OUT_CHARS(struct queue_row, reference, "reference",
              "the operand that leads to it: /name, pid:PID:FD, pid:PID:/name or ns:PATH:/name",
              .flags = OUT_HIDDEN),
    OUT_STR(struct queue_row, kind, "kind", "posix or sysv", .flags = OUT_HIDDEN),
    OUT_U64(struct queue_row, id, "id", "of a System V queue", .flags = OUT_HIDDEN),
    OUT_CHARS(struct queue_row, key, "key", "of a System V queue; null for none",
              .flags = OUT_HIDDEN),
    OUT_BOOL(struct queue_row, attr.unlinked, "unlinked", "it has no name any more",
             .flags = OUT_HIDDEN),
    OUT_U64(struct queue_row, attr.curmsgs, "depth", "messages waiting", .heading = "MSGS"),
    OUT_U64(struct queue_row, attr.maxmsg, "maxmsg", "most messages", .heading = "MAX"),
    OUT_SIZE(struct queue_row, attr.msgsize, "msgsize", "largest message, bytes",
             .heading = "SIZE"),
    OUT_SIZE(struct queue_row, attr.bytes, "bytes", "bytes waiting"),
    OUT_SIZE(struct queue_row, limit, "limit", "most bytes of a System V queue"),
    OUT_CHARS(struct queue_row, owner, "owner", "owner's name, or number"),
    OUT_U32(struct queue_row, attr.uid, "uid", "owner", .flags = OUT_HIDDEN),
    OUT_U32(struct queue_row, attr.gid, "gid", "group", .flags = OUT_HIDDEN),
    OUT_MODE(struct queue_row, attr.mode, "mode", "permissions"),
    OUT_SPAN(struct queue_row, age, "age", "since the last send or receive, or the creation"),
    OUT_TIME(struct queue_row, attr.changed, "changed", "when that was", .flags = OUT_HIDDEN),
    OUT_U64(struct queue_row, holders, "holder_count",
            "open descriptors; a lower bound where holders_complete is false", .heading = "HELD",
            .OUT_EXACT(struct queue_row, holders_complete)),
    OUT_U64(struct queue_row, senders, "sender_count",
            "threads blocked in mq_send(3); a lower bound where waiters_complete is false",
            .heading = "SEND", .OUT_EXACT(struct queue_row, waiters_complete)),
    OUT_U64(struct queue_row, receivers, "receiver_count",
            "threads blocked in mq_receive(3), likewise", .heading = "RECV",
            .OUT_EXACT(struct queue_row, waiters_complete)),
    OUT_STR(struct queue_row, notify, "notify",
            "registered notification: signal, thread, none (SIGEV_NONE)"),
    OUT_U32(struct queue_row, notify_pid, "notify_pid",
            "process that registered it; null for one in another pid namespace",
            .flags = OUT_HIDDEN),
    OUT_U32(struct queue_row, notify_signo, "notify_signo", "its signal", .flags = OUT_HIDDEN),
    OUT_SIZE(struct queue_row, charged, "charged",
             "bytes charged to its creator's RLIMIT_MSGQUEUE, full or empty", .flags = OUT_HIDDEN),
    OUT_U64(struct queue_row, ipc_ns, "ipc_namespace", "inode number of its IPC namespace",
            .flags = OUT_HIDDEN),
    OUT_BOOL(struct queue_row, incomplete, "incomplete",
             "mqdump restore is at work on it, or was when it was killed", .flags = OUT_HIDDEN),
    OUT_END,
};

const struct out_col set_state_cols[] = {
    OUT_BOOL(struct set_state, names_complete, "names_complete",
             "every queue with a name is listed", .flags = OUT_JSON),
    OUT_BOOL(struct set_state, holders_complete, "holders_complete",
             "no process can have a queue open unseen", .flags = OUT_JSON),
    OUT_BOOL(struct set_state, waiters_complete, "waiters_complete",
             "no thread can be blocked unseen", .flags = OUT_JSON),
    OUT_STR(struct set_state, note, "note", "what is missing, and what would show it",
            .flags = OUT_JSON),
    OUT_END,
};

struct set_state set_state_of(const struct pmq_set *set)
{
    return (struct set_state){
        .names_complete = set->names_complete && set->spaces_complete,
        .holders_complete = set->holders_complete,
        .waiters_complete = set->waiters_complete,
        .note = set->note[0] ? set->note : NULL,
    };
}

void queue_row_user(uint32_t uid, char *out, size_t size)
{
    /*
     * A listing has many queues of few users, so the previous result is nearly always right again.
     */
    static struct {
        bool known;
        uint32_t uid;
        char name[40];
    } last;

    if (!last.known || last.uid != uid) {
        user_name(uid, last.name, sizeof(last.name));
        last.uid = uid;
        last.known = true;
    }
    snprintf(out, size, "%s", last.name);
}

const char *queue_row_direction(enum pmq_direction d)
{
    return d == PMQ_SEND ? "send" : "recv";
}

static void fill_notify(struct queue_row *row)
{
    static const char *const methods[] = {
        [PMQ_NOTIFY_SIGNAL] = "signal",
        [PMQ_NOTIFY_SILENT] = "none",
        [PMQ_NOTIFY_THREAD] = "thread",
        [PMQ_NOTIFY_UNKNOWN] = NULL,
    };
    enum pmq_notify_method m = row->attr.notify;

    row->notify = methods[m];
    row->notify_pid = row->notify && row->attr.notify_pid ? (uint32_t)row->attr.notify_pid
                                                          : OUT_UNKNOWN_U32;
    row->notify_signo = m == PMQ_NOTIFY_SIGNAL ? (uint32_t)row->attr.notify_signo : OUT_UNKNOWN_U32;
}

/* Only a queue without permission bits can be incomplete, so that the journals are rarely read. */
static bool is_incomplete(const struct pmq_info *q)
{
    struct pmq_unfinished_set set;
    bool found;

    if (q->attr.mode != 0 || pmq_unfinished_read(false, &set, NULL) < 0)
        return false;
    found = pmq_unfinished_find(&set, &q->attr, q->ipc_ns) != NULL;
    pmq_unfinished_done(&set);
    return found;
}

void queue_row_fill(struct queue_row *row, const struct pmq_set *set, const struct pmq_info *q,
                    uint64_t now)
{
    uint64_t senders = 0;
    struct pmq_ref ref;

    *row = (struct queue_row){.attr = q->attr, .ipc_ns = q->ipc_ns ? q->ipc_ns : OUT_UNKNOWN_U64};
    row->kind = "posix";
    row->id = row->limit = OUT_UNKNOWN_U64;
    row->name = q->attr.name[0] ? q->attr.name : NULL;
    queue_row_user(q->attr.uid, row->owner, sizeof(row->owner));
    row->age = now > q->attr.changed ? now - q->attr.changed : 0;
    /*
     * Kernels report whole seconds (mqueue's s_time_gran), so a fraction in the age would be false.
     */
    if (q->attr.changed % NSEC_PER_SEC == 0)
        row->age -= row->age % NSEC_PER_SEC;
    row->charged = q->known ? pmq_charge(q->attr.maxmsg, q->attr.msgsize) : OUT_UNKNOWN_U64;
    for (size_t i = 0; i < q->n_waiters; i++)
        senders += q->waiters[i].direction == PMQ_SEND;
    row->holders = q->n_holders;
    row->senders = row->receivers = OUT_UNKNOWN_U64;
    if (set->flags & PMQ_SCAN_WAITERS) {
        row->senders = senders;
        row->receivers = q->n_waiters - senders;
    }
    row->holders_complete = set->holders_complete;
    row->waiters_complete = set->waiters_complete;
    row->incomplete = is_incomplete(q);
    fill_notify(row);
    if (pmq_info_ref(q, &ref))
        pmq_ref_format(&ref, row->reference);
    row->label = q->ns_pid && !q->attr.unlinked ? row->reference : row->name;
    if (q->attr.unlinked) {
        snprintf(row->unlinked_label, sizeof(row->unlinked_label), "%s (unlinked)",
                 row->name ? row->name : "(no name)");
        row->label = row->unlinked_label;
    }
}

void queue_row_fill_sysv(struct queue_row *row, const struct sysv_set *set,
                         const struct sysv_info *q, uint64_t msgmax, uint64_t now)
{
    const struct sysv_attr *a = &q->attr;
    const struct sysv_ref ref = {.id = a->id};
    uint64_t senders = 0;

    *row = (struct queue_row){
        .attr =
            {
                .curmsgs = a->depth,
                .maxmsg = PMQ_UNKNOWN,
                .msgsize = msgmax,
                .bytes = a->bytes,
                .uid = a->uid,
                .gid = a->gid,
                .mode = a->mode,
                .changed = MAX(a->stime, a->rtime),
            },
        .kind = "sysv",
        .id = (uint64_t)a->id,
        .limit = a->limit,
        .ipc_ns = set->ipc_ns ? set->ipc_ns : OUT_UNKNOWN_U64,
        .charged = OUT_UNKNOWN_U64,
        .holders = OUT_UNKNOWN_U64,
        .notify_pid = OUT_UNKNOWN_U32,
        .notify_signo = OUT_UNKNOWN_U32,
    };
    row->attr.changed = MAX(row->attr.changed, a->ctime);
    sysv_key_format(a->key, row->key);
    queue_row_user(a->uid, row->owner, sizeof(row->owner));
    row->age = now > row->attr.changed ? now - row->attr.changed : 0;
    row->age -= row->age % NSEC_PER_SEC;
    for (size_t i = 0; i < q->n_waiters; i++)
        senders += q->waiters[i].sends;
    row->senders = senders;
    row->receivers = q->n_waiters - senders;
    row->waiters_complete = q->waiters_complete;
    sysv_ref_format(&ref, row->reference);
    row->name = row->label = row->reference;
}
