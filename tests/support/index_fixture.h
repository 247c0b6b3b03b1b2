/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_fixture.h - an index in a folder of the test's own, an archive to fill it with, and what is
 * found in it as text.
 *
 * Failures end the test program; texts are to be freed.
 */
#ifndef INDEX_FIXTURE_H
#define INDEX_FIXTURE_H

#include "index_file.h"

typedef struct index_fixture {
    char *dir;
    scp_index *index;
} index_fixture;

/* For cmocka. */
int index_fixture_setup(void **state);
int index_fixture_teardown(void **state);
scp_index *index_fixture_open(const char *dir);

/* Two patients of one PatientID under different issuers, and one without any. */
#define ARCHIVE_NFILES 7
extern const index_file archive[ARCHIVE_NFILES];
void index_fixture_fill(scp_index *index);

/* What a query gives, one line a record: the values of the tags (0 ends them), separated by "|".
   "-": missing. */
char *index_fixture_find(scp_index *index, query_level level, const index_filter *filter,
                         const uint32_t *tags);
/* Queries give no order but of images; the planner's must not matter to a test. */
void index_fixture_sort(char *text);
/* One line an instance: "path#frame UID". */
char *index_fixture_instances(scp_index *index, const index_filter *filter);

/* In a file that includes cmocka.h. */
#define assert_find(index, level, filter, expected, ...)                                           \
    do {                                                                                           \
        char *found_ =                                                                             \
            index_fixture_find((index), (level), (filter), (const uint32_t[]){__VA_ARGS__, 0});    \
        if ((level) != LEVEL_IMAGE)                                                                \
            index_fixture_sort(found_);                                                            \
        assert_string_equal(found_, (expected));                                                   \
        free(found_);                                                                              \
    } while (0)

#define assert_instances(index, filter, expected)                                                  \
    do {                                                                                           \
        char *found_ = index_fixture_instances((index), (filter));                                 \
        assert_string_equal(found_, (expected));                                                   \
        free(found_);                                                                              \
    } while (0)

#endif
