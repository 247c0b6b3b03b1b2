/* SPDX-License-Identifier: Apache-2.0 */
/* Proposals and the answers that are due. */
#include "negotiation.h"

#include "options.h"
#include "sop_classes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define CT      "1.2.840.10008.5.1.4.1.1.2"
#define PRIVATE "1.2.3.4"
#define JPEG    "1.2.840.10008.1.2.4.50"
#define RLE     "1.2.840.10008.1.2.5"

enum { NONE = 0, SCU = 1, SCP = 2, BOTH = 3, NEITHER = 4 }; /* NEITHER: an item with 0 and 0 */

/* One context beside a Verification one and, with get, a Study Root GET one. */
typedef struct context_case {
    const char *abstract_syntax;
    int role;
    bool get, without_role;
    const char *syntaxes[6];
    uint8_t result;
    const char *accepted;
    bool peer_is_scp;
} context_case;

static const context_case context_cases[] = {
    /* services */
    {UID_VERIFICATION, NONE, false, true, {UID_IMPLICIT_LE}, 0, UID_IMPLICIT_LE, false},
    {UID_VERIFICATION,
     NONE,
     false,
     true,
     {UID_IMPLICIT_LE, UID_EXPLICIT_LE},
     0,
     UID_EXPLICIT_LE,
     false},
    {UID_VERIFICATION,
     NONE,
     false,
     true,
     {UID_EXPLICIT_BE, UID_IMPLICIT_LE},
     0,
     UID_IMPLICIT_LE,
     false},
    {UID_PATIENT_ROOT_FIND, NONE, false, true, {UID_EXPLICIT_BE}, 0, UID_EXPLICIT_BE, false},
    {UID_STUDY_ROOT_FIND, SCU, false, true, {UID_EXPLICIT_LE}, 0, UID_EXPLICIT_LE, false},
    {UID_STUDY_ROOT_FIND, BOTH, false, true, {UID_EXPLICIT_LE}, 0, UID_EXPLICIT_LE, false},
    {UID_STUDY_ROOT_FIND, SCP, false, true, {UID_EXPLICIT_LE}, 1, "", false},
    {UID_STUDY_ROOT_FIND, NEITHER, false, true, {UID_EXPLICIT_LE}, 1, "", false},
    {UID_STUDY_ROOT_FIND, NONE, false, true, {UID_DEFLATED, JPEG}, 4, "", false},
    {UID_PATIENT_ROOT_GET, NONE, false, true, {UID_IMPLICIT_LE}, 0, UID_IMPLICIT_LE, false},
    {UID_STUDY_ROOT_MOVE, NONE, true, true, {UID_IMPLICIT_LE}, 0, UID_IMPLICIT_LE, false},
    {UID_PATIENT_ROOT_MOVE, SCP, true, true, {UID_IMPLICIT_LE}, 1, "", false},
    /* instances to the requestor */
    {CT, SCP, true, false, {UID_IMPLICIT_LE, UID_EXPLICIT_LE}, 0, UID_EXPLICIT_LE, true},
    {CT, BOTH, true, false, {UID_IMPLICIT_LE}, 0, UID_IMPLICIT_LE, true},
    {CT,
     SCP,
     true,
     false,
     {UID_EXPLICIT_LE, UID_HTJ2K, UID_HTJ2K_LOSSLESS_RPCL, UID_HTJ2K_LOSSLESS},
     0,
     UID_HTJ2K_LOSSLESS,
     true},
    {CT, SCP, true, false, {UID_EXPLICIT_LE, UID_HTJ2K}, 0, UID_HTJ2K, true},
    {CT, SCP, true, false, {UID_HTJ2K_LOSSLESS_RPCL, UID_IMPLICIT_LE}, 0, UID_IMPLICIT_LE, true},
    {CT, SCP, true, false, {UID_HTJ2K_LOSSLESS_RPCL}, 0, UID_HTJ2K_LOSSLESS_RPCL, true},
    {CT, SCP, true, false, {UID_DEFLATED, UID_EXPLICIT_BE}, 0, UID_EXPLICIT_BE, true},
    {CT, SCP, true, false, {UID_DEFLATED}, 0, UID_DEFLATED, true},
    {CT, SCP, true, false, {JPEG}, 0, JPEG, true},
    {CT, SCP, true, false, {JPEG, UID_RLE, UID_J2K_LOSSLESS}, 0, UID_J2K_LOSSLESS, true},
    {CT, SCP, true, false, {UID_J2K_LOSSLESS, UID_DEFLATED}, 0, UID_DEFLATED, true},
    {CT, SCP, true, false, {"1.2.840.10008.1.2.4.94"}, 4, "", false}, /* JPIP */
    {PRIVATE, SCP, true, false, {UID_EXPLICIT_LE}, 0, UID_EXPLICIT_LE, true},
    /* no role item */
    {CT, NONE, true, true, {UID_EXPLICIT_LE}, 0, UID_EXPLICIT_LE, true},
    {CT, NONE, true, false, {UID_EXPLICIT_LE}, 3, "", false},
    {PRIVATE, NONE, true, true, {UID_EXPLICIT_LE}, 3, "", false},
    /* C-STORE to us */
    {CT, NONE, false, true, {UID_EXPLICIT_LE}, 3, "", false},
    {CT, SCP, false, true, {UID_EXPLICIT_LE}, 3, "", false},
    {CT, SCU, true, true, {UID_EXPLICIT_LE}, 3, "", false},
    {CT, NEITHER, true, true, {UID_EXPLICIT_LE}, 3, "", false},
};

static char pool[3][8][UL_UID_SIZE];

static void fill(ul_context *context, uint8_t id, const char *abstract_syntax, int role,
                 const char *const *syntaxes, char (*store)[UL_UID_SIZE])
{
    *context = (ul_context){.id = id,
                            .syntaxes = store,
                            .role_proposed = role != NONE,
                            .scu_proposed = (role & SCU) != 0,
                            .scp_proposed = (role & SCP) != 0,
                            .result = 255};
    snprintf(context->abstract_syntax, UL_UID_SIZE, "%s", abstract_syntax);
    while (syntaxes[context->nsyntaxes] != NULL) {
        snprintf(store[context->nsyntaxes], UL_UID_SIZE, "%s", syntaxes[context->nsyntaxes]);
        context->nsyntaxes++;
    }
}

static ul_request make_request(ul_context *contexts, uint32_t n)
{
    return (ul_request){.calling_ae_title = "WS",
                        .called_ae_title = "DCBSCP",
                        .application_context = UID_APPLICATION_CONTEXT,
                        .peer_max_pdu = 16384,
                        .ncontexts = n,
                        .contexts = contexts};
}

static void test_contexts(void **state)
{
    (void)state;
    static const char *const implicit[] = {UID_IMPLICIT_LE, NULL};
    for (size_t i = 0; i < sizeof context_cases / sizeof context_cases[0]; i++) {
        const context_case *c = &context_cases[i];
        ul_context contexts[3];
        /* The subject first: what it gets must not depend on a GET context's place. */
        fill(&contexts[0], 5, c->abstract_syntax, c->role, c->syntaxes, pool[0]);
        fill(&contexts[1], 1, UID_VERIFICATION, NONE, implicit, pool[1]);
        fill(&contexts[2], 3, UID_STUDY_ROOT_GET, NONE, implicit, pool[2]);
        ul_request request = make_request(contexts, c->get ? 3 : 2);
        const negotiation_policy policy = {"DCBSCP", c->without_role, false, false, ACCESS_ALL, ""};
        negotiation_verdict verdict = negotiate(&request, &policy);
        assert_true(verdict.accepted);
        if (contexts[0].result != c->result)
            print_error("case %zu\n", i);
        assert_int_equal(contexts[0].result, c->result);
        assert_string_equal(contexts[0].accepted_syntax, c->accepted);
        assert_int_equal(contexts[0].peer_is_scp, c->peer_is_scp);
        assert_int_equal(contexts[1].result, 0);
    }
}

/* What a node that stores makes of a storage context. */
static void test_storing(void **state)
{
    (void)state;
    static const struct {
        const char *abstract_syntax;
        int role;
        bool get, unknown;
        const char *syntaxes[6];
        const char *accepted; /* NULL: refused */
        bool peer_is_scp, peer_stores;
    } cases[] = {
        {CT, NONE, false, false, {UID_IMPLICIT_LE, UID_EXPLICIT_LE}, UID_EXPLICIT_LE, false, true},
        {CT, SCU, false, false, {UID_IMPLICIT_LE}, UID_IMPLICIT_LE, false, true},
        {CT, NONE, false, false, {JPEG, UID_EXPLICIT_LE}, UID_EXPLICIT_LE, false, true},
        {CT, NONE, false, false, {JPEG}, JPEG, false, true},
        {CT, NONE, false, false, {UID_EXPLICIT_LE, RLE}, RLE, false, true},
        {CT, NONE, false, false, {RLE, UID_HTJ2K_LOSSLESS}, UID_HTJ2K_LOSSLESS, false, true},
        {CT, NONE, false, false, {UID_HTJ2K, UID_DEFLATED}, UID_DEFLATED, false, true},
        {CT, NONE, false, false, {"1.2.3.4.5"}, NULL, false, false},
        {CT, SCP, false, false, {UID_EXPLICIT_LE}, NULL, false, false},
        {CT, NEITHER, false, false, {UID_EXPLICIT_LE}, NULL, false, false},
        {PRIVATE, NONE, false, false, {UID_EXPLICIT_LE}, NULL, false, false},
        {PRIVATE, NONE, false, true, {UID_EXPLICIT_LE}, UID_EXPLICIT_LE, false, true},
        {CT, BOTH, true, false, {UID_EXPLICIT_LE}, UID_EXPLICIT_LE, true, true},
        {CT, SCP, true, false, {UID_EXPLICIT_LE}, UID_EXPLICIT_LE, true, false},
        {CT, SCP, true, false, {JPEG}, JPEG, true, false},
        {CT, SCP, true, false, {JPEG, UID_EXPLICIT_LE}, UID_EXPLICIT_LE, true, false},
        {CT, NONE, true, false, {UID_EXPLICIT_LE}, UID_EXPLICIT_LE, true, true},
        {CT, SCU, true, false, {UID_EXPLICIT_LE}, UID_EXPLICIT_LE, false, true},
    };
    static const char *const implicit[] = {UID_IMPLICIT_LE, NULL};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ul_context contexts[2];
        fill(&contexts[0], 5, cases[i].abstract_syntax, cases[i].role, cases[i].syntaxes, pool[0]);
        fill(&contexts[1], 1, cases[i].get ? UID_STUDY_ROOT_GET : UID_VERIFICATION, NONE, implicit,
             pool[1]);
        ul_request request = make_request(contexts, 2);
        const negotiation_policy policy = {"DCBSCP", true, true, cases[i].unknown, ACCESS_ALL, ""};
        assert_true(negotiate(&request, &policy).accepted);
        if ((contexts[0].result == 0) != (cases[i].accepted != NULL))
            print_error("case %zu\n", i);
        assert_int_equal(contexts[0].result == 0, cases[i].accepted != NULL);
        assert_string_equal(contexts[0].accepted_syntax,
                            cases[i].accepted != NULL ? cases[i].accepted : "");
        assert_int_equal(contexts[0].peer_is_scp, cases[i].peer_is_scp);
        assert_int_equal(contexts[0].peer_stores, cases[i].peer_stores);
    }
}

/* A context that only a missing right keeps from being accepted is refused by the user (1). */
static void test_rights(void **state)
{
    (void)state;
    static const struct {
        const char *abstract_syntax;
        int role;
        uint32_t rights;
        uint8_t result;
        bool peer_is_scp, peer_stores;
    } cases[] = {
        {UID_VERIFICATION, NONE, ACCESS_ALL & ~ACCESS_ECHO, 1, false, false},
        {UID_VERIFICATION, NONE, ACCESS_ECHO, 0, false, false},
        {UID_STUDY_ROOT_FIND, NONE, ACCESS_ALL & ~ACCESS_FIND, 1, false, false},
        {UID_STUDY_ROOT_FIND, NONE, ACCESS_FIND, 0, false, false},
        {UID_STUDY_ROOT_GET, NONE, ACCESS_ALL & ~ACCESS_GET, 1, false, false},
        {UID_STUDY_ROOT_GET, NONE, ACCESS_GET, 0, false, false},
        {UID_STUDY_ROOT_MOVE, NONE, ACCESS_ALL & ~ACCESS_MOVE, 1, false, false},
        {CT, SCU, ACCESS_ALL & ~ACCESS_STORE, 1, false, false},
        {CT, SCU, ACCESS_STORE, 0, false, true},
        {CT, SCP, ACCESS_ALL & ~ACCESS_GET, 1, false, false},
        {CT, SCP, ACCESS_GET, 0, true, false},
        {CT, BOTH, ACCESS_ALL & ~ACCESS_GET, 0, false, true},
        {CT, BOTH, ACCESS_ALL & ~ACCESS_STORE, 0, true, false},
        {CT, NONE, ACCESS_FIND, 1, false, false},
        {PRIVATE, SCU, ACCESS_FIND, 3, false, false},
    };
    static const char *const explicit[] = {UID_EXPLICIT_LE, NULL};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ul_context contexts[2];
        fill(&contexts[0], 5, cases[i].abstract_syntax, cases[i].role, explicit, pool[0]);
        fill(&contexts[1], 1, UID_STUDY_ROOT_GET, NONE, explicit, pool[1]);
        ul_request request = make_request(contexts, 2);
        const negotiation_policy policy = {"DCBSCP", true, true, false, cases[i].rights, ""};
        assert_true(negotiate(&request, &policy).accepted);
        if (contexts[0].result != cases[i].result)
            fail_msg("case %zu: %u", i, contexts[0].result);
        assert_int_equal(contexts[0].peer_is_scp, cases[i].peer_is_scp);
        assert_int_equal(contexts[0].peer_stores, cases[i].peer_stores);
    }
}

static void test_rejections(void **state)
{
    (void)state;
    static const struct {
        const char *calling, *called, *application;
        uint32_t max_pdu;
        bool accepted;
        uint8_t source, reason;
    } cases[] = {
        {"WS", "DCBSCP", UID_APPLICATION_CONTEXT, 0, true, 0, 0},
        {"WS", "DCBSCP", UID_APPLICATION_CONTEXT, 14, true, 0, 0},
        {"WS", "DCBSCP", UID_APPLICATION_CONTEXT, 13, false, 1, 1},
        {"WS", "DCBSCP", UID_APPLICATION_CONTEXT, 1, false, 1, 1},
        {"WS", "dcbscp", UID_APPLICATION_CONTEXT, 0, false, 1, 7},
        {"WS", "", UID_APPLICATION_CONTEXT, 0, false, 1, 7},
        {"", "DCBSCP", UID_APPLICATION_CONTEXT, 0, false, 1, 3},
        {"  ", "DCBSCP", UID_APPLICATION_CONTEXT, 0, false, 1, 3},
        {"WS", "DCBSCP", "1.2.840.10008.3.1.1.2", 0, false, 1, 2},
        {"WS", "DCBSCP", "", 0, false, 1, 2},
    };
    const negotiation_policy policy = {"DCBSCP", true, false, false, ACCESS_ALL, ""};
    const negotiation_policy nothing = {"DCBSCP", true, false, false, 0, "by rule 7"};
    ul_request refused = make_request(NULL, 0);
    negotiation_verdict no = negotiate(&refused, &nothing);
    assert_false(no.accepted);
    assert_int_equal(no.result * 100 + no.source * 10 + no.reason, 113);
    assert_string_equal(no.text, "by rule 7");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ul_request request = make_request(NULL, 0);
        snprintf(request.calling_ae_title, sizeof request.calling_ae_title, "%s", cases[i].calling);
        snprintf(request.called_ae_title, sizeof request.called_ae_title, "%s", cases[i].called);
        snprintf(request.application_context, sizeof request.application_context, "%s",
                 cases[i].application);
        request.peer_max_pdu = cases[i].max_pdu;
        negotiation_verdict verdict = negotiate(&request, &policy);
        assert_int_equal(verdict.accepted, cases[i].accepted);
        assert_int_equal(verdict.result, cases[i].accepted ? 0 : 1);
        assert_int_equal(verdict.source, cases[i].source);
        assert_int_equal(verdict.reason, cases[i].reason);
        assert_int_equal(verdict.text != NULL, !cases[i].accepted);
    }
}

static void test_extended(void **state)
{
    (void)state;
    uint8_t answer[8];
    memset(answer, 9, sizeof answer);
    static const uint8_t all[100] = {1, 1, 1}, none[2] = {0, 1};
    assert_int_equal(negotiate_extended(answer, 8, UID_STUDY_ROOT_FIND, all, 3), 3);
    assert_memory_equal(answer, "\0\0\0\x09", 4);
    assert_int_equal(negotiate_extended(answer, 8, UID_PATIENT_ROOT_GET, all, 100), 8);
    assert_memory_equal(answer, "\1\0\0\0\0\0\0\0", 8); /* relational retrieval, and no more */
    assert_int_equal(negotiate_extended(answer, 8, UID_STUDY_ROOT_MOVE, all, 1), 1);
    assert_int_equal(answer[0], 1);
    assert_int_equal(negotiate_extended(answer, 8, UID_STUDY_ROOT_GET, none, 2), 2);
    assert_memory_equal(answer, "\0\0", 2); /* it was not asked for */
    assert_int_equal(negotiate_extended(answer, 8, UID_STUDY_ROOT_FIND, all, 0), 0);
    assert_int_equal(negotiate_extended(answer, 8, UID_STUDY_ROOT_GET, all, 0), 0);
    assert_int_equal(negotiate_extended(answer, 8, UID_COMPOSITE_GET, all, 3), 0);
    assert_int_equal(negotiate_extended(answer, 8, CT, all, 3), 0);
    assert_int_equal(negotiate_extended(answer, 8, UID_VERIFICATION, all, 3), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contexts), cmocka_unit_test(test_storing),
        cmocka_unit_test(test_rejections), cmocka_unit_test(test_rights),
        cmocka_unit_test(test_extended)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
