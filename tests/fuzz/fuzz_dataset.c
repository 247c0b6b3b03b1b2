/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_dataset.c - bytes as a data set: parsed, encoded three ways, its text converted there and
 * back. Beyond not crashing: what was parsed encodes to something that parses to the same, and text
 * that has been made UTF-8 stays the same when that is done again, and its JSON is JSON.
 *
 * The first byte chooses the syntax (modulo 3) and the character set to write (the rest of it).
 */
#include <string.h>

#include "dcb.h"
#include "fuzz.h"
#include "fuzz_json.h"

static const char *const charsets[] = {"", "ISO_IR 100", "ISO 2022 IR 13\\ISO 2022 IR 87",
                                       "GB18030", "\\ISO 2022 IR 149"};

static dcb_vr lookup(void *context, uint32_t tag)
{
    static const dcb_vr vrs[] = {DCB_VR('P', 'N'), DCB_VR('L', 'T'), DCB_VR('S', 'Q'),
                                 DCB_VR('C', 'S'), DCB_VR('U', 'S'), 0};
    (void)context;
    return tag == 0x00080005 ? DCB_VR('C', 'S') : vrs[tag % (sizeof vrs / sizeof *vrs)];
}

typedef struct encoded {
    uint8_t *bytes;
    size_t nbytes;
} encoded;

static encoded encode(const dcb_dataset *dataset, dcb_syntax syntax)
{
    encoded made;
    FUZZ_CHECK(dcb_dataset_encode(&made.bytes, &made.nbytes, dataset, syntax, NULL) == DCB_OK);
    return made;
}

static void check_same(encoded a, encoded b)
{
    FUZZ_CHECK(a.nbytes == b.nbytes && memcmp(a.bytes, b.bytes, a.nbytes) == 0);
    free(a.bytes);
    free(b.bytes);
}

/* The explicit encodings keep everything; the implicit one depends on the dictionary. */
static void check_encodings(const dcb_dataset *dataset)
{
    for (dcb_syntax syntax = DCB_SYNTAX_IMPLICIT_LE; syntax <= DCB_SYNTAX_EXPLICIT_BE; syntax++) {
        encoded once = encode(dataset, syntax);
        dcb_dataset *again;
        dcb_status status =
            dcb_dataset_parse(&again, once.bytes, once.nbytes, syntax, NULL, NULL, NULL, NULL);
        FUZZ_CHECK(status == DCB_OK);
        check_same(once, encode(again, syntax));
        dcb_dataset_close(again);
    }
}

static void check_json(const dcb_dataset *dataset)
{
    char *json;
    size_t nbytes;
    dcb_error error = DCB_ERROR_INIT;
    dcb_status status = dcb_dataset_to_json(&json, &nbytes, dataset, 1u << 20, &error);
    FUZZ_CHECK(status == DCB_OK || (status == DCB_ERR_LIMIT && json == NULL));
    if (status == DCB_OK)
        fuzz_check_json(json, nbytes, dcb_dataset_count(dataset));
    free(json);
}

static void check_text(dcb_dataset *dataset, const char *charset)
{
    if (dcb_dataset_to_utf8(dataset, NULL) != DCB_OK)
        return;
    check_json(dataset);
    encoded first = encode(dataset, DCB_SYNTAX_EXPLICIT_LE);
    FUZZ_CHECK(dcb_dataset_to_utf8(dataset, NULL) == DCB_OK);
    check_same(first, encode(dataset, DCB_SYNTAX_EXPLICIT_LE));
    FUZZ_CHECK(dcb_dataset_from_utf8(dataset, charset, NULL) == DCB_OK);
    free(encode(dataset, DCB_SYNTAX_EXPLICIT_LE).bytes);
    FUZZ_CHECK(dcb_dataset_to_utf8(dataset, NULL) == DCB_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t nbytes)
{
    if (nbytes == 0)
        return 0;
    dcb_dataset *dataset;
    dcb_error error = DCB_ERROR_INIT;
    dcb_status status = dcb_dataset_parse(&dataset, bytes + 1, nbytes - 1,
                                          (dcb_syntax)(bytes[0] % 3), lookup, NULL, NULL, &error);
    if (status != DCB_OK) {
        FUZZ_CHECK(dataset == NULL && error.status == status && error.message[0] != '\0');
        return 0;
    }
    check_encodings(dataset);
    check_text(dataset, charsets[bytes[0] / 3 % (sizeof charsets / sizeof *charsets)]);
    dcb_dataset_close(dataset);
    return 0;
}
