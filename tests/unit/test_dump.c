/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The dump format: what is written reads back, and nothing else passes for it. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "buf.h"
#include "check.h"
#include "cleanup.h"
#include "dump.h"
#include "dump_json.h"

/* ---- a dump in memory ---- */

static void write_sample(struct buf *out)
{
    static const uint64_t ids[] = {1, UINT64_MAX, 9007199254740993u};
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    struct dump_writer *w = NULL;

    CHECK_INT(dump_writer_new(f, "queues", "test", "none", &w), 0);
    dump_begin(w, "queue");
    dump_put_str(w, "name", "/a\xff\"\\\n");
    dump_put_u64(w, "maxmsg", UINT64_MAX);
    dump_put_i64(w, "low", INT64_MIN);
    dump_put_mode(w, "mode", 0640);
    dump_put_hex64(w, "key", 0xdeadbeefcafef00du);
    dump_put_time(w, "changed", 1763850802123456789u);
    dump_put_bool(w, "yes", true);
    dump_put_u64_array(w, "ids", ids, ARRAY_SIZE(ids));
    dump_end(w);
    dump_begin(w, "message");
    dump_put_payload(w, "hi \"\\\x01\xc3\xa9", 8, 8);
    dump_end(w);
    dump_begin(w, "message");
    dump_put_payload(w, "\0\xff", 2, 10);
    dump_end(w);
    dump_begin(w, "message");
    dump_put_payload(w, NULL, 0, 0);
    dump_end(w);
    CHECK_INT(dump_writer_finish(w), 0);
    dump_writer_free(w);
    fclose(f);
    buf_add(out, text, n);
    free(text);
}

static int open_text(const char *text, size_t n, unsigned int flags, struct dump_reader **r,
                     struct err *e)
{
    int fd = memfd_create("dump", MFD_CLOEXEC);

    if (fd < 0 || write(fd, text, n) != (ssize_t)n || lseek(fd, 0, SEEK_SET) < 0)
        abort();
    return dump_reader_open_fd(fd, flags, r, e);
}

/* Reads all of it. Return: what the reader said in the end. */
static int read_all(const char *text, size_t n, unsigned int flags, struct err *e)
{
    _cleanup_(dump_reader_freep) struct dump_reader *r = NULL;
    struct dump_record *rec;
    int k = open_text(text, n, flags, &r, e);

    if (k < 0)
        return k;
    while ((k = dump_reader_next(r, &rec, e)) > 0)
        ;
    return k;
}

static void check_queue(struct dump_record *rec)
{
    uint64_t v = 0, ids[4];
    int64_t low = 0;
    uint32_t mode = 0;
    bool yes = false;
    char name[16];
    size_t n = 0;

    CHECK_STR(rec->type, "queue");
    CHECK_INT(rec->line, 2);
    CHECK_INT(dump_get_str(rec, "name", name, sizeof(name), NULL), 0);
    CHECK_STR(name, "/a\xff\"\\\n");
    CHECK_INT(dump_get_str(rec, "name", name, 5, NULL), -EBADMSG);
    CHECK(dump_get_u64(rec, "maxmsg", UINT64_MAX, &v, NULL) == 0 && v == UINT64_MAX);
    CHECK_INT(dump_get_u64(rec, "maxmsg", 5, &v, NULL), -EBADMSG);
    CHECK(dump_get_i64(rec, "low", &low, NULL) == 0 && low == INT64_MIN);
    CHECK(dump_get_hex64(rec, "key", &v, NULL) == 0 && v == 0xdeadbeefcafef00du);
    CHECK(dump_get_time(rec, "changed", &v, NULL) == 0 && v == 1763850802123456789u);
    CHECK(dump_get_mode(rec, "mode", &mode, NULL) == 0 && mode == 0640);
    CHECK(dump_get_bool(rec, "yes", &yes, NULL) == 0 && yes);
    CHECK_INT(dump_get_u64_array(rec, "ids", ids, 4, &n, NULL), 0);
    CHECK(n == 3 && ids[1] == UINT64_MAX && ids[2] == 9007199254740993u);
    CHECK_INT(dump_get_u64_array(rec, "ids", ids, 2, &n, NULL), -EBADMSG);
    CHECK_INT(dump_get_u64(rec, "absent", 1, &v, NULL), -ENOENT);
    CHECK(!dump_has(rec, "absent") && dump_has(rec, "ids"));
}

static void test_round_trip(void)
{
    _cleanup_(buf_done) struct buf text = BUF_INIT;
    _cleanup_(dump_reader_freep) struct dump_reader *r = NULL;
    struct dump_payload p;
    struct dump_record *rec;
    struct err e = ERR_INIT;
    uint64_t n;

    write_sample(&text);
    CHECK_INT(open_text(text.data, text.len, DUMP_REWIND, &r, &e), 0);
    CHECK_STR(dump_reader_header(r)->kind, "queues");
    for (int pass = 0; pass < 2; pass++) {
        CHECK_INT(dump_reader_next(r, &rec, &e), 1);
        check_queue(rec);
        CHECK_INT(dump_reader_next(r, &rec, &e), 1);
        CHECK_INT(dump_get_payload(rec, &p, &e), 0);
        CHECK(p.captured == 8 && memcmp(p.data, "hi \"\\\x01\xc3\xa9", 8) == 0);
        CHECK_INT(dump_get_payload(rec, &p, &e), 0);
        CHECK_INT(p.captured, 8);
        CHECK_INT(dump_reader_next(r, &rec, &e), 1);
        CHECK_INT(dump_get_payload(rec, &p, &e), 0);
        CHECK(p.captured == 2 && p.length == 10 && memcmp(p.data, "\0\xff", 2) == 0);
        CHECK_INT(dump_reader_next(r, &rec, &e), 1);
        CHECK_INT(dump_get_payload(rec, &p, &e), 0);
        CHECK(p.captured == 0 && p.length == 0);
        CHECK_INT(dump_reader_next(r, &rec, &e), 0);
        CHECK_STR(dump_reader_count(r, 1, &n), "message");
        CHECK_INT(n, 3);
        CHECK(!dump_reader_count(r, 2, &n));
        CHECK_INT(dump_reader_next(r, &rec, &e), -EINVAL);
        CHECK_INT(dump_reader_rewind(r, &e), 0);
    }
}

/* Every flipped bit and every cut is found; only the length of the rest decides what it is called.
 */
static void test_damage(void)
{
    _cleanup_(buf_done) struct buf text = BUF_INIT;

    write_sample(&text);
    CHECK_INT(read_all(text.data, text.len, DUMP_DEEP, NULL), 0);
    for (size_t i = 0; i < text.len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            struct err e = ERR_INIT;

            text.data[i] = (char)(text.data[i] ^ 1 << bit);
            CHECK(read_all(text.data, text.len, 0, &e) < 0);
            CHECK(strncmp(e.why, "line ", 5) == 0);
            text.data[i] = (char)(text.data[i] ^ 1 << bit);
        }
    }
    for (size_t n = 0; n < text.len; n++) {
        struct err e = ERR_INIT;
        int k = read_all(text.data, n, 0, &e);

        CHECK(k == -ENODATA || k == -EBADMSG);
        CHECK(e.why[0]);
    }
}

#define HEAD  "{\"type\":\"header\",\"format\":\"ipcbox-dump\",\"version\":1,\"kind\":\"queues\"}\n"
#define ENDED "{\"type\":\"end\",\"records\":0,\"counts\":{},\"crc32\":\"00000000\"}\n"

static void test_refused(void)
{
    static const struct {
        const char *text;
        int code;
        const char *why;
    } cases[] = {
        {"", -ENODATA, "it is empty"},
        {"\n", -EBADMSG, "line 1: no header of an ipcbox dump"},
        {"PK\x03\x04", -EBADMSG, "line 1: no header of an ipcbox dump"},
        {"[1]\n", -EBADMSG, "line 1: no header of an ipcbox dump"},
        {"{\"type\":\"header\",\"format\":\"other\"}\n", -EBADMSG,
         "line 1: no header of an ipcbox dump"},
        {"{\"type\":\"header\",\"format\":\"ipcbox-dump\",\"version\":3,\"kind\":\"queues\"}\n",
         -EPROTONOSUPPORT, "line 1: the dump has format version 3, this program reads version 2"},
        {HEAD, -ENODATA, "line 1: the dump ends without an end record: it was cut off"},
        {HEAD "{\"type\":\"a", -ENODATA,
         "line 2: the dump ends without an end record: it was cut within a line"},
        {HEAD HEAD, -EBADMSG, "line 2: a second header"},
        {HEAD "{\"type\":\"Queue\"}\n", -EBADMSG, "line 2: a malformed \"type\""},
        {HEAD "{\"a\":1}\n", -EBADMSG, "line 2: no \"type\": not a record of a dump"},
        {HEAD "{\"type\":\"a\",\"b\":1,\"b\":2}\n", -EBADMSG,
         "line 2: not one JSON object a line: the same member twice"},
        {HEAD "{\n", -EBADMSG, "line 2: not one JSON object a line: a member without a name"},
        {HEAD "{\"type\":\"message\",\"data_base64\":\"aGk\"}\n", -EBADMSG,
         "line 2: \"data_base64\" is no base 64"},
        {HEAD "{\"type\":\"message\",\"length\":1,\"data_base64\":\"aGk=\"}\n", -EBADMSG,
         "line 2: \"length\" is 1, but the payload has 2 bytes"},
        {HEAD "{\"type\":\"message\",\"text\":\"ho\",\"data_base64\":\"aGk=\"}\n", -EBADMSG,
         "line 2: \"text\" is not what \"data_base64\" holds (delete one of them)"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct err e = ERR_INIT;

        CHECK_INT(read_all(cases[i].text, strlen(cases[i].text), DUMP_DEEP, &e), cases[i].code);
        CHECK_STR(e.why, cases[i].why);
    }
}

/* A line of the greatest length is read, one byte more is refused. */
static void test_long_line(void)
{
    _cleanup_(buf_done) struct buf text = BUF_INIT;
    static const char before[] = "{\"type\":\"a\",\"b\":\"", after[] = "\"}";
    size_t fixed = sizeof(before) - 1 + sizeof(after) - 1;

    for (size_t more = 0; more < 2; more++) {
        struct err e = ERR_INIT;

        buf_clear(&text);
        buf_add_str(&text, HEAD);
        buf_add_str(&text, before);
        buf_add_repeat(&text, 'x', DUMP_LINE_MAX - fixed + more);
        buf_add_str(&text, after);
        buf_add_char(&text, '\n');
        CHECK_INT(buf_error(&text), 0);
        CHECK_INT(read_all(text.data, text.len, 0, &e), more ? -EBADMSG : -ENODATA);
        CHECK(strncmp(e.why, more ? "line 2: longer" : "line 2: the dump", 14) == 0);
    }
}

static void test_partial(void)
{
    static const char text[] = HEAD "{\"type\":\"a\"}\n{\"type\":\"b";
    struct err e = ERR_INIT;

    CHECK_INT(read_all(text, sizeof(text) - 1, DUMP_PARTIAL, &e), 0);
}

static void seal(const char *text, struct buf *out, int want, const char *why)
{
    _cleanup_(dump_reader_freep) struct dump_reader *r = NULL;
    char *sealed = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&sealed, &n);
    struct err e = ERR_INIT;
    int k = open_text(text, strlen(text), DUMP_LOOSE, &r, &e);

    if (k == 0)
        k = dump_seal(r, f, &e);
    fclose(f);
    CHECK_INT(k, want);
    if (why)
        CHECK_STR(e.why, why);
    buf_add(out, sealed, n);
    free(sealed);
}

static void test_seal(void)
{
    _cleanup_(buf_done) struct buf out = BUF_INIT, junk = BUF_INIT;

    seal(HEAD "{\"type\":\"message\",\"text\":\"h\\u00e9\"}\n" ENDED HEAD
              "{\"type\":\"message\",\"data_base64\":\"aGk=\",\"text\":\"hi\"}\n",
         &out, 0, NULL);
    CHECK_INT(read_all(out.data, out.len, DUMP_DEEP, NULL), 0);
    CHECK(strstr(out.data, "\"records\":2"));
    CHECK(strstr(out.data, "h\\u00e9"));
    CHECK(!strstr(out.data + 10, "\"header\""));
    seal("{\n \"type\":\"header\"}\n", &junk, -EBADMSG,
         "line 1: not one JSON object a line: a member without a name");
    seal(HEAD "{\"type\":\"header\",\"format\":\"ipcbox-dump\",\"version\":1,\"kind\":\"bus1\"}\n",
         &junk, -EBADMSG, "line 2: a dump of another kind begins here");
    seal(HEAD "{\"type\":\"m\",\"data_base64\":\"!\"}\n", &junk, -EBADMSG,
         "line 2: \"data_base64\" is no base 64");
    seal(HEAD "{\"type\":\"m\"}", &junk, -ENODATA, "line 2: the last line has no newline");
}

/* ---- the scanner against a JSON library ---- */

static void test_json_agrees(void)
{
    static const char *const seeds[] = {
        "{\"type\":\"message\",\"priority\":5,\"n\":-1.5e+3,\"t\":true,\"text\":\"a\\n\"}",
        "{\"a\":[1,[2,{\"b\":[]}],\"x,]\"],\"c\":{},\"d\":\"\\ud83d\\ude00\"}",
        "{ \"a\" : [ ] , \"b\" : { \"c\" : 0 } }",
    };
    static const char alphabet[] = "{}[]\",:0123456789eE+-.\\u \t\ntrfalsn\x01\xc3\xa9";
    struct json_member members[DUMP_MEMBERS_MAX];
    unsigned int rng = 1, accepted = 0;

    for (int round = 0; round < 60000; round++) {
        char line[160];
        const char *why = NULL;
        size_t n = strlen(seeds[round % 3]);
        cJSON *tree;

        memcpy(line, seeds[round % 3], n + 1);
        for (int k = round % 4; k >= 0; k--) {
            rng = rng * 1103515245 + 12345;
            line[(rng >> 4) % n] = line[(rng >> 12) % n];
            line[(rng >> 8) % n] = alphabet[(rng >> 20) % (sizeof(alphabet) - 1)];
        }
        if (json_scan_object(line, n, members, DUMP_MEMBERS_MAX, &why) < 0) {
            CHECK(why);
            continue;
        }
        accepted++;
        tree = cJSON_ParseWithLength(line, n);
        /* The library refuses halves of surrogate pairs; the scanner leaves them to the reader of
         * that string. */
        if (!tree && !strstr(line, "\\u"))
            CHECK_STR(line, "accepted by the library too");
        cJSON_Delete(tree);
    }
    CHECK(accepted > 1000);
}

static void test_json_strings(void)
{
    char text[] = "\\ud83d\\ude00\\u00e9\\\\x", out[32];

    CHECK_INT(json_unescape(out, text, strlen(text)), 8);
    CHECK(memcmp(out, "\xf0\x9f\x98\x80\xc3\xa9\\x", 8) == 0);
    CHECK(json_string_equals(text, strlen(text), true, out, 8));
    CHECK(!json_string_equals(text, strlen(text), true, out, 7));
    CHECK(!json_string_equals(text, strlen(text), true, "\xf0\x9f\x98\x80\xc3\xa9\\y", 8));
    CHECK_INT(json_unescape(out, "\\ud83dx", 7), -EBADMSG);
    CHECK_INT(json_unescape(out, "\\ude00", 6), -EBADMSG);
}

static void test_depth(void)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;
    struct json_member members[4];
    const char *why = NULL;

    buf_add_str(&b, "{\"a\":");
    buf_add_repeat(&b, '[', 100000);
    CHECK_INT(json_scan_object(b.data, b.len, members, 4, &why), -EBADMSG);
    CHECK_STR(why, "too many nested arrays and objects");
}

/* Why the parser is our own: what cJSON takes without a word, or does not keep. */
static void test_against_cjson(void)
{
    static const char *const refused[] = {"{\"a\":\"\xff\"}", "{\"a\":\"\x01\"}", "{\"a\":01}",
                                          "{\"a\":1,\"a\":2}"};
    static char zero[] = "{\"a\":\"x\\u0000y\"}", large[] = "{\"a\":18446744073709551615}";
    struct json_member m[4];
    const char *why = NULL;
    char text[64];
    cJSON *tree;

    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        tree = cJSON_Parse(refused[i]);
        CHECK(tree != NULL);
        cJSON_Delete(tree);
        snprintf(text, sizeof(text), "%s", refused[i]);
        CHECK_INT(json_scan_object(text, strlen(text), m, 4, &why), -EBADMSG);
    }
    tree = cJSON_Parse(zero);
    CHECK_INT(strlen(cJSON_GetStringValue(cJSON_GetObjectItem(tree, "a"))), 1);
    cJSON_Delete(tree);
    CHECK_INT(json_scan_object(zero, strlen(zero), m, 4, &why), 1);
    CHECK_INT(json_unescape(text, m[0].text, m[0].len), 3);
    tree = cJSON_Parse(large);
    CHECK(cJSON_GetNumberValue(cJSON_GetObjectItem(tree, "a")) == 18446744073709551616.0);
    cJSON_Delete(tree);
    CHECK_INT(json_scan_object(large, strlen(large), m, 4, &why), 1);
    CHECK(m[0].len == 20 && !memcmp(m[0].text, "18446744073709551615", 20));
}

int main(void)
{
    test_against_cjson();
    test_round_trip();
    test_damage();
    test_refused();
    test_long_line();
    test_partial();
    test_seal();
    test_json_agrees();
    test_json_strings();
    test_depth();
    return check_done();
}
