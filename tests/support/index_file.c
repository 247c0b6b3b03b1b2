/* SPDX-License-Identifier: Apache-2.0 */
/* index_file.c - series made from a few words each. */
#include "index_file.h"
#include "make_dcbs.h"

#include <stdio.h>
#include <stdlib.h>

static void put(dcb_dataset *dataset, uint32_t tag, const char *vr, const char *text)
{
    if (text != NULL)
        dcb_dataset_put_text(dataset, tag, DCB_VR(vr[0], vr[1]), text, NULL);
}

static dcb_status get_dataset(dcb_dataset **out, void *context, uint32_t frame, dcb_error *error)
{
    const index_file *file = context;
    dcb_status status = dcb_dataset_create(out, error);
    if (status != DCB_OK)
        return status;
    char uid[80], number[16];
    snprintf(uid, sizeof uid, "%s.%u", file->sop, frame + 1);
    snprintf(number, sizeof number, "%d", file->first + (int)frame);
    put(*out, 0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.2");
    put(*out, 0x00080018, "UI", uid);
    put(*out, 0x00080020, "DA", file->date);
    put(*out, 0x00080050, "SH", file->accession);
    put(*out, 0x00080060, "CS", file->modality);
    put(*out, 0x00081030, "LO", file->description);
    put(*out, 0x00100010, "PN", file->name);
    put(*out, 0x00100020, "LO", file->patient_id);
    put(*out, 0x00100021, "LO", file->issuer);
    put(*out, 0x0020000d, "UI", file->study);
    put(*out, 0x0020000e, "UI", file->series);
    put(*out, 0x00200013, "IS", number);
    put(*out, 0x00280010, "US", "\x10\x01");
    return DCB_OK;
}

index_record *index_file_record(const index_file *file)
{
    index_record *record = NULL;
    dcb_error error = DCB_ERROR_INIT;
    if (index_record_create_from(&record, (uint32_t)file->n, get_dataset, (void *)file, &error) !=
        DCB_OK) {
        fprintf(stderr, "test support: %s\n", error.message);
        exit(2);
    }
    return record;
}

file_stamp index_file_stamp(const index_file *file)
{
    return (file_stamp){.nbytes = 1000, .mtime_ns = file->mtime_ns, .inode = 7};
}

uint32_t index_file_put(scp_index *index, const index_file *file)
{
    index_record *record = index_file_record(file);
    file_stamp stamp = index_file_stamp(file);
    uint32_t nduplicates = 0;
    scp_error error = SCP_ERROR_INIT;
    if (index_put_file(index, file->path, &stamp, record, &nduplicates, &error) != 0) {
        fprintf(stderr, "test support: %s\n", error.message);
        exit(2);
    }
    index_record_close(record);
    return nduplicates;
}

static void add_text(make_meta *meta, const char *tag, const char *vr, const char *text)
{
    if (text != NULL)
        make_meta_text(meta, tag, vr, text);
}

static char *meta_of(const index_file *file)
{
    make_meta meta = {0};
    make_meta_begin(&meta, (unsigned)file->n);
    make_meta_text(&meta, "00080005", "CS", "ISO_IR 192");
    make_meta_text(&meta, "00080016", "UI", "1.2.840.10008.5.1.4.1.1.2");
    make_meta_begin_slices(&meta, "00080018", "UI");
    for (int i = 0; i < file->n; i++)
        make_meta_slice(&meta, "\"%s.%d\"", file->sop, i + 1);
    make_meta_end_slices(&meta);
    add_text(&meta, "00080020", "DA", file->date);
    add_text(&meta, "00080050", "SH", file->accession);
    add_text(&meta, "00080060", "CS", file->modality);
    add_text(&meta, "00081030", "LO", file->description);
    if (file->name != NULL)
        make_meta_name(&meta, "00100010", file->name);
    add_text(&meta, "00100020", "LO", file->patient_id);
    add_text(&meta, "00100021", "LO", file->issuer);
    add_text(&meta, "0020000D", "UI", file->study);
    add_text(&meta, "0020000E", "UI", file->series);
    make_meta_begin_slices(&meta, "00200013", "IS");
    for (int i = 0; i < file->n; i++)
        make_meta_slice(&meta, "%d", file->first + i);
    make_meta_end_slices(&meta);
    make_meta_text(&meta, "00280004", "CS", "MONOCHROME2");
    make_meta_json(&meta, "00280100", "US", "16");
    make_meta_end(&meta);
    return meta.json.text;
}

uint8_t *index_file_dcbs(size_t *nbytes, const index_file *file, const void *codestream,
                         size_t codestream_nbytes)
{
    char *meta = meta_of(file);
    make_frame *frames = calloc((size_t)file->n, sizeof *frames);
    if (frames == NULL)
        abort();
    for (int i = 0; i < file->n; i++)
        frames[i] = (make_frame){codestream, codestream_nbytes};
    make_dcbs dcbs = {
        .dicom_status = "consistent",
        .meta_json = meta,
        .pixel_header_json = "{\"RescaleSlope\": 1.0, \"RescaleIntercept\": 0.0, "
                             "\"OriginalPixelDtype\": \"int16\", \"PixelDtype\": \"int16\"}",
        .nframes = (uint32_t)file->n,
        .frames = frames,
    };
    uint8_t *bytes = make_dcbs_bytes(nbytes, &dcbs);
    free(frames);
    free(meta);
    return bytes;
}
