/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_dimse_command.c - bytes as a command set. What is decoded encodes, and that decodes to
 * something that encodes to the same bytes.
 */
#include "dimse_message.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t nbytes);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t nbytes)
{
    uint8_t once[DIMSE_COMMAND_MAX], twice[DIMSE_COMMAND_MAX];
    dimse_command command, response;
    if (dimse_command_decode(&command, bytes, nbytes, NULL) != 0)
        return 0;
    size_t n = dimse_command_encode(once, sizeof once, &command);
    if (n == 0 || dimse_command_decode(&command, once, n, NULL) != 0 ||
        dimse_command_encode(twice, sizeof twice, &command) != n || memcmp(once, twice, n) != 0)
        abort();
    dimse_response_init(&response, &command, 0xC000);
    if (dimse_command_encode(once, sizeof once, &response) == 0)
        abort();
    return 0;
}
