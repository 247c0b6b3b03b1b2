/* SPDX-License-Identifier: Apache-2.0 */
/* What a destination answers to our A-ASSOCIATE-RQ. */
#include "fuzz.h"

#include "sop_classes.h"
#include "ul_associate.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const syntaxes[] = {UID_EXPLICIT_LE, UID_IMPLICIT_LE};
    ul_request request = {0};
    scp_error error = SCP_ERROR_INIT;
    for (int i = 0; i < 3; i++)
        FUZZ_CHECK(ul_request_add_context(&request, "1.2.840.10008.5.1.4.1.1.2", syntaxes, 2));
    ul_associate_read_answer(&request, data, size, &error);
    for (uint32_t i = 0; i < request.ncontexts; i++) {
        const ul_context *c = &request.contexts[i];
        FUZZ_CHECK(c->result != 0 || strcmp(c->accepted_syntax, syntaxes[0]) == 0 ||
                   strcmp(c->accepted_syntax, syntaxes[1]) == 0);
        FUZZ_CHECK(c->peer_is_scp == (c->result == 0));
    }
    ul_request_clear(&request);
    return 0;
}
