/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a server records of a bus, as text, done again on a bus of its own. */
#include <errno.h>

#include "bus_replay.h"
#include "fuzz.h"

enum { LINES = 200 }; /* each may send to many */

static void on_replayed(void *ctx, const struct b1_replayed *m)
{
    (void)ctx;
    MUST(m->len == 0 || m->data);
}

static void replay(char *text)
{
    struct b1_event_lists lists = {0};
    const struct b1_config cfg = {.limits = {64, 256, 1024, 1024, 1 << 20, 1 << 16, 256}};
    struct b1_device dev;
    struct b1_embedded *bus;
    struct err e = ERR_INIT;
    struct b1_replay *r;
    char *save = NULL;
    int k = 0;

    MUST(b1_embedded_new(&cfg, &dev, &bus) == 0);
    MUST(b1_replay_new(&dev, false, on_replayed, NULL, &r) == 0);
    for (char *line = strtok_r(text, "\n", &save); line && k == 0;
         line = strtok_r(NULL, "\n", &save)) {
        struct b1_event ev;

        k = b1_event_parse(line, &lists, &ev);
        if (k == 0)
            k = b1_replay_event(r, &ev, &e);
    }
    if (k == 0)
        (void)b1_replay_end(r, &e);
    b1_replay_free(r);
    b1_event_lists_done(&lists);
    b1_embedded_free(bus);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text;
    size_t lines = 0;

    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n';
    if (size > 8192 || lines > LINES)
        return 0;
    text = fuzz_string(data, size);
    replay(text);
    free(text);
    return 0;
}
