/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_identifier.c - bytes as the identifier of a request: checked, made a matcher and a filter,
 * matched against itself, answered. Beyond not crashing: a refusal has a status and a comment, a
 * query obeys its level's rules, and an answer is a data set that names the level.
 *
 * The first byte chooses the syntax (modulo 3), the SOP class and the purpose.
 */
#include <string.h>

#include "dictionary.h"
#include "find_filter.h"
#include "find_response.h"
#include "fuzz.h"
#include "identifier.h"
#include "match.h"

static void check_answer(const scp_query *query)
{
    uint8_t *bytes = NULL;
    size_t nbytes = 0;
    dcb_dataset *answer = NULL;
    char level[17];
    if (find_response_make(&bytes, &nbytes, query, query->keys, query->keys, "ONLINE", "FUZZ",
                           NULL) != DCB_OK)
        return; /* a value that the request's syntax held and this one cannot */
    FUZZ_CHECK(dcb_dataset_parse(&answer, bytes, nbytes, query->syntax, dictionary_vr, NULL, NULL,
                                 NULL) == DCB_OK);
    FUZZ_CHECK(dcb_dataset_get_text(answer, TAG_QUERY_RETRIEVE_LEVEL, level, sizeof level) > 0);
    FUZZ_CHECK(strcmp(level, query_level_name(query->level)) == 0);
    dcb_dataset_close(answer);
    free(bytes);
}

static void check_find(const scp_query *query)
{
    scp_matcher *matcher = NULL;
    uint32_t offending = 0;
    const matcher_status status = matcher_create(&matcher, query->keys, &offending);
    FUZZ_CHECK((status == MATCHER_BAD_KEY) == (offending != 0));
    FUZZ_CHECK(status == MATCHER_OK || status == MATCHER_BAD_KEY);
    if (status == MATCHER_OK) {
        const int matches = matcher_matches(matcher, query->keys);
        FUZZ_CHECK(matches == 0 || matches == 1);
        FUZZ_CHECK(matches == 1 || matcher_count(matcher) > 0);
        find_filter filter;
        FUZZ_CHECK(find_filter_make(&filter, query));
        find_filter_clear(&filter);
    }
    matcher_close(matcher);
    check_answer(query);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t nbytes)
{
    static const char *const syntaxes[] = {UID_IMPLICIT_LE, UID_EXPLICIT_LE, UID_EXPLICIT_BE};
    static const char *const classes[] = {UID_PATIENT_ROOT_FIND, UID_STUDY_ROOT_FIND,
                                          UID_PATIENT_ROOT_GET, UID_STUDY_ROOT_GET};
    if (nbytes == 0)
        return 0;
    const size_t kind = bytes[0] / 3u % 4u;
    const query_purpose purpose = kind < 2 ? QUERY_FIND : QUERY_RETRIEVE;
    const service_request request = {.transfer_syntax_uid = syntaxes[bytes[0] % 3u],
                                     .abstract_syntax_uid = classes[kind],
                                     .identifier = bytes + 1,
                                     .identifier_nbytes = nbytes - 1};
    scp_query query;
    query_fault fault;
    if (!identifier_read(&query, purpose, &request, &fault)) {
        FUZZ_CHECK(fault.status != 0 && fault.comment[0] != '\0');
    } else {
        const int top = query.model == MODEL_PATIENT_ROOT ? LEVEL_PATIENT : LEVEL_STUDY;
        for (int level = top; level < QUERY_LEVELS; level++) {
            const uint32_t count = query.unique[level].count;
            FUZZ_CHECK(level >= (int)query.level || count == 1);
            FUZZ_CHECK(level <= (int)query.level || count == 0);
            FUZZ_CHECK(level != (int)query.level || purpose == QUERY_FIND || count > 0);
        }
        if (purpose == QUERY_FIND)
            check_find(&query);
    }
    query_clear(&query);
    return 0;
}
