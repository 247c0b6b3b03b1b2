/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that runs out anywhere in a query or retrieval: success is told only where all was done.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "access.h"
#include "dataset_text.h"
#include "fail_alloc.h"
#include "identifier.h"
#include "log.h"
#include "service_driver.h"

#define CT "1.2.840.10008.5.1.4.1.1.2"

static test_archive archive;

typedef struct outcome {
    bool refused_at_start;
    uint32_t nanswers; /* pending responses, or instances */
    uint16_t status;
} outcome;

/* The n-th allocation fails; 0: none. *failed: one did. */
static outcome run_with_failure(unsigned n, bool *failed, const service *kind, const char *sop,
                                const uint8_t *identifier, size_t nbytes, ul_request *contexts)
{
    const dimse_command command = {.command_field = kind->command_field, .message_id = 1};
    static const access_decision everything = {.rights = ACCESS_ALL};
    const service_peer peer = {1, contexts, archive.node.options, &everything};
    const service_request request = {.command = &command,
                                     .context_id = 1,
                                     .transfer_syntax_uid = UID_IMPLICIT_LE,
                                     .abstract_syntax_uid = sop,
                                     .identifier = identifier,
                                     .identifier_nbytes = nbytes};
    outcome result = {0};
    service_output out;
    fail_alloc_at(n > 0 ? n : UINT32_MAX);
    void *operation = kind->start(&archive.node, &peer, &request);
    result.refused_at_start = operation == NULL;
    for (bool more = operation != NULL; more;) {
        switch (kind->next(operation, &out)) {
        case SERVICE_RESPONSE:
            result.nanswers += kind == &service_find;
            break;
        case SERVICE_SUBOPERATION:
            result.nanswers++;
            kind->suboperation_done(operation, 0x0000);
            break;
        case SERVICE_WORKING:
            break;
        case SERVICE_FINAL:
            result.status = out.command.status;
            more = false;
            break;
        }
    }
    if (operation != NULL)
        kind->finish(operation);
    *failed = fail_alloc_end();
    return result;
}

static void try_all(const service *kind, const char *sop, const char *text, uint32_t nexpected,
                    const uint16_t *statuses, ul_request *contexts)
{
    size_t nbytes = 0;
    uint8_t *identifier = dataset_text_encode(&nbytes, text, DCB_SYNTAX_IMPLICIT_LE);
    bool failed = false;
    outcome whole = run_with_failure(0, &failed, kind, sop, identifier, nbytes, contexts);
    assert_int_equal(whole.status, 0x0000);
    assert_int_equal(whole.nanswers, nexpected);
    unsigned nfailures = 0;
    for (unsigned n = 1; n == 1 || failed; n++) {
        outcome result = run_with_failure(n, &failed, kind, sop, identifier, nbytes, contexts);
        if (result.refused_at_start) {
            nfailures++;
            continue;
        }
        if (result.status == 0x0000) {
            assert_int_equal(result.nanswers, nexpected);
            continue;
        }
        nfailures++;
        assert_true(failed);
        size_t i = 0;
        while (statuses[i] != 0 && statuses[i] != result.status)
            i++;
        if (statuses[i] == 0)
            fail_msg("allocation %u: status %04X", n, result.status);
    }
    assert_true(nfailures > 20);
    free(identifier);
}

static void test_find(void **state)
{
    (void)state;
    static const uint16_t statuses[] = {0xA700, 0xC000, 0};
    ul_request none = {0};
    try_all(&service_find, UID_STUDY_ROOT_FIND,
            "00080050 SH|00080052 CS STUDY|00080061 CS C*\\MR|0020000D UI", 1, statuses, &none);
    try_all(&service_find, UID_STUDY_ROOT_FIND,
            "00080052 CS IMAGE|00081140 SQ [00081155 UI]|00100010 PN mull*|00180050 DS 2.5"
            "|0020000D UI 1.2.4|0020000E UI 1.2.5",
            3, statuses, &none);
}

static void test_get(void **state)
{
    (void)state;
    /* An instance that cannot be made is a failed sub-operation. */
    static const uint16_t statuses[] = {0xA700, 0xA701, 0xA702, 0xB000, 0};
    ul_context contexts[] = {test_context(1, CT, UID_EXPLICIT_LE, true)};
    ul_request request = {.ncontexts = 1, .contexts = contexts};
    try_all(&service_get, UID_STUDY_ROOT_GET, "00080052 CS STUDY|0020000D UI 1.2.4", 3, statuses,
            &request);
}

static int set_up(void **state)
{
    (void)state;
    log_configure(LOG_ERROR, LOG_TEXT);
    test_archive_create(&archive);
    free(test_archive_add(&archive, TEST_DATA_DIR "/golden/tiny3/series.dcbs", "tiny3.dcbs"));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_archive_remove(&archive);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_find), cmocka_unit_test(test_get)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
