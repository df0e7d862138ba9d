/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Channels of either provider: naming and finding them; and the provider of embedded channels. */
#include "uipc.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "macros.h"
#include "parse.h"

/* "PID:FD" */
static int parse_descriptor(const char *text, pid_t *pid, int *fd)
{
    const char *colon = strchr(text, ':');
    char number[24];
    uint64_t p, f;

    if (!colon || (size_t)(colon - text) >= sizeof(number))
        return -EINVAL;
    snprintf(number, sizeof(number), "%.*s", (int)(colon - text), text);
    if (parse_u64_max(number, INT_MAX, &p) < 0 || p == 0 ||
        parse_u64_max(colon + 1, INT_MAX, &f) < 0)
        return -EINVAL;
    *pid = (pid_t)p;
    *fd = (int)f;
    return 0;
}

int uipc_ref_parse(const char *text, struct uipc_ref *ref, struct err *e)
{
    struct uipc_ref got = {.fd = -1};
    uint64_t v;

    if (strncmp(text, "pid:", 4) == 0) {
        if (parse_descriptor(text + 4, &got.pid, &got.fd) < 0)
            return err_set(e, -EINVAL, NULL, "a process's channel is pid:PID:FD, both numbers");
    } else if (strncmp(text, "0x", 2) == 0) {
        if (parse_u64(text, &got.key) < 0 || got.key == 0)
            return err_set(e, -EINVAL, NULL, "a key is 0x and 1 to 16 digits, and not zero");
    } else if (text[0] && strspn(text, "0123456789") == strlen(text)) {
        if (parse_u64_max(text, UINT32_MAX, &v) < 0 || v == 0)
            return err_set(e, -EINVAL, NULL, "an id is a number from 1 to %u", UINT32_MAX);
        got.id = (uint32_t)v;
    } else if (text[0] && strlen(text) <= CHAN_NAME_MAX) {
        snprintf(got.name, sizeof(got.name), "%s", text);
        got.key = chan_key_of_name(text);
    } else {
        return err_set(e, -EINVAL, NULL, "a name has 1 to %d bytes", CHAN_NAME_MAX);
    }
    *ref = got;
    return 0;
}

int uipc_select(const char *name, struct uipc_providers *ret, struct err *e)
{
    struct uipc_providers p = {.first = &uipc_embedded_ops};

    if (!name) {
        if (uipc_kernel_ops.probe(&p.why) == 0) {
            p.first = &uipc_kernel_ops;
            p.second = &uipc_embedded_ops;
        }
    } else if (strcmp(name, uipc_kernel_ops.name) == 0) {
        p.first = &uipc_kernel_ops;
        if (p.first->probe(e) < 0)
            return -EOPNOTSUPP;
    } else if (strcmp(name, uipc_embedded_ops.name) != 0) {
        return err_set(e, -EINVAL, NULL, "no backend is called %s: there are %s and %s", name,
                       uipc_kernel_ops.name, uipc_embedded_ops.name);
    }
    *ret = p;
    return 0;
}

/* Of the answers of both providers the second's counts when it has the channel. */
static int second_answer(int first, int second, const struct err *second_e, struct err *e)
{
    if (second == -ENOENT)
        return first;
    if (e)
        *e = *second_e;
    return second;
}

int uipc_find(const struct uipc_providers *p, const char *dir, const struct uipc_ref *ref,
              unsigned int access, struct uipc **ret, struct err *e)
{
    struct err other = ERR_INIT;
    int r = uipc_open(p->first, dir, ref, access, ret, e);

    if (r != -ENOENT || !p->second)
        return r;
    return second_answer(r, uipc_open(p->second, dir, ref, access, ret, &other), &other, e);
}

int uipc_destroy(const struct uipc_providers *p, const char *dir, const struct uipc_ref *ref,
                 bool force, struct err *e)
{
    struct err other = ERR_INIT;
    int r = p->first->destroy(dir, ref, force, e);

    if (r != -ENOENT || !p->second)
        return r;
    return second_answer(r, p->second->destroy(dir, ref, force, &other), &other, e);
}

/* ---- the embedded engine --------------------------------------------------------------------- */

struct embedded {
    struct uipc base;
    struct chan *chan;
};

struct embedded_keep {
    struct uipc_keep base;
    char *dir;
    uint32_t id;
};

static struct chan *chan_of(struct uipc *u)
{
    return container_of(u, struct embedded, base)->chan;
}

static int embedded_probe(struct err *e _unused_)
{
    return 0;
}

static void embedded_release(struct uipc_keep *keep, bool destroy)
{
    struct embedded_keep *k = container_of(keep, struct embedded_keep, base);

    if (destroy)
        (void)chan_destroy(k->dir, &(struct chan_ref){.id = k->id}, NULL);
    free(k->dir);
    free(k);
}

static int embedded_check(struct uipc_keep *keep, struct err *e)
{
    const struct embedded_keep *k = container_of(keep, struct embedded_keep, base);

    return chan_exists(k->dir, k->id) ? 0 : err_set(e, -EIDRM, NULL, "it has been destroyed");
}

static int embedded_create(const char *dir, const struct chan_conf *conf, struct uipc_keep **keep,
                           uint32_t *id, struct err *e)
{
    struct embedded_keep *k = calloc(1, sizeof(*k));
    int r = -ENOMEM;

    if (k && dir)
        k->dir = strdup(dir);
    if (k && (!dir || k->dir))
        r = chan_create(dir, conf, &k->id, e);
    if (r < 0) {
        if (k)
            free(k->dir);
        free(k);
        return r;
    }
    k->base.ops = &uipc_embedded_ops;
    *id = k->id;
    *keep = &k->base;
    return 0;
}

/* Return: 0, or -EINVAL for a descriptor, which only a kernel channel has. */
static int embedded_ref(const struct uipc_ref *ref, struct chan_ref *out, struct err *e)
{
    if (ref->pid)
        return err_set(e, -EINVAL, "use its id or its key",
                       "an embedded channel is no descriptor of a process");
    *out = (struct chan_ref){.id = ref->id, .key = ref->key};
    return 0;
}

static int embedded_destroy(const char *dir, const struct uipc_ref *ref, bool force _unused_,
                            struct err *e)
{
    struct chan_ref c;
    int r = embedded_ref(ref, &c, e);

    return r < 0 ? r : chan_destroy(dir, &c, e);
}

struct embedded_list {
    uipc_info_fn visit;
    void *ctx;
};

static struct uipc_info embedded_info_of(const struct chan_info *c, int r)
{
    return (struct uipc_info){
        .backend = uipc_embedded_ops.name,
        .id = c->id,
        .delivery = r == 0 ? (int)c->delivery : UIPC_DELIVERY_UNKNOWN,
        .known = true,
        .fd = -1,
        .error = r,
        .c = *c,
    };
}

static int embedded_list_one(const struct chan_info *c, int r, void *ctx)
{
    const struct embedded_list *l = ctx;
    struct uipc_info info = embedded_info_of(c, r);

    return l->visit(&info, l->ctx);
}

/* No process is hidden: one that has an embedded channel open holds a lock that everybody can see.
 */
static int embedded_list(const char *dir, uipc_info_fn visit, void *ctx, uint64_t *hidden,
                         struct err *e _unused_)
{
    struct embedded_list l = {visit, ctx};

    *hidden = 0;
    return chan_visit(dir, embedded_list_one, &l);
}

static int embedded_open(const char *dir, const struct uipc_ref *ref, unsigned int access,
                         struct uipc **ret, struct err *e)
{
    struct embedded *u = calloc(1, sizeof(*u));
    struct chan_ref c;
    int r;

    if (!u)
        return -ENOMEM;
    r = embedded_ref(ref, &c, e);
    if (r == 0)
        r = chan_open(dir, &c, access, &u->chan, e);
    if (r < 0) {
        free(u);
        return r;
    }
    u->base.ops = &uipc_embedded_ops;
    *ret = &u->base;
    return 0;
}

static void embedded_close(struct uipc *u)
{
    struct embedded *em = container_of(u, struct embedded, base);

    chan_close(em->chan);
    free(em);
}

/* Explains errors that the number alone does not. */
static int embedded_words(int r, struct err *e)
{
    switch (r) {
    case -EIDRM:
        return err_set(e, r, NULL, "the channel has been destroyed");
    case -ENOBUFS:
        return err_set(e, r, "wait with --timeout", "the channel is full");
    case -EIO:
        return err_set(e, r, NULL, "the channel's file was cut short");
    case -EBADMSG:
        return err_set(e, r, NULL, "a slot makes no sense; it was skipped");
    default:
        return r;
    }
}

static int embedded_send(struct uipc *u, const void *data, size_t len, uint64_t user_data,
                         uint32_t target, uint64_t timeout_ns, struct err *e)
{
    int r = chan_send(chan_of(u), data, len, user_data, target, timeout_ns);

    if (r == -ETIMEDOUT)
        return err_set(e, r, NULL, "the channel stayed full until the time was over");
    if (r == -EMSGSIZE)
        return err_set(e, r, NULL, "%zu bytes are more than this channel takes", len);
    if (r == -ENOENT)
        return err_set(e, r, "uringipc info shows the receivers",
                       "there is no receiver %u; nothing was sent", target);
    return embedded_words(r, e);
}

static int embedded_recv(struct uipc *u, void *buf, size_t cap, struct chan_got *got,
                         uint64_t timeout_ns, struct err *e)
{
    return embedded_words(chan_recv(chan_of(u), buf, cap, got, timeout_ns), e);
}

static void embedded_patient(struct uipc *u)
{
    chan_patient(chan_of(u));
}

static void embedded_hold(struct uipc *u)
{
    chan_hold(chan_of(u));
}

static void embedded_commit(struct uipc *u)
{
    chan_commit(chan_of(u));
}

static int embedded_look(struct uipc *u, struct ringmap *map, uint64_t *from, uint64_t *to)
{
    return chan_look(chan_of(u), map, from, to);
}

static int embedded_get_info(struct uipc *u, struct uipc_info *info)
{
    struct chan_info c;
    int r = chan_get_info(chan_of(u), &c);

    if (r == 0)
        *info = embedded_info_of(&c, 0);
    return r;
}

static int embedded_peers(struct uipc *u, uipc_peer_fn visit, void *ctx, uint64_t *hidden)
{
    *hidden = 0;
    return chan_visit_peers(chan_of(u), visit, ctx);
}

static uint32_t embedded_sub_id(struct uipc *u)
{
    return chan_sub_id(chan_of(u));
}

const struct uipc_ops uipc_embedded_ops = {
    .name = "embedded",
    .probe = embedded_probe,
    .create = embedded_create,
    .check = embedded_check,
    .destroy = embedded_destroy,
    .list = embedded_list,
    .open = embedded_open,
    .send = embedded_send,
    .recv = embedded_recv,
    .hold = embedded_hold,
    .patient = embedded_patient,
    .commit = embedded_commit,
    .look = embedded_look,
    .info = embedded_get_info,
    .peers = embedded_peers,
    .sub_id = embedded_sub_id,
    .close = embedded_close,
    .release = embedded_release,
};
