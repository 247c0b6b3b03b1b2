/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_dimse_command.c - bytes as a DIMSE command set, whole and as it comes in pieces of PDVs. The
 * last byte also tells the size of the pieces.
 *
 * Beyond not crashing: both ways give the same; what was decoded, encoded and decoded again is the
 * same command; its encoding is even, ascends and tells its own length.
 */
#include <string.h>

#include "dimse_message.h"
#include "fuzz.h"
#include "incoming.h"

#define DATA_LIMIT 64

static uint32_t load32(const uint8_t *from)
{
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 |
           (uint32_t)from[3] << 24;
}

static uint32_t load_tag(const uint8_t *from)
{
    return (load32(from) & 0xFFFF) << 16 | load32(from) >> 16;
}

static void check_form(const uint8_t *bytes, size_t nbytes)
{
    FUZZ_CHECK(nbytes >= 12 && nbytes % 2 == 0 && nbytes <= DIMSE_COMMAND_MAX);
    FUZZ_CHECK(load_tag(bytes) == 0 && load32(bytes + 8) == nbytes - 12);
    uint32_t last = 0;
    for (size_t at = 12; at < nbytes; at += 8 + load32(bytes + at + 4)) {
        FUZZ_CHECK(nbytes - at >= 8 && load32(bytes + at + 4) <= nbytes - at - 8);
        FUZZ_CHECK(load_tag(bytes + at) > last);
        last = load_tag(bytes + at);
    }
}

static void check_round_trip(const dimse_command *command)
{
    uint8_t bytes[DIMSE_COMMAND_MAX], again[DIMSE_COMMAND_MAX];
    size_t nbytes = dimse_command_encode(bytes, sizeof bytes, command);
    check_form(bytes, nbytes);
    dimse_command decoded;
    FUZZ_CHECK(dimse_command_decode(&decoded, bytes, nbytes, NULL) == 0);
    FUZZ_CHECK(dimse_command_encode(again, sizeof again, &decoded) == nbytes);
    FUZZ_CHECK(memcmp(bytes, again, nbytes) == 0);
    FUZZ_CHECK(decoded.command_field == command->command_field &&
               dimse_has_data_set(&decoded) == dimse_has_data_set(command));
    for (size_t capacity = 0; capacity < nbytes; capacity += 1 + nbytes / 8)
        FUZZ_CHECK(dimse_command_encode(again, capacity, command) == 0);
}

/* The command in pieces, then (where one is announced) a data set of the same bytes. */
static void check_pieces(fuzz_input input, size_t size, const dimse_command *whole, bool good)
{
    incoming message = {0};
    scp_error error = SCP_ERROR_INIT;
    incoming_state state = INCOMING_MORE;
    for (fuzz_input rest = input; state == INCOMING_MORE && !message.command_complete;) {
        fuzz_input piece = fuzz_take(&rest, size);
        ul_pdv pdv = {1, true, rest.nbytes == 0, piece.bytes, piece.nbytes};
        state = incoming_add(&message, &pdv, DATA_LIMIT, &error);
        FUZZ_CHECK(state != INCOMING_MORE || !pdv.is_last || message.command_complete);
    }
    if (input.nbytes <= DIMSE_COMMAND_MAX)
        FUZZ_CHECK((state != INCOMING_BROKEN) == good);
    if (state == INCOMING_BROKEN)
        FUZZ_CHECK(error.message[0] != '\0');
    else
        FUZZ_CHECK(memcmp(&message.command, whole, sizeof *whole) == 0 &&
                   (state == INCOMING_MORE) == dimse_has_data_set(whole));
    for (fuzz_input rest = input; state == INCOMING_MORE;) {
        fuzz_input piece = fuzz_take(&rest, size);
        ul_pdv pdv = {1, false, rest.nbytes == 0, piece.bytes, piece.nbytes};
        state = incoming_add(&message, &pdv, DATA_LIMIT, &error);
    }
    if (state == INCOMING_COMPLETE && dimse_has_data_set(&message.command)) {
        FUZZ_CHECK(message.data_too_long == (input.nbytes > DATA_LIMIT));
        FUZZ_CHECK(message.data_nbytes <= input.nbytes);
        FUZZ_CHECK(message.data_nbytes == 0 ||
                   memcmp(message.data, input.bytes, message.data_nbytes) == 0);
    }
    incoming_free(&message);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t nbytes)
{
    fuzz_input input = {bytes, nbytes};
    size_t size = nbytes > 0 ? 1u + bytes[nbytes - 1] : 1;
    dimse_command command;
    memset(&command, 0, sizeof command);
    scp_error error = SCP_ERROR_INIT;
    bool good = dimse_command_decode(&command, input.bytes, input.nbytes, &error) == 0;
    FUZZ_CHECK(good || error.message[0] != '\0');
    if (good) {
        check_round_trip(&command);
        dimse_command response;
        dimse_response_init(&response, &command, 0xA700);
        check_round_trip(&response);
    }
    if (input.nbytes > 0)
        check_pieces(input, size, &command, good);
    return 0;
}
