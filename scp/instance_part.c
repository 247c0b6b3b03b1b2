/* SPDX-License-Identifier: Apache-2.0 */
/* instance_part.c - see instance_part.h; headers, and what both have in common. */
#include "instance_part.h"

#include "dictionary.h"
#include "pixel_codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool instance_part_fail(instance_part *out, uint16_t status, const char *comment,
                        const char *reason)
{
    out->status = status;
    snprintf(out->comment, sizeof out->comment, "%s", comment);
    snprintf(out->reason, sizeof out->reason, "%s", reason);
    return false;
}

static bool fail_reader(instance_part *out, const dcb_error *error)
{
    return instance_part_fail(out, 0, dcb_status_text(error->status), error->message);
}

void instance_part_close(instance_part *part)
{
    dcb_series_release(part->series);
    free(part->part10);
    part->series = NULL;
    part->part10 = NULL;
}

bool instance_part_open(instance_part *out, const dcb_dataset *head, const uint8_t *tail,
                        size_t tail_nbytes, const char *transfer_syntax_uid)
{
    uint8_t meta[DCB_PART10_HEADER_MAX], *bytes = NULL;
    char sop_class[UL_UID_SIZE] = "", instance[UL_UID_SIZE] = "";
    size_t nbytes = 0;
    dcb_error error = DCB_ERROR_INIT;
    dcb_dataset_get_text(head, TAG_SOP_CLASS_UID, sop_class, sizeof sop_class);
    dcb_dataset_get_text(head, TAG_SOP_INSTANCE_UID, instance, sizeof instance);
    if (dcb_dataset_encode(&bytes, &nbytes, head, DCB_SYNTAX_EXPLICIT_LE, &error) != DCB_OK)
        return fail_reader(out, &error);
    const size_t meta_nbytes = dcb_part10_header(meta, transfer_syntax_uid, sop_class, instance);
    out->part10 = malloc(meta_nbytes + nbytes + tail_nbytes);
    if (out->part10 != NULL) {
        memcpy(out->part10, meta, meta_nbytes);
        memcpy(out->part10 + meta_nbytes, bytes, nbytes);
        if (tail_nbytes > 0)
            memcpy(out->part10 + meta_nbytes + nbytes, tail, tail_nbytes);
    }
    free(bytes);
    if (out->part10 == NULL)
        return instance_part_fail(out, 0, "out of memory", "");
    dcb_open_options options = DCB_OPEN_OPTIONS_INIT;
    options.vr_lookup = dictionary_vr;
    options.pixel_codec = &pixel_codec;
    if (dcb_series_open_memory(&out->series, out->part10, meta_nbytes + nbytes + tail_nbytes,
                               &options, &error) != DCB_OK)
        return fail_reader(out, &error);
    return true;
}

/* ---- Headers (PS3.4 annex Z) ---- */

/* Table Z.1-1: at the top level only, so that icons keep their pixels. Pixel Data itself is not
   read in the first place. */
static bool is_bulk(uint32_t tag)
{
    const uint32_t group = tag >> 16, element = tag & 0xFFFF;
    const bool repeats = (group & 1) == 0;
    switch (tag) {
    case DCB_TAG(0x0028, 0x7FE0): /* Pixel Data Provider URL */
    case DCB_TAG(0x5600, 0x0020): /* Spectroscopy Data */
    case DCB_TAG(0x7FE0, 0x0008): /* Float Pixel Data */
    case DCB_TAG(0x7FE0, 0x0009): /* Double Float Pixel Data */
    case DCB_TAG(0x7FE0, 0x0010): /* Pixel Data */
        return true;
    default:
        return repeats && ((group >> 8 == 0x60 && element == 0x3000) || /* Overlay Data */
                           (group >> 8 == 0x50 && (element == 0x3000 || element == 0x200C)));
    }
}

static void remove_bulk(dcb_dataset *dataset)
{
    for (size_t i = dcb_dataset_count(dataset); i > 0; i--) {
        const uint32_t tag = dcb_dataset_at(dataset, i - 1)->tag;
        if (is_bulk(tag))
            dcb_dataset_remove(dataset, tag);
    }
    const dcb_element *waveforms = dcb_dataset_find(dataset, DCB_TAG(0x5400, 0x0100));
    for (uint32_t i = 0; waveforms != NULL && i < waveforms->nitems; i++)
        dcb_dataset_remove(waveforms->items[i], DCB_TAG(0x5400, 0x1010)); /* Waveform Data */
}

bool instance_headers(instance_part *out, dcb_series *series, uint32_t frame, const char *uid)
{
    char found[UL_UID_SIZE] = "";
    dcb_error error = DCB_ERROR_INIT;
    dcb_dataset *dataset = NULL;
    *out = (instance_part){.series = NULL};
    if (dcb_series_dataset(&dataset, series, frame, false, &error) != DCB_OK)
        return fail_reader(out, &error);
    dcb_dataset_get_text(dataset, TAG_SOP_INSTANCE_UID, found, sizeof found);
    bool good = strcmp(found, uid) == 0;
    if (good) {
        remove_bulk(dataset);
        good = instance_part_open(out, dataset, NULL, 0, UID_EXPLICIT_LE);
    } else {
        instance_part_fail(out, 0, "the file changed since it was indexed",
                           "the index names another SOP instance");
    }
    dcb_dataset_close(dataset);
    return good;
}
