// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The terminal: keys from bytes, pictures against a small emulator, and real processes on a real
 * pseudo-terminal that are ended in every way.
 */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

#include "check.h"
#include "escape.h"
#include "macros.h"
#include "terminal.h"
#include "timefmt.h"

enum { PATIENCE_MS = 60000 };

/* ---- keys ---- */

static const struct key_case {
    const char *bytes;
    bool final;
    size_t used;
    uint32_t key;
} key_cases[] = {
    {"q", false, 1, 'q'},
    {"\r", false, 1, TERM_KEY_ENTER},
    {"\n", false, 1, TERM_KEY_ENTER},
    {"\b", false, 1, TERM_KEY_BACKSPACE},
    {"\x7f", false, 1, TERM_KEY_BACKSPACE},
    {"\033", false, 0, TERM_KEY_ESC},
    {"\033", true, 1, TERM_KEY_ESC},
    {"\033q", false, 1, TERM_KEY_ESC},
    {"\033\033", false, 1, TERM_KEY_ESC},
    {"\033[", false, 0, TERM_KEY_NONE},
    {"\033[", true, 2, TERM_KEY_NONE},
    {"\033[A", false, 3, TERM_KEY_UP},
    {"\033OB", false, 3, TERM_KEY_DOWN},
    {"\033O", false, 0, TERM_KEY_NONE},
    {"\033[1;5C", false, 6, TERM_KEY_RIGHT},
    {"\033[Dx", false, 3, TERM_KEY_LEFT},
    {"\033[5~", false, 4, TERM_KEY_PAGE_UP},
    {"\033[6;2~", false, 6, TERM_KEY_PAGE_DOWN},
    {"\033[3~", false, 4, TERM_KEY_DELETE},
    {"\033[1~", false, 4, TERM_KEY_HOME},
    {"\033[4~", false, 4, TERM_KEY_END},
    {"\033OP", false, 3, TERM_KEY_F1},
    {"\033[11~", false, 5, TERM_KEY_F1},
    {"\033[[A", false, 4, TERM_KEY_F1},
    {"\033[[", false, 0, TERM_KEY_NONE},
    {"\033[[", true, 3, TERM_KEY_NONE},
    {"\033[?62;22c", false, 9, TERM_KEY_NONE},
    {"\033[200~", false, 6, TERM_KEY_NONE},
    {"\033[12\033[A", false, 4, TERM_KEY_NONE},
    {"\033[99999999999999999999999999999999999999", false, 32, TERM_KEY_NONE},
    {"\xc3\xa9", false, 2, 0xe9},
    {"\xc3", false, 0, TERM_KEY_NONE},
    {"\xc3", true, 1, TERM_KEY_NONE},
    {"\xe2\x82\xac", false, 3, 0x20ac},
    {"\xe2\x82", false, 0, TERM_KEY_NONE},
    {"\xf0\x9f\x98\x80", false, 4, 0x1f600},
    {"\xff", false, 1, TERM_KEY_NONE},
    {"\xc3(", false, 1, TERM_KEY_NONE},
};

static void test_keys(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(key_cases); i++) {
        const struct key_case *c = &key_cases[i];
        uint32_t key = 0;
        size_t used = term_key_decode(c->bytes, strlen(c->bytes), c->final, &key);

        CHECK_INT(used, c->used);
        if (used)
            CHECK_INT(key, c->key);
        if (used != c->used || (used && key != c->key))
            fprintf(stderr, "  … in case %zu\n", i);
    }
}

/* Whatever comes, each call makes progress or asks for more, and never both forever. */
static void test_keys_random(void)
{
    static const char likely[] = "\033[O;0123456789~ABM?\xc3\xe2\x82\xf0";
    unsigned char data[64];

    srand(1);
    for (int round = 0; round < 20000; round++) {
        size_t n = 1 + (size_t)rand() % sizeof(data), at = 0;

        for (size_t i = 0; i < n; i++)
            data[i] = rand() % 4 ? (unsigned char)likely[(size_t)rand() % (sizeof(likely) - 1)]
                                 : (unsigned char)rand();
        while (at < n) {
            uint32_t key;
            size_t used = term_key_decode(data + at, n - at, true, &key);

            if (used == 0 || used > n - at) {
                CHECK(used && used <= n - at);
                return;
            }
            at += used;
        }
    }
    CHECK(true);
}

/* ---- pictures ---- */

enum { ROWS = 6, COLS = 20 };

/* What a terminal would show: the text of each cell, and its style as the digits of its SGR. */
struct emu {
    char text[ROWS][COLS][16];
    char style[ROWS][COLS][16];
    char sgr[16];
    unsigned int row, col;
    bool cursor;
    bool broken;
};

static void emu_blank(struct emu *m)
{
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < COLS; c++) {
            memset(m->text[r][c], 0, 16);
            m->text[r][c][0] = ' ';
            memset(m->style[r][c], 0, 16);
            m->style[r][c][0] = '0';
        }
}

static size_t emu_csi(struct emu *m, const char *p, size_t n)
{
    char params[16] = "";
    size_t i = 2;

    while (i < n && (unsigned char)p[i] < 0x40)
        i++;
    if (i == n || i - 2 >= sizeof(params)) {
        m->broken = true;
        return n;
    }
    memcpy(params, p + 2, i - 2);
    if (p[i] == 'H') {
        if (sscanf(params, "%u;%u", &m->row, &m->col) != 2 || !m->row || !m->col || m->row > ROWS ||
            m->col > COLS)
            m->broken = true;
        else
            m->row--, m->col--;
    } else if (p[i] == 'J' && strcmp(params, "2") == 0) {
        emu_blank(m);
    } else if (p[i] == 'm') {
        strcpy(m->sgr, params);
    } else if (strcmp(params, "?25") == 0) {
        m->cursor = p[i] == 'h';
    } else {
        m->broken = true;
    }
    return i + 1;
}

static size_t emu_char(struct emu *m, const char *p, size_t n)
{
    uint32_t cp;
    size_t len = esc_utf8_decode(p, n, &cp), width;

    if (!len || cp < 0x20 || m->broken) {
        m->broken = true;
        return 1;
    }
    width = esc_columns(p, len);
    if (width == 0) {
        if (m->col == 0)
            m->broken = true;
        else
            strncat(m->text[m->row][m->col - (m->col > 1 && !*m->text[m->row][m->col - 1] ? 2 : 1)],
                    p, len);
        return len;
    }
    if (m->col + width > COLS) {
        m->broken = true;
        return len;
    }
    for (size_t i = 0; i < width; i++) {
        memset(m->text[m->row][m->col + i], 0, 16);
        memset(m->style[m->row][m->col + i], 0, 16);
        strcpy(m->style[m->row][m->col + i], m->sgr);
    }
    strncat(m->text[m->row][m->col], p, len);
    m->col += (unsigned int)width;
    return len;
}

static void emu_feed(struct emu *m, const struct buf *b)
{
    for (size_t i = 0; i < b->len;)
        i += b->data[i] == '\033' ? emu_csi(m, b->data + i, b->len - i)
                                  : emu_char(m, b->data + i, b->len - i);
}

static bool emu_equal(const struct emu *a, const struct emu *b)
{
    return memcmp(a->text, b->text, sizeof(a->text)) == 0 &&
           memcmp(a->style, b->style, sizeof(a->style)) == 0 && a->cursor == b->cursor;
}

static void emu_line(const struct emu *m, int row, char out[COLS * 16])
{
    out[0] = '\0';
    for (int c = 0; c < COLS; c++)
        strcat(out, m->text[row][c]);
}

static void random_picture(struct term_screen *s, bool wide)
{
    static const char *const words[] = {"a",           "/jobs",
                                        "x y z",       "▁▂▃▄▅▆▇█",
                                        "日本語q",     "e\xcc\x81t",
                                        "\033[2Jevil", "0123456789012345",
                                        "日",          ""};

    term_screen_clear(s);
    for (int i = rand() % 12; i > 0; i--) {
        const char *word = words[(size_t)rand() % ARRAY_SIZE(words)];

        if (!wide && (strncmp(word, "日", 3) == 0 || strncmp(word, "▁", 3) == 0))
            word = "plain";
        term_screen_put(s, (unsigned int)(rand() % (ROWS + 1)), (unsigned int)(rand() % (COLS + 2)),
                        (unsigned int)(rand() % 3) | (rand() % 2 ? TERM_REVERSE : 0), word,
                        (unsigned int)(rand() % 14));
    }
    if (rand() % 3 == 0)
        term_screen_cursor(s, (unsigned int)(rand() % ROWS), (unsigned int)(rand() % COLS));
}

/* Many small differences add up to the same picture as painting it whole. */
static void test_diff(bool wide)
{
    struct emu shown = {.sgr = "0"}, whole;
    struct term_screen *s = NULL;
    struct buf bytes = BUF_INIT;
    int wrong = 0;

    CHECK_INT(term_screen_new(ROWS, COLS, true, &s), 0);
    emu_blank(&shown);
    for (int round = 0; round < 2000; round++) {
        random_picture(s, wide);
        buf_clear(&bytes);
        term_screen_diff(s, &bytes);
        emu_feed(&shown, &bytes);
        memset(&whole, 0, sizeof(whole));
        strcpy(whole.sgr, "0");
        term_screen_forget(s);
        buf_clear(&bytes);
        term_screen_diff(s, &bytes);
        emu_feed(&whole, &bytes);
        wrong += shown.broken || whole.broken || !emu_equal(&shown, &whole);
        wrong += strcmp(shown.sgr, "0") != 0;
    }
    CHECK_INT(wrong, 0);
    buf_clear(&bytes);
    term_screen_diff(s, &bytes);
    /* A picture that has not changed costs nothing but the cursor. */
    CHECK(bytes.len < 32);
    buf_done(&bytes);
    term_screen_free(s);
}

static void test_put(void)
{
    struct emu m = {.sgr = "0"};
    struct term_screen *s = NULL;
    struct buf bytes = BUF_INIT;
    char line[COLS * 16];

    CHECK_INT(term_screen_new(ROWS, COLS, false, &s), 0);
    CHECK_INT(term_screen_put(s, 0, 2, TERM_RED | TERM_BOLD, "bold", 0), 6);
    CHECK_INT(term_screen_put(s, 1, 0, TERM_REVERSE, "cut here", 3), 3);
    CHECK_INT(term_screen_put(s, 2, 15, 0, "edge of it", 0), 20);
    CHECK_INT(term_screen_put(s, 3, 0, 0, "a\033[31m\xff", 0), 7);
    CHECK_INT(term_screen_put(s, 4, 0, 0, "filled", 20), 20);
    CHECK_INT(term_screen_put(s, 99, 0, 0, "outside", 0), 0);
    term_screen_diff(s, &bytes);
    emu_feed(&m, &bytes);
    CHECK(!m.broken);
    emu_line(&m, 0, line);
    CHECK_STR(line, "  bold              ");
    CHECK_STR(m.style[0][2], "0;1"); /* no colour */
    emu_line(&m, 1, line);
    CHECK_STR(line, "cut                 ");
    CHECK_STR(m.style[1][0], "0;7");
    emu_line(&m, 2, line);
    CHECK_STR(line, "               edge ");
    emu_line(&m, 3, line);
    CHECK_STR(line, "a?[31m?             ");
    CHECK_INT(term_screen_resize(s, 2, 5), 0);
    CHECK_INT(term_screen_rows(s), 2);
    CHECK_INT(term_screen_put(s, 0, 0, 0, "longer than that", 0), 5);
    buf_done(&bytes);
    term_screen_free(s);
}

/* ---- real terminals ---- */

static const char leave_mark[] = "\033[?1049l";
static const char enter_mark[] = "\033[?1049h";

/* A process on a pseudo-terminal of its own; it reports in lines through a pipe. */
struct session {
    pid_t pid;
    int master;
    int slave;
    int report;
    struct termios before;
    struct buf screen; /* all that was written to the terminal */
    struct buf lines;
};

static int report_fd;

static void report(const char *fmt, ...) _printf_(1, 2);
static void report(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vdprintf(report_fd, fmt, ap);
    va_end(ap);
}

typedef void (*child_fn)(void);

static void session_begin(struct session *s, child_fn child)
{
    struct winsize ws = {.ws_row = 24, .ws_col = 80};
    int pipes[2];

    *s = (struct session){0};
    CHECK_INT(openpty(&s->master, &s->slave, NULL, NULL, &ws), 0);
    CHECK_INT(pipe2(pipes, O_CLOEXEC), 0);
    CHECK_INT(tcgetattr(s->slave, &s->before), 0);
    s->report = pipes[0];
    s->pid = fork();
    if (s->pid == 0) {
        struct rlimit no_core = {0, 0};

        setrlimit(RLIMIT_CORE, &no_core);
        close(s->master);
        login_tty(s->slave);
        report_fd = pipes[1];
        setenv("TERM", "xterm", 1);
        child();
        _exit(99);
    }
    close(pipes[1]);
}

static void session_end(struct session *s)
{
    close(s->master);
    close(s->slave);
    close(s->report);
    buf_done(&s->screen);
    buf_done(&s->lines);
}

/* Takes what has come from both sides. Return: false when time is up. */
static bool session_pump(struct session *s, int timeout_ms)
{
    struct pollfd p[2] = {{.fd = s->master, .events = POLLIN}, {.fd = s->report, .events = POLLIN}};
    struct buf *into[2] = {&s->screen, &s->lines};
    char data[4096];

    if (poll(p, 2, timeout_ms) <= 0)
        return false;
    for (int i = 0; i < 2; i++) {
        ssize_t n = p[i].revents ? read(p[i].fd, data, sizeof(data)) : 0;

        if (n > 0)
            buf_add(into[i], data, (size_t)n);
        else if (p[i].revents)
            usleep(1000); /* that side is closed; the other may still have something */
    }
    return true;
}

/* Waits until the process has reported a line that begins with @want, and forgets up to it. */
static bool session_expect(struct session *s, const char *want)
{
    uint64_t end = timefmt_now(CLOCK_MONOTONIC) + PATIENCE_MS * NSEC_PER_MSEC;

    for (;;) {
        char *line, *nl;

        while ((nl = s->lines.len ? memchr(s->lines.data, '\n', s->lines.len) : NULL)) {
            bool found;

            *nl = '\0';
            line = s->lines.data;
            found = strncmp(line, want, strlen(want)) == 0;
            if (!found)
                fprintf(stderr, "  (reported \"%s\")\n", line);
            s->lines.len -= (size_t)(nl + 1 - line);
            memmove(line, nl + 1, s->lines.len);
            if (found)
                return true;
        }
        if (timefmt_now(CLOCK_MONOTONIC) > end || !session_pump(s, PATIENCE_MS)) {
            fprintf(stderr, "  nothing like \"%s\" came\n", want);
            return false;
        }
    }
}

static int session_wait(struct session *s)
{
    uint64_t end = timefmt_now(CLOCK_MONOTONIC) + PATIENCE_MS * NSEC_PER_MSEC;
    int status = -1;

    while (waitpid(s->pid, &status, WNOHANG) == 0) {
        session_pump(s, 20);
        if (timefmt_now(CLOCK_MONOTONIC) > end) {
            kill(s->pid, SIGKILL);
            waitpid(s->pid, &status, 0);
            return -1;
        }
    }
    if (s->master >= 0) {
        struct pollfd p = {.fd = s->master, .events = POLLIN};

        while (poll(&p, 1, 0) == 1 && (p.revents & POLLIN) && session_pump(s, 0))
            ;
    }
    return status;
}

static bool is_raw(const struct session *s)
{
    struct termios now;

    return tcgetattr(s->slave, &now) == 0 && !(now.c_lflag & (tcflag_t)(ICANON | ECHO)) &&
           now.c_lflag & ISIG;
}

/* The same, for what a process does in its own time: an earlier "redraw" may be reported twice. */
static bool becomes_raw(struct session *s)
{
    uint64_t end = timefmt_now(CLOCK_MONOTONIC) + PATIENCE_MS * NSEC_PER_MSEC;

    while (!is_raw(s) && timefmt_now(CLOCK_MONOTONIC) < end)
        session_pump(s, 10);
    return is_raw(s);
}

static bool is_restored(const struct session *s)
{
    struct termios now;

    return tcgetattr(s->slave, &now) == 0 && now.c_iflag == s->before.c_iflag &&
           now.c_oflag == s->before.c_oflag && now.c_lflag == s->before.c_lflag &&
           memcmp(now.c_cc, s->before.c_cc, sizeof(now.c_cc)) == 0;
}

/* How often @mark stands in what was written. */
static int times_written(const struct session *s, const char *mark)
{
    const char *at = s->screen.data, *end = at + s->screen.len;
    int n = 0;

    while (at && (at = memmem(at, (size_t)(end - at), mark, strlen(mark)))) {
        n++;
        at += strlen(mark);
    }
    return n;
}

static struct term *child_open(void)
{
    struct term *t = NULL;
    struct err e = ERR_INIT;
    int r = term_open(STDOUT_FILENO, true, &t, &e);

    if (r < 0) {
        report("failed %d\n", r);
        _exit(98);
    }
    term_screen_put(term_get_screen(t), 0, 0, 0, "drawn", 0);
    term_show(t);
    report("ready\n");
    return t;
}

/* Reports keys until q. */
static void child_keys(void)
{
    struct term *t = child_open();
    uint32_t key = 0;

    while (key != 'q' && term_wait_key(t, 100 * NSEC_PER_SEC, &key) == 0)
        if (key == TERM_KEY_REDRAW)
            report("redraw %ux%u\n", term_screen_cols(term_get_screen(t)),
                   term_screen_rows(term_get_screen(t)));
        else
            report("key %x\n", key);
    term_close(t);
    report("closed\n");
    _exit(7);
}

static void child_exit(void)
{
    static struct term *kept; /* no leak: it is still in use when the process ends */

    kept = child_open();
    exit(kept ? 5 : 6);
}

/* The fault itself, not a sanitizer's word on it, which would end the program in its own way. */
__attribute__((no_sanitize("undefined"))) static void child_null(void)
{
    volatile int *volatile p = NULL;

    child_open();
    *p = 1;
}

static void child_abort(void)
{
    child_open();
    abort();
}

static volatile bool without_end = true;

static int deeper(volatile char *above)
{
    volatile char page[4096];

    page[0] = above ? above[0] : 0;
    if (!without_end)
        return 0;
    return deeper(page) + page[0];
}

static void child_overflow(void)
{
    child_open();
    _exit(deeper(NULL));
}

/* Its own child ends in all ways without touching the terminal. */
static void child_fork(void)
{
    struct term *t = child_open();
    int status;
    pid_t pid = fork();

    if (pid == 0)
        exit(0);
    waitpid(pid, &status, 0);
    pid = fork();
    if (pid == 0)
        raise(SIGTERM);
    waitpid(pid, &status, 0);
    report("children\n");
    uint32_t key;

    if (term_wait_key(t, 100 * NSEC_PER_SEC, &key) == 0)
        report("key %x\n", key);
    term_close(t);
    _exit(0);
}

static void test_session_keys(void)
{
    struct session s;
    struct winsize ws = {.ws_row = 10, .ws_col = 40};
    int status;

    session_begin(&s, child_keys);
    CHECK(session_expect(&s, "ready"));
    CHECK(is_raw(&s));
    CHECK_INT(write(s.master, "\033[A\xc3\xa9", 5), 5);
    CHECK(session_expect(&s, "key 110001"));
    CHECK(session_expect(&s, "key e9"));
    CHECK_INT(write(s.master, "\033", 1), 1);
    CHECK(session_expect(&s, "key 1b"));
    CHECK_INT(ioctl(s.master, TIOCSWINSZ, &ws), 0);
    CHECK(session_expect(&s, "redraw 40x10"));
    CHECK_INT(write(s.master, "q", 1), 1);
    CHECK(session_expect(&s, "key 71"));
    CHECK(session_expect(&s, "closed"));
    status = session_wait(&s);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    CHECK(is_restored(&s));
    CHECK_INT(times_written(&s, enter_mark), 1);
    CHECK_INT(times_written(&s, leave_mark), 1);
    CHECK_INT(times_written(&s, "drawn"), 1);
    session_end(&s);
}

static void test_session_signals(void)
{
    static const int sigs[] = {SIGINT,  SIGTERM, SIGHUP, SIGQUIT, SIGUSR1,
                               SIGPIPE, SIGSEGV, SIGBUS, SIGABRT, SIGALRM};

    for (size_t i = 0; i < ARRAY_SIZE(sigs); i++) {
        struct session s;
        int status;

        session_begin(&s, child_keys);
        CHECK(session_expect(&s, "ready"));
        CHECK(is_raw(&s));
        kill(s.pid, sigs[i]);
        status = session_wait(&s);
        /* A sanitizer's own handler may end it in another way. */
        CHECK((WIFSIGNALED(status) && WTERMSIG(status) == sigs[i]) ||
              (WIFEXITED(status) && WEXITSTATUS(status) == 1 && sigs[i] != SIGTERM));
        CHECK(is_restored(&s));
        CHECK_INT(times_written(&s, leave_mark), 1);
        session_end(&s);
    }
}

static void test_session_crashes(void)
{
    static const child_fn ways[] = {child_exit, child_null, child_abort, child_overflow};

    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        struct session s;
        int status;

        session_begin(&s, ways[i]);
        CHECK(session_expect(&s, "ready"));
        status = session_wait(&s);
        if (ways[i] == child_exit)
            CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 5);
        else
            CHECK(WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) == 1));
        CHECK(is_restored(&s));
        CHECK_INT(times_written(&s, leave_mark), 1);
        session_end(&s);
    }
}

/* Ctrl-C from the keyboard ends it as the signal does. */
static void test_session_ctrl_c(void)
{
    struct session s;
    int status;

    session_begin(&s, child_keys);
    CHECK(session_expect(&s, "ready"));
    CHECK_INT(write(s.master, "\003", 1), 1);
    status = session_wait(&s);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
    CHECK(is_restored(&s));
    session_end(&s);
}

static void test_session_fork(void)
{
    struct session s;
    int status;

    session_begin(&s, child_fork);
    CHECK(session_expect(&s, "children"));
    CHECK(is_raw(&s));
    CHECK_INT(times_written(&s, leave_mark), 0);
    CHECK_INT(write(s.master, "x", 1), 1);
    CHECK(session_expect(&s, "key 78"));
    status = session_wait(&s);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(is_restored(&s));
    session_end(&s);
}

/* As a shell does it: the program in a process group of its own, in the foreground. */
static void child_job(void)
{
    int status;
    pid_t pid;

    signal(SIGTTOU, SIG_IGN);
    pid = fork();
    if (pid == 0) {
        signal(SIGTTOU, SIG_DFL);
        /* Not before it is in the foreground, where it may change the terminal. */
        setpgid(0, 0);
        while (tcgetpgrp(STDIN_FILENO) != getpgrp())
            usleep(1000);
        child_keys();
    }
    setpgid(pid, pid);
    tcsetpgrp(STDIN_FILENO, pid);
    report("pid %d\n", pid);
    while (waitpid(pid, &status, WUNTRACED | WCONTINUED) == pid) {
        if (WIFSTOPPED(status)) {
            report("stopped %d\n", WSTOPSIG(status));
        } else if (!WIFCONTINUED(status)) {
            report("ended %x\n", (unsigned int)status);
            _exit(0);
        }
    }
}

static void test_session_stop(void)
{
    struct session s;
    struct termios other;
    char want[32];
    pid_t job = 0;

    session_begin(&s, child_job);
    while (!memchr(s.lines.data ? s.lines.data : "", '\n', s.lines.len))
        if (!session_pump(&s, PATIENCE_MS))
            break;
    CHECK_INT(sscanf(buf_str(&s.lines), "pid %d", &job), 1);
    CHECK(session_expect(&s, "ready"));

    CHECK_INT(write(s.master, "\032", 1), 1); /* Ctrl-Z */
    snprintf(want, sizeof(want), "stopped %d", SIGTSTP);
    CHECK(session_expect(&s, want));
    CHECK(is_restored(&s));
    kill(job, SIGCONT);
    CHECK(session_expect(&s, "redraw 80x24"));
    CHECK(becomes_raw(&s));

    kill(job, SIGSTOP); /* cannot be caught; the shell puts its own modes in place */
    snprintf(want, sizeof(want), "stopped %d", SIGSTOP);
    CHECK(session_expect(&s, want));
    other = s.before;
    CHECK_INT(tcsetattr(s.slave, TCSANOW, &other), 0);
    CHECK(!is_raw(&s));
    kill(job, SIGCONT);
    CHECK(session_expect(&s, "redraw 80x24"));
    CHECK(becomes_raw(&s));

    kill(job, SIGTSTP);
    snprintf(want, sizeof(want), "stopped %d", SIGTSTP);
    CHECK(session_expect(&s, want));
    kill(job, SIGTERM); /* waits for it until it runs again */
    kill(job, SIGCONT);
    snprintf(want, sizeof(want), "ended %x", SIGTERM);
    CHECK(session_expect(&s, want));
    CHECK(is_restored(&s));
    session_wait(&s);
    session_end(&s);
}

static void child_ignoring(void)
{
    signal(SIGHUP, SIG_IGN);
    child_keys();
}

static void test_session_ignored(void)
{
    struct session s;
    int status;

    session_begin(&s, child_ignoring);
    CHECK(session_expect(&s, "ready"));
    kill(s.pid, SIGHUP);
    CHECK_INT(write(s.master, "x", 1), 1);
    CHECK(session_expect(&s, "key 78"));
    CHECK_INT(write(s.master, "q", 1), 1);
    CHECK(session_expect(&s, "closed"));
    status = session_wait(&s);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    session_end(&s);
}

static void child_dumb(void)
{
    struct err e = ERR_INIT;
    struct term *t = NULL;
    int pipes[2];

    setenv("TERM", "dumb", 1);
    report("dumb %d\n", term_open(STDOUT_FILENO, true, &t, &e) == -EOPNOTSUPP && e.why[0] && !t);
    setenv("TERM", "", 1);
    report("empty %d\n", term_open(STDOUT_FILENO, true, &t, NULL) == -EOPNOTSUPP);
    setenv("TERM", "xterm", 1);
    report("pipe %d\n", pipe(pipes) == 0 && term_open(pipes[1], true, &t, NULL) == -ENOTTY);
    /* Keys come from the controlling terminal when standard input is something else. */
    report("null %d\n", dup2(open("/dev/null", O_RDONLY), STDIN_FILENO) == 0);
    child_keys();
}

static void test_session_refused(void)
{
    struct session s;

    session_begin(&s, child_dumb);
    CHECK(session_expect(&s, "dumb 1"));
    CHECK(session_expect(&s, "empty 1"));
    CHECK(session_expect(&s, "pipe 1"));
    CHECK(session_expect(&s, "null 1"));
    CHECK(session_expect(&s, "ready"));
    CHECK_INT(write(s.master, "q", 1), 1);
    CHECK(session_expect(&s, "closed"));
    session_wait(&s);
    CHECK(is_restored(&s));
    session_end(&s);
}

/* The terminal goes away: reading tells, nothing hangs. */
static void test_session_hangup(void)
{
    struct session s;
    int status;

    session_begin(&s, child_ignoring);
    CHECK(session_expect(&s, "ready"));
    close(s.slave);
    close(s.master);
    s.master = s.slave = -1;
    while (!memmem(buf_str(&s.lines), s.lines.len, "closed\n", 7))
        if (!session_pump(&s, PATIENCE_MS))
            break;
    CHECK(session_expect(&s, "closed"));
    status = session_wait(&s);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    session_end(&s);
}

int main(void)
{
    bool utf8 = setlocale(LC_CTYPE, "C.UTF-8") != NULL;

    /* What runs in the background, or under nohup, is started with some ignored. */
    for (int sig = 1; sig < SIGRTMIN; sig++)
        signal(sig, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    test_keys();
    test_keys_random();
    test_put();
    test_diff(utf8);
    signal(SIGPIPE, SIG_DFL);
    test_session_keys();
    test_session_signals();
    test_session_crashes();
    test_session_ctrl_c();
    test_session_fork();
    test_session_stop();
    test_session_ignored();
    test_session_refused();
    test_session_hangup();
    return check_done();
}
