/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Scripts of b1ctl, run on a bus of their own. Whatever they do, nothing is left of it. */
#include "bus_client.h"
#include "bus_defects.h"
#include "bus_script.h"
#include "cleanup.h"
#include "fuzz.h"
#include "script_words.h"

static void on_message(void *ctx, const struct b1_script_message *m)
{
    (void)ctx;
    MUST(m->peer && m->peer[0]);
    MUST(!m->target || m->target[0]);
}

static void on_name(void *ctx, const struct b1_script_name *n)
{
    (void)ctx;
    MUST(n->peer && n->peer[0] && !strpbrk(n->peer, " ."));
    MUST(!n->name || n->name[0]);
}

static void words(const char *text)
{
    struct err e = ERR_INIT;

    while (*text) {
        _cleanup_(b1_words_done) struct b1_words w = {0};
        const char *before = text;

        if (b1_words_next(&text, &w, &e) < 0) {
            MUST(e.why[0]);
            return;
        }
        MUST(w.n <= B1_WORDS_MAX && text >= before);
        for (size_t i = 0; i < w.n; i++)
            MUST(w.v[i].s[w.v[i].len] == '\0');
        text += *text != '\0';
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct b1_config cfg = {
        .limits = {.peers = 16,
                   .nodes = 100,
                   .handles = 200,
                   .messages = 100,
                   .bytes = 1 << 20,
                   .message_bytes = 4096,
                   .batch = 64},
        .defects = size && data[0] & 1 ? B1_DEFECT_ALL & ~(B1_DEFECT_SEND_OOPS | B1_DEFECT_STRIDE)
                                       : 0,
    };
    _cleanup_(freep) char *text = NULL;
    struct b1_embedded *bus;
    struct b1_device dev;
    struct b1_script *s;
    struct err e = ERR_INIT;
    unsigned int line = 1;
    bool single;

    if (!size)
        return 0;
    text = fuzz_string(data + 1, size - 1);
    words(text);
    MUST(b1_embedded_new(&cfg, &dev, &bus) == 0);
    MUST(b1_probe(&dev, &single) == 0);
    MUST(b1_script_new(&dev, single, on_message, on_name, NULL, &s) == 0);
    if (b1_script_run(s, text, &line, &e) < 0)
        MUST(e.why[0]);
    b1_script_names(s, on_name, NULL);
    b1_script_free(s);
    b1_embedded_free(bus);
    return 0;
}
