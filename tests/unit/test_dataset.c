/* SPDX-License-Identifier: Apache-2.0 */
/* Data sets: parsing in all encodings, what is malformed and where, editing, encoding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dcb.h"

#define VR(name)     DCB_VR((name)[0], (name)[1])
#define S(literal)   literal, sizeof(literal) - 1
#define COUNT(array) (sizeof(array) / sizeof *(array))

#define ILE DCB_SYNTAX_IMPLICIT_LE
#define ELE DCB_SYNTAX_EXPLICIT_LE
#define EBE DCB_SYNTAX_EXPLICIT_BE

/* A dictionary of a few tags; everything else is UN. */
static dcb_vr lookup(void *context, uint32_t tag)
{
    static const struct {
        uint32_t tag;
        char vr[3];
    } rows[] = {
        {0x00080005, "CS"}, {0x00080018, "UI"}, {0x00080050, "SH"}, {0x00081140, "SQ"},
        {0x00081150, "UI"}, {0x00100010, "PN"}, {0x00280010, "US"}, {0x00289145, "SQ"},
    };
    assert_string_equal((const char *)context, "context");
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (rows[i].tag == tag)
            return VR(rows[i].vr);
    }
    return 0;
}

static dcb_status parse(dcb_dataset **out, const void *bytes, size_t nbytes, dcb_syntax syntax,
                        dcb_error *error)
{
    /* An exact copy on the heap, so that the address sanitizer sees a read past the end. */
    void *copy = malloc(nbytes > 0 ? nbytes : 1);
    memcpy(copy, bytes, nbytes);
    dcb_status status =
        dcb_dataset_parse(out, copy, nbytes, syntax, lookup, (void *)"context", NULL, error);
    free(copy);
    return status;
}

/* "tag VR value; ..." with items in brackets: what a data set holds, readable. */
static void describe(char **at, const char *end, const dcb_dataset *dataset)
{
    for (size_t i = 0; i < dcb_dataset_count(dataset); i++) {
        const dcb_element *e = dcb_dataset_at(dataset, i);
        *at += snprintf(*at, (size_t)(end - *at), "%08X %c%c", (unsigned)e->tag, e->vr >> 8,
                        e->vr & 0xFF);
        if (e->vr == VR("SQ")) {
            assert_null(e->value);
            assert_int_equal(e->nbytes, 0);
            for (uint32_t j = 0; j < e->nitems; j++) {
                *at += snprintf(*at, (size_t)(end - *at), " {");
                describe(at, end, e->items[j]);
                *at += snprintf(*at, (size_t)(end - *at), "}");
            }
        } else {
            assert_non_null(e->value);
            assert_int_equal(e->nbytes % 2, 0);
            *at += snprintf(*at, (size_t)(end - *at), " ");
            for (uint32_t j = 0; j < e->nbytes; j++) {
                bool printable = e->value[j] >= ' ' && e->value[j] < 0x7F;
                *at += snprintf(*at, (size_t)(end - *at), printable ? "%c" : "<%02X>", e->value[j]);
            }
        }
        *at += snprintf(*at, (size_t)(end - *at), ";");
    }
}

static void assert_describes(const dcb_dataset *dataset, const char *expected)
{
    char text[4096] = "", *at = text;
    describe(&at, text + sizeof text, dataset);
    assert_string_equal(text, expected);
}

typedef struct good_case {
    dcb_syntax syntax;
    const char *bytes;
    size_t nbytes;
    const char *expected;
} good_case;

static const good_case good_cases[] = {
    {ELE, S(""), ""},
    {ELE, S("\x08\0\x50\0SH\x02\0A1\x28\0\x10\0US\x02\0\x34\x12"),
     "00080050 SH A1;00280010 US 4<12>;"},
    {ILE, S("\x08\0\x50\0\x02\0\0\0A1\x28\0\x10\0\x02\0\0\0\x34\x12"),
     "00080050 SH A1;00280010 US 4<12>;"},
    {EBE,
     S("\0\x08\0\x50SH\0\x02"
       "A1\0\x28\0\x10US\0\x02\x12\x34"),
     "00080050 SH A1;00280010 US 4<12>;"},
    /* AT turns as two 16-bit numbers, FD as one of 64 */
    {EBE,
     S("\0\x28\0\x09"
       "AT\0\x04\0\x54\0\x10\0\x28\0\x10"
       "FD\0\x08"
       "abcdefgh"),
     "00280009 AT T<00><10><00>;00280010 FD hgfedcba;"},
    /* private and unknown in implicit: UN */
    {ILE, S("\x09\0\x10\0\x02\0\0\0ab"), "00090010 UN ab;"},
    /* group lengths are dropped, in items too */
    {ELE,
     S("\x08\0\0\0UL\x04\0\x0A\0\0\0\x08\0\x50\0SH\x02\0A1\x08\0\x40\x11SQ\0\0\x1E\0\0\0"
       "\xFE\xFF\0\xE0\x16\0\0\0\x28\0\0\0UL\x04\0\x0A\0\0\0\x28\0\x10\0US\x02\0\x34\x12"),
     "00080050 SH A1;00081140 SQ {00280010 US 4<12>;};"},
    /* out of order */
    {ELE, S("\x28\0\x10\0US\x02\0\x34\x12\x08\0\x50\0SH\x02\0A1\x08\0\x18\0UI\x02\0001\0"),
     "00080018 UI 1<00>;00080050 SH A1;00280010 US 4<12>;"},
    /* odd lengths: padded by VR, and what follows is found */
    {ELE, S("\x08\0\x18\0UI\x03\0001.2\x08\0\x50\0SH\x01\0A\x09\0\x01\0UN\0\0\x01\0\0\0\x07"),
     "00080018 UI 1.2<00>;00080050 SH A ;00090001 UN <07><00>;"},
    /* sequences: defined, undefined, empty, empty items, nested */
    {ELE, S("\x08\0\x40\x11SQ\0\0\0\0\0\0\x28\0\x10\0US\x02\0\x34\x12"),
     "00081140 SQ;00280010 US 4<12>;"},
    {ELE, S("\x08\0\x40\x11SQ\0\0\xFF\xFF\xFF\xFF\xFE\xFF\xDD\xE0\0\0\0\0"), "00081140 SQ;"},
    {ELE,
     S("\x08\0\x40\x11SQ\0\0\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\0\0\0\0\xFE\xFF\0\xE0\xFF\xFF\xFF\xFF"
       "\x28\0\x10\0US\x02\0\x34\x12\xFE\xFF\x0D\xE0\0\0\0\0\xFE\xFF\0\xE0\x0A\0\0\0"
       "\x28\0\x10\0US\x02\0\x35\x12\xFE\xFF\xDD\xE0\0\0\0\0\x28\0\x10\0US\x02\0\x36\x12"),
     "00081140 SQ {} {00280010 US 4<12>;} {00280010 US 5<12>;};00280010 US 6<12>;"},
    {ILE,
     S("\x08\0\x40\x11\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\xFF\xFF\xFF\xFF\x28\0\x45\x91\x12\0\0\0"
       "\xFE\xFF\0\xE0\x0A\0\0\0\x28\0\x10\0\x02\0\0\0\x34\x12"
       "\xFE\xFF\x0D\xE0\0\0\0\0\xFE\xFF\xDD\xE0\0\0\0\0"),
     "00081140 SQ {00289145 SQ {00280010 US 4<12>;};};"},
    {EBE,
     S("\0\x08\x11\x40SQ\0\0\xFF\xFF\xFF\xFF\xFF\xFE\xE0\0\0\0\0\x0A\0\x28\0\x10US\0\x02\x12\x34"
       "\xFF\xFE\xE0\xDD\0\0\0\0"),
     "00081140 SQ {00280010 US 4<12>;};"},
    /* UN of undefined length holds implicit little endian, in big endian too */
    {ELE,
     S("\x09\0\x01\x10UN\0\0\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\xFF\xFF\xFF\xFF"
       "\x28\0\x10\0\x02\0\0\0\x34\x12\xFE\xFF\x0D\xE0\0\0\0\0\xFE\xFF\xDD\xE0\0\0\0\0"
       "\x28\0\x10\0US\x02\0\x36\x12"),
     "00091001 SQ {00280010 US 4<12>;};00280010 US 6<12>;"},
    {EBE,
     S("\0\x09\x10\x01UN\0\0\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\x0A\0\0\0"
       "\x28\0\x10\0\x02\0\0\0\x34\x12\xFE\xFF\xDD\xE0\0\0\0\0\0\x28\0\x10US\0\x02\x12\x36"),
     "00091001 SQ {00280010 US 4<12>;};00280010 US 6<12>;"},
    /* in implicit, an unknown tag of undefined length is a sequence */
    {ILE, S("\x09\0\x01\x10\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\0\0\0\0\xFE\xFF\xDD\xE0\0\0\0\0"),
     "00091001 SQ {};"},
    /* UN of defined length stays bytes; a VR of the future has a long length and is kept as UN */
    {ELE, S("\x09\0\x01\x10UN\0\0\x08\0\0\0\xFE\xFF\0\xE0\0\0\0\0"),
     "00091001 UN <FE><FF><00><E0><00><00><00><00>;"},
    {ELE, S("\x09\0\x01\x10ZZ\0\0\x02\0\0\0ab"), "00091001 UN ab;"},
};

static void test_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good_cases); i++) {
        const good_case *c = &good_cases[i];
        dcb_dataset *dataset;
        dcb_error error = DCB_ERROR_INIT;
        dcb_status status = parse(&dataset, c->bytes, c->nbytes, c->syntax, &error);
        if (status != DCB_OK)
            print_error("case %zu: %s\n", i, error.message);
        assert_int_equal(status, DCB_OK);
        assert_describes(dataset, c->expected);
        dcb_dataset_close(dataset);
    }
}

typedef struct bad_case {
    dcb_syntax syntax;
    const char *bytes;
    size_t nbytes;
    dcb_status status;
    uint64_t offset;
    const char *message;
} bad_case;

static const bad_case bad_cases[] = {
    {ELE, S("\x08\0\x50\0SH\x02"), DCB_ERR_DATASET, 0,
     "an element's header needs 8 bytes, 7 are left"},
    {ELE, S("\x08\0\x50\0SH\x02\0A1\0"), DCB_ERR_DATASET, 10,
     "an element's header needs 8 bytes, 1 are left"},
    {ELE, S("\x08\0\x50\0SH\x03\0A1"), DCB_ERR_DATASET, 0,
     "(0008,0050) has a length of 3, 2 bytes are left"},
    {ILE,
     S("\x08\0\x50\0\xFE\xFF\xFF\xFF"
       "A1"),
     DCB_ERR_DATASET, 0, "(0008,0050) has a length of 4294967294, 2 bytes are left"},
    {ELE, S("\x08\0\x50\0SH\0\0\x29\0\x01\0OB\0\0\x01\0"), DCB_ERR_DATASET, 8,
     "the header of element (0029,0001) needs 12 bytes, 10 are left"},
    {ELE, S("\x08\0\x50\0\x02\0\0\0A1"), DCB_ERR_DATASET, 0,
     "element (0008,0050) has the bytes 02 00 where its VR should be"},
    {ELE, S("\x08\0\x50\0SH\0\0\x08\0\x50\0SH\0\0"), DCB_ERR_DATASET, 8,
     "element (0008,0050) comes twice"},
    /* twice, not side by side: the later one is named */
    {ELE, S("\x10\0\x10\0PN\0\0\x08\0\x50\0SH\0\0\x10\0\x20\0LO\0\0\x10\0\x10\0PN\0\0"),
     DCB_ERR_DATASET, 24, "element (0010,0010) comes twice"},
    {ELE, S("\xFE\xFF\0\xE0\0\0\0\0"), DCB_ERR_DATASET, 0,
     "delimiter (FFFE,E000) stands where an element should"},
    {ELE, S("\xFE\xFF\x0D\xE0\0\0\0\0"), DCB_ERR_DATASET, 0,
     "delimiter (FFFE,E00D) stands where an element should"},
    {ELE, S("\x08\0\x50\0UT\0\0\xFF\xFF\xFF\xFF"), DCB_ERR_DATASET, 0,
     "element (0008,0050) has undefined length, which its VR UT cannot"},
    {ELE, S("\xE0\x7F\x10\0OB\0\0\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\0\0\0\0"), DCB_ERR_UNSUPPORTED, 0,
     "element (7FE0,0010) is encapsulated (fragments of compressed data)"},
    /* sequences */
    {ELE, S("\x08\0\x40\x11SQ\0\0\x08\0\0\0\x28\0\x10\0US\0\0"), DCB_ERR_DATASET, 12,
     "sequence (0008,1140) has (0028,0010) where an item should be"},
    {ELE, S("\x08\0\x40\x11SQ\0\0\xFF\xFF\xFF\xFF"), DCB_ERR_DATASET, 12,
     "an element's header needs 8 bytes, 0 are left"},
    {ELE, S("\x08\0\x40\x11SQ\0\0\x09\0\0\0\xFE\xFF\0\xE0\0\0\0\0"), DCB_ERR_DATASET, 0,
     "(0008,1140) has a length of 9, 8 bytes are left"},
    {ELE, S("\x08\0\x40\x11SQ\0\0\x08\0\0\0\xFE\xFF\0\xE0\x01\0\0\0\x08"), DCB_ERR_DATASET, 12,
     "(FFFE,E000) has a length of 1, 0 bytes are left"},
    {ELE,
     S("\x08\0\x40\x11SQ\0\0\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\xFF\xFF\xFF\xFF"
       "\xFE\xFF\xDD\xE0\0\0\0\0"),
     DCB_ERR_DATASET, 20, "delimiter (FFFE,E0DD) stands where an element should"},
    {ELE, S("\x08\0\x40\x11SQ\0\0\xFF\xFF\xFF\xFF\xFE\xFF\xDD\xE0\x02\0\0\0ab"), DCB_ERR_DATASET,
     12, "delimiter (FFFE,E0DD) has a length of 2 instead of 0"},
    {ELE, S("\x08\0\x40\x11SQ\0\0\x08\0\0\0\xFE\xFF\xDD\xE0\0\0\0\0"), DCB_ERR_DATASET, 12,
     "sequence (0008,1140) has (FFFE,E0DD) where an item should be"},
    {ILE,
     S("\x08\0\x40\x11\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\xFF\xFF\xFF\xFF\x28\0\x45\x91\x0A\0\0\0"
       "\xFE\xFF\0\xE0\x02\0\0\0xx\xFE\xFF\x0D\xE0\0\0\0\0\xFE\xFF\xDD\xE0\0\0\0\0"),
     DCB_ERR_DATASET, 32, "an element's header needs 8 bytes, 2 are left"},
    /* an element of an item may not reach past the item */
    {ELE,
     S("\x08\0\x40\x11SQ\0\0\x14\0\0\0\xFE\xFF\0\xE0\x0A\0\0\0\x28\0\x10\0US\x04\0\x34\x12"
       "zz"),
     DCB_ERR_DATASET, 20, "(0028,0010) has a length of 4, 2 bytes are left"},
};

static void test_parse_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(bad_cases); i++) {
        const bad_case *c = &bad_cases[i];
        dcb_dataset *dataset = (dcb_dataset *)(uintptr_t)1;
        dcb_error error = DCB_ERROR_INIT;
        assert_int_equal(parse(&dataset, c->bytes, c->nbytes, c->syntax, &error), c->status);
        assert_null(dataset);
        assert_int_equal(error.status, c->status);
        assert_string_equal(error.message, c->message);
        assert_int_equal(error.offset, c->offset);
    }
}

/* depth sequences, each in an item of the one before; returns the length. */
static size_t nest(uint8_t *bytes, unsigned depth)
{
    static const char open[] = "\x08\0\x40\x11SQ\0\0\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\xFF\xFF\xFF\xFF";
    static const char shut[] = "\xFE\xFF\x0D\xE0\0\0\0\0\xFE\xFF\xDD\xE0\0\0\0\0";
    size_t n = 0;
    for (unsigned i = 0; i < depth; i++, n += sizeof open - 1)
        memcpy(bytes + n, open, sizeof open - 1);
    for (unsigned i = 0; i < depth; i++, n += sizeof shut - 1)
        memcpy(bytes + n, shut, sizeof shut - 1);
    return n;
}

static void test_limits(void **state)
{
    (void)state;
    dcb_dataset *dataset;
    dcb_error error = DCB_ERROR_INIT;
    static uint8_t bytes[40 * 5000];
    size_t nbytes = nest(bytes, 16);
    assert_int_equal(parse(&dataset, bytes, nbytes, ELE, &error), DCB_OK);
    dcb_dataset_close(dataset);

    nbytes = nest(bytes, 17);
    assert_int_equal(parse(&dataset, bytes, nbytes, ELE, &error), DCB_ERR_LIMIT);
    assert_int_equal(error.offset, 16 * 20);
    assert_string_equal(error.message,
                        "sequence (0008,1140) is nested deeper than the limit of 16");

    /* no limit of the caller's lets the stack overflow */
    dcb_limits limits = DCB_LIMITS_INIT;
    limits.max_sequence_depth = UINT32_MAX;
    nbytes = nest(bytes, 5000);
    assert_int_equal(dcb_dataset_parse(&dataset, bytes, nbytes, ELE, NULL, NULL, &limits, &error),
                     DCB_ERR_LIMIT);
    assert_int_equal(error.offset, 256 * 20);

    limits.max_pixel_bytes = 9;
    assert_int_equal(
        dcb_dataset_parse(&dataset, "\x08\0\x50\0SH\x02\0A1", 10, ELE, NULL, NULL, &limits, &error),
        DCB_ERR_LIMIT);
    assert_string_equal(error.message, "the data set has 10 bytes, the limit is 9");
}

/* Every good case, through every encoding and back. */
static void test_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good_cases); i++) {
        const good_case *c = &good_cases[i];
        for (dcb_syntax syntax = ILE; syntax <= EBE; syntax++) {
            dcb_dataset *first, *second, *copy;
            uint8_t *bytes, *again;
            size_t nbytes, again_nbytes;
            assert_int_equal(parse(&first, c->bytes, c->nbytes, c->syntax, NULL), DCB_OK);
            assert_int_equal(dcb_dataset_encode(&bytes, &nbytes, first, syntax, NULL), DCB_OK);
            assert_int_equal(parse(&second, bytes, nbytes, syntax, NULL), DCB_OK);
            assert_int_equal(dcb_dataset_copy(&copy, second, NULL), DCB_OK);
            dcb_dataset_close(second);
            if (syntax != ILE)
                assert_describes(copy, c->expected);
            assert_int_equal(dcb_dataset_encode(&again, &again_nbytes, copy, syntax, NULL), DCB_OK);
            assert_int_equal(again_nbytes, nbytes);
            assert_memory_equal(again, bytes, nbytes);
            free(bytes);
            free(again);
            dcb_dataset_close(copy);
            dcb_dataset_close(first);
        }
    }
}

static void test_put_and_find(void **state)
{
    (void)state;
    dcb_dataset *dataset;
    assert_int_equal(dcb_dataset_create(&dataset, NULL), DCB_OK);
    assert_null(dcb_dataset_find(dataset, 0x00080050));
    assert_null(dcb_dataset_at(dataset, 0));
    /* descending, so that each goes to the front */
    for (uint32_t i = 100; i > 0; i--) {
        char text[16];
        snprintf(text, sizeof text, "%u", (unsigned)i);
        assert_int_equal(dcb_dataset_put_text(dataset, 0x00090000 + i, VR("LO"), text, NULL),
                         DCB_OK);
    }
    assert_int_equal(dcb_dataset_count(dataset), 100);
    for (uint32_t i = 1; i <= 100; i++) {
        const dcb_element *e = dcb_dataset_find(dataset, 0x00090000 + i);
        char text[16];
        snprintf(text, sizeof text, i < 10 || i == 100 ? "%u " : "%u", (unsigned)i);
        assert_non_null(e);
        assert_ptr_equal(e, dcb_dataset_at(dataset, i - 1));
        assert_int_equal(e->nbytes, strlen(text));
        assert_memory_equal(e->value, text, e->nbytes);
    }
    assert_null(dcb_dataset_find(dataset, 0x00090065));
    assert_null(dcb_dataset_at(dataset, 100));
    dcb_dataset_close(dataset);
}

static void test_edit(void **state)
{
    (void)state;
    dcb_dataset *dataset, *item, *inner;
    dcb_error error = DCB_ERROR_INIT;
    assert_int_equal(dcb_dataset_create(&dataset, NULL), DCB_OK);
    assert_int_equal(dcb_dataset_put_text(dataset, 0x00080018, VR("UI"), "1.2", NULL), DCB_OK);
    assert_int_equal(dcb_dataset_put(dataset, 0x00291001, VR("OB"), "\1\2\3", 3, NULL), DCB_OK);
    assert_int_equal(dcb_dataset_put(dataset, 0x00291002, 0, "\1", 1, NULL), DCB_OK);
    assert_int_equal(dcb_dataset_put_text(dataset, 0x00080050, VR("SH"), "", NULL), DCB_OK);
    assert_describes(dataset, "00080018 UI 1.2<00>;00080050 SH ;00291001 OB <01><02><03><00>;"
                              "00291002 UN <01><00>;");
    assert_int_equal(dcb_dataset_put_text(dataset, 0x00080050, VR("SH"), "new", NULL), DCB_OK);
    dcb_dataset_remove(dataset, 0x00291001);
    dcb_dataset_remove(dataset, 0x00291001);
    dcb_dataset_remove(dataset, 0x00291002);
    assert_describes(dataset, "00080018 UI 1.2<00>;00080050 SH new ;");

    for (int i = 0; i < 9; i++) {
        assert_int_equal(dcb_dataset_add_item(&item, dataset, 0x00081140, NULL), DCB_OK);
        char uid[] = "1.0";
        uid[2] = (char)('0' + i);
        assert_int_equal(dcb_dataset_put_text(item, 0x00081155, VR("UI"), uid, NULL), DCB_OK);
    }
    assert_int_equal(dcb_dataset_add_item(&inner, item, 0x00081199, NULL), DCB_OK);
    assert_int_equal(dcb_dataset_add_item(NULL, inner, 0x00081199, NULL), DCB_OK);
    const dcb_element *sequence = dcb_dataset_find(dataset, 0x00081140);
    assert_int_equal(sequence->nitems, 9);
    assert_describes(sequence->items[0], "00081155 UI 1.0<00>;");
    assert_describes(sequence->items[8], "00081155 UI 1.8<00>;00081199 SQ {00081199 SQ;};");

    /* a parsed sequence grows the same way */
    static const char three[] = "\x08\0\x40\x11SQ\0\0\x18\0\0\0\xFE\xFF\0\xE0\0\0\0\0"
                                "\xFE\xFF\0\xE0\0\0\0\0\xFE\xFF\0\xE0\0\0\0\0";
    dcb_dataset *parsed;
    assert_int_equal(parse(&parsed, three, sizeof three - 1, ELE, NULL), DCB_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(dcb_dataset_add_item(&item, parsed, 0x00081140, NULL), DCB_OK);
    assert_int_equal(dcb_dataset_put_text(item, 0x00080050, VR("SH"), "AB", NULL), DCB_OK);
    assert_describes(parsed, "00081140 SQ {} {} {} {} {} {00080050 SH AB;};");

    /* an element of another data set, its own, and one that holds the data set's own items */
    assert_int_equal(dcb_dataset_put_element(parsed, dcb_dataset_find(dataset, 0x00080018), NULL),
                     DCB_OK);
    assert_int_equal(dcb_dataset_put_element(parsed, dcb_dataset_at(parsed, 1), NULL), DCB_OK);
    item = dcb_dataset_find(parsed, 0x00081140)->items[5];
    assert_int_equal(dcb_dataset_put_element(item, dcb_dataset_find(parsed, 0x00081140), NULL),
                     DCB_OK);
    dcb_dataset_close(dataset);
    assert_describes(parsed, "00080018 UI 1.2<00>;00081140 SQ {} {} {} {} {} {00080050 SH AB;"
                             "00081140 SQ {} {} {} {} {} {00080050 SH AB;};};");

    assert_int_equal(dcb_dataset_put(parsed, 0x00081140, VR("SQ"), "ab", 2, &error),
                     DCB_ERR_ARGUMENT);
    assert_string_equal(error.message, "sequence (0008,1140) has items, not bytes");
    assert_int_equal(dcb_dataset_put(parsed, 0xFFFEE000, VR("UN"), "ab", 2, &error),
                     DCB_ERR_ARGUMENT);
    assert_string_equal(error.message, "(FFFE,E000) delimits items, it is no element");
    dcb_dataset_close(parsed);
    dcb_dataset_close(NULL);
}

static void test_get_text(void **state)
{
    (void)state;
    static const struct {
        const char *vr, *value;
        size_t nbytes;
        const char *text;
    } cases[] = {
        {"UI", S("1.2\0"), "1.2"},
        {"UI", S("1.2 "), "1.2"},
        {"PN", S("  A^B  "), "A^B"},
        {"LO", S(" a b "), "a b"},
        {"SH", S("    "), ""},
        {"LT", S("  a\\b  "), "  a\\b"},
        {"ST", S(" a "), " a"},
        {"UT", S(" a "), " a"},
        {"UC", S(" a "), " a"},
        {"UR", S(" a "), " a"},
        {"DA", S("20240101"), "20240101"},
        {"CS", S(" A\\B "), "A\\B"},
        {"IS", S(" 12 "), "12"},
        {"SH", S("ab\0\0"), "ab"},
        {"OB", S("a "), "a "},
        {"SH", S(""), ""},
    };
    dcb_dataset *dataset;
    char buffer[16];
    assert_int_equal(dcb_dataset_create(&dataset, NULL), DCB_OK);
    assert_int_equal(dcb_dataset_get_text(dataset, 0x00090001, buffer, sizeof buffer), -1);
    assert_string_equal(buffer, "");
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(dcb_dataset_put(dataset, 0x00090001, VR(cases[i].vr), cases[i].value,
                                         cases[i].nbytes, NULL),
                         DCB_OK);
        assert_int_equal(dcb_dataset_get_text(dataset, 0x00090001, buffer, sizeof buffer),
                         strlen(cases[i].text));
        assert_string_equal(buffer, cases[i].text);
    }
    assert_int_equal(dcb_dataset_put_text(dataset, 0x00090001, VR("LO"), "12345678", NULL), DCB_OK);
    assert_int_equal(dcb_dataset_get_text(dataset, 0x00090001, buffer, 8), 8);
    assert_string_equal(buffer, "1234567");
    assert_int_equal(dcb_dataset_get_text(dataset, 0x00090001, buffer, 9), 8);
    assert_string_equal(buffer, "12345678");
    assert_int_equal(dcb_dataset_get_text(dataset, 0x00090001, NULL, 0), 8);
    dcb_dataset_close(dataset);
}

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* Damaged data sets either fail or are data sets that encode and parse to themselves. */
static void test_mutations(void **state)
{
    (void)state;
    uint32_t seed = 20240229;
    size_t parsed = 0;
    for (int round = 0; round < 60000; round++) {
        const good_case *c = &good_cases[next_random(&seed) % COUNT(good_cases)];
        uint8_t bytes[512];
        size_t nbytes = c->nbytes;
        memcpy(bytes, c->bytes, nbytes);
        for (uint32_t n = next_random(&seed) % 4 + 1; n > 0 && nbytes > 0; n--) {
            static const uint8_t likely[] = {0, 1, 8, 0xFF, 0xFE, 0xE0, 0x0D, 'S', 'Q', 'U', 'N'};
            uint32_t at = next_random(&seed) % (uint32_t)nbytes;
            switch (next_random(&seed) % 4) {
            case 0:
                bytes[at] = (uint8_t)next_random(&seed);
                break;
            case 1:
                bytes[at] = likely[next_random(&seed) % sizeof likely];
                break;
            case 2:
                nbytes = at;
                break;
            default:
                if (nbytes < sizeof bytes / 2) {
                    memmove(bytes + at + 8, bytes + at, nbytes - at);
                    nbytes += 8;
                }
                break;
            }
        }
        dcb_dataset *dataset, *again;
        dcb_error error = DCB_ERROR_INIT;
        if (parse(&dataset, bytes, nbytes, c->syntax, &error) != DCB_OK) {
            assert_null(dataset);
            assert_true(error.offset <= nbytes && error.message[0] != '\0');
            continue;
        }
        uint8_t *encoded, *encoded_again;
        size_t encoded_nbytes, again_nbytes;
        assert_int_equal(dcb_dataset_encode(&encoded, &encoded_nbytes, dataset, ELE, NULL), DCB_OK);
        assert_int_equal(parse(&again, encoded, encoded_nbytes, ELE, NULL), DCB_OK);
        assert_int_equal(dcb_dataset_encode(&encoded_again, &again_nbytes, again, ELE, NULL),
                         DCB_OK);
        assert_int_equal(again_nbytes, encoded_nbytes);
        assert_memory_equal(encoded_again, encoded, encoded_nbytes);
        free(encoded);
        free(encoded_again);
        dcb_dataset_close(again);
        dcb_dataset_close(dataset);
        parsed++;
    }
    assert_true(parsed > 1000); /* else the loop would prove nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),        cmocka_unit_test(test_parse_bad),
        cmocka_unit_test(test_limits),       cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_put_and_find), cmocka_unit_test(test_edit),
        cmocka_unit_test(test_get_text),     cmocka_unit_test(test_mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
