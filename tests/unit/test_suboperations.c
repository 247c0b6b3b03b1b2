/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sub-operations over associations that answer by a script: every instance sent once whatever
 * breaks off, counted as it should, and no thread left behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_destination.h"
#include "log.h"
#include "make_dcbs.h"
#include "move_plan.h"
#include "service_driver.h"
#include "sop_classes.h"
#include "suboperations.h"
#include "temp_dir.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CT      "1.2.840.10008.5.1.4.1.1.2"
#define PHANTOM TEST_DATA_DIR "/golden/ct_phantom_small/series.dcbs"
#define TINY3   TEST_DATA_DIR "/golden/tiny3/series.dcbs"
#define JPEG_LS "1.2.840.10008.1.2.4.80"

/* ---- A retrieval ---- */

static test_archive archive;

/* The file's instances so many times over. */
static void list_file(instance_list *list, const char *path, int times)
{
    dcb_series *series;
    assert_int_equal(dcb_series_open(&series, path, NULL, NULL), DCB_OK);
    const uint32_t nframes = dcb_series_get_info(series)->nframes;
    for (int k = 0; k < times; k++) {
        for (uint32_t i = 0; i < nframes; i++) {
            dcb_frame_info info;
            assert_int_equal(dcb_series_frame_info(&info, series, i, NULL), DCB_OK);
            const index_instance instance = {path, i,  info.sop_class_uid, info.sop_instance_uid,
                                             "1",  "2"};
            assert_true(instance_list_add(list, &instance));
        }
    }
    dcb_series_release(series);
}

static retrieve make_retrieve(const char *path, int times)
{
    retrieve r = {.name = "move", .node = &archive.node, .association_number = 9, .is_read = true};
    if (path != NULL)
        list_file(&r.list, path, times);
    return r;
}

static suboperations_setting make_setting(uint32_t nassociations, uint32_t retries)
{
    suboperations_setting setting = {
        .links = &fake_destination_links, .nassociations = nassociations, .retries = retries};
    snprintf(setting.target.called_ae_title, UL_AE_TITLE_SIZE, "DEST");
    return setting;
}

static void run(retrieve *r, uint32_t nassociations, uint32_t retries)
{
    const suboperations_setting setting = make_setting(nassociations, retries);
    suboperations *s = suboperations_start(&setting, r);
    assert_non_null(s);
    while (suboperations_wait(s, 60000) != SUBOPERATIONS_OVER)
        ;
    suboperations_close(s);
    assert_int_equal(destination.nclosed,
                     nassociations < r->list.count ? nassociations : r->list.count);
}

static void assert_counts(const retrieve *r, size_t completed, size_t failed, size_t warning)
{
    assert_int_equal(r->completed, completed);
    assert_int_equal(r->failed, failed);
    assert_int_equal(r->warning, warning);
}

/* Each of the first ninstances of the list is among what was stored, so many more were sent. */
static void assert_stored(const retrieve *r, size_t ninstances, size_t nmore)
{
    assert_int_equal(destination.nstores, ninstances + nmore);
    for (size_t i = 0; i < ninstances; i++) {
        char uid[UL_UID_SIZE];
        size_t nsent = 0, nlisted = 0;
        instance_list_uid(uid, &r->list, i);
        for (size_t k = 0; k < ninstances; k++) {
            char other[UL_UID_SIZE];
            instance_list_uid(other, &r->list, k);
            nlisted += strcmp(uid, other) == 0;
        }
        for (size_t k = 0; k < destination.nstores; k++)
            nsent += strcmp(uid, destination.stored[k]) == 0;
        assert_true(nsent >= nlisted);
    }
}

/* ---- Tests ---- */

static void test_in_order(void **state)
{
    (void)state;
    fake_destination_reset();
    retrieve r = make_retrieve(PHANTOM, 1);
    run(&r, 1, 0);
    assert_counts(&r, 8, 0, 0);
    assert_int_equal(destination.nopened, 1);
    assert_int_equal(destination.nreleased, 1);
    assert_int_equal(destination.ninterrupts, 0);
    assert_int_equal(destination.ncontexts, 3); /* as stored, uncompressed, otherwise compressed */
    for (size_t i = 0; i < 8; i++) {
        char uid[UL_UID_SIZE];
        instance_list_uid(uid, &r.list, i);
        assert_string_equal(destination.stored[i], uid);
        assert_string_equal(destination.syntaxes[i], UID_HTJ2K_LOSSLESS);
    }
    assert_int_equal(r.nstored, 8);
    retrieve_clear(&r);
}

/* What the destination takes decides how an instance leaves. */
static void test_syntaxes(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{UID_IMPLICIT_LE, UID_IMPLICIT_LE},
                                          {UID_EXPLICIT_LE, UID_EXPLICIT_LE},
                                          {UID_HTJ2K, UID_HTJ2K_LOSSLESS},
                                          {JPEG_LS, JPEG_LS}};
    for (size_t i = 0; i < 4; i++) {
        fake_destination_reset();
        destination.accepted = rows[i][0];
        retrieve r = make_retrieve(PHANTOM, 1);
        run(&r, 2, 0);
        assert_counts(&r, 8, 0, 0);
        for (size_t k = 0; k < 8; k++)
            assert_string_equal(destination.syntaxes[k], rows[i][1]);
        retrieve_clear(&r);
    }
    fake_destination_reset();
    destination.accepted = "1.2.840.10008.1.2.4.50";
    retrieve r = make_retrieve(PHANTOM, 1);
    run(&r, 1, 0);
    assert_counts(&r, 0, 8, 0);
    assert_non_null(strstr(r.cause, "no presentation context"));
    retrieve_clear(&r);
}

/* As many at a time as there are associations: the first eight wait for one another. */
static void test_in_parallel(void **state)
{
    (void)state;
    for (uint32_t n = 2; n <= SUBOPERATIONS_ASSOCIATIONS_MAX; n *= 2) {
        fake_destination_reset();
        destination.together = n;
        retrieve r = make_retrieve(PHANTOM, 12);
        run(&r, n, 0);
        assert_counts(&r, 96, 0, 0);
        assert_stored(&r, 96, 0);
        assert_int_equal(destination.most_at_once, n);
        assert_int_equal(destination.nopened, n);
        assert_int_equal(destination.nreleased, n);
        retrieve_clear(&r);
    }
}

static void test_statuses(void **state)
{
    (void)state;
    fake_destination_reset();
    destination.status[1] = 0xA700;
    destination.status[4] = 0xB007;
    destination.status[5] = 0x0110;
    retrieve r = make_retrieve(PHANTOM, 1);
    run(&r, 1, 0);
    assert_counts(&r, 5, 2, 1);
    assert_string_equal(r.cause, "the peer refused an instance: status A700H");
    assert_int_equal(r.failures[0], 1);
    assert_int_equal(r.failures[1], 5);
    retrieve_clear(&r);
}

static void test_no_association(void **state)
{
    (void)state;
    for (uint32_t n = 1; n <= 4; n += 3) {
        for (uint32_t retries = 0; retries <= 2; retries++) {
            fake_destination_reset();
            destination.refuse_from = 0;
            destination.refuse_to = FAKE_NEVER;
            retrieve r = make_retrieve(PHANTOM, 1);
            run(&r, n, retries);
            assert_counts(&r, 0, 8, 0);
            assert_int_equal(destination.nopened, 1 + retries); /* one asks for all */
            assert_string_equal(r.cause, "DEST rejected: local limit exceeded");
            assert_int_equal(destination.nstores, 0);
            retrieve_clear(&r);
        }
    }
}

/* Refused at first, then not. */
static void test_retry(void **state)
{
    (void)state;
    fake_destination_reset();
    destination.refuse_from = 0;
    destination.refuse_to = 2;
    retrieve r = make_retrieve(PHANTOM, 1);
    run(&r, 1, 2);
    assert_counts(&r, 8, 0, 0);
    assert_int_equal(destination.nopened, 3);
    retrieve_clear(&r);
}

/* A destination that takes one association only still gets everything. */
static void test_one_is_enough(void **state)
{
    (void)state;
    fake_destination_reset();
    destination.refuse_from = 1;
    destination.refuse_to = FAKE_NEVER;
    retrieve r = make_retrieve(PHANTOM, 3);
    run(&r, 4, 0);
    assert_counts(&r, 24, 0, 0);
    assert_stored(&r, 24, 0);
    retrieve_clear(&r);
}

/* The same where it accepts other contexts on the others: those are not used. */
static void test_other_contexts(void **state)
{
    (void)state;
    fake_destination_reset();
    destination.odd_from = 1;
    retrieve r = make_retrieve(PHANTOM, 3);
    run(&r, 3, 0);
    assert_counts(&r, 24, 0, 0);
    for (size_t k = 0; k < destination.nstores; k++)
        assert_string_equal(destination.syntaxes[k], UID_HTJ2K_LOSSLESS);
    retrieve_clear(&r);
}

static void test_breaks_off(void **state)
{
    (void)state;
    for (uint32_t n = 1; n <= 3; n++) {
        /* Once: the instance is sent again. */
        fake_destination_reset();
        destination.lost_from = 5;
        destination.lost_to = 6;
        retrieve r = make_retrieve(PHANTOM, 2);
        run(&r, n, 1);
        assert_counts(&r, 16, 0, 0);
        assert_stored(&r, 16, 1);
        retrieve_clear(&r);
    }
    /* Twice under the same instance: that one fails, the others do not. */
    fake_destination_reset();
    destination.lost_from = 5;
    destination.lost_to = 7;
    retrieve r = make_retrieve(PHANTOM, 2);
    run(&r, 1, 2);
    assert_counts(&r, 15, 1, 0);
    assert_int_equal(r.failures[0], 5);
    assert_string_equal(r.cause, "the destination broke off the association");
    assert_int_equal(destination.nopened, 3);
    retrieve_clear(&r);
}

/* It dies at instance 137 of 400 and does not come back. */
static void test_dies(void **state)
{
    (void)state;
    for (uint32_t n = 1; n <= 8; n *= 8) {
        fake_destination_reset();
        destination.lost_from = 136;
        destination.lost_to = FAKE_NEVER;
        destination.refuse_from = n;
        destination.refuse_to = FAKE_NEVER;
        retrieve r = make_retrieve(PHANTOM, 50);
        run(&r, n, 1);
        assert_int_equal(r.completed, 136);
        assert_int_equal(r.failed, 264);
        assert_true(destination.nstores >= 137 && destination.nstores <= 136 + n);
        service_output out = {0};
        retrieve_final(&r, &out);
        assert_int_equal(out.command.status, 0xB000);
        assert_int_equal(out.command.completed, 136);
        assert_int_equal(out.command.failed, 264);
        retrieve_clear(&r);
    }
}

/* An instance that is not answered in time is not sent again: it may well have been stored. */
static void test_silent(void **state)
{
    (void)state;
    fake_destination_reset();
    destination.silent = 2;
    retrieve r = make_retrieve(PHANTOM, 1);
    run(&r, 1, 1);
    assert_counts(&r, 7, 1, 0);
    assert_stored(&r, 8, 0);
    assert_string_equal(r.cause, "the destination did not answer in time");
    assert_int_equal(destination.nopened, 2);
    retrieve_clear(&r);
    /* Without retries that was the end. */
    fake_destination_reset();
    destination.silent = 2;
    r = make_retrieve(PHANTOM, 1);
    run(&r, 1, 0);
    assert_counts(&r, 2, 6, 0);
    retrieve_clear(&r);
}

/* What cannot be made is counted, the rest is sent. */
static void test_unreadable(void **state)
{
    (void)state;
    fake_destination_reset();
    retrieve r = make_retrieve(PHANTOM, 1);
    const index_instance gone = {"/gone/x.dcbs", 0, CT, "1.2.3.4", "1", "2"};
    assert_true(instance_list_add(&r.list, &gone));
    list_file(&r.list, TINY3, 1);
    run(&r, 2, 0);
    assert_counts(&r, 11, 1, 0);
    assert_int_equal(r.failures[0], 8);
    retrieve_clear(&r);
    /* Nothing can be. */
    fake_destination_reset();
    r = make_retrieve(NULL, 0);
    assert_true(instance_list_add(&r.list, &gone));
    run(&r, 1, 0);
    assert_counts(&r, 0, 1, 0);
    assert_int_equal(destination.nstores, 0);
    retrieve_clear(&r);
}

static void await_stores(uint32_t n)
{
    pthread_mutex_lock(&destination.lock);
    while (destination.nstores < n)
        pthread_cond_wait(&destination.changed, &destination.lock);
    pthread_mutex_unlock(&destination.lock);
}

static void test_interrupted(void **state)
{
    (void)state;
    fake_destination_reset();
    destination.blocked = 3;
    retrieve r = make_retrieve(PHANTOM, 1);
    const suboperations_setting setting = make_setting(1, 5);
    suboperations *s = suboperations_start(&setting, &r);
    await_stores(4);
    suboperations_interrupt(s);
    while (suboperations_wait(s, 60000) != SUBOPERATIONS_OVER)
        ;
    assert_counts(&r, 3, 0, 0); /* the one under way is neither */
    service_output out = {0};
    retrieve_final(&r, &out);
    assert_int_equal(out.command.status, 0xFE00);
    assert_int_equal(out.command.remaining, 5);
    suboperations_close(s);
    assert_int_equal(destination.nopened, 1);
    retrieve_clear(&r);
}

/* The requester is gone: close alone ends everything. */
static void test_closed_in_the_middle(void **state)
{
    (void)state;
    for (uint32_t n = 1; n <= 4; n++) {
        fake_destination_reset();
        destination.blocked = 3;
        retrieve r = make_retrieve(PHANTOM, 4);
        const suboperations_setting setting = make_setting(n, 1);
        suboperations *s = suboperations_start(&setting, &r);
        await_stores(4);
        suboperations_close(s);
        assert_int_equal(destination.nclosed, n);
        retrieve_clear(&r);
    }
}

static void test_stopped(void **state)
{
    (void)state;
    fake_destination_reset();
    retrieve r = make_retrieve(PHANTOM, 50);
    const suboperations_setting setting = make_setting(2, 1);
    suboperations *s = suboperations_start(&setting, &r);
    await_stores(10);
    suboperations_stop(s);
    while (suboperations_wait(s, 60000) != SUBOPERATIONS_OVER)
        ;
    assert_int_equal(r.completed, destination.nstores); /* those under way were finished */
    assert_int_equal(r.failed, 0);
    suboperations_close(s);
    retrieve_clear(&r);
}

/* ---- Contexts ---- */

/* tiny3's first frame as another SOP class. */
static void write_class(const char *path, const char *sop_class, const char *sop_instance)
{
    size_t nbytes = 0;
    uint8_t *tiny = read_whole_file(TINY3, &nbytes);
    make_meta meta = {0};
    make_meta_begin(&meta, 1);
    make_meta_text(&meta, "00080016", "UI", sop_class);
    make_meta_text(&meta, "00080018", "UI", sop_instance);
    make_meta_text(&meta, "0020000D", "UI", "1.2.4");
    make_meta_text(&meta, "0020000E", "UI", "1.2.6");
    make_meta_text(&meta, "00280004", "CS", "MONOCHROME2");
    make_meta_end(&meta);
    const make_frame frame = {tiny + 1162, 262};
    const make_dcbs file = {
        .meta_json = meta.json.text,
        .pixel_header_json = "{\"RescaleSlope\": 1.0, \"RescaleIntercept\": 0.0,"
                             " \"OriginalPixelDtype\": \"int16\", \"PixelDtype\": \"int16\"}",
        .nframes = 1,
        .frames = &frame,
    };
    assert_int_equal(make_dcbs_write(path, &file), 0);
    free(meta.json.text);
    free(tiny);
}

/* 100 SOP classes need 300 contexts: more than an association has. */
static void test_many_classes(void **state)
{
    (void)state;
    for (uint32_t n = 1; n <= 3; n += 2) {
        fake_destination_reset();
        retrieve r = make_retrieve(NULL, 0);
        for (int i = 0; i < 100; i++) {
            char name[32], sop_class[32], sop_instance[32];
            snprintf(name, sizeof name, "class%d.dcbs", i);
            snprintf(sop_class, sizeof sop_class, "1.2.9.%d", i);
            snprintf(sop_instance, sizeof sop_instance, "1.2.10.%d", i);
            char *path = path_join(archive.folder, name);
            write_class(path, sop_class, sop_instance);
            list_file(&r.list, path, 1);
            free(path);
        }
        run(&r, n, 0);
        assert_counts(&r, 100, 0, 0);
        assert_stored(&r, 100, 0);
        assert_true(destination.nopened >= 2);
        assert_int_equal(destination.nreleased, destination.nopened);
        for (size_t k = 0; k < destination.nstores; k++)
            assert_string_equal(destination.syntaxes[k], UID_HTJ2K_LOSSLESS);
        retrieve_clear(&r);
    }
}

static void test_proposal(void **state)
{
    (void)state;
    retrieve r = make_retrieve(PHANTOM, 1);
    static const char *const prefer[] = {"1.2.840.10008.1.2.4.90", UID_EXPLICIT_LE};
    move_plan plan;
    ul_request request = {0};
    move_plan_init(&plan, &archive.node, &r.list, prefer, 2);
    assert_int_equal(move_plan_look(&plan), MOVE_PLAN_CHANGED);
    assert_int_equal(plan.end, 8);
    assert_int_equal(move_plan_look(&plan), MOVE_PLAN_SAME);
    assert_true(move_plan_propose(&plan, &request));
    static const char *const expected[4][5] = {
        {"1.2.840.10008.1.2.4.90"},
        {UID_EXPLICIT_LE, UID_IMPLICIT_LE},
        {UID_HTJ2K_LOSSLESS, UID_HTJ2K},
        {JPEG_LS, "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.5"},
    };
    assert_int_equal(request.ncontexts, 4);
    for (uint32_t i = 0; i < 4; i++) {
        const ul_context *context = &request.contexts[i];
        assert_int_equal(context->id, 2 * i + 1);
        assert_string_equal(context->abstract_syntax, CT);
        for (uint32_t k = 0; k < context->nsyntaxes; k++)
            assert_string_equal(context->syntaxes[k], expected[i][k]);
        assert_null(expected[i][context->nsyntaxes]);
    }
    ul_request_clear(&request);
    move_plan_clear(&plan);
    retrieve_clear(&r);
}

/* What the destination prefers, in its order, where it then accepts it. */
static void test_preferred(void **state)
{
    (void)state;
    static const char *const prefer[][2] = {{JPEG_LS, UID_EXPLICIT_LE},
                                            {UID_EXPLICIT_LE, UID_HTJ2K_LOSSLESS},
                                            {UID_HTJ2K_LOSSLESS, UID_EXPLICIT_LE}};
    for (size_t i = 0; i < 3; i++) {
        fake_destination_reset();
        retrieve r = make_retrieve(PHANTOM, 1);
        suboperations_setting setting = make_setting(2, 0);
        setting.prefer = prefer[i];
        setting.nprefer = 2;
        suboperations *s = suboperations_start(&setting, &r);
        while (suboperations_wait(s, 60000) != SUBOPERATIONS_OVER)
            ;
        suboperations_close(s);
        assert_counts(&r, 8, 0, 0);
        for (size_t k = 0; k < 8; k++)
            assert_string_equal(destination.syntaxes[k], prefer[i][0]);
        retrieve_clear(&r);
    }
}

static int set_up(void **state)
{
    (void)state;
    log_configure(LOG_ERROR, LOG_TEXT);
    test_archive_create(&archive);
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_order),       cmocka_unit_test(test_syntaxes),
        cmocka_unit_test(test_in_parallel),    cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_no_association), cmocka_unit_test(test_retry),
        cmocka_unit_test(test_one_is_enough),  cmocka_unit_test(test_other_contexts),
        cmocka_unit_test(test_breaks_off),     cmocka_unit_test(test_dies),
        cmocka_unit_test(test_silent),         cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_interrupted),    cmocka_unit_test(test_closed_in_the_middle),
        cmocka_unit_test(test_stopped),        cmocka_unit_test(test_many_classes),
        cmocka_unit_test(test_proposal),       cmocka_unit_test(test_preferred),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
