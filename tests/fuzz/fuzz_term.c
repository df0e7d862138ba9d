/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a terminal sends. However it comes in parts, it is the same keys. */
#include "fuzz.h"
#include "termkey.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (size_t at = 0; at < size;) {
        uint32_t key = UINT32_MAX, part;
        size_t n = term_key_decode(data + at, size - at, true, &key);

        MUST(n > 0 && n <= size - at && key != UINT32_MAX);
        MUST(key <= TERM_KEY_REDRAW);
        for (size_t k = 1; k <= n; k++) {
            size_t used = term_key_decode(data + at, k, false, &part);

            MUST(used <= k);
        }
        at += n;
    }
    return 0;
}
