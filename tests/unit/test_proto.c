/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* D-Bus and Varlink from bytes, with libdbus as the referee where it is installed. */
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "check.h"
#include "cleanup.h"
#include "macros.h"
#include "proto.h"

/* ---- making messages ---- */

/* Bytes in either order, aligned as D-Bus wants it. */
struct maker {
    struct buf b;
    bool big;
};

static void align(struct maker *m, size_t to)
{
    while (m->b.len % to)
        buf_add_char(&m->b, '\0');
}

static void put_u32(struct maker *m, uint32_t v)
{
    align(m, 4);
    for (int i = 0; i < 4; i++)
        buf_add_char(&m->b, (char)(v >> 8 * (m->big ? 3 - i : i)));
}

static void put_text(struct maker *m, const char *s)
{
    put_u32(m, (uint32_t)strlen(s));
    buf_add(&m->b, s, strlen(s) + 1);
}

static void put_sig(struct maker *m, const char *s)
{
    buf_add_char(&m->b, (char)strlen(s));
    buf_add(&m->b, s, strlen(s) + 1);
}

static void field(struct maker *m, char code, const char *sig, const char *text)
{
    align(m, 8);
    buf_add_char(&m->b, code);
    put_sig(m, sig);
    if (*sig == 'g')
        put_sig(m, text);
    else
        put_text(m, text);
}

static void set_u32(struct maker *m, size_t at, uint32_t v)
{
    for (size_t i = 0; i < 4; i++)
        m->b.data[at + i] = (char)(v >> 8 * (m->big ? 3 - i : i));
}

/* A call of org.example.Store.Put with this signature and body. */
static void make_call(struct maker *m, bool big, const char *sig, const struct maker *body)
{
    size_t begin;

    *m = (struct maker){.big = big};
    buf_add(&m->b, big ? "B\1\0\1" : "l\1\0\1", 4);
    put_u32(m, body ? (uint32_t)body->b.len : 0);
    put_u32(m, 7);
    put_u32(m, 0);
    begin = m->b.len;
    field(m, 1, "o", "/store");
    field(m, 2, "s", "org.example.Store");
    field(m, 3, "s", "Put");
    field(m, 6, "s", "org.example.Store");
    if (sig)
        field(m, 8, "g", sig);
    set_u32(m, 12, (uint32_t)(m->b.len - begin));
    align(m, 8);
    if (body)
        buf_add(&m->b, body->b.data, body->b.len);
}

/* Its JSON, or NULL when it is none. The caller frees it. */
static char *json_of(const struct maker *m)
{
    struct buf out = BUF_INIT;
    struct proto_dbus msg;

    if (proto_dbus_size(m->b.data, m->b.len) != (ssize_t)m->b.len ||
        proto_dbus_parse(m->b.data, m->b.len, &msg) < 0)
        return NULL;
    proto_dbus_json(&msg, &out);
    return buf_steal(&out);
}

static void check_body(const char *sig, const struct maker *body, const char *want)
{
    _cleanup_(freep) char *json = NULL;
    const char *at;
    struct maker m;

    make_call(&m, body->big, sig, body);
    json = json_of(&m);
    at = json ? strstr(json, "\"body\":") : NULL;
    CHECK((at != NULL) == (want != NULL));
    if (at && want) {
        char got[512];

        snprintf(got, sizeof(got), "%.*s", (int)(strlen(at) - strlen(",\"unix_fds\":0}") - 7),
                 at + 7);
        CHECK_STR(got, want);
    }
    buf_done(&m.b);
}

static void test_whole(void)
{
    for (int big = 0; big < 2; big++) {
        struct maker body = {.big = big}, m;
        _cleanup_(freep) char *json = NULL;

        put_text(&body, "k\"ey");
        make_call(&m, big, "s", &body);
        json = json_of(&m);
        CHECK_STR(json,
                  "{\"type\":\"method_call\",\"serial\":7,\"reply_serial\":null,\"sender\":null,"
                  "\"destination\":\"org.example.Store\",\"path\":\"/store\","
                  "\"interface\":\"org.example.Store\",\"member\":\"Put\",\"error_name\":null,"
                  "\"signature\":\"s\",\"body\":[\"k\\\"ey\"],\"unix_fds\":0}");
        buf_done(&body.b);
        buf_done(&m.b);
    }
}

/* a{sv} of so many pairs of "KEY", uint32 */
static void put_dict(struct maker *m, const char *const *names, size_t n)
{
    size_t len_at, begin;

    put_u32(m, 0);
    len_at = m->b.len - 4;
    align(m, 8);
    begin = m->b.len;
    for (size_t i = 0; i < n; i++) {
        align(m, 8);
        put_text(m, names[i]);
        put_sig(m, "u");
        put_u32(m, (uint32_t)i);
    }
    set_u32(m, len_at, (uint32_t)(m->b.len - begin));
}

static void test_values(void)
{
    static const char *const two[] = {"a", "b"}, *const twins[] = {"a", "b", "a"};
    struct maker m = {0};
    double d = 0.5;

    put_dict(&m, two, 2);
    check_body("a{sv}", &m, "[{\"a\":0,\"b\":1}]");
    buf_clear(&m.b);
    put_dict(&m, twins, 3);
    check_body("a{sv}", &m, "[[[\"a\",0],[\"b\",1],[\"a\",2]]]");
    buf_clear(&m.b);
    buf_add(&m.b, "\xff\0\xfe\xff\xff\xff\xff\xff", 8); /* y, padding, n, i */
    check_body("yni", &m, "[255,-2,-1]");
    buf_clear(&m.b);
    buf_add(&m.b, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
    check_body("t", &m, "[18446744073709551615]");
    check_body("x", &m, "[-1]");
    check_body("d", &m, "[null]");
    buf_clear(&m.b);
    buf_add(&m.b, &d, 8);
    check_body("d", &m, "[0.5]");
    check_body("(d)", &m, "[[0.5]]");
    check_body("dd", &m, NULL);
    check_body("", &m, NULL);
    buf_clear(&m.b);
    put_u32(&m, 1);
    check_body("b", &m, "[true]");
    buf_clear(&m.b);
    put_u32(&m, 2);
    check_body("b", &m, NULL);
    check_body("a", &m, NULL);
    check_body("a{vs}", &m, NULL);
    check_body("()", &m, NULL);
    buf_done(&m.b);
}

/* Variants in each other: 64 are taken, 65 are none. */
static void test_depth(void)
{
    for (int depth = 62; depth < 68; depth++) {
        struct maker m = {0};
        char sig[256] = "";
        ssize_t r;
        struct maker call;
        struct proto_dbus msg;

        for (int i = 1; i < depth; i++)
            put_sig(&m, "v");
        put_sig(&m, "y");
        buf_add_char(&m.b, 5);
        make_call(&call, false, "v", &m);
        r = proto_dbus_parse(call.b.data, call.b.len, &msg);
        CHECK_INT(r, depth <= PROTO_DBUS_DEPTH ? 0 : -EBADMSG);
        buf_done(&call.b);
        buf_clear(&m.b);
        for (int i = 0; i < depth; i++)
            strcat(sig, "a");
        strcat(sig, "y");
        put_u32(&m, 0);
        make_call(&call, false, sig, &m);
        r = proto_dbus_parse(call.b.data, call.b.len, &msg);
        CHECK_INT(r, depth <= PROTO_DBUS_DEPTH ? 0 : -EBADMSG);
        buf_done(&call.b);
        buf_done(&m.b);
    }
}

static void test_wrong(void)
{
    struct maker body = {0}, m;
    struct proto_dbus msg;

    put_text(&body, "text");
    make_call(&m, false, "s", &body);
    CHECK_INT(proto_dbus_parse(m.b.data, m.b.len - 1, &msg), -EBADMSG);
    CHECK_INT(proto_dbus_size(m.b.data, 15), 0);
    CHECK_INT(proto_dbus_size(m.b.data, 0), 0);
    m.b.data[0] = 'x';
    CHECK_INT(proto_dbus_size(m.b.data, m.b.len), -EBADMSG);
    m.b.data[0] = 'B'; /* the other order: the lengths are far too large */
    CHECK_INT(proto_dbus_size(m.b.data, m.b.len), -EBADMSG);
    m.b.data[0] = 'l';
    set_u32(&m, 4, UINT32_MAX);
    CHECK_INT(proto_dbus_size(m.b.data, m.b.len), -EBADMSG);
    set_u32(&m, 4, (uint32_t)body.b.len);
    set_u32(&m, 12, UINT32_MAX);
    CHECK_INT(proto_dbus_size(m.b.data, m.b.len), -EBADMSG);
    buf_done(&m.b);
    make_call(&m, false, "s", &body);
    set_u32(&m, m.b.len - body.b.len, 1 << 30); /* a string longer than all */
    CHECK_INT(proto_dbus_parse(m.b.data, m.b.len, &msg), -EBADMSG);
    buf_done(&m.b);
    buf_done(&body.b);
}

/* ---- streams ---- */

struct sum {
    size_t n;
    uint64_t skipped;
    enum proto_kind kind;
};

static int on_message(const struct proto_message *m, void *ctx)
{
    struct sum *s = ctx;

    s->n++;
    s->skipped += m->skipped;
    s->kind = m->kind;
    return 0;
}

/* Feeds the bytes in two pieces, for each place to cut them. */
static void check_cuts(const void *data, size_t n, size_t messages, uint64_t skipped)
{
    for (size_t cut = 0; cut <= n; cut++) {
        struct proto_stream s = {0};
        struct sum sum = {0};

        CHECK_INT(proto_stream_feed(&s, data, cut, on_message, &sum), 0);
        CHECK_INT(proto_stream_feed(&s, (const char *)data + cut, n - cut, on_message, &sum), 0);
        CHECK_INT(sum.n, messages);
        CHECK_INT(sum.skipped, skipped);
        CHECK_INT(proto_stream_pending(&s), 0);
        proto_stream_done(&s);
    }
}

static void test_streams(void)
{
    static const char sasl[] = "\0AUTH EXTERNAL 30\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n";
    static const char varlink[] = "{\"method\": \"io.example.Get\",\n \"parameters\": {\"n\": 1}}";
    struct maker body = {0}, m;
    struct buf all = BUF_INIT;

    put_text(&body, "text {l\1\0\1");
    make_call(&m, false, "s", &body);
    buf_add(&all, sasl, sizeof(sasl) - 1);
    buf_add(&all, m.b.data, m.b.len);
    buf_add(&all, m.b.data, m.b.len);
    check_cuts(all.data, all.len, 2, 0);
    /* Joined in the middle of the first message. */
    check_cuts(all.data + sizeof(sasl) - 1 + 40, all.len - sizeof(sasl) + 1 - 40, 1, m.b.len - 40);
    buf_clear(&all);
    for (int i = 0; i < 3; i++)
        buf_add(&all, varlink, sizeof(varlink));
    check_cuts(all.data, all.len, 3, 0);
    check_cuts(all.data + 3, all.len - 3, 2, sizeof(varlink) - 3);
    check_cuts("no protocol at all, line by line", 32, 0, 0);
    buf_done(&all);
    buf_done(&body.b);
    buf_done(&m.b);
}

static void test_gap(void)
{
    struct proto_stream s = {0};
    struct sum sum = {0};
    struct maker m;

    make_call(&m, false, NULL, NULL);
    CHECK_INT(proto_stream_feed(&s, m.b.data, m.b.len - 8, on_message, &sum), 0);
    CHECK(sum.n == 0 && proto_stream_pending(&s) == m.b.len - 8);
    proto_stream_gap(&s, 8);
    CHECK_INT(proto_stream_feed(&s, m.b.data, m.b.len, on_message, &sum), 0);
    CHECK_INT(sum.n, 1);
    CHECK_INT(sum.skipped, m.b.len);
    proto_stream_done(&s);
    buf_done(&m.b);
}

static void test_varlink(void)
{
    static const struct {
        const char *text;
        const char *json;
    } cases[] = {
        {"{\"method\": \"a.B\" }", "{\"method\":\"a.B\"}"},
        {"{\"parameters\":{\"x\":\" \\\" { \"},\"continues\":true}",
         "{\"parameters\":{\"x\":\" \\\" { \"},\"continues\":true}"},
        {"{\"error\":\"a.E\",\"parameters\":null}", "{\"error\":\"a.E\",\"parameters\":null}"},
        {"{}", NULL},
        {"{\"other\":1}", NULL},
        {"{\"method\":1}", NULL},
        {"{\"method\":\"a.B\"", NULL},
        {"{\"method\":\"a.B\xff\"}", NULL},
        {"[]", NULL},
        {"", NULL},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_(buf_done) struct buf json = BUF_INIT;
        _cleanup_(freep) char *copy = strdup(cases[i].text);
        int r = proto_varlink_parse(copy, strlen(copy), &json);

        CHECK_INT(r, cases[i].json ? 0 : -EBADMSG);
        if (cases[i].json)
            CHECK_STR(buf_str(&json), cases[i].json);
    }
}

/* ---- the referee ---- */

/* The little of libdbus's interface that is needed, as its headers declare it. */
struct dbus_error {
    const char *name, *message;
    unsigned int bits;
    void *padding;
};

static struct {
    void *(*new_call)(const char *to, const char *path, const char *interface, const char *method);
    unsigned int (*append)(void *m, int first, ...);
    void (*set_serial)(void *m, uint32_t serial);
    unsigned int (*marshal)(void *m, char **data, int *n);
    void *(*demarshal)(const char *data, int n, struct dbus_error *e);
    void (*error_init)(struct dbus_error *e);
    void (*error_free)(struct dbus_error *e);
    void (*unref)(void *m);
    void (*free)(void *p);
} lib;

static bool find_library(void)
{
    void *so = dlopen("libdbus-1.so.3", RTLD_NOW);

    if (!so)
        return false;
    *(void **)&lib.new_call = dlsym(so, "dbus_message_new_method_call");
    *(void **)&lib.append = dlsym(so, "dbus_message_append_args");
    *(void **)&lib.set_serial = dlsym(so, "dbus_message_set_serial");
    *(void **)&lib.marshal = dlsym(so, "dbus_message_marshal");
    *(void **)&lib.demarshal = dlsym(so, "dbus_message_demarshal");
    *(void **)&lib.error_init = dlsym(so, "dbus_error_init");
    *(void **)&lib.error_free = dlsym(so, "dbus_error_free");
    *(void **)&lib.unref = dlsym(so, "dbus_message_unref");
    *(void **)&lib.free = dlsym(so, "dbus_free");
    return lib.new_call && lib.append && lib.set_serial && lib.marshal && lib.demarshal &&
           lib.error_init && lib.error_free && lib.unref && lib.free;
}

static bool library_takes(const char *data, size_t n)
{
    struct dbus_error e;
    void *m;

    lib.error_init(&e);
    m = lib.demarshal(data, (int)n, &e);
    if (m)
        lib.unref(m);
    else
        lib.error_free(&e);
    return m != NULL;
}

/* What libdbus takes we take; it refuses more, e.g. names of interfaces that are none. */
static void test_mutations(const char *data, size_t n)
{
    unsigned int seed = 4711, taken = 0;
    _cleanup_(freep) char *copy = malloc(n);
    struct proto_dbus m;

    for (int i = 0; i < 20000; i++) {
        memcpy(copy, data, n);
        for (int k = rand_r(&seed) % 3; k >= 0; k--)
            copy[(size_t)rand_r(&seed) % n] = (char)(rand_r(&seed) % (k % 2 ? 256 : 16));
        /* It also takes types that do not exist yet, and bytes behind a shorter message. */
        if (copy[1] < 1 || copy[1] > 4 || proto_dbus_size(copy, n) != (ssize_t)n ||
            !library_takes(copy, n))
            continue;
        taken++;
        CHECK_INT(proto_dbus_parse(copy, n, &m), 0);
    }
    CHECK(taken > 100);
}

static void test_library(void)
{
    enum { INVALID = 0, STRING = 's', UINT32 = 'u', DOUBLE = 'd', ARRAY = 'a', BOOLEAN = 'b' };
    const char *words[] = {"one", "zwei \xc3\xa4", ""}, **v = words, *text = "text";
    uint32_t u = 4711, yes = 1;
    struct buf json = BUF_INIT;
    struct proto_dbus got;
    struct maker ours, body = {0};
    char *data;
    double d = -2.5;
    int n;
    void *m = lib.new_call("org.example.Store", "/store", "org.example.Store", "Put");

    CHECK(lib.append(m, STRING, &text, UINT32, &u, DOUBLE, &d, BOOLEAN, &yes, ARRAY, STRING, &v, 3,
                     INVALID));
    lib.set_serial(m, 99);
    CHECK(lib.marshal(m, &data, &n));
    CHECK_INT(proto_dbus_parse(data, (size_t)n, &got), 0);
    proto_dbus_json(&got, &json);
    CHECK_STR(
        buf_str(&json),
        "{\"type\":\"method_call\",\"serial\":99,\"reply_serial\":null,\"sender\":null,"
        "\"destination\":\"org.example.Store\",\"path\":\"/store\","
        "\"interface\":\"org.example.Store\",\"member\":\"Put\",\"error_name\":null,"
        "\"signature\":\"sudbas\","
        "\"body\":[\"text\",4711,-2.5,true,[\"one\",\"zwei \xc3\xa4\",\"\"]],\"unix_fds\":0}");
    test_mutations(data, (size_t)n);
    put_text(&body, "hello");
    make_call(&ours, false, "s", &body);
    CHECK(library_takes(ours.b.data, ours.b.len));
    test_mutations(ours.b.data, ours.b.len);
    lib.free(data);
    lib.unref(m);
    buf_done(&json);
    buf_done(&ours.b);
    buf_done(&body.b);
}

int main(void)
{
    test_whole();
    test_values();
    test_depth();
    test_wrong();
    test_streams();
    test_gap();
    test_varlink();
    if (find_library())
        test_library();
    else
        printf("libdbus is not here: what it takes is not compared\n");
    return check_done();
}
