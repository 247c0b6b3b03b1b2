/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_associate_request.c - bytes as an A-ASSOCIATE-RQ without its 6-byte head. What passes the
 * check can be searched for roles; what does not has a reason.
 */
#include "ul_request_check.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t nbytes);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t nbytes)
{
    scp_error error = SCP_ERROR_INIT;
    bool scu, scp;
    if (ul_request_check(bytes, nbytes, &error) == 0)
        (void)ul_request_role(bytes, nbytes, "1.2.840.10008.5.1.4.1.1.2", &scu, &scp);
    else if (error.message[0] == '\0')
        abort();
    return 0;
}
