/* SPDX-License-Identifier: Apache-2.0 */
/* test_dataset_faults.c - each allocation of what is done with data sets fails once: the call says
   so, gives nothing, and what it worked on is as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dcb.h"
#include "fail_alloc.h"

#define COMMENT  0x00204000
#define SEQUENCE 0x00081140

static const char korean_set[] = "\\ISO 2022 IR 149";
static const char korean[] = "\x1B$)C\xC8\xAB";

static void must(dcb_status status)
{
    assert_int_equal(status, DCB_OK);
}

/* Some hundred elements on three levels: the parser's stacks and the arena have to grow. */
static dcb_dataset *make_dataset(void)
{
    dcb_dataset *dataset, *item, *inner;
    must(dcb_dataset_create(&dataset, NULL));
    must(dcb_dataset_put_text(dataset, 0x00080005, DCB_VR('C', 'S'), korean_set, NULL));
    for (int i = 0; i < 70; i++) {
        must(dcb_dataset_add_item(&item, dataset, SEQUENCE, NULL));
        must(dcb_dataset_put_text(item, COMMENT, DCB_VR('L', 'T'), korean, NULL));
        must(dcb_dataset_add_item(&inner, item, SEQUENCE, NULL));
    }
    for (uint32_t i = 0; i < 100; i++)
        must(dcb_dataset_put_text(dataset, 0x00290010 + i, DCB_VR('L', 'O'), korean, NULL));
    return dataset;
}

typedef struct encoded {
    uint8_t *bytes;
    size_t nbytes;
} encoded;

static encoded encode(const dcb_dataset *dataset)
{
    encoded made;
    must(dcb_dataset_encode(&made.bytes, &made.nbytes, dataset, DCB_SYNTAX_EXPLICIT_LE, NULL));
    return made;
}

static void assert_encodes(const dcb_dataset *dataset, encoded expected)
{
    encoded made = encode(dataset);
    assert_int_equal(made.nbytes, expected.nbytes);
    assert_memory_equal(made.bytes, expected.bytes, made.nbytes);
    free(made.bytes);
}

static void test_parse_copy_encode(void **state)
{
    (void)state;
    dcb_dataset *source = make_dataset();
    encoded whole = encode(source);
    for (int what = 0; what < 3; what++) {
        bool failed = true;
        unsigned n;
        for (n = 1; failed; n++) {
            dcb_error error = DCB_ERROR_INIT;
            dcb_dataset *made = NULL;
            encoded bytes = {NULL, 0};
            dcb_status status;
            fail_alloc_at(n);
            if (what == 0)
                status = dcb_dataset_parse(&made, whole.bytes, whole.nbytes, DCB_SYNTAX_EXPLICIT_LE,
                                           NULL, NULL, NULL, &error);
            else if (what == 1)
                status = dcb_dataset_copy(&made, source, &error);
            else
                status = dcb_dataset_encode(&bytes.bytes, &bytes.nbytes, source,
                                            DCB_SYNTAX_EXPLICIT_LE, &error);
            failed = fail_alloc_end();
            assert_int_equal(status, failed ? DCB_ERR_NO_MEMORY : DCB_OK);
            assert_int_equal(error.status, status);
            assert_true((made == NULL && bytes.bytes == NULL) == failed);
            if (made != NULL)
                assert_encodes(made, whole);
            dcb_dataset_close(made);
            free(bytes.bytes);
        }
        assert_true(n - 2 >= 3); /* it was all tried */
    }
    free(whole.bytes);
    dcb_dataset_close(source);
}

/* Puts an element, an item or a copied sequence in; returns the status. */
static dcb_status edit(int what, dcb_dataset *dataset, uint32_t step, dcb_error *error)
{
    dcb_dataset *item;
    if (what == 0)
        return dcb_dataset_put(dataset, 0x00310010 + step, DCB_VR('O', 'B'), "12345678", 8, error);
    if (what == 1)
        return dcb_dataset_add_item(&item, dataset, SEQUENCE, error);
    return dcb_dataset_put_element(dataset, dcb_dataset_find(dataset, SEQUENCE), error);
}

static void test_edit(void **state)
{
    (void)state;
    for (int what = 0; what < 3; what++) {
        dcb_dataset *dataset = make_dataset();
        unsigned nfailed = 0;
        for (uint32_t step = 0; step < 200; step++) {
            encoded before = encode(dataset);
            dcb_error error = DCB_ERROR_INIT;
            fail_alloc_at(1);
            dcb_status status = edit(what, dataset, step, &error);
            bool failed = fail_alloc_end();
            assert_int_equal(status, failed ? DCB_ERR_NO_MEMORY : DCB_OK);
            if (failed) {
                assert_int_equal(error.status, DCB_ERR_NO_MEMORY);
                assert_encodes(dataset, before);
                must(edit(what, dataset, step, NULL));
                nfailed++;
            }
            free(before.bytes);
        }
        assert_true(nfailed > 0);
        dcb_dataset_close(dataset);
    }
}

/* This is also the first use of the Korean table, which is made in the midst of it. */
static void test_text(void **state)
{
    (void)state;
    dcb_dataset *source = make_dataset(), *utf8;
    encoded bytes = encode(source), text = {NULL, 0};
    for (int what = 0; what < 2; what++) {
        bool failed = true;
        unsigned n;
        for (n = 1; failed; n++) {
            dcb_error error = DCB_ERROR_INIT;
            dcb_dataset *dataset;
            must(dcb_dataset_copy(&dataset, what == 0 ? source : utf8, NULL));
            fail_alloc_at(n);
            dcb_status status = what == 0 ? dcb_dataset_to_utf8(dataset, &error)
                                          : dcb_dataset_from_utf8(dataset, korean_set, &error);
            failed = fail_alloc_end();
            assert_int_equal(status, failed ? DCB_ERR_NO_MEMORY : DCB_OK);
            assert_int_equal(error.status, status);
            if (failed)
                assert_encodes(dataset, what == 0 ? bytes : text);
            else if (what == 1)
                assert_encodes(dataset, bytes);
            if (!failed && what == 0) {
                utf8 = dataset;
                text = encode(utf8);
            } else {
                dcb_dataset_close(dataset);
            }
        }
        assert_true(n - 2 > 100); /* one at least for each text */
    }
    char comment[16];
    dcb_dataset_get_text(dcb_dataset_find(utf8, SEQUENCE)->items[0], COMMENT, comment,
                         sizeof comment);
    assert_string_equal(comment, "홍");
    free(bytes.bytes);
    free(text.bytes);
    dcb_dataset_close(utf8);
    dcb_dataset_close(source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_copy_encode),
        cmocka_unit_test(test_edit),
        cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
