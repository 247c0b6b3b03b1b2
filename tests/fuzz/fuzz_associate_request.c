/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_associate_request.c - bytes as an A-ASSOCIATE-RQ without its 6-byte head, looked over before
 * DCMTK parses it.
 *
 * Beyond not crashing: a refusal has a message; what passes still passes with another
 * acceptable item after it, and no more with half an item there.
 */
#include <string.h>

#include "fuzz.h"
#include "ul_request_check.h"

#define FIXED_NBYTES 68

static int check_with(fuzz_input input, const char *tail, size_t tail_nbytes)
{
    uint8_t *copy = malloc(input.nbytes + tail_nbytes);
    FUZZ_CHECK(copy != NULL);
    memcpy(copy, input.bytes, input.nbytes);
    memcpy(copy + input.nbytes, tail, tail_nbytes);
    scp_error error = SCP_ERROR_INIT;
    int result = ul_request_check(copy, input.nbytes + tail_nbytes, &error);
    FUZZ_CHECK(result == 0 || error.message[0] != '\0');
    free(copy);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t nbytes)
{
    fuzz_input input = {bytes, nbytes};
    scp_error error = SCP_ERROR_INIT;
    int result = ul_request_check(bytes, nbytes, &error);
    FUZZ_CHECK(result == 0 || (result == -1 && error.message[0] != '\0'));
    if (result != 0)
        return 0;
    bool scu, scp;
    (void)ul_request_role(bytes, nbytes, "1.2.840.10008.5.1.4.1.1.2", &scu, &scp);
    bool looked_into = (bytes[1] & 1) != 0; /* version 1 is among those proposed */
    FUZZ_CHECK(!looked_into || nbytes >= FIXED_NBYTES);
    FUZZ_CHECK((check_with(input, "\x10\0\0", 3) != 0) == looked_into);
    FUZZ_CHECK((check_with(input, "\x10\0\0\2\x31", 5) != 0) == looked_into);
    FUZZ_CHECK(check_with(input, "\x7F\0\0\0", 4) == 0);
    return 0;
}
