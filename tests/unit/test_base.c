/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lib/base: buffers, escaping, base 64, numbers, times, files. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <locale.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base64.h"
#include "buf.h"
#include "check.h"
#include "cleanup.h"
#include "decimal.h"
#include "errinfo.h"
#include "escape.h"
#include "fileio.h"
#include "parse.h"
#include "timefmt.h"
#include "users.h"

static void test_buf(void)
{
    struct buf b = BUF_INIT;

    CHECK_STR(buf_str(&b), "");
    buf_add_str(&b, "one");
    buf_add_char(&b, ' ');
    buf_printf(&b, "%d", 2);
    buf_add_repeat(&b, '.', 3);
    CHECK_STR(buf_str(&b), "one 2...");
    CHECK_INT(b.len, 8);
    buf_clear(&b);
    CHECK_STR(buf_str(&b), "");
    CHECK(!buf_extend(&b, SIZE_MAX - 8));
    CHECK_INT(buf_error(&b), -ENOMEM);
    buf_add_str(&b, "lost");
    CHECK_INT(b.len, 0);
    CHECK(!buf_steal(&b));
    buf_done(&b);
}

static void check_escape(const char *in, size_t n, const char *want)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;

    esc_terminal(&b, in, n);
    CHECK_STR(buf_str(&b), want);
}

static void test_escape(void)
{
    check_escape("plain", 5, "plain");
    check_escape("a\033[31mb", 7, "a\\x1b[31mb");
    check_escape("\n\t\r\\", 4, "\\n\\t\\r\\\\");
    check_escape("\0", 1, "\\x00");
    check_escape("gr\xc3\xbc\xc3\x9f", 6, "gr\xc3\xbc\xc3\x9f");
    check_escape("\xc3", 1, "\\xc3");
    check_escape("\xc0\xaf", 2, "\\xc0\\xaf");
    check_escape("\xed\xa0\x80", 3, "\\xed\\xa0\\x80");
    check_escape("\xe2\x80\xae"
                 "evil",
                 7, "\\u{202e}evil");
    check_escape("\xc2\x9b", 2, "\\u{9b}");
    check_escape("\x7f", 1, "\\x7f");
    CHECK(esc_is_text("a\tb\n", 4));
    CHECK(!esc_is_text("a\033", 2));
    CHECK(esc_is_text("", 0));
    CHECK(esc_is_utf8("a\033", 2));
    CHECK(!esc_is_utf8("a\0", 2));
    CHECK(!esc_is_utf8("\xff", 1));
    CHECK_INT(esc_columns("\xe6\xbc\xa2x", 4), 3);
    CHECK_INT(esc_fit("\xe6\xbc\xa2x", 4, 1), 0);
    CHECK_INT(esc_fit("\xe6\xbc\xa2x", 4, 2), 3);
}

static void test_base64(void)
{
    static const struct {
        const char *data, *text;
    } good[] = {{"", ""},
                {"f", "Zg=="},
                {"fo", "Zm8="},
                {"foo", "Zm9v"},
                {"foob", "Zm9vYg=="},
                {"fooba", "Zm9vYmE="},
                {"foobar", "Zm9vYmFy"}};
    static const char *const bad[] = {
        "Z", "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Zm9v\n Zg", "Zm-v"};
    char out[64];

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        size_t n = strlen(good[i].data);

        b64_encode(out, good[i].data, n);
        out[b64_encoded_size(n)] = '\0';
        CHECK_STR(out, good[i].text);
        CHECK_INT(b64_decode(out, good[i].text, strlen(good[i].text)), n);
        CHECK(!memcmp(out, good[i].data, n));
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        CHECK_INT(b64_decode(out, bad[i], strlen(bad[i])), -EINVAL);
}

static void test_parse(void)
{
    uint64_t v = 7;
    uint32_t m = 7;

    CHECK(parse_u64("0", &v) == 0 && v == 0);
    CHECK(parse_u64("18446744073709551615", &v) == 0 && v == UINT64_MAX);
    CHECK_INT(parse_u64("18446744073709551616", &v), -ERANGE);
    CHECK(parse_u64("0xFf", &v) == 0 && v == 255);
    CHECK_INT(parse_u64("", &v), -EINVAL);
    CHECK_INT(parse_u64("-1", &v), -EINVAL);
    CHECK_INT(parse_u64(" 1", &v), -EINVAL);
    CHECK_INT(parse_u64("1 ", &v), -EINVAL);
    CHECK_INT(parse_u64("0x", &v), -EINVAL);
    CHECK_INT(parse_u64_max("11", 10, &v), -ERANGE);
    CHECK(parse_size("64K", &v) == 0 && v == 65536);
    CHECK(parse_size("1MiB", &v) == 0 && v == 1048576);
    CHECK(parse_size("12B", &v) == 0 && v == 12);
    CHECK_INT(parse_size("12iB", &v), -EINVAL);
    CHECK_INT(parse_size("99999999999999G", &v), -ERANGE);
    CHECK(parse_span("1.5", &v) == 0 && v == 1500000000);
    CHECK(parse_span("250ms", &v) == 0 && v == 250000000);
    CHECK(parse_span("0.25us", &v) == 0 && v == 250);
    CHECK(parse_span("2m", &v) == 0 && v == 120 * NSEC_PER_SEC);
    CHECK(parse_span(".2", &v) == 0 && v == 200000000);
    CHECK(parse_span(".5ms", &v) == 0 && v == 500000);
    CHECK_INT(parse_span("1.", &v), -EINVAL);
    CHECK_INT(parse_span(".", &v), -EINVAL);
    CHECK_INT(parse_span(".ms", &v), -EINVAL);
    CHECK_INT(parse_span("", &v), -EINVAL);
    CHECK_INT(parse_span("1d", &v), -EINVAL);
    CHECK_INT(parse_span("18446744074", &v), -ERANGE);
    CHECK(parse_mode("0640", &m) == 0 && m == 0640);
    CHECK_INT(parse_mode("1777", &m), -ERANGE);
    CHECK_INT(parse_mode("8", &m), -EINVAL);
}

static void test_time(void)
{
    char b[TIMEFMT_RFC3339_SIZE], s[TIMEFMT_SPAN_SIZE], d[TIMEFMT_SECONDS_SIZE];

    CHECK_INT(timefmt_rfc3339(b, UINT64_C(1795386802000000042)), 30);
    CHECK_STR(b, "2026-11-22T22:33:22.000000042Z");
    timefmt_rfc3339(b, UINT64_C(1795386802999999999)); /* the same second, then the next */
    CHECK_STR(b, "2026-11-22T22:33:22.999999999Z");
    timefmt_rfc3339(b, UINT64_C(1795386803000000000));
    CHECK_STR(b, "2026-11-22T22:33:23.000000000Z");
    timefmt_rfc3339(b, 0);
    CHECK_STR(b, "1970-01-01T00:00:00.000000000Z");
    timefmt_rfc3339(b, UINT64_MAX);
    CHECK_STR(b, "2554-07-21T23:34:33.709551615Z");
    CHECK_INT(timefmt_seconds(d, 850), 11);
    CHECK_STR(d, "0.000000850");
    CHECK_INT(timefmt_seconds(d, UINT64_MAX), 21);
    CHECK_STR(d, "18446744073.709551615");
    timefmt_span(s, 0);
    CHECK_STR(s, "0s");
    timefmt_span(s, 850);
    CHECK_STR(s, "850ns");
    timefmt_span(s, 42 * NSEC_PER_SEC);
    CHECK_STR(s, "42s");
    timefmt_span(s, 192 * NSEC_PER_SEC);
    CHECK_STR(s, "3m12s");
    timefmt_span(s, UINT64_MAX);
    CHECK(strlen(s) < sizeof(s));
}

static void test_decimal(void)
{
    char text[DECIMAL_MAX + 1], want[DECIMAL_MAX + 2];

    for (uint64_t v = 0; v < UINT64_MAX / 7; v = v * 7 + v % 3 + 1) {
        text[decimal_u64(text, v)] = '\0';
        snprintf(want, sizeof(want), "%" PRIu64, v);
        CHECK_STR(text, want);
    }
    text[decimal_u64(text, UINT64_MAX)] = '\0';
    CHECK_STR(text, "18446744073709551615");
    decimal_padded(text, 42, 5);
    CHECK(!memcmp(text, "00042", 5));
}

/* Every byte at every place, before and behind where words of eight end. */
static void test_plain_run(void)
{
    char text[20];

    for (int c = 0; c < 256; c++)
        for (size_t at = 0; at < sizeof(text); at++) {
            bool plain = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';

            memset(text, 'x', sizeof(text));
            text[at] = (char)c;
            CHECK_INT(esc_plain_run(text, sizeof(text)), plain ? sizeof(text) : at);
        }
    CHECK_INT(esc_plain_run("", 0), 0);
}

static void test_err(void)
{
    struct err e = ERR_INIT;

    CHECK_STR(err_text(&e, -ENOENT), "No such file or directory");
    CHECK_INT(err_set(&e, -EPERM, "run as root", "no %s", "way"), -EPERM);
    CHECK_STR(err_text(&e, -EPERM), "no way");
    CHECK_STR(e.remedy, "run as root");
    CHECK_INT(err_set(NULL, -EIO, NULL, "x"), -EIO);
}

static void test_file(void)
{
    char dir[] = "/tmp/test_base.XXXXXX", path[64];
    _cleanup_(buf_done) struct buf b = BUF_INIT;
    struct file_out *o = NULL;
    struct stat st;

    CHECK(mkdtemp(dir) != NULL);
    snprintf(path, sizeof(path), "%s/f", dir);
    CHECK_INT(file_out_open(path, 0640, &o), 0);
    fputs("half", file_out_stream(o));
    file_out_close(o);
    CHECK(access(path, F_OK) < 0);
    CHECK(rmdir(dir) == 0 && mkdir(dir, 0700) == 0);

    umask(022);
    CHECK_INT(file_out_open(path, 0666, &o), 0);
    fputs("whole", file_out_stream(o));
    CHECK_INT(file_out_commit(o), 0);
    file_out_close(o);
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0644);
    CHECK_INT(file_read(AT_FDCWD, path, 5, &b), 0);
    CHECK_STR(buf_str(&b), "whole");
    buf_clear(&b);
    CHECK_INT(file_read(AT_FDCWD, path, 4, &b), -EFBIG);
    CHECK_INT(file_read(AT_FDCWD, "/no/such/file", 4, &b), -ENOENT);
    CHECK_INT(file_out_open(dir, 0600, &o), -EISDIR);
    CHECK_INT(file_out_open("/dev/full", 0600, &o), 0);
    fputs("lost", file_out_stream(o));
    CHECK_INT(file_out_commit(o), -ENOSPC);
    file_out_close(o);
    CHECK(unlink(path) == 0 && rmdir(dir) == 0);
}

static int count_entries(const char *dir)
{
    DIR *d = opendir(dir);
    int n = 0;

    while (d && readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

/* Beside the target there is nothing, before and after; nor when its name leaves no room for more.
 */
static void test_file_alone(void)
{
    char dir[] = "/tmp/test_base.XXXXXX", path[300];
    _cleanup_(buf_done) struct buf b = BUF_INIT;
    struct file_out *o = NULL;

    CHECK(mkdtemp(dir) != NULL);
    snprintf(path, sizeof(path), "%s/%0255d", dir, 0);
    for (int round = 0; round < 2; round++) {
        CHECK_INT(file_out_open(path, 0600, &o), 0);
        fprintf(file_out_stream(o), "round %d", round);
        fflush(file_out_stream(o));
        CHECK_INT(count_entries(dir), round);
        CHECK_INT(file_out_commit(o), 0);
        file_out_close(o);
        CHECK_INT(count_entries(dir), 1);
    }
    CHECK_INT(file_read(AT_FDCWD, path, 100, &b), 0);
    CHECK_STR(buf_str(&b), "round 1");
    /* Somebody else makes it meanwhile: the later one counts, as with rename(2). */
    CHECK(unlink(path) == 0);
    CHECK_INT(file_out_open(path, 0600, &o), 0);
    CHECK(close(open(path, O_CREAT | O_EXCL | O_WRONLY, 0600)) == 0);
    fputs("later", file_out_stream(o));
    CHECK_INT(file_out_commit(o), 0);
    file_out_close(o);
    buf_clear(&b);
    CHECK_INT(file_read(AT_FDCWD, path, 100, &b), 0);
    CHECK_STR(buf_str(&b), "later");
    CHECK(unlink(path) == 0 && rmdir(dir) == 0);
}

/* Why a write failed is known at the end, however long before that was. */
static void test_file_full(void)
{
    struct file_out *o = NULL;

    CHECK_INT(file_out_open("/dev/full", 0600, &o), 0);
    for (int i = 0; i < 10000; i++)
        fprintf(file_out_stream(o), "line %d\n", i);
    errno = 0;
    CHECK_INT(file_out_commit(o), -ENOSPC);
    file_out_close(o);
}

static void test_rfc3339_back(void)
{
    static const char *const bad[] = {
        "",
        "2026-11-22T22:33:22",
        "2026-11-22T22:33:22.Z",
        "2026-11-22T22:33:22.1234567890Z",
        "2026-11-22T22:33:22Zx",
        "2026-13-22T22:33:22Z",
        "2026-02-30T22:33:22Z",
        "2026-11-22t22:33:22Z",
        "1969-12-31T23:59:59Z",
        "9999-11-22T22:33:22Z",
        "2026-11-22T24:00:00Z",
    };
    char text[TIMEFMT_RFC3339_SIZE];
    uint64_t ns = 0;

    for (uint64_t t = 1; t < UINT64_MAX / 3; t = t * 3 + 1) {
        timefmt_rfc3339(text, t);
        CHECK(timefmt_parse_rfc3339(text, &ns) == 0 && ns == t);
    }
    CHECK(timefmt_parse_rfc3339("1970-01-01T00:00:01.5Z", &ns) == 0 && ns == 1500000000);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        CHECK_INT(timefmt_parse_rfc3339(bad[i], &ns), -EINVAL);
}

static void test_users(void)
{
    uint32_t id = 7;
    char name[40];

    user_name(0, name, sizeof(name));
    CHECK_STR(name, "root");
    user_name(4123456789, name, sizeof(name));
    CHECK_STR(name, "4123456789");
    CHECK(user_by_name("root", &id) == 0 && id == 0);
    id = 7;
    CHECK(group_by_name("root", &id) == 0 && id == 0);
    id = 7;
    CHECK(user_by_name("no such user", &id) == -ENOENT && id == 7);
    CHECK(group_by_name("no such group", &id) == -ENOENT && id == 7);
}

int main(void)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    test_buf();
    test_escape();
    test_base64();
    test_parse();
    test_time();
    test_decimal();
    test_plain_run();
    test_err();
    test_file();
    test_file_alone();
    test_file_full();
    test_rfc3339_back();
    test_users();
    return check_done();
}
