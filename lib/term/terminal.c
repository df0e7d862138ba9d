// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Taking the terminal, and giving it back whatever happens.
 *
 * What a signal handler needs lies in one static structure: a process has one terminal. The
 * handlers use async-signal-safe calls only.
 */
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "buf.h"
#include "cleanup.h"
#include "fileio.h"
#include "macros.h"
#include "parse.h"
#include "timefmt.h"

enum {
    ESC_TIMEOUT_MS = 100, /* a lone Esc is taken as the key after this */
    SIGNAL_STACK = 64 * 1024,
};

/*
 * The alternate screen, automatic wrapping off, cursor hidden. On the way back first CAN, which
 * ends a control sequence that was cut off in the middle, and the style that it may have set.
 */
static const char enter_text[] = "\033[?1049h\033[?7l\033[?25l";
static const char leave_text[] = "\030\033[0m\033[?7h\033[?25h\033[?1049l";

/* Signals whose default is to end the process. The first FAULTS come again when returned from. */
enum { FAULTS = 5 };
static const int ending[] = {
    SIGSEGV, SIGBUS,  SIGFPE,  SIGILL,  SIGTRAP, SIGABRT,   SIGSYS,  SIGHUP,  SIGINT,  SIGQUIT,
    SIGTERM, SIGPIPE, SIGALRM, SIGUSR1, SIGUSR2, SIGVTALRM, SIGPROF, SIGXCPU, SIGXFSZ,
};

static struct {
    volatile sig_atomic_t entered; /* the terminal is ours to restore */
    volatile sig_atomic_t redraw;
    volatile sig_atomic_t told; /* to end, by a signal that was handed on */
    pid_t owner;                /* a child that inherits all this leaves the terminal alone */
    int in;
    int out;
    struct termios saved;
    struct termios raw;
    struct sigaction old_ending[ARRAY_SIZE(ending)];
    struct sigaction old_stop;
    struct sigaction old_cont;
    struct sigaction old_winch;
} tty = {.in = -1, .out = -1};

struct term {
    int own_in; /* opened by us, or -1 */
    struct term_screen *screen;
    struct buf bytes; /* of a picture */
    unsigned char input[64];
    size_t n_input;
    sigset_t old_mask;
    sigset_t wait_mask; /* @old_mask with what is only let in while waiting */
    void *stack;
    stack_t old_stack;
    bool utf8;
};

/* ---- what handlers do ---- */

static void write_text(const char *text, size_t n)
{
    /* A terminal that nobody reads must not keep the process from ending. */
    struct pollfd p = {.fd = tty.out, .events = POLLOUT};

    if (poll(&p, 1, 1000) == 1 && (p.revents & POLLOUT)) {
        ssize_t r = write(tty.out, text, n);

        (void)r; /* there is nobody left to tell */
    }
}

static void enter(void)
{
    tty.entered = 1;
    tcsetattr(tty.in, TCSANOW, &tty.raw);
    write_text(enter_text, sizeof(enter_text) - 1);
}

static void leave(void)
{
    if (!tty.entered || getpid() != tty.owner)
        return;
    write_text(leave_text, sizeof(leave_text) - 1);
    tcsetattr(tty.in, TCSANOW, &tty.saved);
    tty.entered = 0;
}

/*
 * A process that has caught the signal itself ends in its own time, and closes the terminal then. A
 * second one does what it does by default.
 */
static bool hand_on(int sig, struct sigaction *old)
{
    bool polite = sig == SIGINT || sig == SIGTERM || sig == SIGHUP;

    if (!polite || old->sa_flags & SA_SIGINFO || old->sa_handler == SIG_DFL)
        return false;
    old->sa_handler(sig);
    old->sa_handler = SIG_DFL;
    tty.told = 1;
    return true;
}

static void on_ending(int sig, siginfo_t *info, _unused_ void *context)
{
    int saved_errno = errno;

    for (size_t i = 0; i < ARRAY_SIZE(ending); i++) {
        if (ending[i] != sig)
            continue;
        if (hand_on(sig, &tty.old_ending[i]))
            break;
        leave();
        sigaction(sig, &tty.old_ending[i], NULL);
        /* A fault happens again at the return, and then does what it did before. */
        if (i >= FAULTS || info->si_code <= 0)
            raise(sig);
    }
    errno = saved_errno;
}

static void on_stop(int sig)
{
    int saved_errno = errno;
    struct sigaction ours;
    sigset_t set, old;

    leave();
    sigaction(sig, &tty.old_stop, &ours);
    sigemptyset(&set);
    sigaddset(&set, sig);
    raise(sig);
    pthread_sigmask(SIG_UNBLOCK, &set, &old); /* stops here */
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    sigaction(sig, &ours, NULL);
    enter();
    tty.redraw = 1;
    errno = saved_errno;
}

static void on_cont(_unused_ int sig)
{
    int saved_errno = errno;

    /* Also after a stop that could not be caught, where the shell has set its own modes. */
    if (tty.entered)
        enter();
    tty.redraw = 1;
    errno = saved_errno;
}

static void on_winch(_unused_ int sig)
{
    tty.redraw = 1;
}

/* ---- signals on and off ---- */

static void catch_one(int sig, const struct sigaction *sa, struct sigaction *old)
{
    sigaction(sig, NULL, old);
    if (old->sa_flags & SA_SIGINFO || old->sa_handler != SIG_IGN)
        sigaction(sig, sa, NULL);
}

static void signals_catch(struct term *t)
{
    struct sigaction sa = {.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    stack_t stack = {.ss_size = SIGNAL_STACK};
    sigset_t block;

    /* Without a stack of its own a stack overflow ends the process before the handler runs. */
    t->stack = malloc(SIGNAL_STACK);
    stack.ss_sp = t->stack;
    if (t->stack)
        sigaltstack(&stack, &t->old_stack);
    sigemptyset(&block);
    sigaddset(&block, SIGWINCH);
    sigaddset(&block, SIGTSTP);
    sigaddset(&block, SIGCONT);
    pthread_sigmask(SIG_BLOCK, &block, &t->old_mask);
    t->wait_mask = t->old_mask;
    sigdelset(&t->wait_mask, SIGWINCH);
    sigdelset(&t->wait_mask, SIGTSTP);
    sigdelset(&t->wait_mask, SIGCONT);

    sigfillset(&sa.sa_mask);
    sa.sa_sigaction = on_ending;
    for (size_t i = 0; i < ARRAY_SIZE(ending); i++)
        catch_one(ending[i], &sa, &tty.old_ending[i]);
    sa.sa_flags = SA_ONSTACK;
    sa.sa_handler = on_stop;
    catch_one(SIGTSTP, &sa, &tty.old_stop);
    sa.sa_handler = on_cont;
    sigaction(SIGCONT, &sa, &tty.old_cont);
    sa.sa_handler = on_winch;
    sigaction(SIGWINCH, &sa, &tty.old_winch);
}

static void signals_release(struct term *t)
{
    for (size_t i = 0; i < ARRAY_SIZE(ending); i++)
        sigaction(ending[i], &tty.old_ending[i], NULL);
    sigaction(SIGTSTP, &tty.old_stop, NULL);
    sigaction(SIGCONT, &tty.old_cont, NULL);
    sigaction(SIGWINCH, &tty.old_winch, NULL);
    pthread_sigmask(SIG_SETMASK, &t->old_mask, NULL);
    if (t->stack)
        sigaltstack(&t->old_stack, NULL);
    free(t->stack);
}

/* ---- opening ---- */

/* A number from the environment, for terminals that do not know their size (serial lines). */
static unsigned int env_size(const char *name, unsigned int otherwise)
{
    const char *text = getenv(name);
    uint64_t n;

    if (!text || parse_u64_max(text, 1000, &n) < 0 || n == 0)
        return otherwise;
    return (unsigned int)n;
}

static void get_size(unsigned int *rows, unsigned int *cols)
{
    struct winsize ws = {0};

    if (ioctl(tty.out, TIOCGWINSZ, &ws) < 0)
        ws = (struct winsize){0};
    *rows = ws.ws_row ? ws.ws_row : env_size("LINES", 24);
    *cols = ws.ws_col ? ws.ws_col : env_size("COLUMNS", 80);
}

/* What the user's environment says, whatever locale this program has set for itself. */
static bool env_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        const char *value = getenv(names[i]);

        if (value && *value)
            return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
    }
    return false;
}

static int check_kind(struct err *e)
{
    const char *name = getenv("TERM");

    if (!name || !*name)
        return err_set(e, -EOPNOTSUPP, "set TERM", "the kind of terminal is not known");
    if (strcmp(name, "dumb") == 0 || strcmp(name, "unknown") == 0)
        return err_set(e, -EOPNOTSUPP, NULL, "a terminal of kind \"%s\" cannot place its cursor",
                       name);
    return 0;
}

static int open_input(struct term *t, int out_fd)
{
    tty.out = out_fd;
    tty.in = STDIN_FILENO;
    if (!isatty(out_fd))
        return -ENOTTY;
    if (isatty(STDIN_FILENO))
        return 0;
    t->own_in = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (t->own_in < 0)
        return -errno;
    tty.in = t->own_in;
    return 0;
}

static void term_release(struct term *t)
{
    closep(&t->own_in);
    tty.in = tty.out = -1;
    term_screen_free(t->screen);
    buf_done(&t->bytes);
    free(t);
}

int term_open(int out_fd, bool color, struct term **ret, struct err *e)
{
    static bool at_exit;
    unsigned int rows, cols;
    struct term *t;
    int r = check_kind(e);

    if (r < 0)
        return r;
    if (tty.out >= 0)
        return -EBUSY;
    t = calloc(1, sizeof(*t));
    if (!t)
        return -ENOMEM;
    t->own_in = -1;
    t->utf8 = env_utf8();
    r = open_input(t, out_fd);
    if (r == 0 && tcgetattr(tty.in, &tty.saved) < 0)
        r = -errno;
    if (r == 0) {
        get_size(&rows, &cols);
        r = term_screen_new(rows, cols, color, &t->screen);
    }
    if (r < 0) {
        term_release(t);
        return r;
    }
    tty.raw = tty.saved;
    tty.raw.c_iflag &= ~(tcflag_t)(BRKINT | ICRNL | INLCR | IGNCR | ISTRIP | IXON | PARMRK);
    tty.raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN);
    tty.raw.c_cc[VMIN] = 1;
    tty.raw.c_cc[VTIME] = 0;
    tty.owner = getpid();
    tty.redraw = 0;
    if (!at_exit)
        at_exit = atexit(leave) == 0;
    signals_catch(t);
    enter();
    *ret = t;
    return 0;
}

void term_close(struct term *t)
{
    if (!t)
        return;
    leave();
    signals_release(t);
    term_release(t);
}

void term_closep(struct term **t)
{
    term_close(*t);
}

struct term_screen *term_get_screen(struct term *t)
{
    return t->screen;
}

bool term_is_utf8(const struct term *t)
{
    return t->utf8;
}

/* ---- use ---- */

int term_show(struct term *t)
{
    int r;

    buf_clear(&t->bytes);
    term_screen_diff(t->screen, &t->bytes);
    r = buf_error(&t->bytes);
    if (r == 0)
        r = file_write_all(tty.out, t->bytes.data, t->bytes.len);
    return r;
}

static int take_redraw(struct term *t, uint32_t *key)
{
    unsigned int rows, cols;
    int r = 0;

    tty.redraw = 0;
    *key = TERM_KEY_REDRAW;
    get_size(&rows, &cols);
    if (rows != term_screen_rows(t->screen) || cols != term_screen_cols(t->screen))
        r = term_screen_resize(t->screen, rows, cols);
    term_screen_forget(t->screen);
    return r;
}

/* A key from what has been read already. */
static bool take_key(struct term *t, bool final, uint32_t *key)
{
    while (t->n_input) {
        size_t used = term_key_decode(t->input, t->n_input, final, key);

        if (!used)
            return false;
        t->n_input -= used;
        memmove(t->input, t->input + used, t->n_input);
        if (*key != TERM_KEY_NONE)
            return true;
    }
    return false;
}

/* Waits and reads. Return: 1 something was read or happened, 0 time is up, or -errno. */
static int fill_input(struct term *t, uint64_t timeout_ns)
{
    struct pollfd p = {.fd = tty.in, .events = POLLIN};
    struct timespec ts = timefmt_to_timespec(timeout_ns);
    ssize_t n;
    int r = ppoll(&p, 1, &ts, &t->wait_mask);

    if (r < 0)
        return errno == EINTR ? 1 : -errno;
    if (r == 0)
        return 0;
    n = read(tty.in, t->input + t->n_input, sizeof(t->input) - t->n_input);
    if (n < 0)
        return errno == EINTR || errno == EAGAIN ? 1 : -errno;
    if (n == 0)
        return -EIO; /* hung up */
    t->n_input += (size_t)n;
    return 1;
}

int term_wait_key(struct term *t, uint64_t timeout_ns, uint32_t *key)
{
    uint64_t now = timefmt_now(CLOCK_MONOTONIC);
    uint64_t end = timeout_ns > UINT64_MAX - now ? UINT64_MAX : now + timeout_ns;

    for (;;) {
        uint64_t left;
        int r;

        if (tty.redraw)
            return take_redraw(t, key);
        if (tty.told) {
            *key = TERM_KEY_NONE;
            return 0;
        }
        if (take_key(t, false, key))
            return 0;
        now = timefmt_now(CLOCK_MONOTONIC);
        left = end > now ? end - now : 0;
        if (t->n_input) /* the beginning of a sequence */
            left = ESC_TIMEOUT_MS * NSEC_PER_MSEC;
        r = fill_input(t, left);
        if (r < 0)
            return r;
        if (r == 0 && t->n_input && take_key(t, true, key))
            return 0;
        if (r == 0 && now >= end) {
            *key = TERM_KEY_NONE;
            return 0;
        }
    }
}
