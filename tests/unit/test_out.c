/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lib/out: the same rows as a table, as one JSON document, and as JSON Lines. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <locale.h>
#include <stdlib.h>

#include "check.h"
#include "cleanup.h"
#include "out.h"

struct row {
    const char *name;
    char comm[16];
    uint64_t count;
    uint32_t priority;
    int64_t delta;
    int32_t pid;
    bool open;
    uint64_t key;
    uint32_t mode;
    uint64_t at;
    uint64_t age;
    uint64_t size;
    struct out_bytes data;
};

static const struct out_col cols[] = {
    OUT_STR(struct row, name, "name", "a name"),
    OUT_CHARS(struct row, comm, "comm", "a short name", .flags = OUT_HIDDEN),
    OUT_U64(struct row, count, "count", "how many"),
    OUT_U32(struct row, priority, "priority", "priority", .heading = "PRIO", .flags = OUT_HIDDEN),
    OUT_I64(struct row, delta, "delta", "change", .flags = OUT_HIDDEN),
    OUT_I32(struct row, pid, "pid", "process", .flags = OUT_HIDDEN | OUT_OPTIONAL),
    OUT_BOOL(struct row, open, "open", "whether", .flags = OUT_HIDDEN),
    OUT_HEX64(struct row, key, "key", "key", .flags = OUT_HIDDEN),
    OUT_MODE(struct row, mode, "mode", "permission"),
    OUT_TIME(struct row, at, "at", "when", .flags = OUT_JSON),
    OUT_SPAN(struct row, age, "age", "for how long"),
    OUT_SIZE(struct row, size, "size", "bytes", .flags = OUT_HIDDEN),
    OUT_BYTES(struct row, data, "content", "payload", .flags = OUT_WIDE),
    OUT_END,
};

static const struct row one = {
    .name = "/jobs",
    .comm = "wor\"ker",
    .count = UINT64_MAX - 1,
    .priority = 7,
    .delta = -3,
    .pid = 42,
    .open = true,
    .key = UINT64_MAX,
    .mode = 0640,
    .at = UINT64_C(1795386802000000001),
    .age = 1500000000,
    .size = 9,
    .data = {.data = "hi\033[31m\n", .len = 8},
};

static const struct row unknown = {
    .name = NULL,
    .count = OUT_UNKNOWN_U64,
    .priority = OUT_UNKNOWN_U32,
    .delta = OUT_UNKNOWN_I64,
    .pid = OUT_UNKNOWN_I32,
    .mode = OUT_UNKNOWN_U32,
    .at = OUT_UNKNOWN_U64,
    .age = OUT_UNKNOWN_U64,
    .size = OUT_UNKNOWN_U64,
};

struct doc {
    const char *backend;
};

static const struct out_col doc_cols[] = {
    OUT_STR(struct doc, backend, "backend", "who", .flags = OUT_JSON),
    OUT_END,
};

typedef void (*fill_fn)(struct out *o);

/* What @fill writes, as a string that the caller frees. */
static char *render(const struct out_opts *opts, fill_fn fill, int want)
{
    struct out_opts copy = *opts;
    struct out *o = NULL;
    char *text = NULL;
    size_t n;

    copy.stream = open_memstream(&text, &n);
    CHECK_INT(out_new(&copy, &o), 0);
    fill(o);
    CHECK_INT(out_finish(o), want);
    out_free(o);
    fclose(copy.stream);
    return text;
}

static void fill_rows(struct out *o)
{
    out_fields(o, doc_cols, &(struct doc){"bpf"});
    out_list_begin(o, "rows", cols, OUT_RECORDS);
    out_row(o, &one);
    out_row(o, &unknown);
    out_list_end(o);
}

static void fill_none(struct out *o)
{
    out_list_begin(o, "rows", cols, OUT_RECORDS);
    out_list_end(o);
}

/* A list of items, each with a list of records inside. */
static void fill_nested(struct out *o)
{
    out_list_begin(o, "queues", NULL, 0);
    for (int i = 0; i < 2; i++) {
        out_item_begin(o, doc_cols, &(struct doc){i ? "second" : "first"});
        out_list_begin(o, "rows", cols, OUT_RECORDS);
        out_row(o, &one);
        out_list_end(o);
        out_item_end(o);
    }
    out_list_end(o);
}

/* Items that are the records, with a list inside. */
static void fill_items(struct out *o)
{
    out_list_begin(o, "queues", NULL, OUT_RECORDS);
    for (int i = 0; i < 2; i++) {
        out_item_begin(o, doc_cols, &(struct doc){i ? "second" : "first"});
        out_list_begin(o, "rows", cols, 0);
        if (i)
            out_row(o, &one);
        out_list_end(o);
        out_item_end(o);
    }
    out_list_end(o);
}

static void fill_members(struct out *o)
{
    out_fields(o, doc_cols, &(struct doc){"none"});
}

static void check_render(const struct out_opts *opts, fill_fn fill, const char *want)
{
    _cleanup_(freep) char *got = render(opts, fill, 0);

    CHECK_STR(got, want);
}

#define ROW                                                                                \
    "\"name\":\"/jobs\",\"comm\":\"wor\\\"ker\",\"count\":\"18446744073709551614\","       \
    "\"priority\":7,\"delta\":-3,\"pid\":42,\"open\":true,\"key\":\"0xffffffffffffffff\"," \
    "\"mode\":\"0640\",\"at\":\"2026-11-22T22:33:22.000000001Z\",\"age\":1.500000000,"     \
    "\"size\":9,\"data_base64\":\"aGkbWzMxbQo=\",\"text\":\"hi\\u001b[31m\\n\""
#define NULLS                                                                              \
    "\"name\":null,\"comm\":null,\"count\":null,\"priority\":null,\"delta\":null,"         \
    "\"open\":false,\"key\":\"0x0\",\"mode\":null,\"at\":null,\"age\":null,\"size\":null," \
    "\"data_base64\":null"

static void test_json(void)
{
    static const struct out_opts json = {.mode = OUT_MODE_JSON};
    static const struct out_opts lines = {.mode = OUT_MODE_JSONL};
    static const struct out_opts chosen = {.mode = OUT_MODE_JSON, .columns = "mode,name"};

    check_render(&json, fill_rows, "{\"backend\":\"bpf\",\"rows\":[{" ROW "},{" NULLS "}]}\n");
    check_render(&lines, fill_rows,
                 "{\"backend\":\"bpf\"," ROW "}\n{\"backend\":\"bpf\"," NULLS "}\n");
    check_render(&json, fill_none, "{\"rows\":[]}\n");
    check_render(&lines, fill_none, "");
    check_render(&json, fill_nested,
                 "{\"queues\":[{\"backend\":\"first\",\"rows\":[{" ROW
                 "}]},{\"backend\":\"second\",\"rows\":[{" ROW "}]}]}\n");
    check_render(&lines, fill_nested,
                 "{\"backend\":\"first\"," ROW "}\n{\"backend\":\"second\"," ROW "}\n");
    check_render(&lines, fill_items,
                 "{\"backend\":\"first\",\"rows\":[]}\n"
                 "{\"backend\":\"second\",\"rows\":[{" ROW "}]}\n");
    check_render(&lines, fill_members, "{\"backend\":\"none\"}\n");
    check_render(&chosen, fill_rows,
                 "{\"backend\":\"bpf\",\"rows\":[{\"mode\":\"0640\",\"name\":\"/jobs\"},"
                 "{\"mode\":null,\"name\":null}]}\n");
}

/* ---- lines that lose nothing, and objects without a name twice ---- */

struct head {
    const char *name;
    uint64_t at;
};

static const struct out_col outer_cols[] = {
    OUT_STR(struct head, name, "name", "as the rows have it, too"),
    OUT_U64(struct head, at, "only", "which no row has"),
    OUT_END,
};

static const struct out_col inner_cols[] = {
    OUT_STR(struct head, name, "name", "a name"),
    OUT_U64(struct head, at, "at", "a number"),
    OUT_BYTES(struct row, data, "content", "a payload"),
    OUT_STR(struct row, name, "hint", "left out when unknown", .flags = OUT_OPTIONAL),
    OUT_END,
};

static const struct out_col small_cols[] = {
    OUT_U64(struct head, at, "at", "a number"),
    OUT_END,
};

static const struct head outer = {"out\xff", 1}, inner = {"in", 2};

static void small_list(struct out *o, const char *key, size_t n)
{
    out_list_begin(o, key, small_cols, 0);
    while (n--)
        out_row(o, &inner);
    out_list_end(o);
}

/* A record has a member of the name that the document has, too. */
static void fill_clash(struct out *o)
{
    out_name(o, "dump");
    out_fields(o, outer_cols, &outer);
    out_list_begin(o, "rows", small_cols, OUT_RECORDS);
    out_row(o, &inner);
    out_list_end(o);
    out_list_begin(o, "more", NULL, 0);
    out_item_begin(o, outer_cols, &outer);
    out_list_begin(o, "things", small_cols, 0);
    out_row(o, &inner);
    out_list_end(o);
    out_item_end(o);
    out_list_end(o);
    small_list(o, "none", 0);
}

static void fill_clash_in_lines(struct out *o)
{
    static const struct out_col row_cols[] = {
        OUT_STR(struct head, name, "name", "a name"),
        OUT_END,
    };

    out_name(o, "dump");
    out_fields(o, outer_cols, &outer);
    out_list_begin(o, "rows", row_cols, OUT_RECORDS);
    out_row(o, &inner);
    out_item_begin(o, row_cols, &inner);
    small_list(o, "list", 1);
    out_item_end(o);
    out_list_end(o);
}

/* Objects of which one has no records. */
static void fill_empty(struct out *o)
{
    out_list_begin(o, "queues", NULL, 0);
    for (size_t i = 0; i < 2; i++) {
        out_item_begin(o, outer_cols, &inner);
        out_list_begin(o, "rows", inner_cols, OUT_RECORDS);
        out_list_end(o);
        out_item_end(o);
    }
    out_list_end(o);
}

/* What comes behind the records is in no line of theirs. */
static void fill_late(struct out *o)
{
    out_list_begin(o, "rows", small_cols, OUT_RECORDS);
    out_row(o, &inner);
    out_list_end(o);
    out_fields(o, outer_cols, &inner);
}

static void fill_quiet_stream(struct out *o)
{
    out_list_begin(o, "rows", small_cols, OUT_RECORDS | OUT_STREAM);
    out_list_end(o);
}

static void test_lines(void)
{
    static const struct out_opts lines = {.mode = OUT_MODE_JSONL};
    static const struct out_opts twice = {.mode = OUT_MODE_JSONL, .columns = "at,AT,at"};
    static const struct out_opts table = {.columns = "at,at", .noheadings = true};
    static const char name[] = "\"name\":\"out\xef\xbf\xbd\",\"name_base64\":\"b3V0/w==\"";
    char want[400];

    snprintf(want, sizeof(want),
             "{%s,\"only\":1,\"at\":2}\n{%s,\"only\":1,\"at\":null,"
             "\"more\":[{%s,\"only\":1,\"things\":[{\"at\":2}]}],\"none\":[]}\n",
             name, name, name);
    check_render(&lines, fill_clash, want);
    check_render(&lines, fill_clash_in_lines,
                 "{\"dump_name\":\"out\xef\xbf\xbd\",\"dump_name_base64\":\"b3V0/w==\","
                 "\"only\":1,\"name\":\"in\"}\n"
                 "{\"dump_name\":\"out\xef\xbf\xbd\",\"dump_name_base64\":\"b3V0/w==\","
                 "\"only\":1,\"name\":\"in\",\"list\":[{\"at\":2}]}\n");
    check_render(&lines, fill_empty,
                 "{\"queue_name\":\"in\",\"only\":2,\"name\":null,\"at\":null,"
                 "\"data_base64\":null}\n"
                 "{\"queue_name\":\"in\",\"only\":2,\"name\":null,\"at\":null,"
                 "\"data_base64\":null}\n");
    check_render(&lines, fill_late, "{\"at\":2}\n{\"name\":\"in\",\"only\":2,\"at\":null}\n");
    check_render(&lines, fill_quiet_stream, "");
    check_render(&twice, fill_late, "{\"at\":2}\n{\"name\":\"in\",\"only\":2,\"at\":null}\n");
    check_render(&table, fill_late, "2  2\n");
}

/* On a terminal the document has line breaks, and is still the same document. */
static void test_json_terminal(void)
{
    static const struct out_opts plain = {.mode = OUT_MODE_JSON};
    static const struct out_opts tty = {.mode = OUT_MODE_JSON, .tty = true};
    _cleanup_(freep) char *a = render(&plain, fill_nested, 0);
    _cleanup_(freep) char *b = render(&tty, fill_nested, 0);
    cJSON *ja = cJSON_Parse(a), *jb = cJSON_Parse(b);

    CHECK(strchr(b, '\n') != strrchr(b, '\n'));
    CHECK(ja && jb && cJSON_Compare(ja, jb, 1));
    cJSON_Delete(ja);
    cJSON_Delete(jb);
}

static void test_table(void)
{
    static const struct out_opts plain = {.mode = OUT_MODE_TABLE};
    static const struct out_opts bare = {.mode = OUT_MODE_TABLE, .noheadings = true};
    static const struct out_opts chosen = {.mode = OUT_MODE_TABLE, .columns = "priority,name"};
    static const struct out_opts added = {
        .mode = OUT_MODE_TABLE, .columns = "+key", .noheadings = true};
    static const struct out_opts narrow = {
        .mode = OUT_MODE_TABLE, .noheadings = true, .width = 52, .columns = "name,count,content"};

    check_render(&plain, fill_rows,
                 "NAME                  COUNT  MODE  AGE  CONTENT\n"
                 "/jobs  18446744073709551614  0640   1s  <68 69 1b 5b 33 31 6d 0a>\n"
                 "-                         -  -       -  -\n");
    check_render(&bare, fill_rows,
                 "/jobs  18446744073709551614  0640  1s  <68 69 1b 5b 33 31 6d 0a>\n"
                 "-                         -  -      -  -\n");
    check_render(&chosen, fill_rows, "PRIO  NAME\n   7  /jobs\n   -  -\n");
    check_render(&added, fill_rows,
                 "/jobs  18446744073709551614  0640  1s  <68 69 1b 5b 33 31 6d 0a>  "
                 "0xffffffffffffffff\n"
                 "-                         -  -      -  -                          0x0\n");
    check_render(&narrow, fill_rows,
                 "/jobs  18446744073709551614  <68 69 1b 5b 33 31 6d …\n"
                 "-                         -  -\n");
    check_render(&plain, fill_none, "");
}

/* The beginning of longer contents: text, bytes, nothing at all. JSON has the bytes that are there.
 */
static void fill_cut(struct out *o)
{
    struct row row = unknown;

    out_list_begin(o, "rows", cols, OUT_RECORDS);
    row.data = (struct out_bytes){.data = "hell", .len = 4, .whole = 5};
    out_row(o, &row);
    row.data = (struct out_bytes){.data = "\0\1", .len = 2, .whole = 3};
    out_row(o, &row);
    row.data = (struct out_bytes){.data = "", .len = 0, .whole = 3};
    out_row(o, &row);
    row.data = (struct out_bytes){.data = "\0\1", .len = 2, .whole = 2};
    out_row(o, &row);
    out_list_end(o);
}

static void test_cut(void)
{
    static const struct out_opts table = {
        .mode = OUT_MODE_TABLE, .columns = "content", .noheadings = true};
    static const struct out_opts json = {.mode = OUT_MODE_JSONL, .columns = "content"};

    check_render(&table, fill_cut, "hell…\n<00 01…\n…\n<00 01>\n");
    check_render(&json, fill_cut,
                 "{\"data_base64\":\"aGVsbA==\",\"text\":\"hell\"}\n"
                 "{\"data_base64\":\"AAE=\"}\n"
                 "{\"data_base64\":\"\",\"text\":\"\"}\n"
                 "{\"data_base64\":\"AAE=\"}\n");
}

static void fill_hostile(struct out *o)
{
    struct row row = unknown;

    row.name = "a\033]0;x\a\xff";
    row.data = (struct out_bytes){.data = "plain text", .len = 10};
    out_text(o, "title %s", "\033c");
    out_list_begin(o, "rows", cols, OUT_RECORDS);
    out_row(o, &row);
    out_list_end(o);
    out_hexdump(o, "0123456789abcdef\n", 17);
}

static void test_hostile(void)
{
    static const struct out_opts table = {
        .mode = OUT_MODE_TABLE, .columns = "name,content", .noheadings = true};
    static const struct out_opts json = {.mode = OUT_MODE_JSON, .columns = "name"};

    check_render(&table, fill_hostile,
                 "title \\x1bc\n"
                 "a\\x1b]0;x\\x07\\xff  plain text\n"
                 "00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|\n"
                 "00000010  0a                                                |.|\n"
                 "00000011\n");
    check_render(&json, fill_hostile,
                 "{\"rows\":[{\"name\":\"a\\u001b]0;x\\u0007\xef\xbf\xbd\","
                 "\"name_base64\":\"YRtdMDt4B/8=\"}]}\n");
}

/* Thousands of rows: the widths come from the first, and nothing is lost or out of order. */
static void fill_many(struct out *o)
{
    out_list_begin(o, "rows", cols, OUT_RECORDS);
    for (uint64_t i = 0; i < 5000; i++) {
        struct row row = {.name = "x", .count = i};

        out_row(o, &row);
    }
    out_list_end(o);
}

static void test_many(void)
{
    static const struct out_opts opts = {
        .mode = OUT_MODE_TABLE, .columns = "count", .noheadings = true};
    _cleanup_(freep) char *text = render(&opts, fill_many, 0);
    unsigned long want = 0;

    for (char *p = text; *p; p = strchr(p, '\n') + 1) {
        CHECK_INT(strtoul(p, NULL, 10), want);
        want++;
    }
    CHECK_INT(want, 5000);
}

/* A long text is escaped in pieces; none is lost at the seams. */
static void fill_long(struct out *o)
{
    static char text[3001];
    struct row row = unknown;

    for (size_t i = 0; i + 3 <= 3000; i += 3)
        memcpy(text + i, i % 2 ? "\n\"\\" : "\xe6\xbc\xa2", 3);
    row.name = text;
    out_list_begin(o, "rows", cols, OUT_RECORDS);
    out_row(o, &row);
    out_list_end(o);
}

static void test_long(void)
{
    static const struct out_opts opts = {.mode = OUT_MODE_JSONL, .columns = "name"};
    _cleanup_(freep) char *line = render(&opts, fill_long, 0);
    cJSON *j = cJSON_Parse(line);
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItem(j, "name"));

    CHECK(name && strlen(name) == 3000 && !memcmp(name, "\xe6\xbc\xa2\n\"\\", 6));
    cJSON_Delete(j);
}

/* ---- a stream on a terminal ---- */

struct event {
    const char *name;
    uint64_t length;
    uint64_t count;
    struct out_bytes content;
};

static const struct out_col event_cols[] = {
    OUT_STR(struct event, name, "name", "which", .width = 6),
    OUT_U64(struct event, length, "length", "bytes", .flags = OUT_SPARE),
    OUT_U64(struct event, count, "count", "how many", .flags = OUT_SPARE),
    OUT_BYTES(struct event, content, "content", "what", .flags = OUT_WIDE),
    OUT_END,
};

static void fill_stream(struct out *o)
{
    static const char text[] = "a text of thirty characters…";
    const struct event a = {"/a", 3, 1, {.data = text, .len = strlen(text)}};
    const struct event b = {"/longer", 3000000000, 1, {.data = "b", .len = 1}};

    out_list_begin(o, "events", event_cols, OUT_RECORDS | OUT_STREAM | OUT_BATCH);
    out_row(o, &a);
    out_row(o, &b);
    out_flush(o);
    out_row(o, &a);
    out_list_end(o);
}

static void test_stream(void)
{
    struct out_opts opts = {.mode = OUT_MODE_TABLE, .width = 60};

    /* The rows that are there decide about the widths. */
    check_render(&opts, fill_stream,
                 "NAME         LENGTH  COUNT  CONTENT\n"
                 "/a                3      1  a text of thirty characters…\n"
                 "/longer  3000000000      1  b\n"
                 "/a                3      1  a text of thirty characters…\n");
    opts.width = 40; /* 28 without the content, which would have 12 */
    check_render(&opts, fill_stream,
                 "NAME         LENGTH  CONTENT\n"
                 "/a                3  a text of thirty c…\n"
                 "/longer  3000000000  b\n"
                 "/a                3  a text of thirty c…\n");
    opts.width = 30;
    check_render(&opts, fill_stream,
                 "NAME     CONTENT\n"
                 "/a       a text of thirty cha…\n"
                 "/longer  b\n"
                 "/a       a text of thirty cha…\n");
    opts.columns = "length,name"; /* what was asked for is shown, whatever the terminal does */
    opts.width = 10;
    check_render(&opts, fill_stream,
                 "    LENGTH  NAME\n"
                 "         3  /a\n"
                 "3000000000  /longer\n"
                 "         3  /a\n");
    opts.mode = OUT_MODE_JSONL;
    check_render(&opts, fill_stream,
                 "{\"length\":3,\"name\":\"/a\"}\n{\"length\":3000000000,\"name\":\"/longer\"}\n"
                 "{\"length\":3,\"name\":\"/a\"}\n");
}

static void test_columns(void)
{
    const char *bad = NULL;
    size_t n = 0;

    CHECK_INT(out_columns_check("name,count", cols, &bad, &n), 0);
    CHECK_INT(out_columns_check("+name", cols, &bad, &n), 0);
    CHECK_INT(out_columns_check("NAME,Prio,PRIORITY", cols, &bad, &n), 0);
    CHECK(out_column(cols, "prio") == out_column(cols, "Priority"));
    CHECK(!out_column(cols, "pri") && !out_column(cols, "priority_"));
    CHECK_INT(out_columns_check("name,nam", cols, &bad, &n), -EINVAL);
    CHECK(n == 3 && bad && !strncmp(bad, "nam", 3));
    CHECK_INT(out_columns_check("", cols, &bad, &n), -EINVAL);
    CHECK_INT(out_columns_check("name,", cols, &bad, &n), -EINVAL);
}

static void test_errors(void)
{
    struct out_opts opts = {.mode = OUT_MODE_JSON, .stream = fopen("/dev/full", "w")};
    struct out *o = NULL;

    CHECK_INT(out_new(&opts, &o), 0);
    CHECK(!out_started(o));
    fill_many(o);
    CHECK(out_started(o));
    CHECK_INT(out_finish(o), -ENOSPC);
    CHECK_INT(out_error(o), -ENOSPC);
    out_free(o);
    fclose(opts.stream);
}

int main(void)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    test_json();
    test_lines();
    test_json_terminal();
    test_table();
    test_cut();
    test_hostile();
    test_many();
    test_long();
    test_stream();
    test_columns();
    test_errors();
    return check_done();
}
