/* SPDX-License-Identifier: Apache-2.0 */
/* series_model.c - compiles the list of elements into text forms. */
#include "series_model.h"

#include <stdlib.h>
#include <string.h>

#include "charset.h"
#include "data_set_writer.h"
#include "dcb_error.h"
#include "meta_value.h"
#include "vr.h"

#define TAG_CHARSET   DCB_TAG(0x0008, 0x0005)
#define MAX_UID       64
#define MAX_COLUMNS   0x7FFFFFFFu /* bytes of all values: the top bit of a start is a flag */
#define CHARSET_BYTES 512

typedef struct compiler {
    const dcb__entries *entries;
    uint32_t nslices;
    dcb__text_form text;
    uint8_t *utf8_slices; /* set where a slice's text does not fit; NULL in the UTF-8 form */
    bool any_utf8_slice;
    dcb__writer shared, values, places, scratch;
    uint32_t *starts; /* of the column under way: nslices + 1 */
    uint8_t *lengths; /* the same: nslices, rounded up */
    dcb_error *error;
} compiler;

static void form_free(dcb__form *form)
{
    if (form == NULL)
        return;
    free(form->shared);
    free(form->columns);
    free(form->places);
    free(form->values);
    free(form);
}

/* The value of one slice, appended and padded; *absent where there is none. */
static dcb_status append_slice(compiler *c, const dcb__entry *entry, uint32_t slice, bool *absent)
{
    size_t start = c->values.nbytes;
    if (entry->kind == DCB_ENTRY_RAW_SLICES) {
        *absent = entry->raw[slice].bytes == NULL;
        if (!*absent)
            dcb__writer_append(&c->values, entry->raw[slice].bytes, entry->raw[slice].nbytes);
    } else {
        const dcb__json *values = dcb__entry_values(entry, slice);
        *absent = values == NULL;
        dcb_status status =
            dcb__value_bytes(&c->values, entry->tag, entry->vr, values, &c->text, c->error);
        if (status == DCB_ERR_ENCODING && c->utf8_slices != NULL) {
            c->utf8_slices[slice / 8] |= (uint8_t)(1u << (slice % 8));
            c->any_utf8_slice = true;
            c->values.nbytes = start;
            *absent = true;
        } else if (status != DCB_OK) {
            return status;
        }
    }
    if ((c->values.nbytes - start) % 2 != 0)
        dcb__writer_append(&c->values, &dcb__vr_info_or_un(entry->vr)->pad, 1);
    if (c->values.status != DCB_OK || c->values.nbytes > MAX_COLUMNS)
        return dcb__fail(c->error, DCB_ERR_LIMIT, DCB_NO_OFFSET,
                         "dicommeta: the values by slice take more than 2 GiB");
    return DCB_OK;
}

/* Where the values of a column lie, as dcb__column keeps it, appended to the places. starts is as
   of a wide column. */
static void add_places(compiler *c, dcb__column *column)
{
    const uint32_t *starts = c->starts;
    for (uint32_t i = 0; i < c->nslices && !column->wide; i++)
        column->wide = (starts[i] & DCB_COLUMN_ABSENT) == 0 &&
                       (starts[i + 1] & ~DCB_COLUMN_ABSENT) - starts[i] >= 2 * 0xFFu;
    if (column->wide) {
        dcb__writer_append(&c->places, starts, ((size_t)c->nslices + 1) * sizeof *starts);
        return;
    }
    for (uint32_t i = 0; i < c->nslices; i += DCB_COLUMN_GROUP) {
        uint32_t start = starts[i] & ~DCB_COLUMN_ABSENT;
        dcb__writer_append(&c->places, &start, sizeof start);
    }
    size_t nbytes = c->nslices;
    for (uint32_t i = 0; i < c->nslices; i++) {
        bool absent = (starts[i] & DCB_COLUMN_ABSENT) != 0;
        uint32_t length = (starts[i + 1] & ~DCB_COLUMN_ABSENT) - starts[i];
        c->lengths[i] = absent ? DCB_COLUMN_ABSENT_SHORT : (uint8_t)(length / 2);
    }
    while (nbytes % sizeof *starts != 0)
        c->lengths[nbytes++] = 0;
    dcb__writer_append(&c->places, c->lengths, nbytes);
}

/* The writer's buffer moved while it grew: only now the columns can point into it. */
static void point_columns(dcb__form *form, uint32_t nslices)
{
    const uint8_t *at = form->places;
    uint32_t ngroups = (nslices + DCB_COLUMN_GROUP - 1) / DCB_COLUMN_GROUP;
    for (uint32_t i = 0; i < form->ncolumns; i++) {
        dcb__column *column = &form->columns[i];
        column->starts = (const uint32_t *)(const void *)at;
        if (column->wide) {
            at += ((size_t)nslices + 1) * sizeof *column->starts;
        } else {
            column->lengths = at + ngroups * sizeof *column->starts;
            at = column->lengths + nslices;
            at += (size_t)(form->places - at) % sizeof *column->starts;
        }
    }
}

static dcb_status add_column(compiler *c, dcb__form *form, const dcb__entry *entry)
{
    uint32_t *starts = c->starts;
    for (uint32_t i = 0; i < c->nslices; i++) {
        bool absent = false;
        starts[i] = (uint32_t)c->values.nbytes;
        dcb_status status = append_slice(c, entry, i, &absent);
        if (status != DCB_OK)
            return status;
        if (absent)
            starts[i] |= DCB_COLUMN_ABSENT;
    }
    starts[c->nslices] = (uint32_t)c->values.nbytes;
    dcb__column *column = &form->columns[form->ncolumns++];
    *column = (dcb__column){.tag = entry->tag, .vr = entry->vr};
    add_places(c, column);
    return DCB_OK;
}

/* A series stays open for long: gives back what growing took. */
static uint8_t *shrink(uint8_t *bytes, size_t nbytes)
{
    uint8_t *smaller = realloc(bytes, nbytes > 0 ? nbytes : 1);
    return smaller != NULL ? smaller : bytes;
}

static dcb_status finish_form(compiler *c, dcb__form *form)
{
    size_t values_nbytes = 0, places_nbytes = 0;
    dcb_status status =
        dcb__writer_finish(&form->shared, &form->shared_nbytes, &c->shared, c->error);
    if (status == DCB_OK)
        status = dcb__writer_finish(&form->values, &values_nbytes, &c->values, c->error);
    if (status == DCB_OK)
        status = dcb__writer_finish(&form->places, &places_nbytes, &c->places, c->error);
    if (status != DCB_OK)
        return status;
    form->shared = shrink(form->shared, form->shared_nbytes);
    form->values = shrink(form->values, values_nbytes);
    form->places = shrink(form->places, places_nbytes);
    point_columns(form, c->nslices);
    return DCB_OK;
}

static dcb_status compile_entries(compiler *c, dcb__form *form)
{
    uint32_t ncolumns = 0;
    for (uint32_t i = 0; i < c->entries->count; i++)
        ncolumns += dcb__entry_is_per_slice(&c->entries->list[i]);
    form->columns = malloc((ncolumns + 1) * sizeof *form->columns);
    if (form->columns == NULL)
        return dcb__fail_no_memory(c->error, ncolumns * sizeof *form->columns);
    for (uint32_t i = 0; i < c->entries->count; i++) {
        const dcb__entry *entry = &c->entries->list[i];
        dcb_status status =
            dcb__entry_is_per_slice(entry)
                ? add_column(c, form, entry)
                : dcb__entry_write(&c->shared, &c->scratch, entry, &c->text, c->error);
        if (status != DCB_OK)
            return status;
    }
    return finish_form(c, form);
}

static dcb_status compile_form(dcb__form **out, compiler *c)
{
    dcb__writer_init(&c->shared, DCB_SYNTAX_EXPLICIT_LE);
    dcb__writer_init(&c->values, DCB_SYNTAX_EXPLICIT_LE);
    dcb__writer_init(&c->scratch, DCB_SYNTAX_EXPLICIT_LE);
    dcb__writer_init(&c->places, DCB_SYNTAX_EXPLICIT_LE);
    dcb__form *form = calloc(1, sizeof *form);
    c->starts = malloc(((size_t)c->nslices + 1) * sizeof *c->starts);
    c->lengths = malloc((size_t)c->nslices + sizeof *c->starts);
    dcb_status status = form == NULL || c->starts == NULL || c->lengths == NULL
                            ? dcb__fail_no_memory(c->error, c->nslices * sizeof *c->starts)
                            : compile_entries(c, form);
    free(c->starts);
    free(c->lengths);
    dcb__writer_free(&c->places);
    dcb__writer_free(&c->shared);
    dcb__writer_free(&c->values);
    dcb__writer_free(&c->scratch);
    if (status != DCB_OK) {
        form_free(form);
        form = NULL;
    }
    *out = form;
    return status;
}

/* The series' character set; *charset stays NULL where it has to be UTF-8 for lack of one. */
static dcb_status open_charset(dcb__charset **charset, const dcb__entries *entries,
                               dcb_error *error)
{
    *charset = NULL;
    const dcb__entry *entry = dcb__entry_find(entries, TAG_CHARSET);
    if (entry != NULL && (entry->vr != DCB_VR_CS || dcb__entry_is_per_slice(entry) ||
                          entry->kind == DCB_ENTRY_BINARY || entry->kind == DCB_ENTRY_ITEMS))
        return DCB_OK;
    dcb__writer buffer;
    dcb__writer_init(&buffer, DCB_SYNTAX_EXPLICIT_LE);
    const dcb__text_form ascii = {NULL, true};
    dcb_status status = DCB_OK;
    if (entry != NULL && entry->kind == DCB_ENTRY_RAW)
        dcb__writer_append(&buffer, entry->raw->bytes, entry->raw->nbytes);
    else if (entry != NULL && entry->kind == DCB_ENTRY_VALUES)
        status = dcb__value_bytes(&buffer, TAG_CHARSET, DCB_VR_CS, entry->json, &ascii, error);
    dcb__writer_append(&buffer, "", 1);
    if (status == DCB_OK && buffer.status != DCB_OK)
        status = dcb__fail_no_memory(error, CHARSET_BYTES);
    if (status == DCB_OK) {
        status = dcb__charset_open(charset, (const char *)buffer.bytes, error);
        if (status == DCB_ERR_UNSUPPORTED) /* a set that we do not know: UTF-8 holds all text */
            status = DCB_OK;
    }
    dcb__writer_free(&buffer);
    return status;
}

static dcb_status compile_native(dcb__model *model, dcb__entries *entries, dcb_error *error)
{
    dcb__charset *charset = NULL;
    dcb_status status = open_charset(&charset, entries, error);
    if (status != DCB_OK || charset == NULL)
        return status;
    compiler c = {.entries = entries,
                  .nslices = model->nslices,
                  .text = {charset, false},
                  .utf8_slices = calloc(model->nslices / 8 + 1, 1),
                  .error = error};
    status = c.utf8_slices == NULL ? dcb__fail_no_memory(error, model->nslices / 8 + 1)
                                   : compile_form(&model->native, &c);
    if (status == DCB_ERR_ENCODING)
        status = DCB_OK; /* native stays NULL */
    if (c.any_utf8_slice && model->native != NULL) {
        model->utf8_slices = c.utf8_slices;
        c.utf8_slices = NULL;
    }
    free(c.utf8_slices);
    dcb__charset_close(charset);
    return status;
}

static dcb_status compile_utf8(dcb__model *model, dcb__entries *entries, dcb_error *error)
{
    if (!dcb__entry_put_text(entries, TAG_CHARSET, DCB_VR_CS, "ISO_IR 192"))
        return dcb__fail_no_memory(error, sizeof(dcb__entry));
    compiler c = {
        .entries = entries, .nslices = model->nslices, .text = {NULL, true}, .error = error};
    return compile_form(&model->utf8, &c);
}

/* Of several values none is the one: the instance would go out under a name that its data set does
   not have. */
static bool copy_uid(char **end, const char **out, const dcb__entry *entry, uint32_t slice)
{
    const dcb__json *values = entry == NULL ? NULL : dcb__entry_values(entry, slice);
    if (values != NULL && values->type == DCB_JSON_ARRAY && values->count > 1)
        return false;
    const char *text = dcb__entry_text(entry, slice);
    size_t nbytes = text == NULL ? 0 : strlen(text);
    while (nbytes > 0 && text[nbytes - 1] == ' ')
        nbytes--;
    if (nbytes == 0 || nbytes > MAX_UID || strspn(text, "0123456789.") < nbytes)
        return false;
    *out = *end;
    memcpy(*end, text, nbytes);
    (*end)[nbytes] = '\0';
    *end += nbytes + 1;
    return true;
}

static size_t uid_room(const dcb__entry *entry, uint32_t slice)
{
    const char *text = dcb__entry_text(entry, slice);
    return text == NULL ? 1 : strlen(text) + 1;
}

static dcb_status copy_uids(dcb__model *model, const dcb__entries *entries, dcb_error *error)
{
    const dcb__entry *class_uid = dcb__entry_find(entries, DCB_TAG(0x0008, 0x0016));
    const dcb__entry *instance_uid = dcb__entry_find(entries, DCB_TAG(0x0008, 0x0018));
    const size_t n = model->nslices;
    bool classes_differ = class_uid != NULL && dcb__entry_is_per_slice(class_uid);
    size_t room = 3 * (MAX_UID + 1);
    for (uint32_t i = 0; i < n; i++)
        room += uid_room(instance_uid, i) + (classes_differ ? uid_room(class_uid, i) : 0);
    char *end = model->uids = malloc(room);
    model->class_uids = malloc(n * sizeof *model->class_uids);
    model->instance_uids = malloc(n * sizeof *model->instance_uids);
    if (end == NULL || model->class_uids == NULL || model->instance_uids == NULL)
        return dcb__fail_no_memory(error, room);
    bool ok =
        copy_uid(&end, &model->study_uid, dcb__entry_find(entries, DCB_TAG(0x0020, 0x000D)), 0) &&
        copy_uid(&end, &model->series_uid, dcb__entry_find(entries, DCB_TAG(0x0020, 0x000E)), 0);
    for (uint32_t i = 0; ok && i < n; i++) {
        ok = copy_uid(&end, &model->instance_uids[i], instance_uid, i);
        if (ok && (i == 0 || classes_differ))
            ok = copy_uid(&end, &model->class_uids[i], class_uid, i);
        else
            model->class_uids[i] = model->class_uids[0];
    }
    if (!ok)
        return dcb__fail(error, DCB_ERR_META, DCB_NO_OFFSET,
                         "dicommeta: a Study, Series, SOP Class or SOP Instance UID is not a UID");
    return DCB_OK;
}

dcb_status dcb__model_create(dcb__model **out, dcb__entries *entries, uint32_t nslices,
                             dcb_error *error)
{
    *out = NULL;
    dcb__model *model = calloc(1, sizeof *model);
    if (model == NULL)
        return dcb__fail_no_memory(error, sizeof *model);
    model->nslices = nslices;
    dcb_status status = copy_uids(model, entries, error);
    if (status == DCB_OK)
        status = compile_native(model, entries, error);
    if (status == DCB_OK && (model->native == NULL || model->utf8_slices != NULL))
        status = compile_utf8(model, entries, error);
    if (status != DCB_OK) {
        dcb__model_free(model);
        return status;
    }
    *out = model;
    return DCB_OK;
}

void dcb__model_free(dcb__model *model)
{
    if (model == NULL)
        return;
    form_free(model->native);
    form_free(model->utf8);
    free(model->utf8_slices);
    free(model->uids);
    free(model->class_uids);
    free(model->instance_uids);
    free(model);
}

const dcb__form *dcb__model_form(const dcb__model *model, uint32_t slice)
{
    if (model->native == NULL)
        return model->utf8;
    if (model->utf8_slices != NULL && model->utf8_slices[slice / 8] >> (slice % 8) & 1)
        return model->utf8;
    return model->native;
}
