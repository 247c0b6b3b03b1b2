/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_encoder.c - bytes as a program that builds a data set through the public functions, which
 * is then encoded in each syntax, parsed and compared, element by element.
 *
 * Input: 16 bytes, the VRs of the 16 tags that there are; then operations of one byte (4 bits what,
 * 4 bits which tag), some followed by a length and that many bytes.
 */
#include <string.h>

#include "dcb.h"
#include "fuzz.h"

#define NTAGS          16
#define MAX_DEPTH      8
#define MAX_OPERATIONS 200
#define MAX_COPIES     4
#define MAX_LONG       3

static const uint32_t tags[NTAGS] = {
    0x00080005, 0x00080018, 0x00081140, 0x00081155, 0x00100010, 0x0020000D, 0x00204000, 0x00280010,
    0x00280106, 0x00291001, 0x00291002, 0x00400275, 0x00409096, 0x7FE00010, 0xFFFCFFFC, 0xFFFFFFFF};

static const char vr_names[] =
    "AEASATCSDADSDTFDFLISLOLTOBODOFOLOVOWPNSHSLSQSSSTSVTMUCUIULUNURUSUTUV";
#define NVRS (sizeof vr_names / 2)

static dcb_vr vr_of_byte(uint8_t byte)
{
    const char *name = &vr_names[2 * (byte % NVRS)];
    return DCB_VR(name[0], name[1]);
}

typedef struct builder {
    fuzz_input input;
    dcb_vr vrs[NTAGS];
    dcb_dataset *levels[MAX_DEPTH];
    unsigned depth, ncopies, nlong;
} builder;

/* The dictionary of this input. */
static dcb_vr lookup(void *context, uint32_t tag)
{
    const builder *b = context;
    for (size_t i = 0; i < NTAGS; i++) {
        if (tags[i] == tag)
            return b->vrs[i];
    }
    return 0;
}

static void put_bytes(builder *b, unsigned which)
{
    fuzz_input value = fuzz_take(&b->input, fuzz_take_byte(&b->input));
    dcb_status status = dcb_dataset_put(b->levels[b->depth], tags[which], b->vrs[which],
                                        value.bytes, value.nbytes, NULL);
    bool is_sequence = b->vrs[which] == DCB_VR('S', 'Q');
    FUZZ_CHECK(status == (is_sequence && value.nbytes > 0 ? DCB_ERR_ARGUMENT : DCB_OK));
}

/* Values that short lengths cannot hold. */
static void put_long(builder *b, unsigned which)
{
    static uint8_t value[70000];
    size_t nbytes = 65530 + fuzz_take_byte(&b->input) % 16;
    memset(value, fuzz_take_byte(&b->input), nbytes);
    value[1] = 1; /* so that a wrong swap shows */
    if (b->vrs[which] != DCB_VR('S', 'Q') && b->nlong++ < MAX_LONG)
        FUZZ_CHECK(dcb_dataset_put(b->levels[b->depth], tags[which], b->vrs[which], value, nbytes,
                                   NULL) == DCB_OK);
}

static void put_text(builder *b, unsigned which)
{
    char text[40];
    fuzz_input value = fuzz_take(&b->input, fuzz_take_byte(&b->input) % sizeof text);
    memcpy(text, value.bytes, value.nbytes);
    text[value.nbytes] = '\0';
    if (b->vrs[which] != DCB_VR('S', 'Q'))
        FUZZ_CHECK(dcb_dataset_put_text(b->levels[b->depth], tags[which], b->vrs[which], text,
                                        NULL) == DCB_OK);
    char got[2];
    ptrdiff_t length = dcb_dataset_get_text(b->levels[b->depth], tags[which], got, sizeof got);
    FUZZ_CHECK(length >= -1);
}

static void enter_item(builder *b, unsigned which)
{
    if (b->vrs[which] != DCB_VR('S', 'Q'))
        return;
    dcb_dataset *item = NULL;
    FUZZ_CHECK(dcb_dataset_add_item(&item, b->levels[b->depth], tags[which], NULL) == DCB_OK);
    if (b->depth + 1 < MAX_DEPTH)
        b->levels[++b->depth] = item;
}

static bool has_items_inside(const dcb_element *element)
{
    for (uint32_t i = 0; i < element->nitems; i++) {
        for (size_t j = 0; j < dcb_dataset_count(element->items[i]); j++) {
            if (dcb_dataset_at(element->items[i], j)->nitems > 0)
                return true;
        }
    }
    return false;
}

/* Of the outermost data set, into the current one: into itself too. Bounded, as copies of copies
   grow without end. */
static void put_copy(builder *b, unsigned which)
{
    const dcb_element *element = dcb_dataset_find(b->levels[0], tags[which]);
    if (element == NULL || has_items_inside(element) || b->ncopies++ >= MAX_COPIES)
        return;
    dcb_element copied = *element;
    FUZZ_CHECK(dcb_dataset_put_element(b->levels[b->depth], &copied, NULL) == DCB_OK);
    const dcb_element *put = dcb_dataset_find(b->levels[b->depth], tags[which]);
    FUZZ_CHECK(put->nbytes == copied.nbytes && put->nitems == copied.nitems);
}

static void run_operation(builder *b)
{
    uint8_t operation = fuzz_take_byte(&b->input);
    unsigned which = operation & 15;
    switch (operation >> 4) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
        put_bytes(b, which);
        break;
    case 6:
    case 7:
        put_text(b, which);
        break;
    case 8:
    case 9:
        enter_item(b, which);
        break;
    case 10:
    case 11:
        b->depth -= b->depth > 0;
        break;
    case 12: /* away, with all that is in it: only where no level below is open */
        if (b->depth == 0)
            dcb_dataset_remove(b->levels[0], tags[which]);
        break;
    case 13:
        put_copy(b, which);
        break;
    case 14:
        put_long(b, which);
        break;
    default:
        FUZZ_CHECK(dcb_dataset_put(b->levels[b->depth], DCB_TAG(0xFFFE, which), b->vrs[which], NULL,
                                   0, NULL) == DCB_ERR_ARGUMENT);
        break;
    }
}

/* Too long for a short length: UN in the explicit syntaxes, where nothing tells the VR. */
static bool becomes_un(const dcb_element *element, dcb_syntax syntax)
{
    return syntax != DCB_SYNTAX_IMPLICIT_LE && !dcb_vr_has_long_length(element->vr) &&
           element->nbytes > 0xFFFE;
}

static void check_equal(const dcb_dataset *got, const dcb_dataset *made, dcb_syntax syntax)
{
    FUZZ_CHECK(dcb_dataset_count(got) == dcb_dataset_count(made));
    for (size_t i = 0; i < dcb_dataset_count(made); i++) {
        const dcb_element *a = dcb_dataset_at(got, i), *b = dcb_dataset_at(made, i);
        FUZZ_CHECK(a->tag == b->tag && a->nbytes == b->nbytes && a->nitems == b->nitems);
        FUZZ_CHECK(a->vr == (becomes_un(b, syntax) ? DCB_VR('U', 'N') : b->vr));
        FUZZ_CHECK(a->nbytes == 0 || memcmp(a->value, b->value, a->nbytes) == 0);
        for (uint32_t j = 0; j < b->nitems; j++)
            check_equal(a->items[j], b->items[j], syntax);
    }
}

static void check_round_trip(builder *b, const dcb_dataset *dataset, dcb_syntax syntax)
{
    uint8_t *bytes;
    size_t nbytes;
    dcb_error error = DCB_ERROR_INIT;
    FUZZ_CHECK(dcb_dataset_encode(&bytes, &nbytes, dataset, syntax, &error) == DCB_OK);
    FUZZ_CHECK(nbytes % 2 == 0);
    dcb_dataset *parsed;
    FUZZ_CHECK(dcb_dataset_parse(&parsed, bytes, nbytes, syntax, lookup, b, NULL, &error) ==
               DCB_OK);
    check_equal(parsed, dataset, syntax);
    dcb_dataset_close(parsed);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t nbytes)
{
    builder b = {.input = {bytes, nbytes}};
    for (size_t i = 0; i < NTAGS; i++)
        b.vrs[i] = vr_of_byte(fuzz_take_byte(&b.input));
    dcb_dataset *dataset, *copy;
    FUZZ_CHECK(dcb_dataset_create(&dataset, NULL) == DCB_OK);
    b.levels[0] = dataset;
    for (int i = 0; i < MAX_OPERATIONS && b.input.nbytes > 0; i++)
        run_operation(&b);
    for (dcb_syntax syntax = DCB_SYNTAX_IMPLICIT_LE; syntax <= DCB_SYNTAX_EXPLICIT_BE; syntax++)
        check_round_trip(&b, dataset, syntax);
    FUZZ_CHECK(dcb_dataset_copy(&copy, dataset, NULL) == DCB_OK);
    check_equal(copy, dataset, DCB_SYNTAX_IMPLICIT_LE);
    dcb_dataset_close(copy);
    dcb_dataset_close(dataset);
    return 0;
}
