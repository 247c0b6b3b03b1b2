/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_charset.c - bytes as text in a character set, to UTF-8 and back. The first byte chooses the
 * set; from the end of the list on, the second its length, and the set's name is in the input.
 *
 * Beyond not crashing: what comes out is UTF-8; text that is said to need no conversion is not
 * changed by it; what can be encoded decodes to the same text.
 */
#include <string.h>

#include "charset.h"
#include "fuzz.h"

static const char *const names[] = {
    "",
    "ISO_IR 13",
    "ISO_IR 100",
    "ISO_IR 101",
    "ISO_IR 109",
    "ISO_IR 110",
    "ISO_IR 126",
    "ISO_IR 127",
    "ISO_IR 138",
    "ISO_IR 144",
    "ISO_IR 148",
    "ISO_IR 166",
    "ISO_IR 203",
    "ISO_IR 192",
    "GB18030",
    "GBK",
    "\\ISO 2022 IR 87",
    "\\ISO 2022 IR 149",
    "\\ISO 2022 IR 58",
    "\\ISO 2022 IR 159",
    "ISO 2022 IR 13\\ISO 2022 IR 87\\ISO 2022 IR 159",
    "ISO 2022 IR 6\\ISO 2022 IR 100\\ISO 2022 IR 144\\ISO 2022 IR 126",
    "ISO 2022 IR 100\\ISO 2022 IR 13\\ISO 2022 IR 58\\ISO 2022 IR 149",
};
#define NNAMES (sizeof names / sizeof *names)

static const dcb_vr vrs[] = {DCB_VR('P', 'N'), DCB_VR('L', 'O'), DCB_VR('L', 'T'),
                             DCB_VR('U', 'C')};

/* Well-formed by Unicode's table 3-7. */
static size_t utf8_length(const uint8_t *at, size_t left)
{
    if (at[0] < 0x80)
        return 1;
    size_t length = at[0] >= 0xC2 && at[0] < 0xE0   ? 2
                    : at[0] >= 0xE0 && at[0] < 0xF0 ? 3
                    : at[0] >= 0xF0 && at[0] < 0xF5 ? 4
                                                    : 0;
    if (length == 0 || length > left)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    }
    bool overlong = (at[0] == 0xE0 && at[1] < 0xA0) || (at[0] == 0xF0 && at[1] < 0x90);
    bool outside = (at[0] == 0xED && at[1] > 0x9F) || (at[0] == 0xF4 && at[1] > 0x8F);
    return overlong || outside ? 0 : length;
}

static void check_utf8(const char *text, size_t nbytes)
{
    for (size_t at = 0; at < nbytes;) {
        size_t length = utf8_length((const uint8_t *)text + at, nbytes - at);
        FUZZ_CHECK(length > 0);
        at += length;
    }
}

static void check_back(const dcb__charset *charset, dcb_vr vr, const char *text, size_t nbytes)
{
    uint8_t *encoded;
    size_t encoded_nbytes;
    dcb_status status =
        dcb__charset_encode(&encoded, &encoded_nbytes, charset, vr, text, nbytes, NULL);
    FUZZ_CHECK(status == DCB_OK || status == DCB_ERR_ENCODING);
    if (status != DCB_OK)
        return;
    char *again;
    size_t again_nbytes;
    FUZZ_CHECK(dcb__charset_decode(&again, &again_nbytes, charset, vr, encoded, encoded_nbytes,
                                   NULL) == DCB_OK);
    FUZZ_CHECK(again_nbytes == nbytes && memcmp(again, text, nbytes) == 0);
    free(again);
    free(encoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t nbytes)
{
    fuzz_input input = {bytes, nbytes};
    uint8_t choice = fuzz_take_byte(&input);
    dcb_vr vr = vrs[choice / 32 % 4];
    char own_name[128];
    const char *name = own_name;
    if (choice % 32 < NNAMES) {
        name = names[choice % 32];
    } else {
        fuzz_input given = fuzz_take(&input, fuzz_take_byte(&input) % sizeof own_name);
        memcpy(own_name, given.bytes, given.nbytes);
        own_name[given.nbytes] = '\0';
    }
    dcb__charset *charset;
    dcb_error error = DCB_ERROR_INIT;
    dcb_status status = dcb__charset_open(&charset, name, &error);
    FUZZ_CHECK((status == DCB_OK) == (charset != NULL));
    FUZZ_CHECK(status == DCB_OK || (error.status == status && error.message[0] != '\0'));
    FUZZ_CHECK(status == DCB_OK || name == own_name);
    if (status != DCB_OK)
        return 0;
    char *text;
    size_t text_nbytes;
    FUZZ_CHECK(dcb__charset_decode(&text, &text_nbytes, charset, vr, input.bytes, input.nbytes,
                                   NULL) == DCB_OK);
    FUZZ_CHECK(text[text_nbytes] == '\0');
    check_utf8(text, text_nbytes);
    if (dcb__charset_is_same(charset, input.bytes, input.nbytes))
        FUZZ_CHECK(text_nbytes == input.nbytes && memcmp(text, input.bytes, text_nbytes) == 0);
    check_back(charset, vr, text, text_nbytes);
    free(text);
    dcb__charset_close(charset);
    return 0;
}
