/* SPDX-License-Identifier: Apache-2.0 */
/* service_driver.c - see service_driver.h. */
#include "service_driver.h"

#include "access.h"
#include "ahead.h"
#include "dataset_text.h"
#include "dictionary.h"
#include "identifier.h"
#include "pixel_codec.h"
#include "series_pool.h"
#include "temp_dir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void require(bool holds, const char *what, const char *reason)
{
    if (!holds) {
        fprintf(stderr, "service_driver: %s: %s\n", what, reason);
        abort();
    }
}

void test_archive_create(test_archive *archive)
{
    static char ae_title[] = "ARCHIVE1";
    scp_error error = SCP_ERROR_INIT;
    dcb_error reader_error = DCB_ERROR_INIT;
    dcb_open_options open_options = DCB_OPEN_OPTIONS_INIT;
    open_options.pixel_codec = &pixel_codec;
    *archive = (test_archive){.options = {.ae_title = ae_title}};
    archive->folder = temp_dir_create();
    char *state = path_join(archive->folder, "state");
    require(dictionary_load(&error) == 0, "dictionary", error.message);
    require(index_open(&archive->node.index, state, &error) == 0, "index", error.message);
    require(series_pool_create(&archive->node.series, 4, &open_options, &reader_error) == DCB_OK,
            "pool", reader_error.message);
    const ahead_options ahead = AHEAD_OPTIONS_INIT;
    archive->node.ahead = ahead_pool_create(&ahead);
    require(archive->node.ahead != NULL, "workers", "none");
    archive->node.options = &archive->options;
    free(state);
}

void test_archive_remove(test_archive *archive)
{
    ahead_pool_close(archive->node.ahead);
    series_pool_close(archive->node.series);
    index_close(archive->node.index);
    temp_dir_remove(archive->folder);
    *archive = (test_archive){0};
}

char *test_archive_add(test_archive *archive, const char *source, const char *name)
{
    size_t nbytes = 0;
    void *bytes = read_whole_file(source, &nbytes);
    char *path = path_join(archive->folder, name);
    write_file(path, bytes, nbytes);
    free(bytes);
    dcb_error error = DCB_ERROR_INIT;
    scp_error index_error = SCP_ERROR_INIT;
    dcb_series *series = NULL;
    index_record *record = NULL;
    require(dcb_series_open(&series, path, NULL, &error) == DCB_OK, name, error.message);
    require(index_record_create(&record, series, &error) == DCB_OK, name, error.message);
    struct stat status;
    require(stat(path, &status) == 0, name, "stat");
    const file_stamp stamp = {(uint64_t)status.st_size, 1, status.st_ino};
    uint32_t nduplicates;
    require(index_put_file(archive->node.index, path, &stamp, record, &nduplicates, &index_error) ==
                0,
            name, index_error.message);
    index_record_close(record);
    dcb_series_release(series);
    return path;
}

void test_archive_pretend(test_archive *archive, const index_file *file)
{
    index_file_put(archive->node.index, file);
}

ul_context test_context(uint8_t id, const char *abstract_syntax, const char *transfer_syntax,
                        bool peer_is_scp)
{
    ul_context context = {.id = id, .peer_is_scp = peer_is_scp};
    snprintf(context.abstract_syntax, sizeof context.abstract_syntax, "%s", abstract_syntax);
    snprintf(context.accepted_syntax, sizeof context.accepted_syntax, "%s", transfer_syntax);
    return context;
}

void test_run_start(test_run *run, const test_archive *archive, const service *kind,
                    const char *abstract_syntax, const char *transfer_syntax,
                    const char *identifier, ul_request *contexts)
{
    static const ul_request none;
    *run = (test_run){.service = kind};
    run->request = (dimse_command){
        .present = DIMSE_HAS_MESSAGE_ID | DIMSE_HAS_PRIORITY | DIMSE_HAS_DATA_SET_TYPE,
        .command_field = kind->command_field,
        .message_id = 77,
        .data_set_type = 1,
    };
    snprintf(run->request.affected_sop_class_uid, sizeof run->request.affected_sop_class_uid, "%s",
             abstract_syntax);
    dcb_syntax syntax;
    require(query_syntax(&syntax, transfer_syntax), "syntax", transfer_syntax);
    size_t nbytes = 0;
    uint8_t *bytes = identifier != NULL ? dataset_text_encode(&nbytes, identifier, syntax) : NULL;
    static const access_decision everything = {.rights = ACCESS_ALL};
    const service_peer peer = {5, contexts != NULL ? contexts : &none, archive->node.options,
                               &everything};
    const service_request request = {.command = &run->request,
                                     .context_id = 1,
                                     .transfer_syntax_uid = transfer_syntax,
                                     .abstract_syntax_uid = abstract_syntax,
                                     .identifier = bytes,
                                     .identifier_nbytes = nbytes};
    run->operation = kind->start(&archive->node, &peer, &request);
    require(run->operation != NULL, kind->name, "start gave nothing");
    if (bytes != NULL)
        memset(bytes, 0xA5, nbytes); /* the service must have taken what it needs */
    free(bytes);
}

service_step test_run_next(test_run *run)
{
    service_step step;
    do {
        memset(&run->output, 0xA5, sizeof run->output);
        step = run->service->next(run->operation, &run->output);
    } while (step == SERVICE_WORKING);
    return step;
}

char *test_run_identifier(const test_run *run, const char *transfer_syntax)
{
    dcb_syntax syntax;
    dcb_error error = DCB_ERROR_INIT;
    dcb_dataset *dataset = NULL;
    if (run->output.identifier == NULL)
        return NULL;
    require(query_syntax(&syntax, transfer_syntax), "syntax", transfer_syntax);
    require(dcb_dataset_parse(&dataset, run->output.identifier, run->output.identifier_nbytes,
                              syntax, dictionary_vr, NULL, NULL, &error) == DCB_OK,
            "identifier", error.message);
    char *text = dataset_to_text(dataset);
    dcb_dataset_close(dataset);
    return text;
}

char *test_run_describe(const test_run *run)
{
    char text[300];
    run->service->describe(run->operation, text, sizeof text);
    return strdup(text);
}

void test_run_end(test_run *run)
{
    run->service->finish(run->operation);
    run->operation = NULL;
}
