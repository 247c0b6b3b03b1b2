/* SPDX-License-Identifier: Apache-2.0 */
#include "sop_classes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

/* First, last and some of the storage table: it is searched by halves, so order matters. */
static void test_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *uid;
        sop_kind kind;
        query_model model;
        const char *name;
    } cases[] = {
        {UID_VERIFICATION, SOP_VERIFICATION, MODEL_NONE, "Verification"},
        {UID_PATIENT_ROOT_FIND, SOP_FIND, MODEL_PATIENT_ROOT, "PatientRootFind"},
        {UID_STUDY_ROOT_FIND, SOP_FIND, MODEL_STUDY_ROOT, "StudyRootFind"},
        {UID_PATIENT_ROOT_GET, SOP_GET, MODEL_PATIENT_ROOT, "PatientRootGet"},
        {UID_STUDY_ROOT_GET, SOP_GET, MODEL_STUDY_ROOT, "StudyRootGet"},
        {UID_STUDY_ROOT_MOVE, SOP_MOVE, MODEL_STUDY_ROOT, "StudyRootMove"},
        {"1.2.840.10008.5.1.1.27", SOP_STORAGE, MODEL_NONE, "StoredPrintStorage"},
        {"1.2.840.10008.5.1.4.1.1.1", SOP_STORAGE, MODEL_NONE, "ComputedRadiographyImageStorage"},
        {"1.2.840.10008.5.1.4.1.1.2", SOP_STORAGE, MODEL_NONE, "CTImageStorage"},
        {"1.2.840.10008.5.1.4.1.1.2.1", SOP_STORAGE, MODEL_NONE, "EnhancedCTImageStorage"},
        {"1.2.840.10008.5.1.4.1.1.4", SOP_STORAGE, MODEL_NONE, "MRImageStorage"},
        {"1.2.840.10008.5.1.4.1.1.7", SOP_STORAGE, MODEL_NONE, "SecondaryCaptureImageStorage"},
        {"1.2.840.10008.5.1.4.1.1.128", SOP_STORAGE, MODEL_NONE,
         "PositronEmissionTomographyImageStorage"},
        {"1.2.840.10008.5.1.4.1.1.481.2", SOP_STORAGE, MODEL_NONE, "RTDoseStorage"},
        {"1.2.840.10008.5.1.4.1.1.88.67", SOP_STORAGE, MODEL_NONE, "XRayRadiationDoseSRStorage"},
        {"1.2.840.10008.5.1.4.45.1", SOP_STORAGE, MODEL_NONE, "ImplantTemplateGroupStorage"},
        {"1.2.840.10008.5.1.4.1.1", SOP_UNKNOWN, MODEL_NONE, "1.2.840.10008.5.1.4.1.1"},
        {"1.2.840.10008.5.1.4.1.1.22", SOP_UNKNOWN, MODEL_NONE, "1.2.840.10008.5.1.4.1.1.22"},
        {"", SOP_UNKNOWN, MODEL_NONE, ""},
        {"9", SOP_UNKNOWN, MODEL_NONE, "9"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(sop_class_kind(cases[i].uid), cases[i].kind);
        assert_int_equal(sop_class_model(cases[i].uid), cases[i].model);
        assert_string_equal(sop_class_name(cases[i].uid), cases[i].name);
    }
}

static void test_carries(void **state)
{
    (void)state;
    static const struct {
        const char *accepted, *instance;
        bool carries;
    } cases[] = {
        {UID_EXPLICIT_LE, UID_EXPLICIT_LE, true},
        {UID_EXPLICIT_LE, UID_IMPLICIT_LE, false},
        {UID_EXPLICIT_LE, UID_HTJ2K_LOSSLESS, false},
        {UID_HTJ2K_LOSSLESS, UID_HTJ2K_LOSSLESS, true},
        {UID_HTJ2K_LOSSLESS, UID_HTJ2K_LOSSLESS_RPCL, true},
        {UID_HTJ2K_LOSSLESS, UID_HTJ2K, false},
        {UID_HTJ2K_LOSSLESS_RPCL, UID_HTJ2K_LOSSLESS, false},
        {UID_HTJ2K, UID_HTJ2K_LOSSLESS, true},
        {UID_HTJ2K, UID_HTJ2K_LOSSLESS_RPCL, true},
        {UID_HTJ2K, UID_HTJ2K, true},
        {UID_HTJ2K, UID_EXPLICIT_LE, false},
        {"", UID_EXPLICIT_LE, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(transfer_syntax_carries(cases[i].accepted, cases[i].instance),
                         cases[i].carries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kinds),
                                       cmocka_unit_test(test_carries)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
