/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A-ASSOCIATE of our own: the request's bytes, answers of all kinds, no cut or changed byte of one
 * that is fatal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sop_classes.h"
#include "ul_associate.h"
#include "ul_request_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CT "1.2.840.10008.5.1.4.1.1.2"
#define MR "1.2.840.10008.5.1.4.1.1.4"

static ul_request make_request(void)
{
    static const char *const stored[] = {UID_HTJ2K_LOSSLESS, UID_HTJ2K};
    static const char *const native[] = {UID_EXPLICIT_LE, UID_IMPLICIT_LE};
    ul_request request = {.calling_ae_title = "DCBSCP", .called_ae_title = "SIXTEENLETTERS_X"};
    assert_true(ul_request_add_context(&request, CT, stored, 2));
    assert_true(ul_request_add_context(&request, CT, native, 2));
    assert_true(ul_request_add_context(&request, MR, native, 1));
    return request;
}

/* The items' types and texts from an offset on: "10:1.2.840 20:... ". */
static void walk(char *out, size_t size, const uint8_t *bytes, size_t nbytes)
{
    size_t n = 0;
    for (size_t pos = 0; pos < nbytes;) {
        const size_t length = (size_t)bytes[pos + 2] << 8 | bytes[pos + 3];
        const int type = bytes[pos];
        assert_true(pos + 4 + length <= nbytes);
        assert_int_equal(bytes[pos + 1], 0);
        if (type == 0x20) {
            n += (size_t)snprintf(out + n, size - n, "%02X:%d[", type, bytes[pos + 4]);
            walk(out + n, size - n, bytes + pos + 8, length - 4);
            n += strlen(out + n);
            n += (size_t)snprintf(out + n, size - n, "] ");
        } else if (type == 0x50) {
            n += (size_t)snprintf(out + n, size - n, "50[");
            walk(out + n, size - n, bytes + pos + 4, length);
            n += strlen(out + n);
            n += (size_t)snprintf(out + n, size - n, "] ");
        } else if (type == 0x51) {
            n += (size_t)snprintf(out + n, size - n, "51:%02X%02X%02X%02X ", bytes[pos + 4],
                                  bytes[pos + 5], bytes[pos + 6], bytes[pos + 7]);
        } else {
            n += (size_t)snprintf(out + n, size - n, "%02X:%.*s ", type, (int)length,
                                  (const char *)bytes + pos + 4);
        }
        pos += 4 + length;
    }
}

static void test_request(void **state)
{
    (void)state;
    ul_request request = make_request();
    size_t nbytes = 0;
    uint8_t *pdu = ul_associate_encode(&nbytes, &request, 0x12345);
    char items[2048] = "";
    scp_error error = SCP_ERROR_INIT;
    assert_int_equal(pdu[0], 1);
    assert_int_equal((size_t)pdu[2] << 24 | (size_t)pdu[3] << 16 | (size_t)pdu[4] << 8 | pdu[5],
                     nbytes - 6);
    assert_memory_equal(pdu + 6, "\0\1\0\0", 4);
    assert_memory_equal(pdu + 10, "SIXTEENLETTERS_XDCBSCP          ", 32);
    walk(items, sizeof items, pdu + 74, nbytes - 74);
    assert_string_equal(items, "10:1.2.840.10008.3.1.1.1 "
                               "20:1[30:" CT " 40:" UID_HTJ2K_LOSSLESS " 40:" UID_HTJ2K " ] "
                               "20:3[30:" CT " 40:" UID_EXPLICIT_LE " 40:" UID_IMPLICIT_LE " ] "
                               "20:5[30:" MR " 40:" UID_EXPLICIT_LE " ] "
                               "50[51:00012345 52:" UL_IMPLEMENTATION_CLASS_UID
                               " 55:" UL_IMPLEMENTATION_VERSION " ] ");
    /* It would be taken by ourselves. */
    assert_int_equal(ul_request_check(pdu + 6, nbytes - 6, &error), 0);
    free(pdu);
    ul_request_clear(&request);
}

static void test_most_contexts(void **state)
{
    (void)state;
    static const char *const one[] = {UID_IMPLICIT_LE};
    ul_request request = {0}, copy;
    size_t nbytes = 0;
    for (int i = 0; i < UL_CONTEXTS_MAX; i++)
        assert_true(ul_request_add_context(&request, CT, one, 1));
    assert_false(ul_request_add_context(&request, CT, one, 1));
    assert_int_equal(request.contexts[127].id, 255);
    assert_true(ul_request_copy(&copy, &request));
    assert_int_equal(copy.ncontexts, 128);
    assert_string_equal(copy.contexts[127].syntaxes[0], UID_IMPLICIT_LE);
    uint8_t *pdu = ul_associate_encode(&nbytes, &copy, 16384);
    scp_error error = SCP_ERROR_INIT;
    assert_int_equal(ul_request_check(pdu + 6, nbytes - 6, &error), 0);
    free(pdu);
    ul_request_clear(&copy);
    ul_request_clear(&request);
}

/* ---- Answers ---- */

typedef struct answer {
    uint8_t bytes[2048];
    size_t nbytes;
} answer;

static void begin_answer(answer *a)
{
    memset(a, 0, sizeof *a);
    a->bytes[1] = 1;
    a->nbytes = 68;
}

static void put_item(answer *a, uint8_t type, const void *bytes, size_t nbytes)
{
    const uint8_t head[4] = {type, 0, (uint8_t)(nbytes >> 8), (uint8_t)nbytes};
    memcpy(a->bytes + a->nbytes, head, 4);
    memcpy(a->bytes + a->nbytes + 4, bytes, nbytes);
    a->nbytes += 4 + nbytes;
}

static void put_context(answer *a, uint8_t id, uint8_t result, const char *syntax)
{
    uint8_t body[128] = {id, 0, result, 0, 0x40, 0, 0, (uint8_t)strlen(syntax)};
    memcpy(body + 8, syntax, strlen(syntax));
    put_item(a, 0x21, body, 8 + strlen(syntax));
}

static void good_answer(answer *a)
{
    begin_answer(a);
    put_item(a, 0x10, UID_APPLICATION_CONTEXT, strlen(UID_APPLICATION_CONTEXT));
    put_context(a, 1, 4, "");
    put_context(a, 3, 0, UID_IMPLICIT_LE);
    put_context(a, 99, 0, UID_IMPLICIT_LE); /* nobody proposed it */
    uint8_t user[] = "\x51\0\0\4\0\0\x40\0\x52\0\0\5"
                     "1.2.3\x55\0\0\4PEER";
    put_item(a, 0x50, user, sizeof user - 1);
}

static void test_answer(void **state)
{
    (void)state;
    ul_request request = make_request();
    scp_error error = SCP_ERROR_INIT;
    answer a;
    good_answer(&a);
    assert_int_equal(ul_associate_read_answer(&request, a.bytes, a.nbytes, &error), 0);
    assert_int_equal(request.peer_max_pdu, 0x4000);
    assert_string_equal(request.implementation_class_uid, "1.2.3");
    assert_string_equal(request.implementation_version, "PEER");
    assert_int_equal(request.contexts[0].result, 4);
    assert_false(request.contexts[0].peer_is_scp);
    assert_int_equal(request.contexts[1].result, 0);
    assert_string_equal(request.contexts[1].accepted_syntax, UID_IMPLICIT_LE);
    assert_true(request.contexts[1].peer_is_scp);
    assert_int_equal(request.contexts[2].result, 2); /* not answered */
    /* A syntax that was not proposed for the context is no acceptance. */
    begin_answer(&a);
    put_context(&a, 1, 0, UID_IMPLICIT_LE);
    put_context(&a, 3, 0, UID_EXPLICIT_BE);
    put_context(&a, 5, 0, "");
    assert_int_equal(ul_associate_read_answer(&request, a.bytes, a.nbytes, &error), 0);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(request.contexts[i].result, 2);
    assert_int_equal(request.peer_max_pdu, 0); /* no limit */
    ul_request_clear(&request);
}

static void test_broken_answers(void **state)
{
    (void)state;
    ul_request request = make_request();
    scp_error error = SCP_ERROR_INIT;
    answer a;
    good_answer(&a);
    /* Cut anywhere, in memory that ends there: refused or read, never past the end. */
    for (size_t n = 0; n < a.nbytes; n++) {
        uint8_t *cut = malloc(n + 1);
        memcpy(cut, a.bytes, n);
        const int result = ul_associate_read_answer(&request, cut, n, &error);
        assert_true(result == -1 || n >= 68);
        free(cut);
    }
    for (size_t i = 68; i < a.nbytes; i++) {
        for (int bit = 0; bit < 8; bit++) {
            a.bytes[i] ^= (uint8_t)(1 << bit);
            ul_associate_read_answer(&request, a.bytes, a.nbytes, &error);
            for (uint32_t k = 0; k < 3; k++) {
                const ul_context *c = &request.contexts[k];
                assert_true(c->result != 0 || strcmp(c->accepted_syntax, c->syntaxes[0]) == 0 ||
                            strcmp(c->accepted_syntax, c->syntaxes[1]) == 0);
            }
            a.bytes[i] ^= (uint8_t)(1 << bit);
        }
    }
    begin_answer(&a);
    put_item(&a, 0x21, "\1\0\0", 3);
    assert_int_equal(ul_associate_read_answer(&request, a.bytes, a.nbytes, &error), -1);
    assert_non_null(strstr(error.message, "presentation context"));
    ul_request_clear(&request);
}

static void test_rejections(void **state)
{
    (void)state;
    assert_string_equal(ul_associate_rejection(1, 7), "called AE title not recognized");
    assert_string_equal(ul_associate_rejection(1, 3), "calling AE title not recognized");
    assert_string_equal(ul_associate_rejection(2, 2), "protocol version not supported");
    assert_string_equal(ul_associate_rejection(3, 1), "temporary congestion");
    assert_string_equal(ul_associate_rejection(3, 2), "local limit exceeded");
    assert_string_equal(ul_associate_rejection(9, 9), "unknown reason");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request),    cmocka_unit_test(test_most_contexts),
        cmocka_unit_test(test_answer),     cmocka_unit_test(test_broken_answers),
        cmocka_unit_test(test_rejections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
