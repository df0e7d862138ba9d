/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* References to queues that a user types, and the line that the kernel says of one. */
#include "fuzz.h"
#include "pmq.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *s = fuzz_string(data, size);
    char text[PMQ_REF_SIZE];
    struct pmq_ref ref, again;
    struct pmq_attr attr = {0};
    struct err e = ERR_INIT;

    pmq_attr_parse_line(s, &attr);
    if (pmq_ref_parse(s, &ref, &e) == 0) {
        pmq_ref_format(&ref, text);
        MUST(strlen(text) < sizeof(text));
        MUST(pmq_ref_parse(text, &again, &e) == 0);
        MUST(again.kind == ref.kind);
        MUST(ref.kind == PMQ_REF_NAME || again.pid == ref.pid);
        MUST(ref.kind != PMQ_REF_PID_FD || again.fd == ref.fd);
        MUST(ref.kind == PMQ_REF_PID_FD || !strcmp(again.name, ref.name));
    }
    free(s);
    return 0;
}
