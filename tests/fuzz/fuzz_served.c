/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a served bus says of itself, and where mountinfo says that it is: any user can serve one. */
#include "fuzz.h"

#include "../../lib/bus1/trace/served_bus.c"

static int visit(void *ctx, const struct b1_record *r)
{
    unsigned int *sum = ctx;

    MUST(r->kind > B1_RECORD_OTHER && r->kind <= B1_RECORD_USAGE);
    for (uint64_t i = 0; r->data && i < r->length; i++)
        *sum += ((const uint8_t *)r->data)[i];
    for (const char *p = r->transfers; p && *p; p++)
        *sum += (unsigned int)*p;
    return *sum % 1024 == 1023;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct b1_mount m;
    unsigned int sum = 0;
    char *text;

    if (!size)
        return 0;
    text = fuzz_string(data + 1, size - 1);
    if (data[0] & 1) {
        int r = b1_debug_parse(text, visit, &sum);

        MUST(r == 0 || r == 1 || r == -EBADMSG);
    } else if (mount_parse(text, &m)) {
        MUST(m.dir >= text && m.dir <= text + size);
    }
    free(text);
    return 0;
}
