/* SPDX-License-Identifier: Apache-2.0 */
#include "index_fixture.h"

#include "log.h"
#include "must.h"
#include "temp_dir.h"

#include <string.h>

scp_index *index_fixture_open(const char *dir)
{
    scp_index *index = NULL;
    scp_error error = SCP_ERROR_INIT;
    must(index_open(&index, dir, &error) == 0, error.message);
    return index;
}

int index_fixture_setup(void **state)
{
    index_fixture *f = calloc(1, sizeof *f);
    log_configure(LOG_ERROR, LOG_TEXT);
    f->dir = temp_dir_create();
    f->index = index_fixture_open(f->dir);
    *state = f;
    return 0;
}

int index_fixture_teardown(void **state)
{
    index_fixture *f = *state;
    index_close(f->index);
    temp_dir_remove(f->dir);
    free(f);
    return 0;
}

const index_file archive[ARCHIVE_NFILES] = {
    {"/a/ct1.dcbs", 100, "P1", "A", "Müller^Jörg", "1.1", "20240101", "ACC1", "old", "1.1.1", "CT",
     "1.1.1.1", 1, 3},
    {"/a/ct1b.dcbs", 200, "P1", "A", "Müller^Jörg", "1.1", "20240101", "ACC1", "new", "1.1.1", "CT",
     "1.1.1.2", 4, 2},
    {"/a/sr.dcbs", 150, "P1", "A", "Müller^Jörg", "1.1", "20240101", "ACC1", "sr", "1.1.2", "SR",
     "1.1.2.1", 1, 1},
    {"/a/mr.dcbs", 110, "P1", "A", "Mueller^Joerg", "1.2", "20250615", "ACC2", "mr", "1.2.1", "MR",
     "1.2.1.1", 1, 4},
    {"/b/other.dcbs", 100, "P1", "B", "Yamada^Tarou=山田^太郎=やまだ^たろう", "1.3", "2023.12.31",
     NULL, "x", "1.3.1", "CT", "1.3.1.1", 1, 2},
    {"/b/noid.dcbs", 100, NULL, NULL, "Nobody", "1.4", NULL, NULL, "x", "1.4.1", "US", "1.4.1.1", 1,
     1},
    {"/b/noid2.dcbs", 100, NULL, NULL, "Nobody", "1.5", NULL, NULL, "x", "1.5.1", "US", "1.5.1.1",
     1, 1},
};

void index_fixture_fill(scp_index *index)
{
    for (size_t i = 0; i < ARCHIVE_NFILES; i++)
        must(index_file_put(index, &archive[i]) == 0, "there are duplicates");
}

char *index_fixture_find(scp_index *index, query_level level, const index_filter *filter,
                         const uint32_t *tags)
{
    char *text = NULL;
    size_t nbytes = 0;
    FILE *stream = open_memstream(&text, &nbytes);
    index_cursor *cursor = NULL;
    scp_error error = SCP_ERROR_INIT;
    must(index_find(&cursor, index, level, filter, &error) == 0, error.message);
    const dcb_dataset *record = NULL;
    int result;
    while ((result = index_cursor_next(cursor, &record, &error)) == 1) {
        for (const uint32_t *tag = tags; *tag != 0; tag++) {
            char value[200];
            ptrdiff_t length = dcb_dataset_get_text(record, *tag, value, sizeof value);
            fprintf(stream, "%s%s", tag == tags ? "" : "|", length < 0 ? "-" : value);
        }
        fputc('\n', stream);
    }
    must(result == 0, error.message);
    must(index_cursor_next(cursor, &record, &error) == 0, "an ended query goes on");
    index_cursor_close(cursor);
    fclose(stream);
    return text;
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void index_fixture_sort(char *text)
{
    char *lines[100], *copy = strdup(text), *rest = copy;
    size_t n = 0;
    for (char *line; (line = strsep(&rest, "\n")) != NULL && *line != '\0' && n < 100;)
        lines[n++] = line;
    qsort(lines, n, sizeof lines[0], compare_lines);
    for (size_t i = 0; i < n; i++) {
        text = stpcpy(text, lines[i]);
        *text++ = '\n';
    }
    free(copy);
}

char *index_fixture_instances(scp_index *index, const index_filter *filter)
{
    char *text = NULL;
    size_t nbytes = 0;
    FILE *stream = open_memstream(&text, &nbytes);
    index_cursor *cursor = NULL;
    scp_error error = SCP_ERROR_INIT;
    must(index_find_instances(&cursor, index, filter, &error) == 0, error.message);
    index_instance instance;
    while (index_cursor_next_instance(cursor, &instance, &error) == 1)
        fprintf(stream, "%s#%u %s\n", instance.path, instance.frame, instance.sop_instance_uid);
    index_cursor_close(cursor);
    fclose(stream);
    return text;
}
